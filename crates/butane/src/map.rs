//! Source maps: from paths of a machine's Ignition JSON to lines of the Butane text that the user wrote.
//!
//! A machine gets them beside its config (fw_cfg file `opt/io.orlop/source-map`), so that its errors can show the
//! user's own line. The format is JSON, version 1, or 2 when fragments were merged; `docs/formats/source-map.md`
//! describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ignition_spec::report::{Fragment, Position, Report};
use ignition_spec::tree::{Node, Value};
use ignition_spec::{json, path};

use crate::fragments::Text;
use crate::origins::Origins;

/// JSON path to (line, column) of the Butane text, or of a fragment that it merges.
///
/// A path whose place equals its parent's is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    paths: BTreeMap<String, Place>,
    fragments: Vec<Arc<Fragment>>,
}

/// A position, and the text that it is in: 0 is the document, 1 the first fragment.
type Place = (Position, usize);

impl SourceMap {
    /// The map of the JSON `config` whose parts have `origins` in a text with `positions`.
    pub(crate) fn of(config: &[u8], origins: &Origins, texts: &[Text]) -> Self {
        let fragments = texts.iter().filter_map(|text| text.fragment.clone()).collect();
        let mut map = Self { paths: BTreeMap::new(), fragments };
        let find = |path: &str| {
            let place = origins.place(path);
            (texts[place.text].positions.nearest(&place.path), place.text)
        };
        if let Ok(tree) = json::parse(config) {
            let mut path = String::from("$");
            map.visit(&tree, &mut path, ((0, 0), 0), &find);
        }
        map
    }

    fn visit(&mut self, node: &Node<'_>, path: &mut String, parent: Place, find: &dyn Fn(&str) -> Place) {
        let place = find(path);
        if place != parent {
            self.paths.insert(path.clone(), place);
        }
        let len = path.len();
        let mut below = |key: &dyn std::fmt::Display, child: &Node<'_>| {
            path.push('.');
            path.push_str(&key.to_string());
            self.visit(child, path, place, find);
            path.truncate(len);
        };
        match &node.value {
            Value::Seq(items) => items.iter().enumerate().for_each(|(at, item)| below(&at, item)),
            Value::Map(members) => members.iter().for_each(|member| below(&member.key, &member.value)),
            _ => {}
        }
    }

    /// The position of `path` (`$.storage.files.0.path`), else of what is around it.
    pub fn position(&self, path: &str) -> Option<Position> {
        self.place(path).map(|(position, _)| position)
    }

    /// The fragment that `path` came from; nothing when it came from the document itself.
    pub fn fragment(&self, path: &str) -> Option<&Fragment> {
        let (_, text) = self.place(path)?;
        text.checked_sub(1).and_then(|at| self.fragments.get(at)).map(AsRef::as_ref)
    }

    fn place(&self, path: &str) -> Option<Place> {
        let mut here = path;
        loop {
            if let Some(place) = self.paths.get(here) {
                return Some(*place);
            }
            here = path::parent(here)?;
        }
    }

    /// All recorded paths with their positions, sorted by path. Ask [`fragment`](Self::fragment) for the text.
    pub fn paths(&self) -> impl Iterator<Item = (&str, Position)> {
        self.paths.iter().map(|(path, (position, _))| (path.as_str(), *position))
    }
}

/// One text of a source map, with the config that was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// SHA-256 of the bytes of the Ignition JSON, in lower-case hexadecimal.
    pub config_sha256: String,
    /// Name of the user's file.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Where in the text each part of the config came from.
    pub map: SourceMap,
}

/// `sources` as a source map.
pub fn encode(sources: &[Source]) -> Vec<u8> {
    let version = if sources.iter().all(|source| source.map.fragments.is_empty()) { 1 } else { 2 };
    let mut out = format!("{{\"version\":{version},\"sources\":[").into_bytes();
    for (at, source) in sources.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        encode_source(source, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

fn encode_source(source: &Source, out: &mut Vec<u8>) {
    for (key, value) in [
        ("{\"config_sha256\":", &source.config_sha256),
        (",\"file\":", &source.file),
        (",\"text\":", &source.text),
    ] {
        out.extend_from_slice(key.as_bytes());
        json::write_string(out, value);
    }
    if !source.map.fragments.is_empty() {
        out.extend_from_slice(b",\"fragments\":[");
        for (at, fragment) in source.map.fragments.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",{\"file\":" } else { b"{\"file\":" });
            json::write_string(out, &fragment.name);
            out.extend_from_slice(b",\"text\":");
            json::write_string(out, &fragment.text);
            out.extend_from_slice(b",\"merged_by\":[");
            for (at, (name, line)) in fragment.merged_by.iter().enumerate() {
                out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
                json::write_string(out, name);
                out.extend_from_slice(format!(",{line}]").as_bytes());
            }
            out.extend_from_slice(b"]}");
        }
        out.push(b']');
    }
    out.extend_from_slice(b",\"paths\":{");
    for (index, (path, ((line, col), text))) in source.map.paths.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, path);
        let of = if *text > 0 { format!(",{text}") } else { String::new() };
        out.extend_from_slice(format!(":[{line},{col}{of}]").as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Why a source map cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// No JSON.
    #[error("the source map is no JSON")]
    Syntax {
        /// What the parser said.
        #[source]
        report: Report,
    },
    /// Another version.
    #[error("the source map is not of version 1 or 2")]
    Version,
    /// A member is missing or of another type.
    #[error("the source map has no usable `{key}`")]
    Member {
        /// The member.
        key: &'static str,
    },
}

/// The sources of a source map.
pub fn decode(bytes: &[u8]) -> Result<Vec<Source>, MapError> {
    let tree = json::parse(bytes).map_err(|report| MapError::Syntax { report })?;
    if !matches!(tree.get("version").map(|node| &node.value), Some(Value::Number("1" | "2"))) {
        return Err(MapError::Version);
    }
    let Some(Value::Seq(sources)) = tree.get("sources").map(|node| &node.value) else {
        return Err(MapError::Member { key: "sources" });
    };
    sources.iter().map(source).collect()
}

fn member_text(node: &Node<'_>, key: &'static str) -> Result<String, MapError> {
    match node.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => Ok(text.clone().into_owned()),
        _ => Err(MapError::Member { key }),
    }
}

fn number<N: std::str::FromStr>(node: Option<&Node<'_>>) -> Option<N> {
    match node.map(|node| &node.value) {
        Some(Value::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

fn source(node: &Node<'_>) -> Result<Source, MapError> {
    let bad = || MapError::Member { key: "paths" };
    let Some(Value::Map(members)) = node.get("paths").map(|node| &node.value) else { return Err(bad()) };
    let mut map = SourceMap::default();
    if let Some(Value::Seq(fragments)) = node.get("fragments").map(|node| &node.value) {
        map.fragments =
            fragments.iter().map(|node| fragment(node).map(Arc::new)).collect::<Result<_, _>>()?;
    }
    for member in members {
        let Value::Seq(parts) = &member.value.value else { return Err(bad()) };
        let position = number(parts.first()).zip(number(parts.get(1))).ok_or_else(bad)?;
        let text = number(parts.get(2)).unwrap_or_default();
        map.paths.insert(member.key.clone().into_owned(), (position, text));
    }
    let (config_sha256, file) = (member_text(node, "config_sha256")?, member_text(node, "file")?);
    Ok(Source { config_sha256, file, text: member_text(node, "text")?, map })
}

fn fragment(node: &Node<'_>) -> Result<Fragment, MapError> {
    let bad = || MapError::Member { key: "merged_by" };
    let Some(Value::Seq(mergers)) = node.get("merged_by").map(|node| &node.value) else { return Err(bad()) };
    let merger = |node: &Node<'_>| match &node.value {
        Value::Seq(parts) => match parts.first().map(|node| &node.value) {
            Some(Value::Text(name)) => Some((name.to_string(), number(parts.get(1))?)),
            _ => None,
        },
        _ => None,
    };
    let merged_by = mergers.iter().map(merger).collect::<Option<_>>().ok_or_else(bad)?;
    Ok(Fragment { name: member_text(node, "file")?, text: member_text(node, "text")?, merged_by })
}
