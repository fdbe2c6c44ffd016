//! From an untyped tree to sections: types, unknown keys, keys of later specs.

use crate::path::{Naming, Path};
use crate::report::{Entry, Report};
pub use crate::rules::text::{DUPLICATE_KEY, UNUSED_KEY, WRONG_TYPE};
use crate::schema::{ConfigValue, Field, Section, Shape};
use crate::suggest;
use crate::tree::{Member, Node, Plain, Value};
use crate::version::Spec;

/// Reads sections from a tree and collects what does not fit.
#[derive(Debug)]
pub struct Reader<'r> {
    /// Where the walk stands.
    pub path: Path,
    /// The spec by whose fields the tree is read.
    pub spec: Spec,
    /// Keys that are unknown in spite of the tables: (a field's camel name) of the whole document.
    hidden: &'r [&'r str],
    /// Fields that a section has beyond its table, for hints: those that another reader of the document takes.
    also: fn(&str) -> &'static [Field],
    /// Wrong types; any of them refuses the document.
    pub errors: Report,
    /// Unknown and repeated keys, reported after all else, as upstream does.
    pub warnings: Report,
}

impl<'r> Reader<'r> {
    /// A reader of documents whose keys are spelt in `naming`, by the fields of `spec` without `hidden`.
    pub fn new(naming: Naming, spec: Spec, hidden: &'r [&'r str]) -> Self {
        let (errors, warnings) = (Report::default(), Report::default());
        Self { path: Path::new(naming), spec, hidden, also: |_| &[], errors, warnings }
    }

    /// The same reader, with hints that know what sections have beyond their tables.
    #[must_use]
    pub fn also(mut self, also: fn(&str) -> &'static [Field]) -> Self {
        self.also = also;
        self
    }

    /// Reads the object `node`: `set` gets the index of each known field with its value.
    pub fn section<S: Section>(
        &mut self,
        node: &Node<'_>,
        mut set: impl FnMut(usize, &Node<'_>, &mut Reader<'r>),
    ) {
        let Value::Map(members) = &node.value else {
            if !node.value.is_null() {
                self.mismatch(node, "an object");
            }
            return;
        };
        for (at, member) in members.iter().enumerate() {
            let is_repeated = members[..at].iter().any(|earlier| earlier.key == member.key);
            match self.find(S::FIELDS, &member.key) {
                Some((index, exact)) => {
                    let field = &S::FIELDS[index];
                    let warned = self.warnings.entries.len();
                    self.path.push_field(field.camel, field.snake);
                    set(index, &member.value, self);
                    self.path.pop();
                    if !exact {
                        // Upstream's search for unused keys does not look into what such a key has.
                        self.warnings.entries.truncate(warned);
                        self.unused::<S>(member);
                    } else if is_repeated {
                        self.repeated(member);
                    }
                }
                None if is_repeated && self.path.naming() == Naming::Snake => self.repeated(member),
                None => self.unused::<S>(member),
            }
        }
    }

    /// The field that `key` names, and whether it is spelt exactly so.
    fn find(&self, fields: &[Field], key: &str) -> Option<(usize, bool)> {
        let name = |field: &Field| field.name(self.path.naming());
        let known = |field: &Field| field.since <= self.spec.minor_number() && !self.is_hidden(field);
        let exact = fields.iter().position(|field| name(field) == key && known(field));
        if let Some(index) = exact {
            return Some((index, true));
        }
        // Go's JSON reader takes keys in any case, and upstream's verdict on the values depends on it.
        if self.path.naming() == Naming::Camel {
            return fields
                .iter()
                .position(|field| known(field) && folds_to(key, field.camel))
                .map(|at| (at, false));
        }
        None
    }

    fn is_hidden(&self, field: &Field) -> bool {
        // In 3.0 the references to configs and certificates had no compression (nor, in Butane, `inline`); those to
        // contents had.
        let early = self.spec == Spec::OLDEST
            && matches!(field.camel, "compression" | "inline")
            && self.path.starts_with_key("ignition");
        early || self.hidden.contains(&field.camel)
    }

    /// Upstream's YAML reader refuses a key that is there twice; its JSON reader does not.
    fn repeated(&mut self, member: &Member<'_>) {
        let path = self.path.join(&[&member.key]);
        match self.path.naming() {
            Naming::Camel => self.warnings.push(Entry::warning(DUPLICATE_KEY, path).at(member.position)),
            Naming::Snake => {
                let message = format!("key {} is given twice", member.key);
                self.errors.push(Entry::error(DUPLICATE_KEY, path).at(member.position).message(message));
            }
        }
    }

    /// True when an entry of a list does not count: YAML's nulls.
    pub fn skips(&self, item: &Node<'_>) -> bool {
        self.path.naming() == Naming::Snake && item.value.is_null()
    }

    fn unused<S: Section>(&mut self, member: &Member<'_>) {
        let mut entry = Entry::warning(UNUSED_KEY, self.path.join(&[&member.key]))
            .at(member.position)
            .message(format!("unused key {}", member.key));
        let further = match S::shape() {
            Shape::Section(name, _) => (self.also)(name),
            _ => &[],
        };
        let fields: Vec<&Field> = S::FIELDS.iter().chain(further).collect();
        entry.hint = suggest::hint(&member.key, &fields, self.path.naming(), self.spec);
        entry.found = Some(format!("the key {:?}", member.key));
        entry.allowed = Some(suggest::known(&fields, self.path.naming(), self.spec).into());
        self.warnings.push(entry);
    }

    /// Reports that `node` is not `expected`.
    pub fn mismatch(&mut self, node: &Node<'_>, expected: &'static str) {
        let found = node.value.describe();
        let mut entry = Entry::error(WRONG_TYPE, self.path.to_string())
            .at(node.position)
            .message(format!("expected {expected}, found {found}"))
            .found(found)
            .allowed(expected);
        entry.hint = suggest::type_hint(&node.value, expected);
        self.errors.push(entry);
    }

    /// The string that `node` is; nothing for null and for what is none.
    pub fn text(&mut self, node: &Node<'_>) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Plain(_, Plain::Null) | Value::Null => None,
            Value::Plain(text, _) => Some(text.clone().into_owned()),
            _ => {
                self.mismatch(node, "a string");
                None
            }
        }
    }

    /// The integer that `node` is; nothing for null and for what is none. In YAML a number with a fraction loses it,
    /// as in upstream's reader.
    pub fn integer(&mut self, node: &Node<'_>) -> Option<i64> {
        let number = match &node.value {
            Value::Null | Value::Plain(_, Plain::Null) => return None,
            Value::Number(text) => text.parse().ok(),
            Value::Plain(_, Plain::Int(number)) => Some(*number),
            Value::Plain(_, Plain::Float(number)) => truncated(*number),
            _ => None,
        };
        if number.is_none() {
            self.mismatch(node, "an integer");
        }
        number
    }

    /// The boolean that `node` is; nothing for null and for what is none. YAML's `yes`, `no`, `on`, `off`, `y`, `n`
    /// count, as in upstream's reader.
    pub fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        let value = match &node.value {
            Value::Null | Value::Plain(_, Plain::Null) => return None,
            Value::Bool(value) | Value::Plain(_, Plain::Bool(value)) => Some(*value),
            Value::Plain(text, Plain::Text) => old_boolean(text),
            Value::Text(text) if self.path.naming() == Naming::Snake => old_boolean(text),
            _ => None,
        };
        if value.is_none() {
            self.mismatch(node, "a boolean");
        }
        value
    }
}

/// A float without its fraction, where it fits.
fn truncated(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number > -LIMIT && number < LIMIT).then_some(number as i64)
}

/// The booleans of YAML 1.1 that 1.2 dropped.
fn old_boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// True when `key` differs from `name` in case only, by the folding of Go's JSON reader.
pub(crate) fn folds_to(key: &str, name: &str) -> bool {
    let fold = |char: char| match char {
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => char.to_ascii_lowercase(),
    };
    key.len() >= name.len() && key.chars().map(fold).eq(name.chars().map(fold))
}

/// Reads a whole document into a section.
pub fn document<S: ConfigValue>(node: &Node<'_>, reader: &mut Reader<'_>) -> S {
    let mut section = S::default();
    section.read(node, reader);
    section
}
