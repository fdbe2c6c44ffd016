//! Mounts by the descriptor-based mount API: made detached, then put in place on an opened target.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use linux::mount_attr::{MountAttr, attr, mount_setattr, propagation};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::error::{Fault, Result, What, fault, words};
use super::inside::{self, Links, Make};
use crate::cgroup::Host;
use crate::spec::mount::{Bind, Mount};

/// fsconfig(2) takes strings below this length only; longer ones go through mount(2).
const FSCONFIG_VALUE_MAX: usize = 255;

/// Changes the propagation of everything mounted.
pub(crate) fn set_propagation(of: BorrowedFd<'_>, kind: u64, tree: bool) -> Result<()> {
    let change = MountAttr { propagation: kind, ..MountAttr::default() };
    mount_setattr(of, tree, &change).what("mount_setattr")
}

/// Opens `/` of the caller's namespace.
pub(crate) fn open_slash() -> Result<OwnedFd> {
    rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .what("open /")
}

/// Puts a copy of the root file system's mounts over itself, so that it is a mount point; gives the new mount.
/// `shared` says that the host's mounts were left shared.
pub(crate) fn rootfs(path: &Path, shared: bool) -> Result<OwnedFd> {
    if shared {
        private_parent(path)?;
    }
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, path, flags).what(path.display())?;
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", CWD, path, empty)
        .what(format_args!("mount over {}", path.display()))?;
    Ok(tree)
}

/// pivot_root(2) refuses a shared parent mount; one is there only if `rootfsPropagation` asks for sharing.
fn private_parent(path: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").what("read /proc/self/mountinfo")?;
    let real = path.canonicalize().what(path.display())?;
    let Some(parent) = shared_parent(&table, &real) else { return Ok(()) };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, &parent, flags, Mode::empty()).what(&parent)?;
    set_propagation(fd.as_fd(), propagation::PRIVATE, false)
}

/// The mount point that holds `path`, if its mount is shared.
fn shared_parent(mountinfo: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, bool, String)> = None;
    for line in mountinfo.lines() {
        let mut fields = line.split(' ').skip(4);
        let point = unescape(fields.next()?);
        // Optional fields stand between the options and a lone dash.
        let shared = fields.skip(1).take_while(|f| *f != "-").any(|f| f.starts_with("shared:"));
        if path.starts_with(&point) && best.as_ref().is_none_or(|(length, ..)| point.len() >= *length) {
            best = Some((point.len(), shared, point));
        }
    }
    best.filter(|(_, shared, _)| *shared).map(|(.., point)| point)
}

/// Undoes mountinfo's octal escapes (`\040`).
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'\\').then(|| text.get(i + 1..i + 4)).flatten();
        match code.and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Everything a mount of the config needs to know.
pub(crate) struct Context<'a> {
    pub(crate) rootfs: BorrowedFd<'a>,
    pub(crate) bundle: &'a Path,
    /// The machine's cgroups, and the container's own directory where there is one.
    pub(crate) cgroups: &'a Host,
    pub(crate) cgroup: Option<&'a Path>,
    /// True if the container sees its own cgroup as the root.
    pub(crate) cgroup_namespace: bool,
}

/// One of `mounts`.
pub(crate) fn mount(context: &Context<'_>, mount: &Mount) -> Result<()> {
    match (mount.bind, mount.kind.as_str()) {
        (Some(bind), _) => bind_mount(context, mount, bind),
        (None, "cgroup" | "cgroup2") => cgroup_mount(context, mount),
        (None, _) => new_mount(context.rootfs, mount),
    }
}

fn bind_mount(context: &Context<'_>, mount: &Mount, bind: Bind) -> Result<()> {
    let source = context.bundle.join(&mount.source);
    let tree = clone_tree(&source, bind)?;
    place(context.rootfs, mount, &tree)
}

fn clone_tree(source: &Path, bind: Bind) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if bind == Bind::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, source, flags).what(format_args!("source {}", source.display()))
}

/// Sets the attributes of a detached mount and moves it to its destination.
fn place(rootfs: BorrowedFd<'_>, mount: &Mount, tree: &OwnedFd) -> Result<()> {
    if !mount.attrs.is_empty() {
        mount_setattr(tree.as_fd(), false, &mount.attrs.to_kernel()).what("set options")?;
    }
    if !mount.recursive_attrs.is_empty() {
        mount_setattr(tree.as_fd(), true, &mount.recursive_attrs.to_kernel())
            .what("set recursive options")?;
    }
    let make = if inside::is_directory(tree).what("look at source")? { Make::Directory } else { Make::File };
    attach(rootfs, mount, make, tree)
}

fn attach(rootfs: BorrowedFd<'_>, mount: &Mount, make: Make, tree: &OwnedFd) -> Result<()> {
    let target = inside::ensure(rootfs, &mount.destination, make, links(mount)).what("destination")?;
    move_onto(tree.as_fd(), target.as_fd()).what("move_mount")?;
    for (kind, whole) in &mount.propagation {
        set_propagation(tree.as_fd(), *kind, *whole)?;
    }
    Ok(())
}

/// Puts a detached mount on an opened target.
pub(crate) fn move_onto(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// Later steps write to the container's `/proc` and `/sys`; a link in the image must not lead them elsewhere.
fn links(mount: &Mount) -> Links {
    if mount.bind.is_none() && matches!(mount.kind.as_str(), "proc" | "sysfs") {
        Links::Refuse
    } else {
        Links::Follow
    }
}

fn new_mount(rootfs: BorrowedFd<'_>, mount: &Mount) -> Result<()> {
    if mount.data.iter().any(|word| word.len() > FSCONFIG_VALUE_MAX) {
        return old_mount(rootfs, mount);
    }
    let context = rustix::mount::fsopen(mount.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)
        .what(format_args!("file system type {}", mount.kind))?;
    let said = |e: Errno, what: &str| explain(&context, what, e);
    if !mount.source.is_empty() {
        rustix::mount::fsconfig_set_string(&context, "source", mount.source.as_str())
            .map_err(|e| said(e, &format!("source {}", mount.source)))?;
    }
    for word in &mount.data {
        let set = match word.split_once('=') {
            Some((key, value)) => rustix::mount::fsconfig_set_string(&context, key, value),
            None => rustix::mount::fsconfig_set_flag(&context, word.as_str()),
        };
        set.map_err(|e| said(e, &format!("option {word}")))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(|e| said(e, &format!("make {}", mount.kind)))?;
    let attrs = MountAttrFlags::from_bits_retain(u32::try_from(mount.attrs.set).unwrap_or(0));
    let tree = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs)
        .map_err(|e| said(e, &format!("mount {}", mount.kind)))?;
    attach(rootfs, mount, Make::Directory, &tree)
}

/// The kernel's own words about a file system context, if it has any.
fn explain(context: &OwnedFd, what: &str, errno: Errno) -> Fault {
    let mut buffer = [0_u8; 512];
    match rustix::io::read(context, &mut buffer) {
        Ok(n) if n > 2 => {
            fault(what, format_args!("{} ({})", words(errno), String::from_utf8_lossy(&buffer[2..n]).trim()))
        }
        _ => fault(what, words(errno)),
    }
}

/// mount(2) with the target through `/proc/self/fd`, for data that fsconfig(2) does not take.
fn old_mount(rootfs: BorrowedFd<'_>, mount: &Mount) -> Result<()> {
    let target =
        inside::ensure(rootfs, &mount.destination, Make::Directory, links(mount)).what("destination")?;
    let path = format!("/proc/self/fd/{}", target.as_raw_fd());
    let data =
        std::ffi::CString::new(mount.data.join(",")).map_err(|_| fault("options", "hold a nul byte"))?;
    rustix::mount::mount(mount.source.as_str(), &*path, mount.kind.as_str(), MountFlags::empty(), &*data)
        .what(format_args!("mount {}", mount.kind))?;
    let tree = inside::open(rootfs, &mount.destination, Links::Follow).what("destination")?;
    if !mount.attrs.is_empty() {
        mount_setattr(tree.as_fd(), false, &mount.attrs.to_kernel()).what("set options")?;
    }
    for (kind, whole) in &mount.propagation {
        set_propagation(tree.as_fd(), *kind, *whole)?;
    }
    Ok(())
}

/// The container's view of cgroups: a bind of the host's tree, since a fresh mount of cgroup2 waits 10 ms in the
/// kernel and shows the same. Inside a cgroup namespace the root is the container's own directory.
fn cgroup_mount(context: &Context<'_>, mount: &Mount) -> Result<()> {
    let shown = |tree: &Path| match context.cgroup {
        Some(own) if context.cgroup_namespace => own.to_owned(),
        _ => tree.to_owned(),
    };
    match context.cgroups {
        Host::Unified(tree) => {
            let tree = clone_tree(&shown(tree), Bind::Single)?;
            place(context.rootfs, mount, &tree)
        }
        Host::Hybrid(tree) => {
            // v1 hierarchies are not handed in: they would show the host's groups, which no namespace hides.
            let bare = Mount { data: vec!["mode=755".to_owned()], kind: "tmpfs".into(), ..mount.clone() };
            new_mount(context.rootfs, &Mount { attrs: crate::spec::mount::Attrs::default(), ..bare })?;
            let unified = Mount {
                destination: format!("{}/unified", mount.destination.trim_end_matches('/')),
                propagation: Vec::new(),
                ..mount.clone()
            };
            place(context.rootfs, &unified, &clone_tree(&shown(tree), Bind::Single)?)?;
            let top = inside::open(context.rootfs, &mount.destination, Links::Follow).what("destination")?;
            mount_setattr(top.as_fd(), false, &mount.attrs.to_kernel()).what("set options")
        }
        Host::None => {
            let kind = "tmpfs".to_owned();
            new_mount(context.rootfs, &Mount { data: vec!["mode=755".to_owned()], kind, ..mount.clone() })
        }
    }
}

/// Hides a path: a directory under an empty read-only tmpfs, anything else under the null device.
pub(crate) fn mask(rootfs: BorrowedFd<'_>, path: &str, empty: &mut Option<OwnedFd>) -> Result<()> {
    let target = match inside::open(rootfs, path, Links::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other.what("open")?,
    };
    if !inside::is_directory(&target).what("stat")? {
        return move_onto(null_device()?.as_fd(), target.as_fd()).what("move_mount");
    }
    let tree = match empty {
        Some(first) => clone_mount(first.as_fd())?,
        None => empty_directory()?,
    };
    move_onto(tree.as_fd(), target.as_fd()).what("move_mount")?;
    empty.get_or_insert(tree);
    Ok(())
}

/// The host's null device, verified: a mask with anything else would be a hole.
fn null_device() -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, "/dev/null", flags).what("/dev/null")?;
    let stat = rustix::fs::fstat(&tree).what("/dev/null")?;
    let is_null = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(tree) } else { Err(fault("/dev/null", "is not the null device")) }
}

/// A read-only tmpfs. One serves all masked directories: the first is made, the others are clones of it.
fn empty_directory() -> Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).what("fsopen tmpfs")?;
    rustix::mount::fsconfig_set_string(&context, "nr_inodes", "2").what("tmpfs option")?;
    rustix::mount::fsconfig_create(&context).what("make tmpfs")?;
    let attrs = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let attrs = attrs | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs).what("mount tmpfs")
}

/// A detached copy of the mount at an opened place.
pub(crate) fn clone_mount(at: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(at, "", flags).what("open_tree")
}

/// Makes a path and all mounted below it read-only.
pub(crate) fn read_only(rootfs: BorrowedFd<'_>, path: &str) -> Result<()> {
    let target = match inside::open(rootfs, path, Links::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other.what("open")?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = flags | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(&target, "", flags).what("open_tree")?;
    let change = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), true, &change).what("mount_setattr")?;
    move_onto(tree.as_fd(), target.as_fd()).what("move_mount")
}

/// Makes the root's own mount read-only; mounts below keep their mode.
pub(crate) fn root_read_only(rootfs: BorrowedFd<'_>) -> Result<()> {
    let change = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    mount_setattr(rootfs, false, &change).what("mount_setattr")
}

/// Makes `rootfs` the root of the namespace and lets go of the old one.
pub(crate) fn pivot(rootfs: BorrowedFd<'_>) -> Result<()> {
    let old = open_slash()?;
    rustix::process::fchdir(rootfs).what("enter root")?;
    // With the same directory twice the old root lands on top of the new one, so no directory for it is needed.
    rustix::process::pivot_root(".", ".").what("pivot_root")?;
    // Nothing that happens to the old tree from here on may reach the host, even if it was left shared.
    set_propagation(old.as_fd(), propagation::SLAVE, true)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).what("let go of the old root")?;
    rustix::process::chdir("/").what("enter /")
}

/// Like [`pivot`] where the host's root is a ramfs, which cannot be pivoted away (`--no-pivot`).
pub(crate) fn move_root(rootfs: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(rootfs).what("enter root")?;
    rustix::mount::mount_move(".", "/").what("move root")?;
    rustix::process::chroot(".").what("chroot")?;
    rustix::process::chdir("/").what("enter /")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parents() {
        let table = "22 1 254:1 / / rw - ext4 /dev/vda rw\n\
                     30 22 0:20 / /var rw,nosuid shared:5 master:1 - tmpfs tmpfs rw\n\
                     31 30 0:21 / /var/my\\040box rw - tmpfs tmpfs rw\n";
        let parent = |path: &str| shared_parent(table, Path::new(path));
        assert_eq!(parent("/srv/rootfs"), None);
        assert_eq!(parent("/var/lib/rootfs").as_deref(), Some("/var"));
        assert_eq!(parent("/var/my box/rootfs"), None);
    }
}
