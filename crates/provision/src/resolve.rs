//! Where a path of the config really leads, decided from observed nodes alone.
//!
//! The kernel does this again at execution, inside the root ([`crate::root`]); doing it beforehand lets the plan name
//! the true place of each node, find two entries that lead to one place, and refuse a place under read-only `/usr`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// As many symlinks as the kernel follows in one path (`MAXSYMLINKS`, linux/namei.h).
const SYMLINKS_MAX: u32 = 40;

/// Kind of a node that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Regular file, with the SHA-256 of its content in hexadecimal where the observer was asked for it.
    File(Option<String>),
    /// Directory.
    Directory,
    /// Symlink and its target.
    Symlink(String),
    /// Device, socket or FIFO.
    Special,
}

/// A node that was found in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device and inode, by which hard links are told.
    pub id: (u64, u64),
}

/// Nodes by their true path (no symlink in it but perhaps the last component). What is not in it does not exist.
pub type Nodes = BTreeMap<String, Node>;

/// A path that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A symlink loop.
    #[error("{path}: too many levels of symbolic links")]
    Loop {
        /// The path that was followed.
        path: String,
    },
    /// A component on the way is not a directory.
    #[error("{path}: {component} is not a directory")]
    NotADirectory {
        /// The path that was followed.
        path: String,
        /// The true path of the component.
        component: String,
    },
}

/// Follows `path` inside the tree: `..` stops at the root, absolute symlinks start at the root. Components that do not
/// exist are taken as directories to be made. The last component is followed only when `follow_last` is set.
///
/// `lookup` gives the node at a true path; an observer passes one that asks the kernel and remembers.
///
/// # Errors
/// [`ResolveError`] for loops and for files used as directories.
pub fn resolve<'a>(
    path: &str,
    follow_last: bool,
    mut lookup: impl FnMut(&str) -> Option<&'a Node>,
) -> Result<String, ResolveError> {
    let mut rest: Vec<String> = components(path);
    let mut at: Vec<String> = Vec::new();
    let mut links_left = SYMLINKS_MAX;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let here = join(&at);
        let last = rest.is_empty();
        match lookup(&here).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) if !last || follow_last => {
                links_left =
                    links_left.checked_sub(1).ok_or_else(|| ResolveError::Loop { path: path.to_owned() })?;
                if target.starts_with('/') {
                    at.clear();
                } else {
                    at.pop();
                }
                rest.extend(components(target));
            }
            Some(Kind::File(_) | Kind::Special) if !last => {
                return Err(ResolveError::NotADirectory { path: path.to_owned(), component: here });
            }
            _ => {}
        }
    }
    Ok(join(&at))
}

/// Components in reverse, so that the next is at the end.
fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").rev().map(str::to_owned).collect()
}

fn join(components: &[String]) -> String {
    format!("/{}", components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Kind)]) -> Nodes {
        entries
            .iter()
            .map(|(path, kind)| {
                ((*path).to_owned(), Node { kind: kind.clone(), mode: 0o755, uid: 0, gid: 0, id: (0, 0) })
            })
            .collect()
    }

    #[test]
    fn follows_links_inside_the_root_only() {
        let nodes = tree(&[
            ("/home", Kind::Symlink("var/home".into())),
            ("/var", Kind::Directory),
            ("/out", Kind::Symlink("/../../etc".into())),
            ("/a", Kind::Symlink("b".into())),
            ("/b", Kind::Symlink("/a".into())),
            ("/f", Kind::File(None)),
        ]);
        let resolve = |path, last| resolve(path, last, |p| nodes.get(p));
        assert_eq!(resolve("/home/core/.ssh", false).unwrap(), "/var/home/core/.ssh");
        assert_eq!(resolve("/home", false).unwrap(), "/home");
        assert_eq!(resolve("/home", true).unwrap(), "/var/home");
        assert_eq!(resolve("/out/passwd", false).unwrap(), "/etc/passwd");
        assert_eq!(resolve("/a/x", false).unwrap_err(), ResolveError::Loop { path: "/a/x".into() });
        assert!(matches!(resolve("/f/x", false).unwrap_err(), ResolveError::NotADirectory { .. }));
    }
}
