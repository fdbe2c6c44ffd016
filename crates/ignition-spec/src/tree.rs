//! The tree that both readers (JSON here, YAML in `butane`) make of a text, before any type is known.

use std::borrow::Cow;

use crate::report::Position;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Where the value starts.
    pub position: Position,
    /// The value.
    pub value: Value<'a>,
}

/// A key of a [`Value::Map`] with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'a> {
    /// The key as the text has it, escapes resolved.
    pub key: Cow<'a, str>,
    /// Where the key starts.
    pub position: Position,
    /// Its value.
    pub value: Node<'a>,
}

/// What a plain (unquoted) YAML scalar means before a type is asked of it; yaml.v3's rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain {
    /// `~`, `null`, nothing.
    Null,
    /// `true`, `false` and their spellings.
    Bool(bool),
    /// An integer of any base that fits.
    Int(i64),
    /// A number that is no such integer.
    Float(f64),
    /// Everything else.
    Text,
}

/// A value without a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A JSON number as written.
    Number(&'a str),
    /// A JSON string or a quoted YAML scalar.
    Text(Cow<'a, str>),
    /// A plain YAML scalar: its text, and what it means by itself.
    Plain(Cow<'a, str>, Plain),
    /// A list.
    Seq(Vec<Node<'a>>),
    /// Keys in the order of the text; a key may be there twice.
    Map(Vec<Member<'a>>),
}

/// Longest string that is shown whole, in bytes.
const SHOWN_MAX: usize = 40;

impl Value<'_> {
    /// What this is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null | Value::Plain(_, Plain::Null) => "null",
            Value::Bool(_) | Value::Plain(_, Plain::Bool(_)) => "a boolean",
            Value::Number(_) | Value::Plain(_, Plain::Int(_) | Plain::Float(_)) => "a number",
            Value::Text(_) | Value::Plain(_, Plain::Text) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    /// What this is with its value, for people: `the number 5`, `the string "a"`, `a list`.
    pub fn describe(&self) -> String {
        match self {
            Value::Number(text) => format!("the number {text}"),
            Value::Plain(text, Plain::Int(_) | Plain::Float(_)) => format!("the number {text}"),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Plain(text, Plain::Bool(_)) => format!("the boolean {text}"),
            Value::Text(text) | Value::Plain(text, Plain::Text) if text.len() <= SHOWN_MAX => {
                format!("the string {text:?}")
            }
            Value::Text(text) | Value::Plain(text, Plain::Text) => {
                let start: String = text.chars().take(SHOWN_MAX).collect();
                format!("a string of {} bytes that starts with {start:?}", text.len())
            }
            _ => self.kind().to_owned(),
        }
    }

    /// True for JSON's and YAML's null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Plain(_, Plain::Null))
    }
}

impl<'a> Node<'a> {
    /// The value at `path` (`$.storage.files.0.path`), and whether it is there; else the nearest one around it.
    pub fn at(&self, path: &str) -> (&Node<'a>, bool) {
        let mut node = self;
        let rest = path.strip_prefix('$').unwrap_or(path);
        for segment in rest.split('.').filter(|segment| !segment.is_empty()) {
            let child = match &node.value {
                Value::Seq(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => node.get(segment),
            };
            match child {
                Some(child) => node = child,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// The value of `key`, the last one when it is there twice; nothing when this is no map.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        match &self.value {
            Value::Map(members) => {
                members.iter().rev().find(|member| member.key == key).map(|member| &member.value)
            }
            _ => None,
        }
    }
}
