//! An open document: which kind it is, how it is seen, what is wrong with it, what is at a place.

use std::path::PathBuf;

use butane::{Folder, Options};
use ignition_spec::excerpt::Columns;
use ignition_spec::schema::{Field, Shape};
use ignition_spec::tree::{Node, Value};
use ignition_spec::view::Spot;
use ignition_spec::{Report, Spec, View};

use super::context::{self, Context};
use super::text;
use crate::views;

/// An open document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// JSON by its language, or because it starts with a bracket.
    json: bool,
    /// The folder of the file, for local files of Butane.
    folder: Option<PathBuf>,
}

/// A key or value of the text.
#[derive(Debug)]
pub(crate) struct Hit {
    /// First byte and the byte behind the last.
    pub(crate) range: (usize, usize),
    pub(crate) path: String,
}

impl Document {
    pub(crate) fn new(uri: &str, language: &str, text: String) -> Self {
        let file = uri.strip_prefix("file://").map(percent_decoded).map(PathBuf::from);
        let folder = file.as_ref().and_then(|file| file.parent()).map(PathBuf::from);
        let json = match text.trim_start().chars().next() {
            Some(first) => first == '{',
            None => language == "json" || language == "ignition",
        };
        Self { text, json, folder }
    }

    /// The same document with another text.
    pub(crate) fn set(&mut self, text: String) {
        if let Some(first) = text.trim_start().chars().next() {
            self.json = first == '{';
        }
        self.text = text;
    }

    /// How columns of reports about it count.
    pub(crate) fn columns(&self) -> Columns {
        if self.json { Columns::Bytes } else { Columns::Characters }
    }

    /// How the table is seen: by the version that the document names, else by the newest stable one.
    pub(crate) fn view(&self) -> View {
        match self.json {
            true => {
                let (tree, _) = ignition_spec::json::recover(self.text.as_bytes());
                let version = tree.as_ref().and_then(|tree| tree.get("ignition")?.get("version"));
                let version = match version.map(|node| &node.value) {
                    Some(Value::Text(text)) => Spec::parse(text).ok(),
                    _ => None,
                };
                View::ignition(version.unwrap_or(Spec::STABLE))
            }
            false => {
                let (variant, version) = (self.top_level("variant"), self.top_level("version"));
                views::of_butane(&variant, &version)
            }
        }
    }

    /// The value of a key of YAML at the first column, read by lines: the text may be half-written.
    pub(crate) fn top_level(&self, key: &str) -> String {
        let value = |line: &str| {
            let rest = line.strip_prefix(key)?.trim_start().strip_prefix(':')?;
            let rest = rest.split(" #").next().unwrap_or_default();
            Some(rest.trim().trim_matches(['"', '\'']).to_owned())
        };
        self.text.lines().find_map(value).unwrap_or_default()
    }

    /// What is wrong with it.
    pub(crate) fn report(&self) -> Report {
        if self.json {
            return match ignition_spec::parse(self.text.as_bytes()) {
                Ok(parsed) => parsed.report,
                Err(report) => report,
            };
        }
        let folder = self.folder.as_ref().map(Folder::new);
        let files = folder.as_ref().map(|folder| folder as &dyn butane::Files);
        let options = Options { files, ..Options::default() };
        let mut report = match butane::transpile(self.text.as_bytes(), &options) {
            Ok(output) => output.report,
            Err(report) => report,
        };
        views::complete(&mut report, self.text.as_bytes());
        report
    }

    /// What is being written at byte `offset`.
    pub(crate) fn context(&self, offset: usize) -> Option<Context> {
        let before = &self.text[..offset];
        if self.json { context::json(before) } else { context::yaml(before) }
    }

    /// The key or scalar value at byte `offset`.
    pub(crate) fn hit(&self, offset: usize) -> Option<Hit> {
        let yaml;
        let json;
        let tree = if self.json {
            json = ignition_spec::json::recover(self.text.as_bytes()).0;
            json.as_ref()
        } else {
            yaml = views::yaml_tree(&self.text);
            yaml.as_ref()
        };
        let mut hit = None;
        self.look(tree?, &mut String::from("$"), offset, &mut hit);
        hit
    }

    fn look(&self, node: &Node<'_>, path: &mut String, offset: usize, hit: &mut Option<Hit>) {
        let length = path.len();
        match &node.value {
            Value::Map(members) => {
                for member in members {
                    path.push('.');
                    path.push_str(&member.key);
                    self.token(member.position, path, offset, hit);
                    self.look(&member.value, path, offset, hit);
                    path.truncate(length);
                }
            }
            Value::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!(".{index}"));
                    self.look(item, path, offset, hit);
                    path.truncate(length);
                }
            }
            _ => self.token(node.position, path, offset, hit),
        }
    }

    fn token(&self, position: (u32, u32), path: &str, offset: usize, hit: &mut Option<Hit>) {
        let start = text::offset(&self.text, position, self.columns());
        let end = text::token_end(&self.text, start);
        if (start..=end).contains(&offset) && end > start {
            *hit = Some(Hit { range: (start, end), path: path.to_owned() });
        }
    }
}

/// The section at `spot`, if it is one: its name and table.
pub(crate) fn section(spot: Spot) -> Option<(&'static str, &'static [Field])> {
    match spot.shape {
        Shape::Section(name, own) => Some((name, own)),
        _ => None,
    }
}

/// What a type is called.
pub(crate) fn type_name(shape: Shape) -> String {
    match shape {
        Shape::Text => "string".into(),
        Shape::Integer => "integer".into(),
        Shape::Boolean => "boolean".into(),
        Shape::List(item) => format!("list of {}", type_name(item())),
        Shape::Map(value) => format!("object of {}", type_name(value())),
        Shape::Any => "any value".into(),
        Shape::Section(name, _) => format!("object ({name})"),
    }
}

/// The text of a URI's path.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
