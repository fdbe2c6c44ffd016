//! Merging two configs, with a transcript of where each part of the result came from.
//!
//! Rules (upstream's `config/merge`): sections merge field by field; a scalar of the child wins where it is set; lists
//! with keys merge entries of equal keys and append the rest; files, directories and links share one key space, so do
//! the two lists of kernel arguments; a few lists are appended. Two valid configs can make an invalid one: validate
//! the result.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::Config;
use crate::path::{self, Path};
use crate::schema::{ConfigValue, Listing};
use crate::version::Spec;

/// One of the two configs that were merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The config that was there before.
    Parent,
    /// The config that was merged over it.
    Child,
}

/// Which part of the result came from which part of which config.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// For the path of a subtree of the result: the subtree that it was copied from.
    copied: HashMap<String, (Side, String)>,
    /// For the path of a list entry that both have: the paths in parent and child.
    shared: HashMap<String, (String, String)>,
}

impl Transcript {
    /// Where the value at `result_path` came from: its config and its path there. For an entry of a list that both
    /// configs have it is the child's; for a section that both share in there is none.
    pub fn origin(&self, result_path: &str) -> Option<(Side, String)> {
        let mut prefix = result_path;
        loop {
            let rest = &result_path[prefix.len()..];
            if let Some((side, from)) = self.copied.get(prefix) {
                return Some((*side, format!("{from}{rest}")));
            }
            if let Some((_, of_child)) = self.shared.get(prefix) {
                return Some((Side::Child, format!("{of_child}{rest}")));
            }
            prefix = path::parent(prefix)?;
        }
    }

    /// The entries of lists that both configs have: (path in the result, in the parent, in the child), sorted.
    pub fn shared(&self) -> Vec<(&str, &str, &str)> {
        let mut all: Vec<_> =
            self.shared.iter().map(|(to, (parent, child))| (&**to, &**parent, &**child)).collect();
        all.sort_unstable();
        all
    }

    /// All subtrees that were copied whole: (path in the result, config, path there), sorted.
    pub fn copied(&self) -> Vec<(&str, Side, &str)> {
        let mut all: Vec<_> = self.copied.iter().map(|(to, (side, from))| (&**to, *side, &**from)).collect();
        all.sort_unstable_by_key(|(to, ..)| *to);
        all
    }
}

/// `child` over `parent`. The result is of the later of both versions.
pub fn merge(parent: &Config, child: &Config) -> (Config, Transcript) {
    let mut merger = Merger::default();
    let mut merged = Config::merge(parent, child, Listing::Keyed, &Foreign::default(), &mut merger);
    let version = |config: &Config| Spec::parse(&config.ignition.version);
    if let (Ok(of_parent), Ok(of_child)) = (version(parent), version(child)) {
        merged.ignition.version = of_parent.max(of_child).to_string();
    }
    (merged, merger.transcript)
}

/// The state of a merge: where it stands in both configs and in the result.
#[derive(Debug, Default)]
pub struct Merger {
    parent: Path,
    child: Path,
    result: Path,
    transcript: Transcript,
}

impl Merger {
    /// The whole of one side where the other has nothing.
    pub fn whole<T: ConfigValue>(&mut self, parent: &T, child: &T) -> Option<T> {
        if child.is_unset() {
            self.from_parent();
            return Some(parent.clone());
        }
        if parent.is_unset() {
            self.from_child();
            return Some(child.clone());
        }
        None
    }

    /// Into a field.
    pub fn down(&mut self, camel: &'static str, snake: &'static str) {
        for path in [&mut self.parent, &mut self.child, &mut self.result] {
            path.push_field(camel, snake);
        }
    }

    /// Into an entry of a list that both configs have.
    pub fn item(&mut self, of_parent: usize, of_child: usize, of_result: usize) {
        self.parent.push_index(of_parent);
        self.child.push_index(of_child);
        self.result.push_index(of_result);
        let from = (self.parent.to_string(), self.child.to_string());
        self.transcript.shared.insert(self.result.to_string(), from);
    }

    /// Out of a field or an entry.
    pub fn up(&mut self) {
        for path in [&mut self.parent, &mut self.child, &mut self.result] {
            path.pop();
        }
    }

    /// What is here came from the parent.
    pub fn from_parent(&mut self) {
        self.transcript.copied.insert(self.result.to_string(), (Side::Parent, self.parent.to_string()));
    }

    /// What is here came from the child.
    pub fn from_child(&mut self) {
        self.transcript.copied.insert(self.result.to_string(), (Side::Child, self.child.to_string()));
    }

    /// Entry `of_result` came from the parent's entry `of_parent`.
    pub fn item_from_parent(&mut self, of_parent: usize, of_result: usize) {
        let from = self.parent.join(&[&of_parent]);
        self.transcript.copied.insert(self.result.join(&[&of_result]), (Side::Parent, from));
    }

    /// Entry `of_result` came from the child's entry `of_child`.
    pub fn item_from_child(&mut self, of_child: usize, of_result: usize) {
        let from = self.child.join(&[&of_child]);
        self.transcript.copied.insert(self.result.join(&[&of_result]), (Side::Child, from));
    }
}

/// The keys of a section's shared key space, each with the field whose list has it.
#[derive(Debug, Default)]
pub struct Foreign<'a> {
    keys: HashMap<Cow<'a, str>, &'static str>,
    own: &'static str,
}

impl<'a> Foreign<'a> {
    /// Takes the keys of a field's list if it is shared.
    pub fn take(&mut self, field: &'static str, list: &'a impl ConfigValue, listing: Listing) {
        if listing == Listing::Shared {
            list.for_each_key(&mut |_, key| {
                self.keys.insert(key, field);
            });
        }
    }

    /// Says which field is being merged.
    pub fn set_own(&mut self, field: &'static str) {
        self.own = field;
    }

    /// True when another field's list has `key`.
    pub fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|field| *field != self.own)
    }
}
