//! What was applied, kept on the machine: `/orlop/declared/current.json` (docs/formats/declaration.md).

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use ignition_spec::Config;
use serde::{Deserialize, Serialize};

use super::nodes::is_undeclared;
use crate::fetch::FinalConfig;
use crate::observe::Observed;
use crate::plan::Plan;
use crate::plan::action::Id;
use crate::plan::expect::{Content, Expectation, Expected, Shape};
use crate::report::rfc3339;
use crate::resolve::{Kind, Node};
use crate::root::{Attributes, Root, RootError};

/// Version of the file.
pub const DECLARATION_VERSION: u32 = 1;
/// Where it is.
pub const CURRENT: &str = "/orlop/declared/current.json";
/// Where the contents of files are that a config replaced, by SHA-256.
pub const BEFORE_DIR: &str = "/orlop/declared/before";

/// A node as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// What it is; a file without a digest is one whose content is not declared.
    #[serde(flatten)]
    pub kind: WrittenKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Kind of a node that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WrittenKind {
    /// A file, by SHA-256 where its content is declared.
    File(Option<String>),
    /// A directory; true when only something below it asked for it.
    Directory(bool),
    /// A symlink.
    Link(String),
}

impl Written {
    /// Whether a node is this, content only where it is declared.
    pub fn is(&self, node: &Node) -> bool {
        let kind = match (&self.kind, &node.kind) {
            (WrittenKind::File(None), Kind::File(_)) => true,
            (WrittenKind::File(wanted), Kind::File(found)) => wanted == found,
            (WrittenKind::Directory(_), Kind::Directory) => true,
            (WrittenKind::Link(wanted), Kind::Symlink(found)) => wanted == found,
            _ => false,
        };
        let mode = matches!(self.kind, WrittenKind::Link(_)) || self.mode == node.mode;
        // Whoever put something else into a directory that nobody declared may have changed its mode too.
        let implied = matches!(self.kind, WrittenKind::Directory(true));
        kind && (implied || mode && (self.uid, self.gid) == (node.uid, node.gid))
    }
}

/// What was at a path before a config was first about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// Nothing.
    Absent,
    /// The OS's default, as it is below `/usr/etc`.
    Os,
    /// This; a file's content is kept in [`BEFORE_DIR`].
    Node(Written),
    /// Something that could not be kept.
    Lost,
}

impl Before {
    /// What is at `path` in a machine that no config has touched there.
    pub fn of(path: &str, observed: &Observed) -> Self {
        let Some(node) = observed.nodes.get(path) else { return Self::Absent };
        if observed.defaults.get(path).is_some_and(|default| same(node, default)) {
            return Self::Os;
        }
        let kind = match &node.kind {
            Kind::File(Some(digest)) => WrittenKind::File(Some(digest.clone())),
            Kind::Directory => WrittenKind::Directory(false),
            Kind::Symlink(target) => WrittenKind::Link(target.clone()),
            Kind::File(None) | Kind::Special => return Self::Lost,
        };
        Self::Node(Written { kind, mode: node.mode, uid: node.uid, gid: node.gid })
    }

    /// Where the content of a file is that was there before.
    pub fn content(&self, path: &str) -> Option<String> {
        match self {
            Self::Os => crate::observe::default_path(path),
            Self::Node(Written { kind: WrittenKind::File(Some(digest)), .. }) => {
                Some(format!("{BEFORE_DIR}/{digest}"))
            }
            _ => None,
        }
    }
}

/// Equal but for the inode.
pub(crate) fn same(a: &Node, b: &Node) -> bool {
    let mode = matches!(a.kind, Kind::Symlink(_)) || a.mode == b.mode;
    a.kind == b.kind && mode && (a.uid, a.gid) == (b.uid, b.gid)
}

/// A path that a config is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// What was there before.
    pub before: Before,
    /// What was written; none when the config has something removed.
    pub after: Option<Written>,
}

/// What was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// [`DECLARATION_VERSION`].
    pub version: u32,
    /// When (RFC 3339).
    pub applied: String,
    /// Names of the documents, in the order of merging.
    pub documents: Vec<String>,
    /// The merged config.
    pub config: serde_json::Value,
    /// All paths that it is about, by true path.
    pub nodes: BTreeMap<String, Managed>,
    /// Users that exist because a config declares them.
    pub users: BTreeSet<String>,
    /// Groups that exist because a config declares them.
    pub groups: BTreeSet<String>,
    /// Paths whose written state is looked up after the steps: remote contents, owners known by name.
    #[serde(skip)]
    open: Vec<String>,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// It cannot be read.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Not JSON of this form.
    #[error("{CURRENT} is not a declaration")]
    Malformed {
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Of a version that this program does not know.
    #[error("{CURRENT} is of version {found}; this program reads version {DECLARATION_VERSION}")]
    Version {
        /// The version in the file.
        found: u64,
    },
    /// Its config is not valid.
    #[error("the config in {CURRENT} is not valid: {report}")]
    Config {
        /// What is wrong with it.
        report: String,
    },
}

impl Declaration {
    /// What comes of applying `wanted`: `expectation` is what its `plan` makes of `base`, the machine without it.
    pub fn of(
        wanted: &FinalConfig,
        expectation: &Expectation,
        plan: &Plan,
        base: &Observed,
        old: Option<&Self>,
        now: SystemTime,
    ) -> Self {
        let mut open = Vec::new();
        let mut nodes = BTreeMap::new();
        let undeclared: BTreeSet<&str> = plan
            .steps
            .iter()
            .filter(|step| is_undeclared(step, &wanted.config))
            .filter_map(|step| step.action.path())
            .collect();
        for (path, expected) in expectation {
            let before = match old.and_then(|old| old.nodes.get(path)) {
                Some(managed) => managed.before.clone(),
                None => Before::of(path, base),
            };
            // What a first boot that was cut short has made is not what was there before.
            let before = match base.unfinished.nodes.get(path) {
                None => before,
                Some(None) => Before::Absent,
                Some(Some(_)) if base.defaults.contains_key(path) => Before::Os,
                Some(Some(_)) => Before::Lost,
            };
            let after = expected.as_ref().and_then(|expected| {
                let (written, complete) = written(expected, expectation, base);
                if !complete {
                    open.push(path.clone());
                }
                written.map(|written| match written.kind {
                    WrittenKind::File(_) if undeclared.contains(path.as_str()) => {
                        Written { kind: WrittenKind::File(None), ..written }
                    }
                    _ => written,
                })
            });
            // What is as it was needs no memory, but content that is declared does: it shows drift.
            nodes.insert(path.clone(), Managed { before, after });
        }
        let config = &wanted.config;
        let made = |name: &String, known: bool, exists: Option<bool>| {
            (!known && exists != Some(false)).then(|| name.clone())
        };
        let users = config.passwd.users.iter();
        let groups = config.passwd.groups.iter();
        Self {
            version: DECLARATION_VERSION,
            applied: rfc3339(now),
            documents: wanted.documents.names().into_iter().map(str::to_owned).collect(),
            config: serde_json::from_slice(&config.to_json()).unwrap_or_default(),
            nodes,
            users: users
                .filter_map(|u| made(&u.name, base.users.contains_key(&u.name), u.should_exist))
                .collect(),
            groups: groups
                .filter_map(|g| made(&g.name, base.groups.contains_key(&g.name), g.should_exist))
                .collect(),
            open,
        }
    }

    /// Looks up what only the tree can tell after the steps.
    ///
    /// # Errors
    /// When a node of the declaration cannot be looked at.
    pub fn complete(&mut self, root: &Root) -> Result<(), RootError> {
        for path in std::mem::take(&mut self.open) {
            let Some(node) = crate::observe::look_with_digest(&path, root)? else { continue };
            let Some(Managed { after: Some(written), .. }) = self.nodes.get_mut(&path) else { continue };
            (written.mode, written.uid, written.gid) = (node.mode, node.uid, node.gid);
            if let (WrittenKind::File(Some(digest)), Kind::File(Some(found))) = (&mut written.kind, node.kind)
            {
                *digest = found;
            }
        }
        Ok(())
    }

    /// Keeps the contents of files that are about to be replaced.
    ///
    /// # Errors
    /// When one cannot be copied.
    pub fn keep_contents(&self, root: &Root) -> Result<(), RootError> {
        for (path, managed) in &self.nodes {
            let Before::Node(Written { kind: WrittenKind::File(Some(_)), .. }) = &managed.before else {
                continue;
            };
            let Some(place) = managed.before.content(path) else { continue };
            if root.stat(&place)?.is_none() {
                let private = Attributes { mode: 0o600, uid: 0, gid: 0 };
                private_dir(BEFORE_DIR, root)?;
                root.write_with(&place, private, |file| {
                    std::io::copy(&mut root.open_file(path)?, file).map(drop).map_err(|source| RootError {
                        action: "keep",
                        path: path.clone(),
                        source,
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`DeclarationError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DeclarationError> {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        let malformed = |source| DeclarationError::Malformed { source };
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.version != u64::from(DECLARATION_VERSION) {
            return Err(DeclarationError::Version { found: head.version });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// The machine's record; none when it has none.
    ///
    /// # Errors
    /// [`DeclarationError`].
    pub fn load(root: &Root) -> Result<Option<Self>, DeclarationError> {
        match root.read(CURRENT) {
            Ok(bytes) => Self::parse(&bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the record to a path of the tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &str, root: &Root) -> Result<(), RootError> {
        let mut text = serde_json::to_vec(self).expect("records of strings and numbers always serialise");
        text.push(b'\n');
        private_dir("/orlop/declared", root)?;
        root.write(path, Attributes { mode: 0o600, uid: 0, gid: 0 }, &text)
    }

    /// The merged config.
    ///
    /// # Errors
    /// [`DeclarationError::Config`].
    pub fn config(&self) -> Result<Config, DeclarationError> {
        let text = serde_json::to_vec(&self.config).expect("records of strings and numbers always serialise");
        let parsed = ignition_spec::parse(&text)
            .map_err(|report| DeclarationError::Config { report: report.to_string() })?;
        Ok(parsed.config)
    }
}

/// A directory for root only: configs hold secrets.
pub(crate) fn private_dir(path: &str, root: &Root) -> Result<(), RootError> {
    root.make_dir(path, Attributes { mode: 0o700, uid: 0, gid: 0 })
}

/// What an expectation leaves behind, and whether that is known before the steps.
fn written(expected: &Expected, all: &Expectation, base: &Observed) -> (Option<Written>, bool) {
    let mut complete = true;
    let source = match &expected.shape {
        Shape::HardLink(target) => match all.get(target) {
            Some(Some(of_target)) => of_target.clone(),
            _ => match base.nodes.get(target) {
                Some(node) => crate::plan::expect::of_node(node),
                None => return (None, true),
            },
        },
        _ => expected.clone(),
    };
    let kind = match &source.shape {
        Shape::File(Content::Digest(digest)) => WrittenKind::File(Some(digest.clone())),
        Shape::File(Content::Any) => WrittenKind::File(None),
        Shape::File(Content::Fetched) => {
            complete = false;
            WrittenKind::File(Some(String::new()))
        }
        Shape::Directory { implied } => WrittenKind::Directory(*implied),
        Shape::Symlink(target) => WrittenKind::Link(target.clone()),
        Shape::HardLink(_) | Shape::Special => return (None, true),
    };
    let uid = match &source.access.user {
        Id::Number(number) => Some(*number),
        Id::Name(name) => base.users.get(name).map(|user| user.uid),
    };
    let gid = match &source.access.group {
        Id::Number(number) => Some(*number),
        Id::Name(name) => base.groups.get(name).copied(),
    };
    complete &= uid.is_some() && gid.is_some();
    let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
    (Some(Written { kind, mode: source.access.mode, uid, gid }), complete)
}
