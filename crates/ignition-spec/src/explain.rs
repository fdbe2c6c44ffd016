//! What every entry says beside its text: what was found, what is allowed, what may have been meant.

use crate::report::{Entry, Report};
use crate::rules;
use crate::schema::Field;
use crate::suggest::nearest;
use crate::tree::{Node, Value};
use crate::version::Spec;
use crate::view::View;

/// Completes the entries of `report` about the document `tree`, which is seen by `view`. What an entry already says is
/// kept.
pub fn explain(report: &mut Report, tree: &Node<'_>, view: &View) {
    for entry in &mut report.entries {
        if entry.path.starts_with('$') && entry.fragment.is_none() {
            let (node, exact) = tree.at(&entry.path);
            let field = view.at(&entry.path).and_then(|spot| spot.field);
            if entry.found.is_none() {
                entry.found = Some(if exact { node.value.describe() } else { "nothing".into() });
            }
            meant(entry, exact.then_some(node), field, view.spec);
        }
        if entry.allowed.is_none()
            && let Some(page) = rules::page(entry.code).filter(|page| !page.allowed.is_empty())
        {
            entry.allowed = Some(page.allowed.into());
        }
    }
}

/// Enumerations: the values that this spec has, and the one that was nearly given.
fn meant(entry: &mut Entry, node: Option<&Node<'_>>, field: Option<&Field>, spec: Spec) {
    let text = match node.map(|node| &node.value) {
        Some(Value::Text(text) | Value::Plain(text, _)) => text.as_ref(),
        _ => "",
    };
    let choices = field.map_or(&[][..], |field| field.choices);
    if !choices.is_empty() && entry.code != rules::text::WRONG_TYPE.code {
        let known = || choices.iter().filter(|choice| choice.since <= spec.minor_number());
        let words: Vec<&str> = known().map(|choice| choice.text).filter(|text| !text.is_empty()).collect();
        entry.allowed = Some(words.join(", ").into());
        let later = choices.iter().find(|choice| choice.text == text && choice.since > spec.minor_number());
        if let Some(later) = later {
            let needed = Spec::minor(later.since).map(|spec| spec.to_string()).unwrap_or_default();
            entry.hint.get_or_insert(format!("`{text}` needs spec {needed}; this config is of {spec}"));
        } else if !text.is_empty() {
            hint(entry, nearest(text, words.into_iter()));
        }
        return;
    }
    let own = match entry.code {
        "unit-extension" => extension(text),
        "url-scheme" => {
            let scheme = text.split(':').next().unwrap_or_default();
            return hint(
                entry,
                nearest(scheme, ["http", "https", "tftp", "s3", "gs", "data", "arn"].into_iter()),
            );
        }
        "hash-malformed" => match text.len() {
            128 => Some(format!("write sha512-{}…", &text.chars().take(8).collect::<String>())),
            64 => Some(format!("write sha256-{}…", &text.chars().take(8).collect::<String>())),
            _ => None,
        },
        "hash-function" => {
            let function = text.split('-').next().unwrap_or_default();
            return hint(entry, nearest(function, ["sha512", "sha256"].into_iter()));
        }
        "mode-range" => decimal_mode(node),
        _ => None,
    };
    if entry.hint.is_none() {
        entry.hint = own;
    }
}

fn hint(entry: &mut Entry, word: Option<&str>) {
    if entry.hint.is_none() {
        entry.hint = word.map(|word| format!("did you mean `{word}`?"));
    }
}

/// The types of units, as names end.
pub const UNIT_TYPES: [&str; 12] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "snapshot",
    "slice",
    "scope",
];

fn extension(name: &str) -> Option<String> {
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let meant = if end.is_empty() { Some("service") } else { nearest(end, UNIT_TYPES.into_iter()) };
    meant.filter(|_| !stem.is_empty()).map(|end| format!("did you mean `{stem}.{end}`?"))
}

/// A mode beyond the range whose digits are those of an octal one.
fn decimal_mode(node: Option<&Node<'_>>) -> Option<String> {
    let Value::Number(text) = node?.value else { return None };
    let octal = i64::from_str_radix(text, 8).ok().filter(|mode| (0..=0o7777).contains(mode))?;
    Some(format!("JSON has decimal numbers: 0{text} is {octal}"))
}
