//! Source maps: from paths of a machine's Ignition JSON to lines of the Butane text that the user wrote.
//!
//! A machine gets them beside its config (fw_cfg file `opt/io.orlop/source-map`), so that its errors can show the
//! user's own line. The format is JSON, version 1; `docs/reference/config.md` describes it.

use std::collections::BTreeMap;

use ignition_spec::report::{Position, Report};
use ignition_spec::tree::{Node, Value};
use ignition_spec::{Positions, json, path};

use crate::origins::Origins;

/// JSON path to (line, column) of the Butane text.
///
/// A path whose position equals its parent's is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    paths: BTreeMap<String, Position>,
}

impl SourceMap {
    /// The map of the JSON `config` whose parts have `origins` in a text with `positions`.
    pub(crate) fn of(config: &[u8], origins: &Origins, positions: &Positions) -> Self {
        let mut map = Self::default();
        if let Ok(tree) = json::parse(config) {
            let mut path = String::from("$");
            map.visit(&tree, &mut path, (0, 0), &|path| positions.nearest(&origins.place(path).path));
        }
        map
    }

    fn visit(
        &mut self,
        node: &Node<'_>,
        path: &mut String,
        parent: Position,
        find: &dyn Fn(&str) -> Position,
    ) {
        let position = find(path);
        if position != parent {
            self.paths.insert(path.clone(), position);
        }
        let len = path.len();
        let mut below = |key: &dyn std::fmt::Display, child: &Node<'_>| {
            path.push('.');
            path.push_str(&key.to_string());
            self.visit(child, path, position, find);
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
        let mut here = path;
        loop {
            if let Some(position) = self.paths.get(here) {
                return Some(*position);
            }
            here = path::parent(here)?;
        }
    }

    /// All recorded paths with their positions, sorted by path.
    pub fn paths(&self) -> impl Iterator<Item = (&str, Position)> {
        self.paths.iter().map(|(path, position)| (path.as_str(), *position))
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
    let mut out = b"{\"version\":1,\"sources\":[".to_vec();
    for (at, source) in sources.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        for (key, value) in [
            ("{\"config_sha256\":", &source.config_sha256),
            (",\"file\":", &source.file),
            (",\"text\":", &source.text),
        ] {
            out.extend_from_slice(key.as_bytes());
            json::write_string(&mut out, value);
        }
        out.extend_from_slice(b",\"paths\":{");
        for (index, (path, (line, col))) in source.map.paths().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::write_string(&mut out, path);
            out.extend_from_slice(format!(":[{line},{col}]").as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"]}");
    out
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
    #[error("the source map is not of version 1")]
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
    if !matches!(tree.get("version").map(|node| &node.value), Some(Value::Number("1"))) {
        return Err(MapError::Version);
    }
    let Some(Value::Seq(sources)) = tree.get("sources").map(|node| &node.value) else {
        return Err(MapError::Member { key: "sources" });
    };
    sources.iter().map(source).collect()
}

fn source(node: &Node<'_>) -> Result<Source, MapError> {
    let text = |key| match node.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => Ok(text.clone().into_owned()),
        _ => Err(MapError::Member { key }),
    };
    let bad = || MapError::Member { key: "paths" };
    let Some(Value::Map(members)) = node.get("paths").map(|node| &node.value) else { return Err(bad()) };
    let mut map = SourceMap::default();
    for member in members {
        let Value::Seq(pair) = &member.value.value else { return Err(bad()) };
        let number = |at: usize| match pair.get(at).map(|node| &node.value) {
            Some(Value::Number(text)) => text.parse().ok(),
            _ => None,
        };
        let position = number(0).zip(number(1)).ok_or_else(bad)?;
        map.paths.insert(member.key.clone().into_owned(), position);
    }
    Ok(Source { config_sha256: text("config_sha256")?, file: text("file")?, text: text("text")?, map })
}
