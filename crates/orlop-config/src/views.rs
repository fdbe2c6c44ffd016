//! How each kind of document sees the table, and what that adds to reports about it.

use butane::fields;
use butane::variant::Dialect;
use ignition_spec::explain::explain;
use ignition_spec::path::Naming;
use ignition_spec::tree::Node;
use ignition_spec::{Report, Spec, View};

/// The variant whose fields are shown where a document names none.
const DEFAULT_VARIANT: &str = "fcos";

/// Butane's `variant` at `version`; the variant's newest stable version where that is none.
pub fn of_butane(variant: &str, version: &str) -> View {
    let newest = |variant: &str| {
        let stable = |(name, text, _): &(&str, String, Dialect)| *name == variant && !text.contains('-');
        Dialect::all().filter(stable).last().map(|(.., dialect)| dialect)
    };
    let dialect =
        Dialect::named(variant, version).or_else(|| newest(variant)).or_else(|| newest(DEFAULT_VARIANT));
    match dialect {
        Some(dialect) => view(dialect),
        None => View::ignition(Spec::STABLE),
    }
}

/// The view of `dialect`.
pub fn view(dialect: Dialect) -> View {
    View::new(Naming::Snake, dialect.spec, move |name, own, in_references| {
        fields::of(dialect, name, own, in_references)
    })
}

/// The tree of a YAML text, if it can be read.
pub fn yaml_tree(text: &str) -> Option<Node<'_>> {
    butane::yaml::document(text).ok().flatten()
}

/// Completes a report about the Butane text `bytes`: what was found, what is allowed, what may have been meant.
pub fn complete(report: &mut Report, bytes: &[u8]) {
    if report.is_empty() {
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(tree) = yaml_tree(text) else { return };
    let scalar = |key: &str| match tree.get(key).map(|node| &node.value) {
        Some(ignition_spec::tree::Value::Text(text) | ignition_spec::tree::Value::Plain(text, _)) => {
            text.as_ref()
        }
        _ => "",
    };
    explain(report, &tree, &of_butane(scalar("variant"), scalar("version")));
}

/// The variants of Butane.
pub fn variants() -> Vec<String> {
    let mut names: Vec<String> = Dialect::all().map(|(name, ..)| name.to_owned()).collect();
    names.dedup();
    names
}

/// The versions of `variant`, or of `ignition`, the newest first.
pub fn versions(variant: &str) -> Vec<String> {
    let mut versions: Vec<String> = match variant {
        "ignition" => (0..=Spec::EXPERIMENTAL.minor_number())
            .filter_map(Spec::minor)
            .map(|spec| spec.to_string())
            .collect(),
        _ => Dialect::all().filter(|(name, ..)| *name == variant).map(|(_, version, _)| version).collect(),
    };
    versions.reverse();
    versions
}
