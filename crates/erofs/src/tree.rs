//! The file tree that an image is made of.
//!
//! Terms: a *node* is an inode to be (metadata and kind); a *name* is an entry of a directory. A node with several
//! names is a hard link. File contents are not in the tree: a file has a size and a [`ContentId`], which the caller's
//! [`Source`] turns into bytes when the writer asks. The tree carries no times: every inode of an image has the time in
//! [`Options`](crate::Options), so that a tree's identity (an OSTree commit has no times either) fixes its image.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Longest name of a directory entry, in bytes (`EROFS_NAME_LEN`).
pub const NAME_BYTES_MAX: usize = 255;

/// Longest target of a symbolic link, in bytes (`PATH_MAX` without its NUL).
pub const TARGET_BYTES_MAX: usize = 4095;

/// Why a tree refused a change.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// A path component is empty, `.`, `..`, too long, or has a NUL.
    #[error("{path}: not a usable path in a tree")]
    Path {
        /// The whole path, lossily as text.
        path: String,
    },
    /// The parent of the path is not in the tree.
    #[error("{path}: its parent directory is not in the tree")]
    NoParent {
        /// The whole path.
        path: String,
    },
    /// The parent of the path is there, and is not a directory.
    #[error("{path}: its parent is not a directory")]
    NotDirectory {
        /// The whole path.
        path: String,
    },
    /// The path is taken.
    #[error("{path}: already in the tree")]
    Exists {
        /// The whole path.
        path: String,
    },
    /// Directories have one name only.
    #[error("{path}: a directory cannot have a second name")]
    LinkToDirectory {
        /// The path of the name refused.
        path: String,
    },
}

/// Names a file's content to the caller's [`Source`]; the tree gives it no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub u64);

/// The content of a regular file: how long it is, and by which id the [`Source`] knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Length in bytes; the writer refuses a source that gives more or less.
    pub size_bytes: u64,
    /// The source's name for it.
    pub id: ContentId,
}

/// Gives the bytes of files. Shared by the writer's threads.
pub trait Source: Sync {
    /// Opens one content for reading from its beginning.
    ///
    /// # Errors
    /// Whatever the medium reports; the writer adds the path.
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>>;
}

/// Contents in memory: id `n` is the `n`-th vector. For tests and small trees.
impl Source for Vec<Vec<u8>> {
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        let index = usize::try_from(id.0).map_err(|_| io::ErrorKind::NotFound)?;
        let bytes = self.get(index).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// Owner, permissions and extended attributes of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky (`mode & 0o7777`); the file type comes from [`Kind`].
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name (`security.capability`), sorted.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Meta {
    /// Metadata with these permission bits, owned by root, without extended attributes.
    #[must_use]
    pub fn new(mode: u16) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Major number, 12 bits in Linux.
    pub major: u32,
    /// Minor number, 20 bits in Linux.
    pub minor: u32,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory and its names, sorted by bytes. Insert it empty; [`Tree::insert`] fills it.
    Dir(BTreeMap<Vec<u8>, NodeId>),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// A directory with nothing in it.
    #[must_use]
    pub fn dir() -> Self {
        Self::Dir(BTreeMap::new())
    }
}

/// One inode to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, permissions, extended attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// Names a node within its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// The root directory of any tree.
    pub const ROOT: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// A file tree: a root directory and what hangs below it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// By [`NodeId`].
    nodes: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    /// `None` when the node was removed.
    node: Option<Node>,
    /// How many directory entries name it.
    names: u32,
}

impl Tree {
    /// A tree with an empty root directory.
    #[must_use]
    pub fn new(root: Meta) -> Self {
        Self { nodes: vec![Slot { node: Some(Node { meta: root, kind: Kind::dir() }), names: 1 }] }
    }

    /// Puts a node at `path` (components joined by `/`, a leading `/` is ignored). A directory's own children are
    /// dropped: insert them by path, parents first.
    ///
    /// # Errors
    /// [`TreeError`] when the path is unusable or taken, or its parent is missing or no directory.
    pub fn insert(&mut self, path: impl AsRef<[u8]>, mut node: Node) -> Result<NodeId, TreeError> {
        let path = path.as_ref();
        let (parent, name) = self.vacancy(path)?;
        if let Kind::Dir(children) = &mut node.kind {
            children.clear();
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(Slot { node: Some(node), names: 0 });
        self.add_name(parent, name, id);
        Ok(id)
    }

    /// Gives the node `id` a further name: a hard link.
    ///
    /// # Errors
    /// [`TreeError::LinkToDirectory`], or as [`Tree::insert`].
    pub fn link(&mut self, path: impl AsRef<[u8]>, id: NodeId) -> Result<(), TreeError> {
        let path = path.as_ref();
        if matches!(self.node(id).kind, Kind::Dir(_)) {
            return Err(TreeError::LinkToDirectory { path: text(path) });
        }
        let (parent, name) = self.vacancy(path)?;
        self.add_name(parent, name, id);
        Ok(())
    }

    /// Removes a name and, when it was the node's last one, the node and all below it. Says whether it was there.
    /// The root cannot be removed.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        let Some(id) = self.find(path) else { return false };
        let Some((parent, name)) = self.parent_of(path) else { return false };
        if let Some(children) = self.children_mut(parent) {
            children.remove(name);
        }
        self.drop_name(id);
        true
    }

    /// The node at `path`; the empty path and `/` name the root. Symbolic links are not followed.
    #[must_use]
    pub fn find(&self, path: impl AsRef<[u8]>) -> Option<NodeId> {
        let mut at = NodeId::ROOT;
        for name in components(path.as_ref()) {
            let Kind::Dir(children) = &self.node(at).kind else { return None };
            at = *children.get(name)?;
        }
        Some(at)
    }

    /// The node behind an id of this tree.
    ///
    /// # Panics
    /// When the id is of another tree or its node was removed.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.0].node.as_ref().expect("a node id outlives its node only by a caller's mistake")
    }

    /// Metadata of a node, to change in place.
    ///
    /// # Panics
    /// As [`Tree::node`].
    pub fn meta_mut(&mut self, id: NodeId) -> &mut Meta {
        &mut self.nodes[id.0]
            .node
            .as_mut()
            .expect("a node id outlives its node only by a caller's mistake")
            .meta
    }

    /// Every name with its node, each directory before its children, names sorted by bytes. The root comes first, with
    /// an empty path; the others have no leading `/`. A hard link appears once for each name.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, NodeId)> {
        let mut stack = vec![(Vec::new(), NodeId::ROOT)];
        std::iter::from_fn(move || {
            let (path, id) = stack.pop()?;
            if let Kind::Dir(children) = &self.node(id).kind {
                stack.extend(children.iter().rev().map(|(name, &child)| (join(&path, name), child)));
            }
            Some((path, id))
        })
    }

    /// One more than the greatest index of a node: the length of a table by node.
    pub(crate) fn slots(&self) -> usize {
        self.nodes.len()
    }

    fn children_mut(&mut self, id: NodeId) -> Option<&mut BTreeMap<Vec<u8>, NodeId>> {
        match &mut self.nodes[id.0].node {
            Some(Node { kind: Kind::Dir(children), .. }) => Some(children),
            _ => None,
        }
    }

    fn add_name(&mut self, parent: NodeId, name: Vec<u8>, id: NodeId) {
        if let Some(children) = self.children_mut(parent) {
            children.insert(name, id);
            self.nodes[id.0].names += 1;
        }
    }

    /// How many names the node has: one, or more for a hard link.
    pub(crate) fn names(&self, id: NodeId) -> u32 {
        self.nodes[id.0].names
    }

    /// The directory and the name that `path` asks for, when it is free.
    fn vacancy(&self, path: &[u8]) -> Result<(NodeId, Vec<u8>), TreeError> {
        if !components(path).all(usable) || components(path).next().is_none() {
            return Err(TreeError::Path { path: text(path) });
        }
        let (parent, name) = self.parent_of(path).ok_or_else(|| TreeError::NoParent { path: text(path) })?;
        match &self.node(parent).kind {
            Kind::Dir(children) if children.contains_key(name) => Err(TreeError::Exists { path: text(path) }),
            Kind::Dir(_) => Ok((parent, name.to_vec())),
            _ => Err(TreeError::NotDirectory { path: text(path) }),
        }
    }

    fn parent_of<'p>(&self, path: &'p [u8]) -> Option<(NodeId, &'p [u8])> {
        let end = path.iter().rposition(|&byte| byte != b'/')? + 1;
        let start = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        Some((self.find(&path[..start])?, &path[start..end]))
    }

    /// Takes one name from `top` and, when that was its last, frees it and what is below it.
    fn drop_name(&mut self, top: NodeId) {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            let slot = &mut self.nodes[id.0];
            slot.names -= 1;
            if slot.names == 0
                && let Some(Node { kind: Kind::Dir(children), .. }) = slot.node.take()
            {
                stack.extend(children.into_values());
            }
        }
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn usable(name: &[u8]) -> bool {
    name.len() <= NAME_BYTES_MAX && name != b"." && name != b".." && !name.contains(&0)
}

pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = dir.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

pub(crate) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fifo() -> Node {
        Node { meta: Meta::new(0o600), kind: Kind::Fifo }
    }

    fn dir() -> Node {
        Node { meta: Meta::new(0o755), kind: Kind::dir() }
    }

    #[test]
    fn paths_are_checked() {
        let mut tree = Tree::new(Meta::new(0o755));
        tree.insert("a", dir()).unwrap();
        tree.insert("a/f", fifo()).unwrap();
        let long = "x".repeat(256);
        for path in ["", "/", "a/..", "a/./b", "b\0c", long.as_str()] {
            assert!(matches!(tree.insert(path, fifo()), Err(TreeError::Path { .. })), "{path:?}");
        }
        assert!(matches!(tree.insert("/a/f", fifo()), Err(TreeError::Exists { .. })));
        assert!(matches!(tree.insert("a/f/g", fifo()), Err(TreeError::NotDirectory { .. })));
        assert!(matches!(tree.insert("b/g", fifo()), Err(TreeError::NoParent { .. })));
        let a = tree.find("a").unwrap();
        assert!(matches!(tree.link("b", a), Err(TreeError::LinkToDirectory { .. })));
    }

    #[test]
    fn a_linked_node_outlives_its_first_name() {
        let mut tree = Tree::new(Meta::new(0o755));
        tree.insert("a", dir()).unwrap();
        let file = tree.insert("a/f", fifo()).unwrap();
        tree.link("g", file).unwrap();
        assert!(tree.remove("a"));
        assert!(!tree.remove("a"));
        assert_eq!(tree.find("g"), Some(file));
        assert_eq!(tree.node(file).kind, Kind::Fifo);
        let paths: Vec<_> = tree.walk().map(|(path, _)| text(&path)).collect();
        assert_eq!(paths, ["", "g"]);
    }
}
