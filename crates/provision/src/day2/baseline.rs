//! The machine as it would be had no config been applied, told from what is there and what is recorded.

use crate::observe::{Observed, UnitFile};
use crate::plan::units::{PRESET_PATH, UNIT_DIR};
use crate::resolve::{Kind, Node};

use super::declaration::{Before, Declaration, WrittenKind};

/// Takes back, in mind, everything that `old` wrote.
pub fn baseline(now: &Observed, old: &Declaration) -> Observed {
    let mut base = now.clone();
    for (path, managed) in &old.nodes {
        let before = node_before(path, &managed.before, now);
        let text = managed.before.content(path).and_then(|place| now.texts.get(&place).cloned());
        match &before {
            // A directory of ours in which somebody else has put something stays.
            None if holds_others(path, now, old) => {}
            None => drop(base.nodes.remove(path)),
            Some(node) => drop(base.nodes.insert(path.clone(), node.clone())),
        }
        match text {
            Some(text) => drop(base.texts.insert(path.clone(), text)),
            None => drop(base.texts.remove(path)),
        }
        if path.starts_with(UNIT_DIR) {
            match before.map(|node| node.kind) {
                Some(Kind::Symlink(target)) => drop(base.unit_links.insert(path.clone(), target)),
                _ => drop(base.unit_links.remove(path)),
            }
        }
    }
    if old.nodes.contains_key(PRESET_PATH) {
        base.preset = base.texts.get(PRESET_PATH).cloned().unwrap_or_default();
    }
    for (name, file) in &now.units {
        let Some(managed) = old.nodes.get(&file.path) else { continue };
        let own = match (&managed.before, base.texts.get(&file.path)) {
            (Before::Absent, _) | (_, None) => None,
            (_, Some(text)) => Some(UnitFile { path: file.path.clone(), text: text.clone() }),
        };
        match own.or_else(|| now.vendor_units.get(name).cloned()) {
            Some(file) => drop(base.units.insert(name.clone(), file)),
            None => drop(base.units.remove(name)),
        }
    }
    for name in &old.users {
        base.users.remove(name);
        // The group that useradd makes with a user.
        base.groups.remove(name);
    }
    for name in &old.groups {
        base.groups.remove(name);
    }
    base
}

/// What was at a path before, as far as it is known.
pub(crate) fn node_before(path: &str, before: &Before, now: &Observed) -> Option<Node> {
    match before {
        Before::Absent => None,
        Before::Os => now.defaults.get(path).map(|node| Node { id: (0, 0), ..node.clone() }),
        Before::Node(written) => {
            let kind = match &written.kind {
                WrittenKind::File(digest) => Kind::File(digest.clone()),
                WrittenKind::Directory(_) => Kind::Directory,
                WrittenKind::Link(target) => Kind::Symlink(target.clone()),
            };
            Some(Node { kind, mode: written.mode, uid: written.uid, gid: written.gid, id: (0, 0) })
        }
        // Something was there: nothing is planned as if the place were free.
        Before::Lost => now.nodes.get(path).cloned(),
    }
}

/// Whether a directory holds something that the declaration did not put there.
pub(crate) fn holds_others(path: &str, now: &Observed, old: &Declaration) -> bool {
    let Some(names) = now.children.get(path) else { return false };
    names.iter().any(|name| {
        let child = format!("{path}/{name}");
        match old.nodes.get(&child) {
            Some(managed) if managed.after.is_some() => holds_others(&child, now, old),
            _ => true,
        }
    })
}
