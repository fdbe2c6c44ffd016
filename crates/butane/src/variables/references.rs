//! References within a document, and what they stand for.

use std::borrow::Cow;

use ignition_spec::report::{Entry, Position, Report};
use ignition_spec::tree::{Node, Plain, Value};

use super::{Declared, Typed, is_name, known, nearest};
use crate::rules::{VARIABLE_LIST, VARIABLE_SYNTAX, VARIABLE_UNDECLARED, VARIABLE_UNSET};

/// A piece of a scalar.
#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    /// The name, and how many `${` stand before.
    Reference(&'t str, usize),
    /// `${` that starts no reference, and how many stand before.
    Broken(usize),
}

/// The pieces of `text`; nothing when it has no `${`.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut rest = text;
    let mut pieces = Vec::new();
    let mut seen = 0;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let inside = &rest[at + 2..];
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = inside;
        } else {
            pieces.push(Piece::Text(before));
            match inside.find('}').map(|end| (&inside[..end], &inside[end + 1..])) {
                Some((name, after)) if is_name(name) => {
                    pieces.push(Piece::Reference(name, seen));
                    rest = after;
                }
                _ => {
                    pieces.push(Piece::Broken(seen));
                    rest = inside;
                }
            }
        }
        seen += 1;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    (seen > 0).then_some(pieces)
}

/// The walk over a document.
pub(super) struct Walk<'w> {
    lines: Vec<&'w str>,
    declared: &'w [Declared],
    pub(super) report: Report,
}

impl<'w> Walk<'w> {
    /// A walk over a document that was read from `text`.
    pub(super) fn new(text: &'w str, declared: &'w [Declared]) -> Self {
        Self { lines: text.lines().collect(), declared, report: Report::default() }
    }

    /// Replaces the references at and below `node`, which is at `path`.
    pub(super) fn value(&mut self, node: &mut Node<'_>, path: &str) {
        let position = node.position;
        match &mut node.value {
            Value::Seq(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.value(item, &format!("{path}.{at}"));
                }
            }
            Value::Map(members) => {
                for member in members {
                    let path = format!("{path}.{}", member.key);
                    self.value(&mut member.value, &path);
                }
            }
            Value::Text(text) | Value::Plain(text, _) => {
                if let Some(value) = self.scalar(text, position, path) {
                    node.value = value;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What a scalar stands for; nothing when it has no reference.
    fn scalar<'v>(&mut self, text: &str, position: Position, path: &str) -> Option<Value<'v>> {
        let pieces = pieces(text)?;
        if let [Piece::Reference(name, _)] = pieces[..] {
            let value = self.find(name, position, path)?;
            return Some(match value.clone() {
                Typed::Text(text) => Value::Text(Cow::Owned(text)),
                Typed::Int(text, number) => Value::Plain(Cow::Owned(text), Plain::Int(number)),
                Typed::Bool(value) => Value::Plain(Cow::Owned(value.to_string()), Plain::Bool(value)),
                Typed::List(items) => {
                    let node = |item| Node { position, value: Value::Text(Cow::Owned(item)) };
                    Value::Seq(items.into_iter().map(node).collect())
                }
            });
        }
        let mut whole = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::Reference(name, number) => {
                    let at = self.position(position, number);
                    match self.find(name, at, path) {
                        Some(Typed::Text(text) | Typed::Int(text, _)) => whole.push_str(text),
                        Some(Typed::Bool(value)) => whole.push_str(if *value { "true" } else { "false" }),
                        Some(Typed::List(_)) => {
                            let message = format!("the list {name} cannot stand within a text");
                            self.report.push(Entry::error(VARIABLE_LIST, path).at(at).message(message));
                        }
                        None => {}
                    }
                }
                Piece::Broken(number) => {
                    let at = self.position(position, number);
                    let entry = Entry::error(VARIABLE_SYNTAX, path).at(at);
                    self.report.push(entry.hint("write `$${` for a plain `${`"));
                }
            }
        }
        Some(Value::Text(Cow::Owned(whole)))
    }

    fn find(&mut self, name: &str, position: Position, path: &str) -> Option<&Typed> {
        let declared = self.declared;
        let Some(variable) = declared.iter().find(|variable| variable.name == name) else {
            let names: Vec<String> = declared.iter().map(|variable| variable.name.clone()).collect();
            let hint = match nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{}; write `$${{{name}}}` for the text itself", known(&names)),
            };
            let message = format!("the variable {name} is not declared in this file");
            self.report
                .push(Entry::error(VARIABLE_UNDECLARED, path).at(position).message(message).hint(hint));
            return None;
        };
        if variable.value.is_none() {
            let message = format!("the variable {name} has no value");
            let hint = format!("give it one: --set {name}=VALUE, or a default");
            self.report.push(Entry::error(VARIABLE_UNSET, path).at(position).message(message).hint(hint));
        }
        variable.value.as_ref()
    }

    /// The position of the `${` with the number `number` in the scalar that starts at `start`.
    fn position(&self, start: Position, number: usize) -> Position {
        let first = (start.0 as usize).saturating_sub(1);
        let mut left = number;
        for (line, text) in self.lines.iter().enumerate().skip(first) {
            let from = if line == first { start.1 as usize - 1 } else { 0 };
            let from = text.char_indices().nth(from).map_or(text.len(), |(at, _)| at);
            for (at, _) in text[from..].match_indices("${") {
                if left == 0 {
                    let col = text[..from + at].chars().count() + 1;
                    return (
                        u32::try_from(line + 1).unwrap_or(start.0),
                        u32::try_from(col).unwrap_or(start.1),
                    );
                }
                left -= 1;
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_cut_into_pieces() {
        use Piece::{Broken, Reference, Text};
        for (text, expected) in [
            ("a$b", None),
            ("${a}", Some(vec![Reference("a", 0)])),
            ("x${a}${b_1}y", Some(vec![Text("x"), Reference("a", 0), Reference("b_1", 1), Text("y")])),
            ("$${a} ${b}", Some(vec![Text("${"), Text("a} "), Reference("b", 1)])),
            ("${a:-x}", Some(vec![Broken(0), Text("a:-x}")])),
            ("${", Some(vec![Broken(0)])),
            ("$$${a}", Some(vec![Text("$"), Text("${"), Text("a}")])),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
