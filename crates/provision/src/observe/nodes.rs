//! Nodes of the tree, users and groups.

use std::io::Read as _;

use ignition_spec::Config;
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

use super::{ObserveError, Observed, User};
use crate::fetch::verify::hex;
use crate::plan::{units, volumes};
use crate::resolve::{self, Kind, Node};
use crate::root::{Root, RootError};

pub(super) fn observe(config: &Config, root: &Root, observed: &mut Observed) -> Result<(), ObserveError> {
    let storage = &config.storage;
    let mut paths: Vec<(String, bool)> = Vec::new();
    // What may be replaced is remembered with its digest, whatever takes its place.
    paths.extend(storage.directories.iter().map(|node| (node.path.clone(), true)));
    paths.extend(storage.files.iter().map(|node| (node.path.clone(), true)));
    paths.extend(storage.links.iter().map(|node| (node.path.clone(), true)));
    let hard = storage.links.iter().filter(|link| link.hard == Some(true));
    paths.extend(hard.filter_map(|link| link.target.clone()).map(|target| (target, true)));
    paths.extend(storage.filesystems.iter().filter_map(|fs| fs.path.clone()).map(|path| (path, false)));
    paths.extend(units::paths(config).into_iter().map(|path| (path, true)));
    for (path, with_digest) in paths {
        follow(&path, with_digest, root, observed)?;
    }
    Ok(())
}

/// Walks a path and remembers every node on the way. A step that leads nowhere is left to the planner, which walks the
/// same way over what is remembered here.
fn follow(path: &str, with_digest: bool, root: &Root, observed: &mut Observed) -> Result<(), ObserveError> {
    // Each round adds the node that the walk stopped at, until nothing new is asked for.
    loop {
        let mut missing = None;
        let nodes = &observed.nodes;
        let _ = resolve::resolve(path, true, |at| {
            let node = nodes.get(at);
            if node.is_none() && missing.is_none() {
                missing = Some(at.to_owned());
            }
            node
        });
        let Some(at) = missing else { break };
        match look(&at, root)? {
            Some(node) => observed.nodes.insert(at, node),
            None => break,
        };
    }
    let Ok(place) = resolve::resolve(path, false, |at| observed.nodes.get(at)) else { return Ok(()) };
    if with_digest && let Some(Node { kind: Kind::File(digest @ None), .. }) = observed.nodes.get_mut(&place)
    {
        *digest = Some(sha256(&place, root)?);
    }
    if observed.nodes.contains_key(&place) {
        default_of(&place, root, observed)?;
    }
    Ok(())
}

/// Remembers the OS's default of a path below `/etc`.
fn default_of(place: &str, root: &Root, observed: &mut Observed) -> Result<(), ObserveError> {
    let Some(default) = default_path(place).filter(|_| !observed.defaults.contains_key(place)) else {
        return Ok(());
    };
    let Some(mut node) = look(&default, root)? else { return Ok(()) };
    if matches!(node.kind, Kind::File(_)) {
        node.kind = Kind::File(Some(sha256(&default, root)?));
    }
    observed.defaults.insert(place.to_owned(), node);
    Ok(())
}

/// Where the OS's default of a path below `/etc` is.
pub(crate) fn default_path(place: &str) -> Option<String> {
    place.strip_prefix("/etc/").map(|below| format!("/usr/etc/{below}"))
}

/// Looks at further true paths, with their OS defaults and what is in directories.
///
/// # Errors
/// [`ObserveError`] when something exists and cannot be looked at.
pub fn more<'p>(
    paths: impl IntoIterator<Item = &'p str>,
    root: &Root,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    for path in paths {
        follow(path, true, root, observed)?;
        let Ok(place) = resolve::resolve(path, false, |at| observed.nodes.get(at)) else { continue };
        default_of(&place, root, observed)?;
        if observed.nodes.get(&place).is_some_and(|node| node.kind == Kind::Directory) {
            observed.children.insert(place.clone(), root.list(&place)?);
        }
    }
    Ok(())
}

/// Longest file whose text is remembered, in bytes: diffs of longer ones help nobody.
const TEXT_MAX: u64 = 256 << 10;

/// Reads the texts of all files that were observed, of their OS defaults and of `further` paths.
///
/// # Errors
/// [`ObserveError`] when something exists and cannot be read.
pub fn texts<'p>(
    further: impl IntoIterator<Item = &'p str>,
    root: &Root,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let is_file = |(_, node): &(&String, &Node)| matches!(node.kind, Kind::File(Some(_)));
    let mut paths: Vec<String> =
        observed.nodes.iter().filter(is_file).map(|(path, _)| path.clone()).collect();
    paths.extend(observed.defaults.iter().filter(is_file).filter_map(|(path, _)| default_path(path)));
    paths.extend(further.into_iter().map(str::to_owned));
    for path in paths {
        if root.stat(&path)?.is_none_or(|stat| stat.len > TEXT_MAX || stat.kind != FileType::RegularFile) {
            continue;
        }
        if let Ok(text) = String::from_utf8(root.read(&path)?) {
            observed.texts.insert(path, text);
        }
    }
    Ok(())
}

fn look(path: &str, root: &Root) -> Result<Option<Node>, RootError> {
    let Some(stat) = root.stat(path)? else { return Ok(None) };
    let kind = match stat.kind {
        FileType::RegularFile => Kind::File(None),
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink(root.read_link(path)?),
        _ => Kind::Special,
    };
    Ok(Some(Node { kind, mode: stat.mode, uid: stat.uid, gid: stat.gid, id: stat.id }))
}

/// What is at a path, a file with its digest.
pub(crate) fn look_with_digest(path: &str, root: &Root) -> Result<Option<Node>, RootError> {
    let mut node = look(path, root)?;
    if let Some(Node { kind: Kind::File(digest @ None), .. }) = &mut node {
        *digest = Some(sha256(path, root)?);
    }
    Ok(node)
}

fn sha256(path: &str, root: &Root) -> Result<String, RootError> {
    let mut file = root.open_file(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(source) => return Err(RootError { action: "read", path: path.to_owned(), source }),
        }
    }
}

/// What a machine has for encrypted volumes and SELinux.
pub(super) fn observe_security(
    config: &Config,
    root: &Root,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    if !config.storage.luks.is_empty() {
        follow(volumes::KEY_DIR, false, root, observed)?;
        observed.crypttab = match root.stat(volumes::CRYPTTAB)? {
            Some(_) => Some(text(root, volumes::CRYPTTAB)?),
            None => None,
        };
    }
    let settings = text(root, "/etc/selinux/config")?;
    let kind = settings.lines().rev().find_map(|line| line.trim().strip_prefix("SELINUXTYPE="));
    let contexts = kind.map(|kind| format!("/etc/selinux/{}/contexts/files/file_contexts", kind.trim()));
    if let Some(path) = contexts
        && root.stat(&path)?.is_some()
    {
        observed.selinux_contexts = Some(path);
    }
    Ok(())
}

pub(super) fn observe_accounts(root: &Root, observed: &mut Observed) -> Result<(), ObserveError> {
    observed.users = passwd(&text(root, "/etc/passwd")?);
    observed.groups = group(&text(root, "/etc/group")?);
    Ok(())
}

fn text(root: &Root, path: &str) -> Result<String, RootError> {
    match root.read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.is_not_found() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Users of a passwd(5).
pub(crate) fn passwd(text: &str) -> std::collections::BTreeMap<String, User> {
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some((
            name.to_owned(),
            User { uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.to_owned() },
        ))
    };
    text.lines().filter_map(user).collect()
}

/// Groups of a group(5).
pub(crate) fn group(text: &str) -> std::collections::BTreeMap<String, u32> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, ..] = fields[..] else { return None };
        Some((name.to_owned(), gid.parse().ok()?))
    };
    text.lines().filter_map(group).collect()
}
