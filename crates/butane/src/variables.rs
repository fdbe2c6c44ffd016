//! Variables: declared in a file with a type, given when it is transpiled, referred to as `${NAME}` in its values.
//!
//! There is no template language: a reference stands for a value, and that is all. A scalar that is exactly one
//! reference takes the variable's type; within more text it is inserted as text. `$${` is a plain `${`. A file that
//! declares no variables has no references.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ignition_spec::path::Naming;
use ignition_spec::read::Reader;
use ignition_spec::report::{Entry, Position, Report, Rule};
use ignition_spec::schema::ConfigValue as _;
use ignition_spec::tree::{Node, Plain, Value};

use crate::fields::orlop::{Loose, TYPES, Variable};
use crate::rules::{
    VARIABLE_DUPLICATE, VARIABLE_LIST, VARIABLE_NAME, VARIABLE_REQUIRED, VARIABLE_SYNTAX, VARIABLE_TYPE,
    VARIABLE_UNDECLARED, VARIABLE_UNKNOWN, VARIABLE_UNSET, VARIABLE_VALUE,
};
use crate::scalar;
use crate::variant::Dialect;

/// A value given from outside, before its type is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The value; of a list, entries separated by commas or, in a file, by line ends.
    pub text: String,
    /// It is a file's content: numbers and booleans may have a line end after them.
    pub from_file: bool,
}

/// Values by the names of variables.
pub type Values = BTreeMap<String, Given>;

#[derive(Clone, Debug, PartialEq)]
enum Typed {
    Text(String),
    /// As it is written, and what it is.
    Int(String, i64),
    Bool(bool),
    List(Vec<String>),
}

/// A declared variable.
#[derive(Debug)]
struct Declared {
    name: String,
    /// Nothing when it was not given.
    value: Option<Typed>,
}

/// Puts values in the place of references in `tree`, which was read from `text`. Gives the names that it declares.
pub(crate) fn substitute(
    tree: &mut Node<'_>,
    text: &str,
    values: &Values,
    dialect: Dialect,
) -> Result<Vec<String>, Report> {
    let Some(section) = tree.get("variables").filter(|node| !node.value.is_null()) else {
        return Ok(Vec::new());
    };
    let declared = declare(section, values, dialect)?;
    let mut walk = Walk { lines: text.lines().collect(), declared: &declared, report: Report::default() };
    if let Value::Map(members) = &mut tree.value {
        for member in members.iter_mut() {
            if !matches!(member.key.as_ref(), "variables" | "variant" | "version") {
                let path = format!("$.{}", member.key);
                walk.value(&mut member.value, &path);
            }
        }
    }
    match walk.report.is_empty() {
        true => Ok(declared.into_iter().map(|variable| variable.name).collect()),
        false => Err(walk.report),
    }
}

/// Values for which no file has a variable.
pub(crate) fn unknown(values: &Values, declared: &[String]) -> Report {
    let mut report = Report::default();
    for name in values.keys().filter(|name| !declared.contains(name)) {
        let entry = Entry::error(VARIABLE_UNKNOWN, "")
            .message(format!("a value is given for the variable {name}, which no file declares"));
        let near = nearest(name, declared);
        let hint = near.map_or_else(|| known(declared), |near| format!("did you mean `{near}`?"));
        report.push(entry.hint(hint));
    }
    report
}

fn declare(section: &Node<'_>, values: &Values, dialect: Dialect) -> Result<Vec<Declared>, Report> {
    let mut reader = Reader::new(Naming::Snake, dialect.spec, &[]);
    reader.path.push_field("variables", "variables");
    let mut variables: Vec<Variable> = Vec::new();
    variables.read(section, &mut reader);
    let mut report = reader.errors;
    let mut declared: Vec<Declared> = Vec::new();
    let Value::Seq(items) = &section.value else { return Err(report) };
    let items: Vec<&Node<'_>> = items.iter().filter(|item| !item.value.is_null()).collect();
    for (at, variable) in variables.into_iter().enumerate() {
        let position =
            |key: &str| items.get(at).map_or(section.position, |item| item.get(key).unwrap_or(item).position);
        let mut refuse = |key: &str, rule: Rule, message: String| {
            let path =
                if key.is_empty() { format!("$.variables.{at}") } else { format!("$.variables.{at}.{key}") };
            report.push(Entry::error(rule, path).at(position(key)).message(message));
        };
        let Variable { name, r#type, default, required, .. } = variable;
        if !is_name(&name) {
            refuse("name", VARIABLE_NAME, VARIABLE_NAME.text.into());
        }
        if declared.iter().any(|other| other.name == name) {
            refuse("name", VARIABLE_DUPLICATE, format!("the variable {name} is declared twice"));
        }
        let kind = r#type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "string".into());
        if !TYPES.iter().any(|choice| choice.text == kind) {
            refuse(
                "type",
                VARIABLE_TYPE,
                format!("{kind:?} is no type of a variable: {}", VARIABLE_TYPE.text),
            );
        }
        let given = values.get(&name);
        let value = match (given, default) {
            (Some(given), _) => typed_text(&kind, given).map(Some),
            (None, Loose::Unset) => Ok(None),
            (None, default) => typed_default(&kind, default).map(Some),
        };
        match value {
            Ok(None) if required == Some(true) => {
                refuse(
                    "",
                    VARIABLE_REQUIRED,
                    format!("the variable {name} must be given: --set {name}=VALUE"),
                );
            }
            Err(expected) if given.is_some() => {
                refuse("", VARIABLE_VALUE, format!("the value given for {name} is not {expected}"));
            }
            Err(expected) => refuse("default", VARIABLE_VALUE, format!("the default is not {expected}")),
            Ok(_) => {}
        }
        declared.push(Declared { name, value: value.unwrap_or_default() });
    }
    if report.is_empty() { Ok(declared) } else { Err(report) }
}

/// A name is letters, digits and `_`, and starts with no digit.
fn is_name(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The text as a value of type `kind`, else what it should have been.
fn typed_text(kind: &str, given: &Given) -> Result<Typed, &'static str> {
    let text = given.text.as_str();
    if kind == "list" {
        let items: Vec<&str> = match given.from_file {
            true => text.lines().collect(),
            false => text.split(',').collect(),
        };
        return Ok(Typed::List(
            items.into_iter().map(str::trim).filter(|item| !item.is_empty()).map(Into::into).collect(),
        ));
    }
    let text = if given.from_file && kind != "string" { text.trim() } else { text };
    typed_scalar(kind, text)
}

fn typed_default(kind: &str, default: Loose) -> Result<Typed, &'static str> {
    match (kind, default) {
        ("list", Loose::List(items)) => Ok(Typed::List(items)),
        ("list", _) => Err("a list of scalars"),
        (_, Loose::Scalar(text)) => typed_scalar(kind, &text),
        _ => Err("a scalar"),
    }
}

fn typed_scalar(kind: &str, text: &str) -> Result<Typed, &'static str> {
    match (kind, scalar::meaning(text)) {
        ("int", Plain::Int(number)) => Ok(Typed::Int(text.to_owned(), number)),
        ("int", _) => Err("an integer"),
        ("bool", Plain::Bool(value)) => Ok(Typed::Bool(value)),
        ("bool", _) => Err("true or false"),
        _ => Ok(Typed::Text(text.to_owned())),
    }
}

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
struct Walk<'w> {
    lines: Vec<&'w str>,
    declared: &'w [Declared],
    report: Report,
}

impl Walk<'_> {
    fn value(&mut self, node: &mut Node<'_>, path: &str) {
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

fn known(names: &[String]) -> String {
    match names.is_empty() {
        true => "no file declares variables".into(),
        false => format!("declared are {}", names.join(", ")),
    }
}

fn nearest<'n>(name: &str, names: &'n [String]) -> Option<&'n str> {
    ignition_spec::suggest::nearest(name, names.iter().map(String::as_str))
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
