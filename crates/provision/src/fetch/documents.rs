//! The documents that a final config was merged from, and the way back from its paths to their lines.

use std::collections::BTreeMap;

use ignition_spec::merge::{Side, Transcript};
use ignition_spec::positions::Positions;
use serde::Deserialize;

use super::verify::sha256_hex;
use crate::place::{Lines, Place};

/// From JSON paths to places in the text that somebody wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct SourceMap {
    /// SHA-256 of the Ignition JSON that this is about, hexadecimal.
    #[serde(default)]
    pub config_sha256: String,
    /// Name of the user's file.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The Butane files that were merged into it.
    #[serde(default)]
    pub fragments: Vec<Fragment>,
    /// Spots by JSON path.
    pub paths: BTreeMap<String, Spot>,
}

/// A line and a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Spot {
    /// Of the user's file.
    File(u32, u32),
    /// Of the fragment with the third number, from 1.
    Fragment(u32, u32, usize),
}

/// A Butane file that another one merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Fragment {
    /// Its name.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Who merged it, and in which line, the nearest first.
    pub merged_by: Vec<(String, u32)>,
}

impl Fragment {
    /// `web.bu:3 > base.bu`
    fn trail(&self) -> String {
        let mergers = self.merged_by.iter().rev().map(|(file, line)| format!("{file}:{line} > "));
        mergers.chain([self.file.clone()]).collect()
    }
}

#[derive(Debug, Deserialize)]
struct SourceMapFile {
    version: u32,
    sources: Vec<SourceMap>,
}

/// The maps in the text of `opt/io.orlop/source-map`; nothing when it is of another version or malformed: a map only
/// makes errors nicer.
pub fn decode_source_maps(bytes: &[u8]) -> Vec<SourceMap> {
    match serde_json::from_slice::<SourceMapFile>(bytes) {
        Ok(file) if matches!(file.version, 1 | 2) => file.sources,
        _ => Vec::new(),
    }
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Name for people.
    pub name: String,
    /// The text that its places are in: its own, or the user's that it was made of.
    lines: Lines,
    positions: Positions,
    map: Option<SourceMap>,
}

impl Document {
    /// A document of Ignition JSON. `maps` may hold the one that belongs to it.
    pub fn ignition(name: String, text: &[u8], positions: Positions, maps: &[SourceMap]) -> Self {
        let digest = if maps.is_empty() { String::new() } else { sha256_hex(text) };
        let map = maps.iter().find(|map| map.config_sha256.eq_ignore_ascii_case(&digest)).cloned();
        let lines = Lines::new(map.as_ref().map_or(text, |map| map.text.as_bytes()));
        Self { name, lines, positions, map }
    }

    /// A document of Butane YAML with the map that its translation gave.
    pub fn butane(map: SourceMap) -> Self {
        let lines = Lines::new(map.text.as_bytes());
        Self { name: map.file.clone(), lines, positions: Positions::default(), map: Some(map) }
    }

    /// A place of this document whose position is known otherwise.
    pub fn at(&self, path: &str, position: Option<(u32, u32)>) -> Place {
        let name = self.map.as_ref().map_or(&self.name, |map| &map.file);
        let excerpt = position.and_then(|position| self.lines.excerpt(position));
        Place { document: name.clone(), path: path.into(), position, excerpt }
    }

    /// The place of a JSON path of this document, of the nearest section around it when the text lacks it.
    pub fn place(&self, path: &str) -> Place {
        let Some(map) = &self.map else {
            return self.at(path, Some(self.positions.nearest(path)).filter(|(line, _)| *line > 0));
        };
        let mut nearest = path;
        let spot = loop {
            match (map.paths.get(nearest), nearest.rsplit_once('.')) {
                (Some(spot), _) => break *spot,
                (None, Some((parent, _))) => nearest = parent,
                (None, None) => return self.at(path, None),
            }
        };
        match spot {
            Spot::File(line, column) => self.at(path, Some((line, column))),
            Spot::Fragment(line, column, number) => match number
                .checked_sub(1)
                .and_then(|at| map.fragments.get(at))
            {
                None => self.at(path, None),
                Some(fragment) => {
                    let position = (line, column);
                    let excerpt = Lines::new(fragment.text.as_bytes()).excerpt(position);
                    Place { document: fragment.trail(), path: path.into(), position: Some(position), excerpt }
                }
            },
        }
    }
}

/// How a config came about.
#[derive(Debug, Clone)]
enum Lineage {
    Nothing,
    Document(usize),
    Merged { parent: Box<Self>, child: Box<Self>, transcript: Transcript },
}

/// All documents of a config and how they were merged.
#[derive(Debug, Clone)]
pub struct Documents {
    list: Vec<Document>,
    lineage: Lineage,
}

impl Documents {
    /// None: the empty config.
    pub fn none() -> Self {
        Self { list: Vec::new(), lineage: Lineage::Nothing }
    }

    /// The config is one document.
    pub fn one(document: Document) -> Self {
        Self { list: vec![document], lineage: Lineage::Document(0) }
    }

    /// `self` was the parent and `child` the child of a merge.
    #[must_use]
    pub fn merged(mut self, mut child: Self, transcript: Transcript) -> Self {
        child.lineage.shift(self.list.len());
        self.list.append(&mut child.list);
        let (parent, child) = (Box::new(self.lineage), Box::new(child.lineage));
        Self { list: self.list, lineage: Lineage::Merged { parent, child, transcript } }
    }

    /// Where the value at a path of the final config was written. For a section that several documents share in, the
    /// one that was merged last and has anything near it.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut lineage = &self.lineage;
        let mut path = path.to_owned();
        loop {
            match lineage {
                Lineage::Nothing => return None,
                Lineage::Document(index) => {
                    return self.list.get(*index).map(|document| document.place(&path));
                }
                Lineage::Merged { parent, child, transcript } => match origin(transcript, &path) {
                    Some((Side::Parent, from)) => (lineage, path) = (parent, from),
                    Some((Side::Child, from)) => (lineage, path) = (child, from),
                    None => lineage = child,
                },
            }
        }
    }

    /// Names of the documents, in the order of merging.
    pub fn names(&self) -> Vec<&str> {
        self.list.iter().map(|document| document.name.as_str()).collect()
    }
}

/// What the transcript knows of `path`; for a section made of both sides, what it knows of something in it, so that
/// an entry which two configs describe is shown where the last of them does.
fn origin(transcript: &Transcript, path: &str) -> Option<(Side, String)> {
    transcript.origin(path).or_else(|| {
        let below = |to: &str| to.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        let inside: Vec<_> = transcript.copied().into_iter().filter(|(to, ..)| below(to)).collect();
        let (to, side, from) = inside.iter().find(|(_, side, _)| *side == Side::Child).or(inside.first())?;
        // The path of the section itself on that side: the same number of steps up.
        let mut section = *from;
        for _ in 0..to[path.len()..].matches('.').count() {
            section = section.rsplit_once('.')?.0;
        }
        Some((*side, section.to_owned()))
    })
}

impl Lineage {
    fn shift(&mut self, by: usize) {
        match self {
            Self::Nothing => {}
            Self::Document(index) => *index += by,
            Self::Merged { parent, child, .. } => {
                parent.shift(by);
                child.shift(by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_merged_files_name_who_merged_them() {
        let map = br#"{"version":2,"sources":[{"config_sha256":"00","file":"web.bu","text":"a: b\n",
            "fragments":[{"file":"base.bu","text":"c: d\n","merged_by":[["mid.bu",7],["web.bu",3]]}],
            "paths":{"$":[1,1],"$.c":[1,4,1],"$.x":[1,1,9]}}]}"#;
        let map = decode_source_maps(map).remove(0);
        let document = Document::butane(map);
        assert_eq!(document.place("$.c.d").short(), "web.bu:3 > mid.bu:7 > base.bu:1:4 ($.c.d)");
        assert_eq!(document.place("$.c").excerpt.expect("a line").text, "c: d");
        assert_eq!(document.place("$.a").short(), "web.bu:1:1 ($.a)");
        assert_eq!(document.place("$.x").position, None, "a fragment that is not there");
    }
}
