//! Hints for keys and types that do not fit.

use crate::path::Naming;
use crate::schema::Field;
use crate::tree::{Plain, Value};
use crate::version::Spec;

/// What may have been meant by the unknown key `key` of a section with `fields`.
pub(crate) fn hint(key: &str, fields: &[&Field], naming: Naming, spec: Spec) -> Option<String> {
    let name = |field: &Field| field.name(naming);
    let bare = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    if let Some(field) = fields.iter().find(|field| bare(name(field)) == bare(key)) {
        return Some(match (name(field) == key, naming) {
            (true, Naming::Camel) => {
                format!("`{key}` needs spec 3.{}.0 or later; this config is of {spec}", field.since)
            }
            (true, Naming::Snake) => format!("`{key}` needs a later version of this variant"),
            (false, _) => format!("did you mean `{}`?", name(field)),
        });
    }
    let usable = fields.iter().filter(|field| field.since <= spec.minor_number());
    let (distance, best) = usable.map(|field| (distance(key, name(field)), name(field))).min()?;
    let close = distance * 3 <= best.len().max(3);
    Some(match close {
        true => format!("did you mean `{best}`?"),
        false => format!("known here: {}", known(fields, naming, spec)),
    })
}

/// The keys of a section in `spec`.
pub(crate) fn known(fields: &[&Field], naming: Naming, spec: Spec) -> String {
    let names = fields.iter().filter(|field| field.since <= spec.minor_number());
    names.map(|field| field.name(naming)).collect::<Vec<_>>().join(", ")
}

/// The one of `words` that `text` may be a misspelling of.
pub fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = text.to_ascii_lowercase();
    let near = words.filter(|word| !word.is_empty()).map(|word| (distance(&lower, word), word)).min()?;
    (near.0 * 2 <= near.1.len()).then_some(near.1)
}

/// How a value could be written to have the type `expected`.
pub(crate) fn type_hint(value: &Value<'_>, expected: &str) -> Option<String> {
    let text = match value {
        Value::Text(text) | Value::Plain(text, Plain::Text) => text.as_ref(),
        Value::Number(text) if expected == "a string" => return Some(format!("write \"{text}\"")),
        Value::Bool(value) if expected == "a string" => return Some(format!("write \"{value}\"")),
        Value::Map(_) if expected == "a list" => return Some("put the object into a list".into()),
        _ => return None,
    };
    match expected {
        "an integer" if text.parse::<i64>().is_ok() => Some("write the number without quotes".into()),
        "a boolean" if matches!(text, "true" | "false") => Some("write it without quotes".into()),
        "a list" => Some("a list of one is written `[...]`".into()),
        _ => None,
    }
}

/// Edits (insert, delete, replace, swap neighbours) from `a` to `b`; keys are short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_swaps_once() {
        assert_eq!(distance("pahts", "paths"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("source", "sources"), 1);
    }
}
