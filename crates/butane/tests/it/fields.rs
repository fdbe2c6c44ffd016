//! Each field of each version of each variant: accepted with its type, refused with another, unknown where it is not.

use std::collections::BTreeSet;

use butane::variant::Dialect;
use butane::{Options, fields};
use ignition_spec::report::Report;
use ignition_spec::schema::{Field, Shape};

/// A field: the keys that lead to it, `[]` for a list between them.
type Path = Vec<&'static str>;

/// All fields of `dialect` below `shape`, with their shapes.
fn walk(dialect: Dialect, shape: &Shape, path: &Path, found: &mut Vec<(Path, Shape)>) {
    match shape {
        Shape::List(of) => walk(dialect, &of(), &[&path[..], &["[]"]].concat(), found),
        Shape::Section(name, own) => {
            let in_references = path.first() == Some(&"ignition");
            for field in of(dialect, name, own, in_references) {
                let path = [&path[..], &[field.snake]].concat();
                walk(dialect, &(field.shape)(), &path, found);
                found.push((path, (field.shape)()));
            }
        }
        _ => {}
    }
}

/// The fields of a section: those of the tables of both crates, or of sections that this crate alone has.
fn of(dialect: Dialect, name: &str, own: &'static [Field], in_references: bool) -> Vec<&'static Field> {
    fields::of(dialect, name, own, in_references)
}

/// A value of `shape`, or one that is of no such type.
fn value(shape: &Shape, right: bool) -> &'static str {
    match (shape, right) {
        (Shape::Integer, true) => "5",
        (Shape::Boolean, true) => "true",
        (Shape::List(_), true) => "[]",
        (Shape::Section(..) | Shape::Map(_), true) | (Shape::Text, false) => "{}",
        (_, true) => "x",
        (_, false) => "wrong",
    }
}

/// A config of the dialect with `value` at `path`.
fn config(variant: &str, version: &str, path: &Path, value: &str) -> String {
    let mut text = value.to_owned();
    for key in path.iter().rev() {
        text = if *key == "[]" { format!("[{text}]") } else { format!("{{{key}: {text}}}") };
    }
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).expect("a top-level key");
    format!("{{variant: {variant}, version: {version}, {inner}}}\n")
}

fn report(text: &str) -> Report {
    butane::transpile(text.as_bytes(), &Options::default())
        .map_or_else(|report| report, |output| output.report)
}

fn found(report: &Report, code: &str) -> bool {
    report.entries.iter().any(|entry| entry.code == code)
}

#[test]
fn every_field_of_every_version_is_read_where_it_is() {
    let mut everywhere: BTreeSet<Path> = BTreeSet::new();
    let mut of_dialects = Vec::new();
    for (variant, version, dialect) in Dialect::all() {
        let mut fields = Vec::new();
        walk(dialect, &fields::shape(), &Path::new(), &mut fields);
        fields.retain(|(path, _)| !matches!(path[..], ["variant" | "version"]));
        everywhere.extend(fields.iter().map(|(path, _)| path.clone()));
        of_dialects.push((variant, version, fields));
    }
    let (mut accepted, mut refused, mut unknown) = (0, 0, 0);
    for (variant, version, fields) in of_dialects {
        for (path, shape) in &fields {
            let text = config(variant, &version, path, value(shape, true));
            let said = report(&text);
            assert!(!found(&said, "unused-key") && !found(&said, "wrong-type"), "{text}{said}");
            accepted += 1;
            if matches!(shape, Shape::Any) {
                continue;
            }
            let text = config(variant, &version, path, value(shape, false));
            let said = report(&text);
            assert!(found(&said, "wrong-type"), "{text}{said}");
            refused += 1;
        }
        // A field that only others have is not known; neither is what would be below it.
        let here: BTreeSet<&Path> = fields.iter().map(|(path, _)| path).collect();
        let is_known = |path: &Path| {
            let parent = path.iter().rposition(|key| *key != "[]").map_or(&[][..], |at| &path[..at]);
            let parent = parent.strip_suffix(&["[]"]).unwrap_or(parent);
            parent.is_empty() || here.contains(&parent.to_vec())
        };
        for path in everywhere.iter().filter(|path| !here.contains(path) && is_known(path)) {
            let text = config(variant, &version, path, "x");
            let said = report(&text);
            assert!(found(&said, "unused-key"), "{text}{said}");
            unknown += 1;
        }
    }
    eprintln!("fields: {accepted} accepted, {refused} refused, {unknown} unknown");
    assert!(accepted > 4_000 && refused > 4_000 && unknown > 200, "{accepted} {refused} {unknown}");
}
