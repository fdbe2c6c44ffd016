//! YAML text to a tree of nodes that know their line and column.
//!
//! One document, no anchors, aliases or tags, no key twice: what a declaration needs, and nothing that could hide
//! a value or make a small file large.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::Problem;

/// Nodes inside of nodes at most; a Pod needs eight.
const DEPTH_MAX: usize = 32;

/// A declaration is refused above this many bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `~`, `null` or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent, as written.
    Float(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Members in the order of the file.
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key, from 1.
    pub column: usize,
    /// Its value.
    pub value: Node,
}

impl Value {
    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads the one document of `text`.
///
/// # Errors
/// The first [`Problem`] with the YAML itself.
pub fn read(text: &str) -> Result<Node, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(problem(1, 1, "the file is larger than 1 MiB", None));
    }
    let mut events = Events { parser: Parser::new_from_str(text), last: (1, 1) };
    let mut document = None;
    loop {
        match events.next()? {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), span) if document.is_some() => {
                return Err(at(span, "a second document begins here", Some("one file declares one pod")));
            }
            (Event::DocumentStart(_), _) => {
                let (event, span) = events.next()?;
                document = Some(node(&mut events, event, span, 0)?);
            }
            _ => {}
        }
    }
    document.ok_or_else(|| {
        problem(1, 1, "the file is empty", Some("declare a pod: apiVersion: v1, kind: Pod, …"))
    })
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    last: (usize, usize),
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                self.last = (span.start.line(), span.start.col() + 1);
                Ok((event, span))
            }
            Some(Err(error)) => {
                let marker = error.marker();
                let message = format!("this is not YAML: {}", error.info());
                Err(problem(marker.line(), marker.col() + 1, &message, None))
            }
            None => Err(problem(self.last.0, self.last.1, "the file ends too early", None)),
        }
    }
}

fn node(events: &mut Events<'_>, event: Event<'_>, span: Span, depth: usize) -> Result<Node, Problem> {
    if depth > DEPTH_MAX {
        return Err(at(span, "this is nested too deeply", None));
    }
    let value = match event {
        Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
            if anchor != 0 =>
        {
            return Err(at(span, "anchors (&name) are not read here", Some("write the value out")));
        }
        Event::Scalar(_, _, _, Some(_))
        | Event::SequenceStart(_, Some(_))
        | Event::MappingStart(_, Some(_)) => {
            return Err(at(span, "tags (!name) are not read here", Some("write the value without its tag")));
        }
        Event::Alias(_) => {
            return Err(at(span, "aliases (*name) are not read here", Some("write the value out")));
        }
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => Value::Text(text.into_owned()),
        Event::SequenceStart(..) => list(events, depth)?,
        Event::MappingStart(..) => map(events, depth)?,
        _ => return Err(at(span, "a value was expected here", None)),
    };
    Ok(Node { line: span.start.line(), column: span.start.col() + 1, value })
}

fn list(events: &mut Events<'_>, depth: usize) -> Result<Value, Problem> {
    let mut items = Vec::new();
    loop {
        match events.next()? {
            (Event::SequenceEnd, _) => return Ok(Value::List(items)),
            (event, span) => items.push(node(events, event, span, depth + 1)?),
        }
    }
}

fn map(events: &mut Events<'_>, depth: usize) -> Result<Value, Problem> {
    let mut members: Vec<Member> = Vec::new();
    loop {
        let (event, span) = events.next()?;
        let key = match event {
            Event::MappingEnd => return Ok(Value::Map(members)),
            Event::Scalar(key, _, 0, None) => key.into_owned(),
            _ => return Err(at(span, "a key must be plain text", None)),
        };
        if let Some(first) = members.iter().find(|member| member.key == key) {
            let message = format!("{key} stands here twice, first in line {}", first.line);
            return Err(at(span, &message, Some("keep one of them")));
        }
        let (event, value_span) = events.next()?;
        let value = node(events, event, value_span, depth + 1)?;
        members.push(Member { key, line: span.start.line(), column: span.start.col() + 1, value });
    }
}

/// What a plain scalar stands for in YAML 1.2's core schema (10.3.2), decimal numbers only.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().all(|b| b.is_ascii_digit()) && !unsigned.is_empty();
    if digits && let Ok(number) = text.parse() {
        return Value::Int(number);
    }
    let number_like = unsigned.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.');
    if number_like && unsigned.parse::<f64>().is_ok() {
        return Value::Float(text.to_owned());
    }
    Value::Text(text.to_owned())
}

fn problem(line: usize, column: usize, message: &str, hint: Option<&str>) -> Problem {
    Problem { path: String::new(), line, column, message: message.to_owned(), hint: hint.map(str::to_owned) }
}

fn at(span: Span, message: &str, hint: Option<&str>) -> Problem {
    problem(span.start.line(), span.start.col() + 1, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        let table = [
            ("12", Value::Int(12)),
            ("-3", Value::Int(-3)),
            ("1.5", Value::Float("1.5".into())),
            ("1e3", Value::Float("1e3".into())),
            ("yes", Value::Text("yes".into())),
            ("true", Value::Bool(true)),
            ("~", Value::Null),
            ("10.88.0.1", Value::Text("10.88.0.1".into())),
            ("'12'", Value::Text("12".into())),
            ("nan", Value::Text("nan".into())),
        ];
        for (text, value) in table {
            assert_eq!(read(text).unwrap().value, value, "{text}");
        }
    }

    #[test]
    fn what_could_hide_something_is_refused_at_its_place() {
        let table = [
            ("a: 1\na: 2\n", (2, 1), "twice"),
            ("a: &x 1\nb: *x\n", (1, 4), "anchors"),
            ("a: !!str 1\n", (1, 4), "tags"),
            ("a: 1\n---\nb: 2\n", (2, 1), "second document"),
            ("? [a]\n: 1\n", (1, 3), "key"),
            ("a: [1\n", (0, 0), "not YAML"),
            ("", (1, 1), "empty"),
        ];
        for (text, place, word) in table {
            let problem = read(text).unwrap_err();
            assert!(problem.message.contains(word), "{text:?}: {}", problem.message);
            if place != (0, 0) {
                assert_eq!((problem.line, problem.column), place, "{text:?}");
            }
        }
        assert!(read(&"[".repeat(1000)).is_err());
    }
}
