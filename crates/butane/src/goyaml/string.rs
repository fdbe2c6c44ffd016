//! Strings: plain where that reads back as a string, literal blocks where they have several lines, else quoted.

use std::fmt::Write as _;

use ignition_spec::tree::Plain;

use super::spaces;
use crate::scalar;

/// A key of a map.
pub(super) fn key(text: &str, out: &mut String) {
    match style(text) {
        Style::Literal => double_quoted(text, out),
        style => scalar_text(text, style, out),
    }
}

/// A string; `indent` is that of the lines of a literal block.
pub(super) fn string(text: &str, indent: usize, out: &mut String) {
    match style(text) {
        Style::Literal => literal(text, indent, out),
        style => scalar_text(text, style, out),
    }
}

fn scalar_text(text: &str, style: Style, out: &mut String) {
    match style {
        Style::Plain => out.push_str(text),
        Style::Single => {
            let _ = write!(out, "'{}'", text.replace('\'', "''"));
        }
        Style::Double | Style::Literal => double_quoted(text, out),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str) -> Style {
    let traits = Traits::of(text);
    if text.contains('\n') {
        return if traits.block { Style::Literal } else { Style::Double };
    }
    if !reads_as_string(text) {
        return Style::Double;
    }
    match (traits.plain, traits.single) {
        (true, _) => Style::Plain,
        (false, true) => Style::Single,
        (false, false) => Style::Double,
    }
}

/// In which styles a text can be written.
struct Traits {
    plain: bool,
    single: bool,
    block: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { plain: true, single: true, block: false };
        }
        let chars: Vec<char> = text.chars().collect();
        let is_break = |char: char| matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let is_blank = |char: char| matches!(char, ' ' | '\t');
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut breaks, mut special, mut tab, mut break_space, mut space_break) =
            (false, false, false, false, false);
        for (at, &char) in chars.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| chars[at]);
            let last_or_blank = chars.get(at + 1).is_none_or(|next| is_blank(*next));
            indicators |= match (char, before) {
                ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>', None) => true,
                ('\'' | '"' | '%' | '@' | '`', None) => true,
                ('?' | '-', None) | (':', _) => last_or_blank,
                ('#', Some(before)) => is_blank(before) || is_break(before),
                _ => false,
            };
            tab |= char == '\t';
            special |= char != '\t' && !is_printable(char);
            breaks |= is_break(char);
            break_space |= char == ' ' && before.is_some_and(is_break);
            space_break |= is_break(char) && before == Some(' ');
        }
        let edge = |char: Option<&char>| char.is_some_and(|char| *char == ' ' || is_break(*char));
        let edges = edge(chars.first()) || edge(chars.last());
        let single = !(break_space || space_break || tab || special);
        Self {
            plain: single && !edges && !breaks && !indicators,
            single,
            block: chars.last() != Some(&' ') && !space_break && !special,
        }
    }
}

fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether the plain scalar `text` is a string to YAML 1.1 and 1.2 readers alike.
fn reads_as_string(text: &str) -> bool {
    let old_boolean = matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    );
    let inf = matches!(
        text,
        ".nan"
            | ".NaN"
            | ".NAN"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "+.Inf"
            | "+.INF"
            | "-.inf"
            | "-.Inf"
            | "-.INF"
    );
    let plain = scalar::meaning(text) == Plain::Text;
    plain && !old_boolean && !inf && text != "<<" && !is_base60(text) && !is_timestamp(text)
}

/// YAML 1.1's numbers of base 60: `1:30`.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let sixties = |text: &str| matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let Some((last, middle)) = rest.split_last() else { return false };
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    first.starts_with(|char: char| char.is_ascii_digit())
        && digits(first)
        && middle.iter().all(|part| sixties(part))
        && sixties(whole)
        && digits(fraction)
}

/// Dates, and dates with a time, as yaml.v3 reads them: `2006-1-2`, `2006-1-2T15:4:5Z`, `2006-1-2 15:4:5`.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let number = |text: &str, len: std::ops::RangeInclusive<usize>, max: u32| {
        len.contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number: u32| number <= max)
    };
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date[..] else { return false };
    let is_date = number(year, 4..=4, 9999) && number(month, 1..=2, 12) && number(day, 1..=2, 31);
    let Some(time) = time.filter(|_| is_date) else { return is_date };
    let clock = time.split(['Z', '+', '-']).next().unwrap_or_default();
    let clock: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = clock[..] else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    number(hour, 1..=2, 23)
        && number(minute, 1..=2, 59)
        && number(second, 1..=2, 59)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let is_break = |char: char| matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
    out.push('|');
    if text.starts_with(' ') || text.starts_with(is_break) {
        out.push('2');
    }
    let mut backwards = text.chars().rev();
    match (backwards.next().is_some_and(is_break), backwards.next()) {
        (false, _) => out.push('-'),
        (true, None) => out.push('+'),
        (true, Some(before)) if is_break(before) => out.push('+'),
        (true, Some(_)) => {}
    }
    out.push('\n');
    let mut fresh = true;
    for char in text.chars() {
        if is_break(char) {
            out.push(char);
            fresh = true;
        } else {
            if fresh {
                spaces(indent, out);
            }
            out.push(char);
            fresh = false;
        }
    }
    // The caller ends the line.
    if out.ends_with('\n') {
        out.pop();
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            _ if is_printable(char) => out.push(char),
            _ => {
                let code = u32::from(char);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        for (text, expected) in [
            ("plain text", "plain text"),
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("1.5", "\"1.5\""),
            ("0644", "\"0644\""),
            ("2024-01-02", "\"2024-01-02\""),
            ("1:30", "\"1:30\""),
            ("a: b", "'a: b'"),
            (" a", "' a'"),
            ("it's #1", "'it''s #1'"),
            ("#x", "'#x'"),
            ("a\tb", "\"a\\tb\""),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\nb", "|-\n  a\n  b"),
            (" a\n\n", "|2+\n   a\n"),
            ("ä", "ä"),
        ] {
            let mut out = String::new();
            string(text, 2, &mut out);
            assert_eq!(out, expected, "{text:?}");
        }
    }
}
