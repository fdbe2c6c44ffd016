//! Directories, files and links, in an order in which each finds what it needs.
//!
//! All paths are resolved first; two entries that lead to one place are refused. Then directories, files and symlinks,
//! each by depth, and hard links last. The planner keeps a **world**: the nodes as they will be after the steps so far.

use std::collections::BTreeMap;

use ignition_spec::config::{Directory, File, Link, NodeGroup, NodeUser};

use super::action::{Access, Base, Id};
use super::disks::Mounts;
use super::{Action, Draft};
use crate::error::Problem;
use crate::event::Phase;
use crate::fetch::resource::{Resource, ResourceError, SCHEMES};
use crate::fetch::verify::sha256_hex;
use crate::resolve::{Kind, Node, Nodes, resolve};

/// Mode of a new file when the config gives none.
const FILE_MODE: u32 = 0o644;
/// Mode of a new directory when the config gives none.
const DIRECTORY_MODE: u32 = 0o755;

enum Wanted<'a> {
    Directory(&'a Directory),
    File(&'a File),
    Link(&'a Link),
}

struct Entry<'a> {
    origin: String,
    path: String,
    wanted: Wanted<'a>,
}

impl Entry<'_> {
    /// Kind first, then depth; hard links are last because their targets must be there.
    fn order(&self) -> (u8, usize) {
        let kind = match &self.wanted {
            Wanted::Directory(_) => 0,
            Wanted::File(_) => 1,
            Wanted::Link(link) if link.hard == Some(true) => 3,
            Wanted::Link(_) => 2,
        };
        (kind, self.path.matches('/').count())
    }
}

pub(super) fn plan(draft: &mut Draft<'_>, world: &mut Nodes, mounts: &Mounts) {
    let storage = &draft.wanted.config.storage;
    let mut entries = Vec::new();
    let directories = storage.directories.iter().enumerate();
    entries.extend(
        directories
            .map(|(n, node)| (format!("$.storage.directories.{n}"), &node.path, Wanted::Directory(node))),
    );
    let files = storage.files.iter().enumerate();
    entries.extend(files.map(|(n, node)| (format!("$.storage.files.{n}"), &node.path, Wanted::File(node))));
    let links = storage.links.iter().enumerate();
    entries.extend(links.map(|(n, node)| (format!("$.storage.links.{n}"), &node.path, Wanted::Link(node))));
    let mut resolved = Vec::new();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for (origin, path, wanted) in entries {
        let Some(place) = place_of(draft, world, &format!("{origin}.path"), path) else { continue };
        if let Some(other) = taken.insert(place.clone(), path.clone()) {
            let message = format!("{path} and {other} are the same place: {place}");
            draft.refuse(&format!("{origin}.path"), message, "keep one of the two entries");
            continue;
        }
        resolved.push(Entry { origin, path: place, wanted });
    }
    refuse_below_files(draft, &resolved);
    // A file system that is not mounted yet hides what is observed below its mount point.
    for path in mounts.fresh() {
        forget_below(world, path);
    }
    let chain = chains(&resolved, world);
    resolved.sort_by(|a, b| {
        let key = |entry: &Entry<'_>| (entry.order().0, chain.get(&entry.path).copied(), entry.order().1);
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
    for entry in resolved {
        match entry.wanted {
            Wanted::Directory(node) => directory(draft, world, &entry.origin, entry.path, node),
            Wanted::File(node) => file(draft, world, &entry.origin, entry.path, node),
            Wanted::Link(node) => link(draft, world, &entry.origin, entry.path, node),
        }
    }
}

/// For each hard link how many hard links of the config lie before the file: the nearer ones are made first.
fn chains(entries: &[Entry<'_>], world: &Nodes) -> BTreeMap<String, usize> {
    let target = |entry: &Entry<'_>| match entry.wanted {
        Wanted::Link(link) if link.hard == Some(true) => {
            resolve(link.target.as_deref().unwrap_or_default(), false, |at| world.get(at)).ok()
        }
        _ => None,
    };
    let targets: BTreeMap<&str, String> =
        entries.iter().filter_map(|entry| Some((entry.path.as_str(), target(entry)?))).collect();
    let length = |path: &str| {
        let (mut length, mut at) = (0, path);
        // A ring has no end; its links are refused when they are planned.
        while let Some(next) = targets.get(at).filter(|_| length <= targets.len()) {
            (length, at) = (length + 1, next.as_str());
        }
        length
    };
    targets.keys().map(|path| ((*path).to_owned(), length(path))).collect()
}

/// Refuses entries below the place of a file or link of the same config.
fn refuse_below_files(draft: &mut Draft<'_>, entries: &[Entry<'_>]) {
    let solid: BTreeMap<&str, &Entry<'_>> = entries
        .iter()
        .filter(|entry| !matches!(entry.wanted, Wanted::Directory(_)))
        .map(|entry| (entry.path.as_str(), entry))
        .collect();
    for entry in entries {
        let mut above = entry.path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            above = parent;
            if let Some(other) = solid.get(above) {
                let message = format!("{} is below {}, which is no directory", entry.path, other.path);
                draft.refuse(&format!("{}.path", entry.origin), message, "keep one of the two entries");
            }
        }
    }
}

/// The true path of a path of the config; problems are reported.
pub(super) fn place_of(draft: &mut Draft<'_>, world: &Nodes, origin: &str, path: &str) -> Option<String> {
    let place = match resolve(path, false, |at| world.get(at)) {
        Ok(place) => place,
        Err(error) => {
            draft.problem(origin, Problem::of(&error));
            return None;
        }
    };
    let below = |dir: &String| {
        place == *dir || place.strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    if let Some(dir) = draft.observed.read_only.iter().find(|dir| below(dir)) {
        let to = if place == path { String::new() } else { format!(" (it is {place})") };
        let message = format!("{path} cannot be written{to}: {dir} is the OS and read-only");
        draft.refuse(origin, message, "use /etc, /var, /opt, /srv or /usr/local's counterpart /var/usrlocal");
        return None;
    }
    Some(place)
}

fn id(number: Option<i64>, name: Option<&String>) -> Option<Id> {
    match (number, name) {
        (Some(number), _) => u32::try_from(number).ok().map(Id::Number),
        (None, Some(name)) if !name.is_empty() => Some(Id::Name(name.clone())),
        _ => None,
    }
}

/// What the config gives; else what an existing node has; else the default and root.
fn access(
    mode: Option<i64>,
    user: &NodeUser,
    group: &NodeGroup,
    existing: Option<&Node>,
    default: u32,
) -> Access {
    let mode = mode.and_then(|mode| u32::try_from(mode & 0o7777).ok());
    Access {
        mode: mode.unwrap_or_else(|| existing.map_or(default, |node| node.mode)),
        user: id(user.id, user.name.as_ref()).unwrap_or(Id::Number(existing.map_or(0, |node| node.uid))),
        group: id(group.id, group.name.as_ref()).unwrap_or(Id::Number(existing.map_or(0, |node| node.gid))),
    }
}

fn known_names(draft: &mut Draft<'_>, origin: &str, user: &NodeUser, group: &NodeGroup) {
    let passwd = &draft.wanted.config.passwd;
    if let (None, Some(name)) = (user.id, &user.name) {
        let made = passwd.users.iter().any(|user| user.name == *name && user.should_exist != Some(false));
        if !name.is_empty() && !made && !draft.observed.users.contains_key(name) {
            let hint = "declare it under passwd.users, or give its id";
            draft.refuse(&format!("{origin}.user.name"), format!("there is no user {name}"), hint);
        }
    }
    if let (None, Some(name)) = (group.id, &group.name) {
        // useradd makes a group of the user's name unless told not to.
        let made = passwd.groups.iter().any(|group| group.name == *name && group.should_exist != Some(false))
            || passwd.users.iter().any(|user| user.name == *name && user.no_user_group != Some(true));
        if !name.is_empty() && !made && !draft.observed.groups.contains_key(name) {
            let hint = "declare it under passwd.groups, or give its id";
            draft.refuse(&format!("{origin}.group.name"), format!("there is no group {name}"), hint);
        }
    }
}

fn directory(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: String, node: &Directory) {
    known_names(draft, origin, &node.user, &node.group);
    let mut existing = world.get(&path).cloned();
    match &existing {
        Some(found) if node.overwrite == Some(true) => {
            remove(draft, world, origin, &path, found);
            existing = None;
        }
        Some(Node { kind: Kind::Directory, .. }) | None => {}
        Some(found) => return in_the_way(draft, origin, &path, found, "directory"),
    }
    let mut access = access(node.mode, &node.user, &node.group, existing.as_ref(), DIRECTORY_MODE);
    if let Some((_, user, group)) = draft.given.iter().find(|(given, ..)| *given == path) {
        // Its owner when this step runs is not the one that was observed.
        if id(node.user.id, node.user.name.as_ref()).is_none() {
            access.user = user.clone();
        }
        if id(node.group.id, node.group.name.as_ref()).is_none() {
            access.group = group.clone();
        }
    }
    add(world, &path, Kind::Directory, access.mode);
    draft.step(Phase::Files, origin, Action::Directory { path, access, exists: existing.is_some() });
}

fn file(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: String, node: &File) {
    known_names(draft, origin, &node.user, &node.group);
    let Some((base, append, digest)) = contents(draft, origin, node) else { return };
    let mut existing = world.get(&path).cloned();
    let mut exists = existing.is_some();
    let left = leftover(draft, &path);
    let mut original = None;
    if let Some(saved) = left.filter(|_| exists) {
        // What is there is half of this very step: the file is made from what was there before it.
        if existing.as_ref().is_some_and(|found| matches!(found.kind, Kind::File(_))) {
            match saved {
                Some(copy) => original = Some(copy),
                None => existing = None,
            }
        }
    }
    if let Some(found) = existing.clone().filter(|_| original.is_none()) {
        let same = matches!(&found.kind, Kind::File(Some(found)) if digest.as_ref() == Some(found));
        let regular = matches!(found.kind, Kind::File(_));
        let has_source = matches!(base, Base::Resource(_));
        if same || (regular && !has_source && append.is_empty() && node.overwrite != Some(true)) {
            let access = access(node.mode, &node.user, &node.group, existing.as_ref(), FILE_MODE);
            let why = if same { "it has this content" } else { "the config gives no content" }.to_owned();
            return draft.step(Phase::Files, origin, Action::KeepFile { path, access, why });
        }
        if node.overwrite == Some(true) {
            // A regular file is replaced in one step by the rename.
            if !regular {
                remove(draft, world, origin, &path, &found);
            }
            existing = None;
        } else if !regular || has_source {
            return in_the_way(draft, origin, &path, &found, "file");
        }
    }
    let base = match (base, original) {
        (Base::Empty, Some(copy)) => Base::Original(copy),
        (Base::Empty, None) if existing.is_some() => Base::Existing,
        (base, _) => base,
    };
    let access = access(node.mode, &node.user, &node.group, existing.as_ref(), FILE_MODE);
    exists &= world.contains_key(&path);
    add(world, &path, Kind::File(digest), access.mode);
    draft.step(Phase::Files, origin, Action::File { path, access, base, append, exists });
}

/// What a file begins with, what follows, and the digest of the whole where it can be told. What is at hand is
/// decoded and verified now: a wrong digest is found before anything is changed.
fn contents(
    draft: &mut Draft<'_>,
    origin: &str,
    node: &File,
) -> Option<(Base, Vec<Resource>, Option<String>)> {
    let sections = std::iter::once((format!("{origin}.contents"), &node.contents))
        .chain(node.append.iter().enumerate().map(|(n, part)| (format!("{origin}.append.{n}"), part)));
    let mut parts = Vec::new();
    let mut failed = false;
    for (index, (place, section)) in sections.enumerate() {
        if section.source.as_deref().is_none_or(str::is_empty) {
            continue;
        }
        match Resource::of(section).and_then(|resource| check(&resource).map(|digest| (resource, digest))) {
            Ok(part) => parts.push((index, part)),
            Err(error) => {
                failed = true;
                draft.problem(&place, Problem::of(&error).hint(error.hint()));
            }
        }
    }
    if failed {
        return None;
    }
    let digest = match parts.as_slice() {
        [(0, (_, digest))] => digest.clone(),
        _ => None,
    };
    let mut base = Base::Empty;
    let mut append = Vec::new();
    for (index, (resource, _)) in parts {
        if index == 0 {
            base = Base::Resource(resource);
        } else {
            append.push(resource);
        }
    }
    Some((base, append, digest))
}

/// The SHA-256 of a resource's content, as far as it can be told without fetching.
fn check(resource: &Resource) -> Result<Option<String>, ResourceError> {
    match resource.scheme().as_str() {
        known if SCHEMES.contains(&known) => {}
        _ => return Err(ResourceError::Scheme { scheme: resource.scheme() }),
    }
    let told =
        resource.hash.as_deref().and_then(|hash| hash.strip_prefix("sha256-")).map(str::to_ascii_lowercase);
    Ok(resource.at_hand()?.map(|bytes| sha256_hex(&bytes)).or(told))
}

fn link(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: String, node: &Link) {
    let target = node.target.clone().unwrap_or_default();
    let hard = node.hard == Some(true);
    if !hard {
        known_names(draft, origin, &node.user, &node.group);
    }
    let true_target = if hard {
        let Ok(place) = resolve(&target, false, |at| world.get(at)) else {
            return draft.refuse(
                &format!("{origin}.target"),
                format!("{target} leads nowhere"),
                "name a file",
            );
        };
        if place == path {
            let message = format!("{target} is the link itself");
            return draft.refuse(&format!("{origin}.target"), message, "name another file");
        }
        match world.get(&place).map(|node| &node.kind) {
            None => {
                let message = format!("{target} does not exist, so it cannot get another name");
                return draft.refuse(&format!("{origin}.target"), message, "declare it under storage.files");
            }
            Some(Kind::Directory) => {
                let message = format!("{target} is a directory; a hard link needs a file");
                return draft.refuse(
                    &format!("{origin}.target"),
                    message,
                    "make a symlink: remove hard: true",
                );
            }
            Some(_) => place,
        }
    } else {
        String::new()
    };
    if let Some(found) = world.get(&path).cloned() {
        let same = match &found.kind {
            Kind::Symlink(found) => !hard && *found == target,
            _ => {
                hard && found.id != (0, 0) && world.get(&true_target).is_some_and(|node| node.id == found.id)
            }
        };
        if same {
            return;
        }
        let ours = leftover(draft, &path).is_some() && found.kind != Kind::Directory;
        if node.overwrite != Some(true) && !ours {
            return in_the_way(draft, origin, &path, &found, "link");
        }
        remove(draft, world, origin, &path, &found);
    }
    let access = access(None, &node.user, &node.group, None, 0o777);
    let action = if hard {
        let kind = world.get(&true_target).map_or(Kind::File(None), |node| node.kind.clone());
        add(world, &path, kind, 0);
        Action::HardLink { path, target: true_target }
    } else {
        add(world, &path, Kind::Symlink(target.clone()), 0o777);
        Action::Link { path, target, user: access.user, group: access.group }
    };
    draft.step(Phase::Files, origin, action);
}

/// What a first boot that was cut short noted of a place: `Some(None)` when nothing was there, `Some(copy)` when a
/// file was, which is kept at `copy`.
fn leftover(draft: &Draft<'_>, path: &str) -> Option<Option<String>> {
    draft.observed.unfinished.nodes.get(path).cloned()
}

fn in_the_way(draft: &mut Draft<'_>, origin: &str, path: &str, found: &Node, wanted: &str) {
    let what = describe(&found.kind);
    let message = if wanted == "file" && matches!(found.kind, Kind::File(_)) {
        format!("{path} exists with other content, and overwrite is not true")
    } else {
        format!("{path} is {what}, the config wants a {wanted}, and overwrite is not true")
    };
    draft.refuse(origin, message, "set overwrite: true to replace it");
}

pub(super) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::File(_) => "a file".into(),
        Kind::Directory => "a directory".into(),
        Kind::Symlink(target) => format!("a link to {target}"),
        Kind::Special => "a device, socket or FIFO".into(),
    }
}

fn remove(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: &str, found: &Node) {
    let why = format!("it is {}, and overwrite is true", describe(&found.kind));
    forget_below(world, path);
    world.remove(path);
    draft.step(Phase::Files, origin, Action::Remove { path: path.to_owned(), why });
}

fn forget_below(world: &mut Nodes, path: &str) {
    let prefix = format!("{}/", path.trim_end_matches('/'));
    world.retain(|place, _| !place.starts_with(&prefix));
}

/// Adds a node and its missing parents to the world.
pub(super) fn add(world: &mut Nodes, path: &str, kind: Kind, mode: u32) {
    let mut at = path;
    while let Some((parent, _)) = at.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
        world.entry(parent.to_owned()).or_insert(Node {
            kind: Kind::Directory,
            mode: DIRECTORY_MODE,
            uid: 0,
            gid: 0,
            id: (0, 0),
        });
        at = parent;
    }
    world.insert(path.to_owned(), Node { kind, mode, uid: 0, gid: 0, id: (0, 0) });
}
