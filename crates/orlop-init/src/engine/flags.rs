//! Flags as Go's `flag` package reads them: `-name value`, `-name=value`, one dash or two; the rest are operands.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is there, or `=true` or `=false`.
    Nothing,
    /// A value.
    Value,
}

/// Flags that were given, and operands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    given: BTreeMap<String, String>,
    pub(crate) operands: Vec<String>,
}

impl Flags {
    /// Reads arguments. The error is one line for people.
    pub(crate) fn parse(arguments: &[String], known: &[(&str, Takes)]) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                if argument != "--" {
                    flags.operands.push(argument.clone());
                }
                flags.operands.extend(rest.by_ref().cloned());
                break;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let found = known.iter().find(|(flag, _)| *flag == name);
            let Some((_, takes)) = found else {
                return Err(format!("flag provided but not defined: -{name}"));
            };
            let value = match (takes, value) {
                (_, Some(value)) => value,
                (Takes::Nothing, None) => "true".to_owned(),
                (Takes::Value, None) => {
                    rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?
                }
            };
            flags.given.insert(name.to_owned(), value);
        }
        Ok(flags)
    }

    /// The value of a flag, or its default.
    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.given.get(name).cloned().unwrap_or_else(|| default.to_owned())
    }

    /// Whether a flag without a value is set.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.given
            .get(name)
            .is_some_and(|value| matches!(value.as_str(), "true" | "1" | "t" | "TRUE" | "True"))
    }
}

/// A duration of Go: `1m30s`, `500ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let scale = match &rest[digits..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * scale;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, Takes); 2] = [("root", Takes::Value), ("version", Takes::Nothing)];

    fn parse(line: &str) -> Result<Flags, String> {
        Flags::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), &KNOWN)
    }

    #[test]
    fn as_go_reads_them() {
        let flags = parse("-root /a --version x -root /b").unwrap();
        assert_eq!((flags.text("root", "/"), flags.is_set("version")), ("/a".into(), true));
        assert_eq!(flags.operands, ["x", "-root", "/b"]);
        assert_eq!(parse("--root=/a=b -version=false").unwrap().text("root", ""), "/a=b");
        assert!(!parse("-version=false").unwrap().is_set("version"));
        assert_eq!(parse("-").unwrap().operands, ["-"]);
        assert_eq!(parse("-- -root").unwrap().operands, ["-root"]);
        assert_eq!(parse("-rooot x").unwrap_err(), "flag provided but not defined: -rooot");
        assert_eq!(parse("-root").unwrap_err(), "flag needs an argument: -root");
    }

    #[test]
    fn durations_of_go() {
        for (text, ms) in [("0", 0), ("500ms", 500), ("1m30s", 90_000), ("1.5h", 5_400_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "5", "x", "5 s", "-1s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
