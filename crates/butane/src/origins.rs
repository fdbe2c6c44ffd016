//! Where in the source each part of the output came from.
//!
//! Most of the output mirrors the source: the path of a value there is the path here, spelt in snake_case. What is made
//! otherwise is recorded: a value that stands for another key (`contents.source` for `contents.inline`), a subtree that
//! was generated as a whole (a mount unit), a merge of generated and written parts. Paths are resolved on demand.

use std::collections::HashMap;

use ignition_spec::{Side, Transcript};

/// What a part of the output stands for.
#[derive(Clone, Debug)]
enum Origin {
    /// It and all below it come from one place of the source.
    Whole(String),
    /// It is the source's value at another path; what is below keeps its names.
    Moved(String),
}

/// A place in one of the texts that an output was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The text: 0 is the document itself, the others are fragments.
    pub(crate) text: usize,
    /// The path in it.
    pub(crate) path: String,
}

/// The origins of an output.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// The text that recorded and mirrored paths are of.
    text: usize,
    recorded: HashMap<String, Origin>,
    below: Below,
}

#[derive(Debug, Default)]
enum Below {
    /// The output mirrors the source.
    #[default]
    Mirror,
    /// The output was merged from two.
    Merged { transcript: Transcript, parent: Box<Origins>, child: Box<Origins> },
}

impl Origins {
    /// The origins of an output that mirrors `text`.
    pub(crate) fn of(text: usize) -> Self {
        Self { text, ..Self::default() }
    }

    /// `output` and all below it come from `source`.
    pub(crate) fn whole(&mut self, output: impl Into<String>, source: impl Into<String>) {
        self.recorded.insert(output.into(), Origin::Whole(source.into()));
    }

    /// The entry `at` of the list `list` comes from `source`, and so does the list if that is its first. Gives the
    /// entry's path.
    pub(crate) fn added(&mut self, list: &str, at: usize, source: &str) -> String {
        let entry = format!("{list}.{at}");
        if at == 0 {
            self.whole(list, source);
        }
        self.whole(&entry, source);
        entry
    }

    /// `output` is the source's `source`.
    pub(crate) fn moved(&mut self, output: impl Into<String>, source: impl Into<String>) {
        self.recorded.insert(output.into(), Origin::Moved(source.into()));
    }

    /// The origins of a merge of `child` over `parent`; what is recorded in it is of `text`.
    pub(crate) fn merged(text: usize, transcript: Transcript, parent: Origins, child: Origins) -> Self {
        let below = Below::Merged { transcript, parent: Box::new(parent), child: Box::new(child) };
        Self { text, recorded: HashMap::new(), below }
    }

    fn here(&self, path: String) -> Place {
        Place { text: self.text, path }
    }

    /// The place that `output` came from.
    pub(crate) fn place(&self, output: &str) -> Place {
        if !self.recorded.is_empty() {
            let mut prefix = Some(output);
            while let Some(here) = prefix {
                match self.recorded.get(here) {
                    Some(Origin::Whole(source)) => return self.here(source.clone()),
                    Some(Origin::Moved(source)) => {
                        return self.here(format!("{source}{}", snake(&output[here.len()..])));
                    }
                    None => prefix = ignition_spec::path::parent(here),
                }
            }
        }
        match &self.below {
            Below::Mirror if output == "$.ignition.version" => self.here("$.version".into()),
            Below::Mirror => self.here(snake(output)),
            Below::Merged { transcript, parent, child } => match transcript.origin(output) {
                Some((Side::Parent, path)) => parent.place(&path),
                Some((Side::Child, path)) => child.place(&path),
                None => child.place(output),
            },
        }
    }
}

/// `sizeMiB` as `size_mib`, `httpHeaders` as `http_headers`.
pub(crate) fn snake(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    for char in path.replace("MiB", "Mib").chars() {
        if char.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(char.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_origins_win() {
        let mut origins = Origins::default();
        origins.whole("$.systemd.units.0", "$.storage.filesystems.1.with_mount_unit");
        origins.moved("$.storage.files.0.contents.source", "$.storage.files.0.contents.inline");
        for (output, source) in [
            ("$.systemd.units.0.name", "$.storage.filesystems.1.with_mount_unit"),
            ("$.storage.files.0.contents.source", "$.storage.files.0.contents.inline"),
            ("$.storage.disks.0.partitions.1.sizeMiB", "$.storage.disks.0.partitions.1.size_mib"),
            ("$.ignition.version", "$.version"),
        ] {
            assert_eq!(origins.place(output).path, source);
        }
    }
}
