//! The undo journal: a change is whole or not there, whatever is cut when.
//!
//! Everything is below `/orlop/apply` (docs/formats/apply-journal.md). The order, and why it holds:
//!
//! 1. What is at each path that the change touches is kept in `old/` (a second name of the file where that is possible,
//!    else a copy), and listed in `undo.json`.
//! 2. **Barrier**: `syncfs`. Then `undo.json` gets its name by a rename, and the directory is synced. From here on a
//!    recovery finds the journal and everything that it names is on the disk. Before, nothing of the tree is changed.
//! 3. The steps run, without any sync: whatever part of them is on the disk after a cut, in whatever order, putting
//!    back *every* path of the journal gives the old tree.
//! 4. The new declaration is written, then **barrier**: `syncfs` of every file system that was touched. All of the new
//!    tree is on the disk.
//! 5. **Commit**: `undo.json` is renamed to `done.json` and the directory synced. One rename both takes the undo away
//!    and marks the change as made, so there is no moment with both or with neither.
//! 6. The declaration gets its place and the journal is removed, `done.json` last. A recovery that finds `done.json`
//!    does this again; each step of it can be repeated.
//!
//! Putting back can be cut too: it only writes what the journal says, so it is simply done again. It ends with a
//! barrier and a rename of `undo.json` to `undone.json`, after which only cleaning is left.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::declaration::{BEFORE_DIR, CURRENT, Declaration, private_dir};
use crate::root::{Attributes, Root, RootError};

/// Directory of the journal.
pub const DIR: &str = "/orlop/apply";
const OLD: &str = "/orlop/apply/old";
/// Remote contents that were fetched before anything is changed.
pub const NEW: &str = "/orlop/apply/new";
const UNDO: &str = "/orlop/apply/undo.json";
const UNDO_DRAFT: &str = "/orlop/apply/undo.draft";
const DONE: &str = "/orlop/apply/done.json";
const UNDONE: &str = "/orlop/apply/undone.json";
const NEXT: &str = "/orlop/declared/next.json";

/// Version of the journal.
pub const JOURNAL_VERSION: u32 = 1;

/// Why a journal cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// In the tree.
    #[error(transparent)]
    Root(#[from] RootError),
    /// It cannot be read.
    #[error("{path} is not a journal")]
    Malformed {
        /// Its path.
        path: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Of a version that this program does not know.
    #[error("{path} is of version {found}; this program reads version {JOURNAL_VERSION}")]
    Version {
        /// Its path.
        path: String,
        /// The version in the file.
        found: u32,
    },
    /// Another change is under way.
    #[error("{path} is there: another change is under way, or was cut short")]
    Busy {
        /// What shows it.
        path: String,
    },
    /// Something that cannot be kept.
    #[error("{path} is a device, socket or FIFO and cannot be kept for an undo")]
    Special {
        /// Its path.
        path: String,
    },
}

type Result<T> = std::result::Result<T, JournalError>;

/// What was at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "was")]
enum Was {
    /// Nothing.
    Absent,
    /// A file, kept at `saved`.
    File { saved: String, mode: u32, uid: u32, gid: u32 },
    /// Another name of the file at this path of the journal.
    Same { path: String },
    /// A symlink.
    Link { target: String, uid: u32, gid: u32 },
    /// A directory.
    Directory { mode: u32, uid: u32, gid: u32 },
}

/// A unit that is asked something, and whether it ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitBefore {
    /// Its name.
    pub unit: String,
    /// Whether it was active.
    pub active: bool,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// By path.
    entries: BTreeMap<String, Was>,
    /// Directories that go with everything that programs have put into them: homes of new users.
    trees: BTreeSet<String>,
    /// Units as they were.
    pub units: Vec<UnitBefore>,
}

/// What a change touches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Paths of nodes.
    pub nodes: Vec<String>,
    /// Directories that are removed with what is in them.
    pub trees: Vec<String>,
    /// Files that programs write in place, so that a second name would not keep them.
    pub rewritten: Vec<String>,
    /// Directories that programs make and fill.
    pub made: Vec<String>,
}

/// What a recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// No change was under way.
    Nothing,
    /// A change was cut short and is taken back.
    Back,
    /// A change was made and is now finished.
    Forward,
}

impl Journal {
    /// Keeps what is there; when this returns, the change may begin.
    ///
    /// # Errors
    /// [`JournalError`]; nothing of the tree is changed then.
    pub fn begin(touched: &Touched, units: Vec<UnitBefore>, root: &Root) -> Result<Self> {
        for path in [UNDO, DONE] {
            if root.stat_true(path)?.is_some() {
                return Err(JournalError::Busy { path: path.into() });
            }
        }
        private_dir(DIR, root)?;
        root.remove(OLD)?;
        private_dir(OLD, root)?;
        let (version, entries, trees) = (JOURNAL_VERSION, BTreeMap::new(), BTreeSet::new());
        let mut keeper =
            Keeper { root, journal: Self { version, entries, trees, units }, inodes: BTreeMap::new() };
        for path in &touched.nodes {
            keeper.keep(path, false)?;
        }
        for path in &touched.trees {
            keeper.keep_tree(path)?;
        }
        for path in &touched.rewritten {
            keeper.keep(path, true)?;
        }
        for path in &touched.made {
            keeper.keep(path, false)?;
            keeper.journal.trees.insert(path.clone());
        }
        let journal = keeper.journal;
        let text = serde_json::to_vec(&journal).expect("records of strings and numbers always serialise");
        root.write(UNDO_DRAFT, Attributes { mode: 0o600, uid: 0, gid: 0 }, &text)?;
        root.sync_at(DIR)?;
        root.rename(UNDO_DRAFT, UNDO)?;
        root.sync_dir(DIR)?;
        Ok(journal)
    }

    fn load(path: &str, root: &Root) -> Result<Option<Self>> {
        let bytes = match root.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let journal: Self = serde_json::from_slice(&bytes)
            .map_err(|source| JournalError::Malformed { path: path.into(), source })?;
        if journal.version != JOURNAL_VERSION {
            return Err(JournalError::Version { path: path.into(), found: journal.version });
        }
        Ok(Some(journal))
    }

    /// The journal of a change that is neither committed nor taken back.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn under_way(root: &Root) -> Result<Option<Self>> {
        Self::load(UNDO, root)
    }

    /// Commits: when this returns, the change stays.
    ///
    /// # Errors
    /// [`JournalError`]; whether the change stays is then told by [`recover`].
    pub fn commit(&self, declaration: &Declaration, root: &Root) -> Result<()> {
        declaration.save(NEXT, root)?;
        for dir in self.file_systems(root)? {
            root.sync_at(&dir)?;
        }
        root.rename(UNDO, DONE)?;
        root.sync_dir(DIR)?;
        finish(root)
    }

    /// Takes the change back.
    ///
    /// # Errors
    /// [`JournalError`]; it can be tried again.
    pub fn take_back(&self, root: &Root) -> Result<()> {
        let mut paths: Vec<(&String, &Was)> = self.entries.iter().collect();
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.matches('/').count()));
        self.remove_leftovers(root)?;
        for (path, was) in &paths {
            self.clear(path, was, root)?;
        }
        for (path, was) in paths.iter().rev() {
            put_back(path, was, root)?;
        }
        for (path, was) in &paths {
            if let Was::Same { path: of } = was {
                let same = match (root.stat_true(path)?, root.stat_true(of)?) {
                    (Some(here), Some(there)) => here.id == there.id,
                    _ => false,
                };
                if !same {
                    root.remove(path)?;
                    root.make_hard_link(path, of)?;
                }
            }
        }
        root.remove(NEXT)?;
        for dir in self.file_systems(root)? {
            root.sync_at(&dir)?;
        }
        root.rename(UNDO, UNDONE)?;
        root.sync_dir(DIR)?;
        clean(root)
    }

    /// Removes the temporary files that a cut left beside the paths.
    fn remove_leftovers(&self, root: &Root) -> Result<()> {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for path in self.entries.keys() {
            names.entry(above(path)).or_default().insert(path.rsplit('/').next().unwrap_or_default());
        }
        for (dir, names) in names {
            root.remove_leftovers(dir, &names)?;
        }
        Ok(())
    }

    /// Removes what is in the way of what was there.
    fn clear(&self, path: &str, was: &Was, root: &Root) -> Result<()> {
        let Some(found) = root.stat_true(path)? else { return Ok(()) };
        let is_dir = found.kind == FileType::Directory;
        match was {
            Was::Directory { .. } if is_dir => {}
            Was::File { .. } | Was::Same { .. } if !is_dir => {}
            Was::Link { .. } if found.kind == FileType::Symlink => {}
            // A directory that the change made: if somebody else has put something into it since, that stays.
            Was::Absent if is_dir && !self.trees.contains(path) => {
                if root.list(path)?.is_empty() {
                    root.remove(path)?;
                }
            }
            _ => root.remove(path)?,
        }
        Ok(())
    }

    /// A directory on each file system that the journal has a path on.
    fn file_systems(&self, root: &Root) -> Result<Vec<String>> {
        let mut by_device: BTreeMap<u64, String> = BTreeMap::new();
        for dir in self.entries.keys().map(|path| above(path)).chain(["/", DIR]) {
            // The nearest directory that is there now.
            let mut dir = dir;
            while root.stat_true(dir)?.is_none_or(|stat| stat.kind != FileType::Directory) && dir != "/" {
                dir = above(dir);
            }
            if let Some(stat) = root.stat_true(dir)? {
                by_device.entry(stat.id.0).or_insert_with(|| dir.to_owned());
            }
        }
        Ok(by_device.into_values().collect())
    }
}

fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => parent,
        _ => "/",
    }
}

/// Brings a machine whose change was cut short back to the old or on to the new.
///
/// # Errors
/// [`JournalError`]; it can be tried again.
pub fn recover(root: &Root) -> Result<Recovered> {
    if root.stat(DONE)?.is_some() {
        finish(root)?;
        return Ok(Recovered::Forward);
    }
    if let Some(journal) = Journal::under_way(root)? {
        journal.take_back(root)?;
        return Ok(Recovered::Back);
    }
    clean(root)?;
    Ok(Recovered::Nothing)
}

/// What follows a commit.
fn finish(root: &Root) -> Result<()> {
    if root.stat(NEXT)?.is_some() {
        root.rename(NEXT, CURRENT)?;
        root.sync_dir(above(CURRENT))?;
    }
    root.remove(OLD)?;
    root.remove(NEW)?;
    // Last: until here a cut is finished by the next recovery.
    root.remove(DONE)?;
    clean(root)
}

/// Removes what is left of a journal that counts no more.
fn clean(root: &Root) -> Result<()> {
    if root.stat(DIR)?.is_some() {
        root.remove(DIR)?;
    }
    root.remove(NEXT)?;
    // Temporary files of a record that was being written; in the folder of contents nothing else has such a name.
    root.remove_leftovers(above(CURRENT), &BTreeSet::from(["next.json"]))?;
    for name in root.list(BEFORE_DIR)?.iter().filter(|name| name.starts_with('.')) {
        root.remove(&format!("{BEFORE_DIR}/{name}"))?;
    }
    Ok(())
}

/// Collects what is there.
struct Keeper<'a> {
    root: &'a Root,
    journal: Journal,
    /// Kept files by inode, to keep hard links together.
    inodes: BTreeMap<(u64, u64), String>,
}

impl Keeper<'_> {
    fn keep(&mut self, path: &str, copy: bool) -> Result<()> {
        if self.journal.entries.contains_key(path) {
            return Ok(());
        }
        let was = match self.root.stat_true(path)? {
            None => Was::Absent,
            Some(stat) => {
                let (mode, uid, gid) = (stat.mode, stat.uid, stat.gid);
                match stat.kind {
                    FileType::Directory => Was::Directory { mode, uid, gid },
                    FileType::Symlink => Was::Link { target: self.root.read_link(path)?, uid, gid },
                    FileType::RegularFile => match self.inodes.get(&stat.id) {
                        Some(known) => Was::Same { path: known.clone() },
                        None => {
                            self.inodes.insert(stat.id, path.to_owned());
                            let saved = format!("{OLD}/{}", self.journal.entries.len());
                            save(path, &saved, Attributes { mode, uid, gid }, copy, self.root)?;
                            Was::File { saved, mode, uid, gid }
                        }
                    },
                    _ => return Err(JournalError::Special { path: path.to_owned() }),
                }
            }
        };
        self.journal.entries.insert(path.to_owned(), was);
        Ok(())
    }

    fn keep_tree(&mut self, path: &str) -> Result<()> {
        self.keep(path, false)?;
        if self.root.stat_true(path)?.is_some_and(|stat| stat.kind == FileType::Directory) {
            for name in self.root.list(path)? {
                self.keep_tree(&format!("{path}/{name}"))?;
            }
        }
        Ok(())
    }
}

/// A second name costs nothing and keeps all of the file; `/etc` is bound in place, and across mounts the kernel gives
/// no second names (`link(2)`, EXDEV), so its small files are copied.
fn save(path: &str, to: &str, attributes: Attributes, copy: bool, root: &Root) -> Result<()> {
    if !copy {
        match root.make_hard_link(to, path) {
            Ok(()) => return Ok(()),
            Err(error) if is_other_mount(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    copy_file(path, to, attributes, root)
}

fn is_other_mount(error: &RootError) -> bool {
    let errno = Errno::from_io_error(&error.source);
    matches!(errno, Some(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP))
}

fn copy_file(from: &str, to: &str, attributes: Attributes, root: &Root) -> Result<()> {
    root.write_with(to, attributes, |file| {
        let failed = |source| RootError { action: "copy", path: from.to_owned(), source };
        std::io::copy(&mut root.open_file(from)?, file).map(drop).map_err(failed)
    })
    .map_err(|error: RootError| error.into())
}

fn put_back(path: &str, was: &Was, root: &Root) -> Result<()> {
    match was {
        Was::Absent | Was::Same { .. } => {}
        Was::Directory { mode, uid, gid } => {
            root.make_dir(path, Attributes { mode: *mode, uid: *uid, gid: *gid })?;
        }
        Was::Link { target, uid, gid } => {
            let is_so = match root.stat_true(path)? {
                Some(stat) => (stat.uid, stat.gid) == (*uid, *gid) && root.read_link(path)? == *target,
                None => false,
            };
            if !is_so {
                root.remove(path)?;
                root.make_symlink(path, target, *uid, *gid)?;
            }
        }
        Was::File { saved, mode, uid, gid } => {
            put_back_file(path, saved, Attributes { mode: *mode, uid: *uid, gid: *gid }, root)?;
        }
    }
    Ok(())
}

fn put_back_file(path: &str, saved: &str, attributes: Attributes, root: &Root) -> Result<()> {
    let kept = root.stat_true(saved)?;
    let found = root.stat_true(path)?;
    let is_same = kept.is_some() && kept.map(|stat| stat.id) == found.map(|stat| stat.id);
    if !is_same {
        // A name beside the place, then a rename over it: there is no moment without a file.
        let beside = format!("{}/.orlop-back", above(path).trim_end_matches('/'));
        root.remove(&beside)?;
        match root.make_hard_link(&beside, saved) {
            Ok(()) => root.rename(&beside, path)?,
            Err(error) if is_other_mount(&error) => copy_file(saved, path, attributes, root)?,
            Err(error) => return Err(error.into()),
        }
    }
    let now = root.stat_true(path)?;
    if now.is_none_or(|stat| {
        (stat.mode, stat.uid, stat.gid) != (attributes.mode, attributes.uid, attributes.gid)
    }) {
        root.set_attributes(path, attributes)?;
    }
    Ok(())
}
