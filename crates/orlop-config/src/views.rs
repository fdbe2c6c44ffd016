//! How each kind of document sees the table.

use ignition_spec::tree::Node;
use ignition_spec::{Spec, View};

/// Butane's `variant` at `version`; the newest that is known where that is none.
pub fn of_butane(variant: &str, version: &str) -> View {
    let _ = (variant, version);
    View::ignition(Spec::STABLE)
}

/// The tree of a YAML text, if it can be read.
pub fn yaml_tree(text: &str) -> Option<Node<'_>> {
    let _ = text;
    None
}

/// The variants of Butane.
pub fn variants() -> Vec<String> {
    vec!["fcos".to_owned()]
}

/// The versions of `variant`, or of `ignition`, the newest first.
pub fn versions(variant: &str) -> Vec<String> {
    match variant {
        "ignition" => (0..=Spec::EXPERIMENTAL.minor_number())
            .rev()
            .filter_map(Spec::minor)
            .map(|spec| spec.to_string())
            .collect(),
        _ => Vec::new(),
    }
}
