//! Takes what Butane adds out of a document, so that Ignition's own table reads the rest.

use std::collections::HashMap;

use ignition_spec::Spec;
use ignition_spec::path::{Naming, Path};
use ignition_spec::read::Reader;
use ignition_spec::report::Report;
use ignition_spec::schema::{ConfigValue, Field, Shape};
use ignition_spec::tree::{Node, Value};

use crate::fields::{
    self, Inserted, MountUnit, Quadlet, Root, StorageSugar, SystemdSugar, Tree, UnitFile, UserKeys,
};
use crate::variant::Dialect;

/// Contents of a resource.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The path of the resource in the source.
    pub(crate) source: String,
    /// The same in the output.
    pub(crate) output: String,
    /// The contents.
    pub(crate) inserted: Inserted,
    /// The resource has a `source` of Ignition's too.
    pub(crate) has_source: bool,
}

/// What Butane adds, by the path (snake_case) of the section where it stood.
#[derive(Debug, Default)]
pub(crate) struct Sugar {
    /// Of the top level.
    pub(crate) root: Root,
    /// Contents of resources, in the order of the text.
    pub(crate) resources: Vec<Contents>,
    /// Keys of users.
    pub(crate) users: HashMap<String, UserKeys>,
    /// Filesystems with mount units.
    pub(crate) filesystems: HashMap<String, MountUnit>,
    /// Contents of units and drop-ins.
    pub(crate) units: HashMap<String, UnitFile>,
    /// Trees.
    pub(crate) trees: Vec<Tree>,
    /// Quadlets.
    pub(crate) quadlets: Vec<Quadlet>,
}

impl Sugar {
    /// Whether the filesystem at index `at` asks for a mount unit.
    pub(crate) fn has_mount_unit(&self, at: usize) -> bool {
        let sugar = self.filesystems.get(&format!("$.storage.filesystems.{at}"));
        sugar.is_some_and(|sugar| sugar.with_mount_unit == Some(true))
    }
}

/// Removes YAML's nulls from lists: upstream's reader passes over them.
pub(crate) fn drop_nulls(node: &mut Node<'_>) {
    match &mut node.value {
        Value::Seq(items) => {
            items.retain(|item| !item.value.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Value::Map(members) => members.iter_mut().for_each(|member| drop_nulls(&mut member.value)),
        _ => {}
    }
}

/// Takes the sugar out of `document`; the reports have what does not fit its fields: errors, and warnings.
pub(crate) fn split(document: &mut Node<'_>, dialect: Dialect) -> (Sugar, Report, Report) {
    let reader = Reader::new(Naming::Snake, dialect.spec, &[]).also(fields::extra);
    let mut split = Split { reader, output: Path::new(Naming::Camel), dialect, sugar: Sugar::default() };
    split.value(document, &fields::shape());
    // Rules are checked in the order of the tables, which is that of the alphabet here, whatever the text's is.
    split.sugar.resources.sort_by_cached_key(|contents| {
        let segment = |segment: &str| (segment.parse::<usize>().unwrap_or_default(), segment.to_owned());
        contents.output.split('.').map(segment).collect::<Vec<_>>()
    });
    (split.sugar, split.reader.errors, split.reader.warnings)
}

struct Split<'r> {
    reader: Reader<'r>,
    /// Where the walk stands, as the output spells it.
    output: Path,
    dialect: Dialect,
    sugar: Sugar,
}

impl Split<'_> {
    fn value(&mut self, node: &mut Node<'_>, shape: &Shape) {
        match (shape, &mut node.value) {
            (Shape::List(of), Value::Seq(items)) => {
                let of = of();
                for (index, item) in items.iter_mut().enumerate() {
                    self.reader.path.push_index(index);
                    self.output.push_index(index);
                    self.value(item, &of);
                    self.pop();
                }
            }
            (Shape::Section(name, own), Value::Map(_)) => self.section(node, name, own),
            _ => {}
        }
    }

    fn section(&mut self, node: &mut Node<'_>, name: &'static str, own: &'static [Field]) {
        let position = node.position;
        let Value::Map(members) = &mut node.value else { return };
        let is_ours =
            |key: &str| fields::extra(name).iter().any(|field| field.snake == key && self.has(name, field));
        let taken: Vec<_> = members.extract_if(.., |member| is_ours(&member.key)).collect();
        for member in &mut *members {
            let known =
                |field: &&Field| field.snake == member.key && field.since <= self.dialect.spec.minor_number();
            if let Some(field) = own.iter().find(known) {
                self.reader.path.push_field(field.camel, field.snake);
                self.output.push_field(field.camel, field.snake);
                self.value(&mut member.value, &(field.shape)());
                self.pop();
            }
        }
        if !taken.is_empty() {
            let has_source =
                members.iter().any(|member| member.key == "source" && !member.value.value.is_null());
            self.take(name, &Node { position, value: Value::Map(taken) }, has_source);
        }
    }

    fn pop(&mut self) {
        self.reader.path.pop();
        self.output.pop();
    }

    /// Whether the dialect has `field` of section `name` here.
    fn has(&self, name: &str, field: &Field) -> bool {
        // In 3.0 the references to configs and certificates were no resources.
        let early = self.dialect.spec == Spec::OLDEST && self.reader.path.starts_with_key("ignition");
        !(early && name == "Resource") && fields::has(self.dialect, name == "Config", field)
    }

    fn take(&mut self, name: &str, node: &Node<'_>, has_source: bool) {
        let path = self.reader.path.to_string();
        match name {
            "Config" => self.sugar.root = self.read(node),
            "Resource" => {
                let (output, inserted) = (self.output.to_string(), self.read(node));
                self.sugar.resources.push(Contents { source: path, output, inserted, has_source });
            }
            "PasswdUser" => {
                let sugar = self.read(node);
                self.sugar.users.insert(path, sugar);
            }
            "Filesystem" => {
                let sugar = self.read(node);
                self.sugar.filesystems.insert(path, sugar);
            }
            "Unit" | "Dropin" => {
                let sugar = self.read(node);
                self.sugar.units.insert(path, sugar);
            }
            "Storage" => self.sugar.trees = self.read::<StorageSugar>(node).trees,
            "Systemd" => self.sugar.quadlets = self.read::<SystemdSugar>(node).quadlets,
            _ => {}
        }
    }

    fn read<S: ConfigValue>(&mut self, node: &Node<'_>) -> S {
        let mut section = S::default();
        section.read(node, &mut self.reader);
        section
    }
}
