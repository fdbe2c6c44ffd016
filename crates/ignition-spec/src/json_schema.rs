//! JSON Schema (2020-12) of a kind of document, made from the table.
//!
//! What the schema takes is more than what validation accepts: it holds types, keys and enumerations, not the rules
//! between fields. `null` is taken everywhere, as not given.

use std::collections::BTreeMap;

use crate::path::Naming;
use crate::schema::{Field, Shape};
use crate::view::View;
use crate::write::Writer;

/// Keys without which a section is refused in every version: (section, Ignition's key).
const REQUIRED: &[(&str, &str)] = &[
    ("Config", "ignition"),
    ("Config", "variant"),
    ("Config", "version"),
    ("Ignition", "version"),
    ("Disk", "device"),
    ("Filesystem", "device"),
    ("Luks", "device"),
    ("Directory", "path"),
    ("File", "path"),
    ("Link", "path"),
    ("HttpHeader", "name"),
    ("Unit", "name"),
    ("Dropin", "name"),
    ("Quadlet", "name"),
];

/// Names and fixed values of a schema.
#[derive(Clone, Debug, Default)]
pub struct Heading<'h> {
    /// Its title.
    pub title: &'h str,
    /// Top-level keys with the value that they must have; `ignition.version` is written with a dot.
    pub fixed: &'h [(&'h str, &'h str)],
}

/// The schema of the documents of `view`, as JSON for people.
pub fn json_schema(view: &View, heading: &Heading<'_>) -> Vec<u8> {
    let mut sections = BTreeMap::new();
    let mut open = vec![(view.root().shape, false)];
    while let Some((shape, in_references)) = open.pop() {
        let Shape::Section(name, own) = innermost(shape) else { continue };
        let fields = view.fields(name, own, in_references);
        let key = section_key(name, in_references);
        if sections.contains_key(&key) {
            continue;
        }
        for field in &fields {
            let below = in_references || (name == "Config" && field.camel == "ignition");
            open.push(((field.shape)(), below));
        }
        sections.insert(key, (name, fields, in_references));
    }
    let mut out = Writer::new(true);
    out.open(b'{');
    out.key("$schema");
    out.string("https://json-schema.org/draft/2020-12/schema");
    out.key("title");
    out.string(heading.title);
    out.key("$ref");
    out.string("#/$defs/Config");
    out.key("$defs");
    out.open(b'{');
    for (key, (name, fields, in_references)) in &sections {
        out.key(key);
        section(&mut out, view, heading, (name, fields, *in_references));
    }
    out.close(b'}');
    out.close(b'}');
    out.finish()
}

/// Sections below `ignition` may have other fields than elsewhere, so they are defined by themselves.
fn section_key(name: &str, in_references: bool) -> String {
    if in_references && name != "Ignition" { format!("ignition.{name}") } else { name.to_owned() }
}

fn innermost(shape: Shape) -> Shape {
    match shape {
        Shape::List(item) | Shape::Map(item) => innermost(item()),
        shape => shape,
    }
}

fn section(
    out: &mut Writer,
    view: &View,
    heading: &Heading<'_>,
    (name, fields, in_references): (&str, &[&Field], bool),
) {
    out.open(b'{');
    types(out, if name == "Config" || name == "Ignition" { &["object"] } else { &["object", "null"] });
    out.key("properties");
    out.open(b'{');
    for field in fields {
        let place =
            if name == "Ignition" { format!("ignition.{}", field.camel) } else { field.camel.to_owned() };
        let fixed =
            heading.fixed.iter().find(|(key, _)| *key == place && matches!(name, "Config" | "Ignition"));
        out.key(field.name(view.naming));
        out.open(b'{');
        out.key("description");
        out.string(field.doc.trim());
        match fixed {
            Some((_, value)) => {
                out.key("const");
                out.string(value);
            }
            None => {
                let below = in_references || (name == "Config" && field.camel == "ignition");
                shape(out, view, field, (field.shape)(), below);
            }
        }
        out.close(b'}');
    }
    out.close(b'}');
    let needed = |field: &&&Field| {
        REQUIRED.contains(&(name, field.camel))
            && !(name == "Config" && field.camel == "ignition" && view.naming == Naming::Snake)
    };
    let required: Vec<_> = fields.iter().filter(needed).map(|field| field.name(view.naming)).collect();
    if !required.is_empty() {
        out.key("required");
        strings(out, &required);
    }
    out.key("additionalProperties");
    out.boolean(false);
    out.close(b'}');
}

/// The keywords of a type.
fn shape(out: &mut Writer, view: &View, field: &Field, of: Shape, in_references: bool) {
    let yaml = view.naming == Naming::Snake;
    match of {
        Shape::Text if !field.choices.is_empty() => {
            let known = field.choices.iter().filter(|choice| choice.since <= view.spec.minor_number());
            out.key("enum");
            out.open(b'[');
            for choice in known {
                out.item();
                out.string(choice.text);
            }
            out.item();
            out.null();
            out.close(b']');
        }
        // A plain scalar of YAML is a string where one is asked for.
        Shape::Text if yaml => types(out, &["string", "number", "boolean", "null"]),
        Shape::Text => types(out, &["string", "null"]),
        Shape::Integer if yaml => types(out, &["number", "null"]),
        Shape::Integer => {
            types(out, &["integer", "null"]);
            out.key("minimum");
            out.integer(i64::MIN);
            out.key("maximum");
            out.integer(i64::MAX);
        }
        // `yes`, `off` and the like are booleans to upstream and strings to YAML 1.2.
        Shape::Boolean if yaml => types(out, &["boolean", "string", "null"]),
        Shape::Boolean => types(out, &["boolean", "null"]),
        Shape::List(item) => {
            types(out, &["array", "null"]);
            out.key("items");
            out.open(b'{');
            shape(out, view, field, item(), in_references);
            out.close(b'}');
        }
        Shape::Map(value) => {
            types(out, &["object", "null"]);
            out.key("additionalProperties");
            out.open(b'{');
            shape(out, view, field, value(), in_references);
            out.close(b'}');
        }
        Shape::Any => {}
        Shape::Section(name, _) => {
            out.key("$ref");
            out.string(&format!("#/$defs/{}", section_key(name, in_references)));
        }
    }
}

fn types(out: &mut Writer, names: &[&str]) {
    out.key("type");
    match names {
        [one] => out.string(one),
        many => strings(out, many),
    }
}

fn strings(out: &mut Writer, texts: &[&str]) {
    out.open(b'[');
    for text in texts {
        out.item();
        out.string(text);
    }
    out.close(b']');
}
