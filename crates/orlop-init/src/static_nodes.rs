//! Device nodes by which a module is loaded on first use: `/dev/fuse`, `/dev/net/tun`, `/dev/loop-control` …
//!
//! The same as `kmod static-nodes` and two runs of systemd-tmpfiles do (`kmod(8)`), without three processes before
//! anything else may start. udev gives the nodes their owners and modes when it comes up.

use std::fs;
use std::io;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::console;
use crate::phase::Phase;

/// A line of `modules.devname`.
#[derive(Debug, PartialEq, Eq)]
struct Node<'a> {
    /// Path below `/dev`.
    path: &'a str,
    kind: FileType,
    major: u32,
    minor: u32,
}

/// Makes the nodes of the running kernel below `dev`. A kernel without the list has all built in.
pub(crate) fn make(modules: &Path, dev: &Path) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let Ok(list) = fs::read_to_string(modules.join(release).join("modules.devname")) else { return };
    for node in list.lines().filter_map(parse) {
        if let Err(error) = make_one(dev, &node) {
            console::say(Phase::Switch, format_args!("warning: /dev/{}: {error}", node.path));
        }
    }
}

fn make_one(dev: &Path, node: &Node<'_>) -> io::Result<()> {
    let path = dev.join(node.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let device = makedev(node.major, node.minor);
    match mknodat(CWD, &path, node.kind, Mode::RUSR | Mode::WUSR, device) {
        // Some module was loaded already.
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// `MODULE PATH cMAJOR:MINOR` or `b…`; comments and what is no path below `/dev` give nothing.
fn parse(line: &str) -> Option<Node<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (_module, path, device) =
        (words.next().filter(|word| !word.starts_with('#'))?, words.next()?, words.next()?);
    let below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let kind = match device.as_bytes().first()? {
        b'c' => FileType::CharacterDevice,
        b'b' => FileType::BlockDevice,
        _ => return None,
    };
    let (major, minor) = device.get(1..)?.split_once(':')?;
    below.then_some(Node { path, kind, major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let node = |path, major, minor| Some(Node { path, kind: FileType::CharacterDevice, major, minor });
        for (line, expected) in [
            ("tun net/tun c10:200", node("net/tun", 10, 200)),
            ("dm_mod mapper/control c10:236", node("mapper/control", 10, 236)),
            ("# Device nodes to trigger on-demand module loading.", None),
            ("", None),
            ("x ../etc/shadow c1:1", None),
            ("x /etc/shadow c1:1", None),
            ("x y p1:1", None),
            ("x y c1", None),
            ("x y c1:z", None),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn root_nodes_are_made_once() {
        let temp = tempfile::tempdir().unwrap();
        let node = parse("tun net/tun c10:200").unwrap();
        match make_one(temp.path(), &node) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return, // not root, or a nodev place
            other => other.unwrap(),
        }
        make_one(temp.path(), &node).unwrap();
        let meta = fs::symlink_metadata(temp.path().join("net/tun")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::rdev(&meta), makedev(10, 200));
    }
}
