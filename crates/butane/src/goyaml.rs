//! YAML as Go's yaml.v3 writes it with an indentation of two, so that a MachineConfig is upstream's to the byte.
//!
//! Keys are sorted, strings are plain where that reads back as a string, literal blocks where they have several lines,
//! else quoted.

mod string;

use std::cmp::Ordering;

use ignition_spec::tree::{Member, Node, Plain, Value};

use self::string::{key, string};

/// Length in bytes above which a key is written with an indicator of its own; readers need not take more than 1024.
const SIMPLE_KEY_MAX_BYTES: usize = 128;

/// `node` as a document. It ends with a line end, or with more where its last value does.
pub(crate) fn write(node: &Node<'_>) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(members) if !members.is_empty() => map(members, 0, false, &mut out),
        Value::Seq(items) if !items.is_empty() => list(items, 0, false, &mut out),
        value => {
            inline(value, 2, &mut out);
            out.push('\n');
        }
    }
    out
}

/// `key: value` lines; the first continues a line that is there when `inlined`.
fn map(members: &[Member<'_>], indent: usize, inlined: bool, out: &mut String) {
    let mut sorted: Vec<&Member<'_>> = members.iter().collect();
    sorted.sort_by(|a, b| natural(&a.key, &b.key));
    for (at, member) in sorted.into_iter().enumerate() {
        if at > 0 || !inlined {
            spaces(indent, out);
        }
        if member.key.len() > SIMPLE_KEY_MAX_BYTES {
            out.push_str("? ");
            key(&member.key, out);
            out.push('\n');
            spaces(indent, out);
            out.push_str(": ");
            entry(&member.value.value, indent, out);
            continue;
        }
        key(&member.key, out);
        out.push(':');
        match &member.value.value {
            Value::Map(members) if !members.is_empty() => {
                out.push('\n');
                map(members, indent + 2, false, out);
            }
            Value::Seq(items) if !items.is_empty() => {
                out.push('\n');
                list(items, indent + 2, false, out);
            }
            value => {
                out.push(' ');
                inline(value, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn list(items: &[Node<'_>], indent: usize, inlined: bool, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 || !inlined {
            spaces(indent, out);
        }
        out.push_str("- ");
        entry(&item.value, indent, out);
    }
}

/// A value behind an indicator of two characters at `indent`.
fn entry(value: &Value<'_>, indent: usize, out: &mut String) {
    match value {
        Value::Map(members) if !members.is_empty() => map(members, indent + 2, true, out),
        Value::Seq(items) if !items.is_empty() => list(items, indent + 2, true, out),
        value => {
            inline(value, indent + 2, out);
            out.push('\n');
        }
    }
}

fn spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// A value that needs no line of its own; `indent` is that of the lines of a literal block.
fn inline(value: &Value<'_>, indent: usize, out: &mut String) {
    match value {
        Value::Null | Value::Plain(_, Plain::Null) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(text) => out.push_str(&number(text)),
        Value::Plain(text, meaning) if *meaning != Plain::Text => out.push_str(text),
        Value::Text(text) | Value::Plain(text, _) => string(text, indent, out),
        Value::Seq(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

/// A number of JSON, which upstream reads as a float and writes as Go's `%g` with the shortest precision.
fn number(text: &str) -> String {
    let Ok(value) = text.parse::<f64>() else { return text.to_owned() };
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return text.to_owned() };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Go takes a precision of six to decide when the shortest digits are asked for.
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// yaml.v3's order of keys: digits by their number, letters after all else.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        let (left, right) = (a[at], b[at]);
        if left == right {
            digits = left.is_numeric();
            continue;
        }
        match (left.is_alphabetic(), right.is_alphabetic()) {
            (true, true) => return left.cmp(&right),
            (false, false) => {}
            (left_is_letter, _) => {
                return if left_is_letter == digits { Ordering::Less } else { Ordering::Greater };
            }
        }
        let value = |chars: &[char]| {
            let run: String = chars[at..].iter().take_while(|char| char.is_ascii_digit()).collect();
            (run.parse::<u64>().unwrap_or_default(), run.len())
        };
        return value(&a).cmp(&value(&b)).then(left.cmp(&right));
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignition_spec::json;

    fn yaml(text: &str) -> String {
        write(&json::parse(text.as_bytes()).expect("JSON")).trim_end().to_owned()
    }

    #[test]
    fn long_keys_have_indicators() {
        let key = "k".repeat(129);
        let text = format!(r#"{{"{key}": {{"a": [1]}}, "x": 1}}"#);
        assert_eq!(yaml(&text), format!("? {key}\n: a:\n    - 1\nx: 1"));
    }

    #[test]
    fn documents_are_indented_as_go_does() {
        let text = r#"{"b": [{"z": 1, "x": [2]}, "s"], "a": {}, "a10": 1000000, "a9": true}"#;
        assert_eq!(yaml(text), "a: {}\na9: true\na10: 1e+06\nb:\n  - x:\n      - 2\n    z: 1\n  - s");
    }
}
