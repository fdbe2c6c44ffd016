//! How a machine differs from its declaration: what somebody changed since it was applied.

use serde::Serialize;

use super::declaration::{Declaration, Written, WrittenKind};
use crate::observe::Observed;
use crate::plan::expect::digest;
use crate::resolve::{Kind, Node, Nodes};

/// One thing that is not as it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// `node`, `user` or `group`.
    pub what: &'static str,
    /// The path or name.
    pub name: String,
    /// What differs, one line.
    pub how: String,
}

/// What differs between a declaration and what is observed. Pure.
pub fn drift(declared: &Declaration, now: &Observed) -> Vec<Drift> {
    let mut all = Vec::new();
    for (path, managed) in &declared.nodes {
        let how = match (&managed.after, now.nodes.get(path)) {
            (None, None) => None,
            (None, Some(_)) => Some("is there again; the config has it removed".to_owned()),
            (Some(_), None) => Some("is gone".to_owned()),
            (Some(written), Some(node)) => differs(written, node),
        };
        all.extend(how.map(|how| Drift { what: "node", name: path.clone(), how }));
    }
    for name in declared.users.iter().filter(|name| !now.users.contains_key(*name)) {
        all.push(Drift { what: "user", name: name.clone(), how: "is gone".into() });
    }
    for name in declared.groups.iter().filter(|name| !now.groups.contains_key(*name)) {
        all.push(Drift { what: "group", name: name.clone(), how: "is gone".into() });
    }
    all
}

fn differs(written: &Written, node: &Node) -> Option<String> {
    if written.is(node) {
        return None;
    }
    let mut parts = Vec::new();
    match (&written.kind, &node.kind) {
        (WrittenKind::File(None), Kind::File(_)) | (WrittenKind::Directory(_), Kind::Directory) => {}
        (WrittenKind::File(wanted), Kind::File(found)) if wanted == found => {}
        (WrittenKind::File(_), Kind::File(_)) => parts.push("content was changed".to_owned()),
        (WrittenKind::Link(wanted), Kind::Symlink(found)) if wanted == found => {}
        (WrittenKind::Link(wanted), Kind::Symlink(found)) => {
            parts.push(format!("links to {found}, not {wanted}"));
        }
        (_, found) => parts.push(format!("is {} now", word(found))),
    }
    if node.mode != written.mode && !matches!(written.kind, WrittenKind::Link(_)) {
        parts.push(format!("mode is {:04o}, not {:04o}", node.mode, written.mode));
    }
    if (node.uid, node.gid) != (written.uid, written.gid) {
        parts.push(format!("owner is {}:{}, not {}:{}", node.uid, node.gid, written.uid, written.gid));
    }
    Some(parts.join("; "))
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File(_) => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink(_) => "a link",
        Kind::Special => "a device, socket or FIFO",
    }
}

/// Digest over the paths of a declaration as they are.
pub fn tree_digest(declared: &Declaration, now: &Observed) -> String {
    let nodes: Nodes =
        declared.nodes.keys().filter_map(|path| Some((path.clone(), now.nodes.get(path)?.clone()))).collect();
    digest(&nodes)
}
