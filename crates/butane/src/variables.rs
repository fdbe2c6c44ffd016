//! Variables: declared in a file with a type, given when it is transpiled, referred to as `${NAME}` in its values.
//!
//! There is no template language: a reference stands for a value, and that is all. A scalar that is exactly one
//! reference takes the variable's type; within more text it is inserted as text. `$${` is a plain `${`. A file that
//! declares no variables has no references.

mod references;

use std::collections::BTreeMap;

use ignition_spec::path::Naming;
use ignition_spec::read::Reader;
use ignition_spec::report::{Entry, Report, Rule};
use ignition_spec::schema::ConfigValue as _;
use ignition_spec::tree::{Node, Plain, Value};

use self::references::Walk;
use crate::fields::orlop::{Loose, TYPES, Variable};
use crate::rules::{
    VARIABLE_DUPLICATE, VARIABLE_NAME, VARIABLE_REQUIRED, VARIABLE_TYPE, VARIABLE_UNKNOWN, VARIABLE_VALUE,
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
    let mut walk = Walk::new(text, &declared);
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

fn known(names: &[String]) -> String {
    match names.is_empty() {
        true => "no file declares variables".into(),
        false => format!("declared are {}", names.join(", ")),
    }
}

fn nearest<'n>(name: &str, names: &'n [String]) -> Option<&'n str> {
    ignition_spec::suggest::nearest(name, names.iter().map(String::as_str))
}
