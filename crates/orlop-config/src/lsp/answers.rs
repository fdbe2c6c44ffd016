//! What the server says about a document.

use ignition_spec::schema::{Field, Shape};
use ignition_spec::view::Spot;
use ignition_spec::{Entry, Severity, View};
use serde_json::{Value, json};

use super::context::{Context, Slot};
use super::document::{Document, section, type_name};
use super::text::{self, Place};
use crate::views;

/// The findings about `document`.
pub(crate) fn diagnostics(document: &Document) -> Vec<Value> {
    document.report().entries.iter().map(|entry| diagnostic(document, entry)).collect()
}

fn diagnostic(document: &Document, entry: &Entry) -> Value {
    let text = &document.text;
    // A finding about a merged fragment stands where the document merges it.
    let position = match &entry.fragment {
        Some(fragment) => fragment.merged_by.last().map(|(_, line)| (*line, 1)),
        None => entry.position,
    };
    let start = position.map_or(0, |at| text::offset(text, at, document.columns()));
    let end = text::token_end(text, start);
    let mut message = entry.message.to_string();
    if let Some(fragment) = &entry.fragment {
        message = format!("{fragment}: {message}");
    }
    if let Some(hint) = &entry.hint {
        message.push_str(&format!("\nhint: {hint}"));
    }
    json!({
        "range": {"start": Place::at(text, start).json(), "end": Place::at(text, end).json()},
        "severity": match entry.severity {
            Severity::Error => 1,
            Severity::Warning => 2,
            Severity::Info => 3,
        },
        "code": entry.code,
        "source": "orlop",
        "message": message,
    })
}

/// What the key or value at `offset` means.
pub(crate) fn hover(document: &Document, offset: usize) -> Option<Value> {
    let hit = document.hit(offset)?;
    let view = document.view();
    let spot = view.at(&hit.path)?;
    let field = spot.field?;
    let (start, end) = hit.range;
    let text = &document.text;
    Some(json!({
        "contents": {"kind": "markdown", "value": explanation(field, &view)},
        "range": {"start": Place::at(text, start).json(), "end": Place::at(text, end).json()},
    }))
}

/// The docs of a field.
fn explanation(field: &Field, view: &View) -> String {
    let name = field.name(view.naming);
    let mut out = format!("**{name}**: {}\n\n{}", type_name((field.shape)()), field.doc.trim());
    let choices = values(field, view);
    if !choices.is_empty() {
        out.push_str(&format!("\n\nAllowed: {}", choices.join(", ")));
    }
    if field.since > 0 {
        out.push_str(&format!("\n\nSince spec 3.{}.0", field.since));
    }
    out
}

/// The values that a field may have in `view`.
fn values(field: &Field, view: &View) -> Vec<&'static str> {
    let known = field.choices.iter().filter(|choice| choice.since <= view.spec.minor_number());
    known.map(|choice| choice.text).filter(|text| !text.is_empty()).collect()
}

/// What can be written at `offset`.
pub(crate) fn completion(document: &Document, offset: usize) -> Option<Value> {
    let context = document.context(offset)?;
    let view = document.view();
    let spot = view.at(&context.path)?;
    let range = json!({
        "start": Place::at(&document.text, offset - context.partial.len()).json(),
        "end": Place::at(&document.text, offset).json(),
    });
    let items = match &context.slot {
        Slot::Key(there) => keys(&view, spot, there, &context),
        Slot::Value => fitting(document, &view, spot, &context),
    };
    let items: Vec<Value> = items
        .into_iter()
        .map(|mut item| {
            let new = item["textEdit"].take();
            item["textEdit"] = json!({"range": range, "newText": new});
            item
        })
        .collect();
    Some(json!({"isIncomplete": false, "items": items}))
}

/// The keys of the section at `spot` that are not there yet. `textEdit` is the text alone.
fn keys(view: &View, spot: Spot, there: &[String], context: &Context) -> Vec<Value> {
    let Some((name, own)) = section(spot) else { return Vec::new() };
    let json = view.naming == ignition_spec::path::Naming::Camel;
    let missing = |field: &&Field| !there.iter().any(|key| key == field.name(view.naming));
    view.fields(name, own, spot.in_references)
        .into_iter()
        .filter(missing)
        .map(|field| {
            let key = field.name(view.naming);
            let new = match (json, context.quoted) {
                (_, true) => key.to_owned(),
                (true, false) => format!("\"{key}\": "),
                (false, false)
                    if matches!((field.shape)(), Shape::Text | Shape::Integer | Shape::Boolean) =>
                {
                    format!("{key}: ")
                }
                (false, false) => format!("{key}:"),
            };
            json!({
                "label": key,
                // Property.
                "kind": 10,
                "detail": type_name((field.shape)()),
                "documentation": field.doc.trim(),
                "textEdit": new,
            })
        })
        .collect()
}

/// The values that fit at `spot`.
fn fitting(document: &Document, view: &View, spot: Spot, context: &Context) -> Vec<Value> {
    let json = view.naming == ignition_spec::path::Naming::Camel;
    let Some(field) = spot.field else { return Vec::new() };
    let texts: Vec<String> = match spot.shape {
        Shape::Boolean => return ["true", "false"].map(|text| value(text, text)).into(),
        Shape::Text => match context.path.as_str() {
            "$.variant" => views::variants(),
            "$.version" => views::versions(&document.top_level("variant")),
            "$.ignition.version" => views::versions("ignition"),
            _ => values(field, view).into_iter().map(str::to_owned).collect(),
        },
        _ => return Vec::new(),
    };
    texts
        .into_iter()
        .map(|text| {
            let new = if json && !context.quoted { format!("\"{text}\"") } else { text.clone() };
            value(&text, &new)
        })
        .collect()
}

fn value(label: &str, new: &str) -> Value {
    // EnumMember.
    json!({"label": label, "kind": 20, "textEdit": new})
}
