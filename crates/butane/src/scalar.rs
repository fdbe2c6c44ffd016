//! What a plain YAML scalar means, by the rules of Go's yaml.v3, which upstream reads Butane with: YAML 1.2's core
//! schema, and from 1.1 the octal `0644`, `0b101`, and underscores within numbers.

use ignition_spec::tree::Plain;

/// The meaning of the plain scalar `text`.
pub(crate) fn meaning(text: &str) -> Plain {
    let Some(&first) = text.as_bytes().first() else { return Plain::Null };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' => word(text),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        b'.' => text.parse().map_or(Plain::Text, Plain::Float),
        _ => Plain::Text,
    }
}

fn word(text: &str) -> Plain {
    match text {
        "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ => Plain::Text,
    }
}

fn number(text: &str) -> Plain {
    // Four digits and a dash start a date, which is text to every field there is.
    if text.len() > 4 && text.as_bytes()[4] == b'-' && text[..4].bytes().all(|byte| byte.is_ascii_digit()) {
        return Plain::Text;
    }
    let plain = text.replace('_', "");
    if let Some(number) = integer(&plain) {
        return i64::try_from(number).map_or(Plain::Float(number as f64), Plain::Int);
    }
    if is_float(&plain) { plain.parse().map_or(Plain::Text, Plain::Float) } else { Plain::Text }
}

/// An integer of base 10, or by its prefix of base 16 (`0x`), 8 (`0o`, `0`) or 2 (`0b`), within i64 or u64.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|char: char| char.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, base).ok()?);
    let number = if negative { -magnitude } else { magnitude };
    (number >= i128::from(i64::MIN)).then_some(number)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = |text: &str| text.strip_prefix(['-', '+']).unwrap_or(text).to_owned();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = unsigned(exponent);
    let mantissa = unsigned(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    !exponent.is_empty()
        && digits(&exponent)
        && digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_upstream() {
        for (text, plain) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("0644", Plain::Int(420)),
            ("0o644", Plain::Int(420)),
            ("0x1A4", Plain::Int(420)),
            ("-0b11", Plain::Int(-3)),
            ("1_000", Plain::Int(1000)),
            ("08", Plain::Float(8.0)),
            ("2.5", Plain::Float(2.5)),
            ("1e3", Plain::Float(1000.0)),
            ("7:00", Plain::Text),
            ("2024-01-02", Plain::Text),
            ("yes", Plain::Text),
            ("True", Plain::Bool(true)),
            ("-", Plain::Text),
            ("9223372036854775808", Plain::Float(9_223_372_036_854_775_808.0)),
        ] {
            assert_eq!(meaning(text), plain, "{text}");
        }
    }
}
