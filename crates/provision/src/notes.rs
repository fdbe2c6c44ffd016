//! What a first boot is about to make, noted before it does: a first boot that was cut short can then be run again.
//!
//! Without notes the second run meets its own leavings and takes them for somebody's data: it would append twice, and
//! refuse partitions "because the label is taken" and files "because they exist". The notes lie in a directory of the
//! root (`/orlop` on Orlop), are on the disk before the change they are about, and go when the machine's stamp says that
//! the first boot is done. Format: docs/formats/boot.md.

use std::collections::BTreeMap;

use block::partition::{Change, Partition};
use serde::{Deserialize, Serialize};

use crate::plan::action::Base;
use crate::plan::{Action, Plan};
use crate::root::{Attributes, Durability, Root, RootError};

/// Name of the notes below the directory.
pub const FILE: &str = "first-boot.json";
/// Name of the directory with originals of files that are appended to.
pub const ORIGINALS: &str = "first-boot.d";

const PRIVATE: Attributes = Attributes { mode: 0o600, uid: 0, gid: 0 };

/// The notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// Partitions made, by the disk's name in the config.
    pub partitions: BTreeMap<String, Vec<Partition>>,
    /// Nodes made, by true path: where the original of the file is kept, `None` when nothing was there.
    pub nodes: BTreeMap<String, Option<String>>,
    /// RAID arrays made, by name.
    pub arrays: Vec<String>,
    /// LUKS volumes made, by name, with the UUID in their header.
    pub volumes: BTreeMap<String, String>,
}

impl Notes {
    /// What an earlier run noted; nothing when there was none. Notes that cannot be read are none: then the machine's
    /// contents are judged as on a first run, which refuses rather than loses.
    ///
    /// # Errors
    /// When they exist and the disk cannot be read.
    pub fn read(dir: Option<&str>, root: &Root) -> Result<Self, RootError> {
        let Some(dir) = dir else { return Ok(Self::default()) };
        match root.read(&format!("{dir}/{FILE}")) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.is_not_found() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The partition that was made on a disk under this number or, for number 0, with this label, if it is still so.
    pub(crate) fn made(
        &self,
        disk: &str,
        number: u32,
        label: Option<&str>,
        now: &[Partition],
    ) -> Option<u32> {
        let made = self.partitions.get(disk)?.iter().find(|part| match number {
            0 => label.is_some_and(|label| !label.is_empty() && part.label == label),
            number => part.number == number,
        })?;
        let same = |part: &&Partition| {
            (part.number, part.first, part.last, &part.label)
                == (made.number, made.first, made.last, &made.label)
        };
        now.iter().find(same).map(|part| part.number)
    }

    /// Notes what the disks phase of a plan will make.
    pub(crate) fn add_disks(&mut self, plan: &Plan) {
        for step in &plan.steps {
            match &step.action {
                Action::Partition { disk, after, changes, .. } => {
                    let new = |part: &&Partition| {
                        changes.iter().any(|change| {
                            !matches!(change, Change::Delete(_)) && change.number() == Some(part.number)
                        })
                    };
                    let made = self.partitions.entry(disk.clone()).or_default();
                    made.extend(after.partitions.iter().filter(new).cloned());
                }
                Action::MakeRaid { name, .. } if !self.arrays.contains(name) => {
                    self.arrays.push(name.clone());
                }
                _ => {}
            }
        }
    }

    /// Notes the nodes that a plan will make, and copies the files that it will append to.
    fn add_nodes(&mut self, plan: &Plan, dir: &str, root: &Root) -> Result<(), RootError> {
        for step in &plan.steps {
            match &step.action {
                Action::File { path, base: Base::Existing, .. } if !self.nodes.contains_key(path) => {
                    let copy = format!("{dir}/{ORIGINALS}/{}", self.nodes.len());
                    root.write(&copy, PRIVATE, &root.read(path)?)?;
                    self.nodes.insert(path.clone(), Some(copy));
                }
                Action::File { path, exists: false, .. }
                | Action::Link { path, .. }
                | Action::HardLink { path, .. } => {
                    self.nodes.entry(path.clone()).or_insert(None);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, dir: &str, root: &Root) -> Result<(), RootError> {
        let text = serde_json::to_vec(self).expect("records of strings and numbers always serialise");
        root.write(&format!("{dir}/{FILE}"), PRIVATE, &text)
    }
}

/// Writes what the disks of a plan will get.
pub(crate) fn before_disks(dir: Option<&str>, plan: &Plan, root: &Root) -> Result<(), RootError> {
    let Some(dir) = dir else { return Ok(()) };
    let root = root.with_durability(Durability::Each)?;
    let mut notes = Notes::read(Some(dir), &root)?;
    let old = notes.clone();
    notes.add_disks(plan);
    if notes == old { Ok(()) } else { notes.write(dir, &root) }
}

/// Writes what the tree will get.
pub(crate) fn before_files(dir: Option<&str>, plan: &Plan, root: &Root) -> Result<(), RootError> {
    let Some(dir) = dir else { return Ok(()) };
    let root = root.with_durability(Durability::Each)?;
    let mut notes = Notes::read(Some(dir), &root)?;
    let old = notes.clone();
    notes.add_nodes(plan, dir, &root)?;
    if notes == old { Ok(()) } else { notes.write(dir, &root) }
}

/// Writes the UUID of a volume that is about to be made.
pub(crate) fn before_volume(dir: Option<&str>, name: &str, uuid: &str, root: &Root) -> Result<(), RootError> {
    let Some(dir) = dir else { return Ok(()) };
    let root = root.with_durability(Durability::Each)?;
    let mut notes = Notes::read(Some(dir), &root)?;
    notes.volumes.insert(name.to_owned(), uuid.to_owned());
    notes.write(dir, &root)
}
