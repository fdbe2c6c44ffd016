//! Rules of files, directories, links and of paths in general.

use super::{Checker, is_true, non_empty};
use crate::config::{Directory, File, Filesystem, Link, NodeGroup, NodeUser, Storage};
use crate::gopath;
use crate::report::Rule;
pub use crate::rules::nodes::*;

/// The fault of an absolute, clean path.
pub(crate) fn path_fault(path: &str) -> Option<Rule> {
    if path.is_empty() {
        Some(NO_PATH)
    } else if !path.starts_with('/') {
        Some(PATH_RELATIVE)
    } else if gopath::clean(path) != path {
        Some(PATH_DIRTY)
    } else {
        None
    }
}

/// Reports the fault of `path` at `key`.
pub(crate) fn path(checker: &mut Checker<'_>, key: &'static str, path: &str) {
    if let Some(rule) = path_fault(path) {
        checker.error(&[&key], rule);
    }
}

/// Rules of a group reference.
pub fn group(group: &NodeGroup, checker: &mut Checker<'_>) {
    if group.id.is_some() && non_empty(&group.name).is_some() {
        checker.error(&[], ID_AND_NAME);
    }
}

/// Rules of a user reference.
pub fn user(user: &NodeUser, checker: &mut Checker<'_>) {
    if user.id.is_some() && non_empty(&user.name).is_some() {
        checker.error(&[], ID_AND_NAME);
    }
}

fn mode(mode: Option<i64>, checker: &mut Checker<'_>) {
    let Some(mode) = mode else { return };
    if !(0..=0o7777).contains(&mode) {
        checker.error(&[&"mode"], MODE);
    }
    if mode & 0o7000 != 0 && !checker.since(6) {
        checker.warning(&[&"mode"], MODE_SPECIAL);
    }
}

/// Rules of a directory.
pub fn directory(directory: &Directory, checker: &mut Checker<'_>) {
    path(checker, "path", &directory.path);
    mode(directory.mode, checker);
}

/// Rules of a file.
pub fn file(file: &File, checker: &mut Checker<'_>) {
    path(checker, "path", &file.path);
    mode(file.mode, checker);
    if is_true(file.overwrite) && file.contents.source.is_none() {
        checker.error(&[&"overwrite"], OVERWRITE);
    }
}

/// Rules of a link by itself.
pub fn link(link: &Link, checker: &mut Checker<'_>) {
    path(checker, "path", &link.path);
}

/// Rules between nodes, and between filesystems and disks.
pub fn storage(storage: &Storage, checker: &mut Checker<'_>) {
    let link_paths: Vec<&str> = storage.links.iter().map(|link| link.path.as_str()).collect();
    let through = |path: &str| {
        link_paths
            .iter()
            .filter(|link| path.strip_prefix(**link).is_some_and(|rest| rest.starts_with('/')))
            .count()
    };
    for (index, directory) in storage.directories.iter().enumerate() {
        for _ in 0..through(&directory.path) {
            checker.error(&[&"directories", &index], DIRECTORY_USES_LINK);
        }
    }
    for (index, file) in storage.files.iter().enumerate() {
        for _ in 0..through(&file.path) {
            checker.error(&[&"files", &index], FILE_USES_LINK);
        }
    }
    for (index, link) in storage.links.iter().enumerate() {
        for _ in 0..through(&link.path) {
            checker.error(&[&"links", &index], LINK_USES_LINK);
        }
        link_target(storage, index, link, checker);
    }
    for (index, filesystem) in storage.filesystems.iter().enumerate() {
        filesystem_on_disk(storage, index, filesystem, checker);
    }
}

fn link_target(storage: &Storage, index: usize, link: &Link, checker: &mut Checker<'_>) {
    let target = link.target.as_deref().unwrap_or_default();
    if target.is_empty() && checker.since(3) {
        return checker.error(&[&"links", &index, &"target"], LINK_TARGET);
    }
    if !is_true(link.hard) {
        return;
    }
    let mut resolved = gopath::clean(target);
    if !resolved.starts_with('/') {
        resolved = gopath::join(&link.path, target);
    }
    for _ in storage.directories.iter().filter(|directory| directory.path == resolved) {
        checker.error(&[&"links", &index], HARD_LINK_DIRECTORY);
    }
    let owners: [(bool, [&'static str; 2]); 4] = [
        (link.user.id.is_some(), ["user", "id"]),
        (link.user.name.is_some(), ["user", "name"]),
        (link.group.id.is_some(), ["group", "id"]),
        (link.group.name.is_some(), ["group", "name"]),
    ];
    for (_, [who, what]) in owners.into_iter().filter(|(given, _)| *given) {
        checker.warning(&[&"links", &index, &who, &what], HARD_LINK_OWNER);
    }
}

fn filesystem_on_disk(storage: &Storage, index: usize, filesystem: &Filesystem, checker: &mut Checker<'_>) {
    let Some(disk) = storage.disks.iter().rev().find(|disk| disk.device == filesystem.device) else { return };
    if !disk.partitions.is_empty() {
        checker.warning(&[&"filesystems", &index, &"device"], PARTITIONS_OVERWRITTEN);
    } else if !is_true(filesystem.wipe_filesystem) && is_true(disk.wipe_table) {
        checker.warning(&[&"filesystems", &index, &"device"], IMPLICIT_WIPE);
    }
}
