//! The root partition: made when blank, checked when marked, mounted, grown, and furnished.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use block::gpt::{self, GptError};
use linux::disk;
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::console;
use crate::phase::Phase;
use crate::process::{self, ProcessError};
use crate::skeleton::{self, EtcSource, SkeletonError};
use crate::slot::{Part, Slot};
use crate::stamp::{self, Boot};

/// Where the machine's root is until the switch.
pub(crate) const SYSROOT: &str = "/sysroot";
/// Longest run of a tool over the root partition; a check of a large disk reads all its metadata.
const TOOL_LIMIT: Duration = Duration::from_secs(600);
/// Bytes at the start of a device that tell whether anything is on it.
const LOOK_BYTES: usize = 64 << 10;
/// Growth below this is not worth a write to the partition table.
const GROW_BYTES_MIN: u64 = 4 << 20;

/// Why the root partition cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    /// The disk of `/usr` has no partition of the root type.
    #[error("{disk} has no root partition (GPT type {})", gpt::Guid::ROOT)]
    Missing {
        /// Kernel name of the disk.
        disk: String,
    },
    /// Something could not be read or written.
    #[error("cannot {verb} {path}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The partition holds something that is not ours to mount or to overwrite.
    #[error("{path} holds neither ext4 nor nothing: refusing to touch it")]
    Foreign {
        /// Its node.
        path: String,
    },
    /// `mkfs` or `fsck`.
    #[error(transparent)]
    Tool(#[from] ProcessError),
    /// A mount.
    #[error("cannot mount {source_path} at {path}")]
    Mount {
        /// What.
        source_path: String,
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The partition table.
    #[error("{disk}")]
    Table {
        /// Kernel name of the disk.
        disk: String,
        /// Why.
        #[source]
        source: GptError,
    },
    /// Directories, links, `/etc`.
    #[error(transparent)]
    Skeleton(#[from] SkeletonError),
    /// The image does not name its release.
    #[error("/usr/lib/os-release names no usable IMAGE_VERSION or VERSION_ID")]
    Release,
}

/// What the first bytes of the partition show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// ext4; `errors` when the kernel marked it for a check.
    Ext4 {
        /// `s_state` has `EXT4_ERROR_FS`.
        errors: bool,
    },
    /// Zeros only.
    Blank,
    /// Anything else.
    Other,
}

/// Tells what a partition holds, by the superblock at 1024 (`fs/ext4/ext4.h`).
pub(crate) fn content(first: &[u8]) -> Content {
    match first.get(1024 + 0x38..1024 + 0x3c) {
        Some(&[0x53, 0xef, state, _]) => Content::Ext4 { errors: state & 2 != 0 },
        _ if first.iter().all(|&byte| byte == 0) => Content::Blank,
        _ => Content::Other,
    }
}

/// The mounted root.
#[derive(Debug)]
pub(crate) struct Root {
    /// What to do on this boot.
    pub(crate) boot: Boot,
    /// The release whose `/etc` is bound.
    pub(crate) release: String,
}

/// Mounts and furnishes the root.
pub(crate) fn prepare(slot: &Slot) -> Result<Root, RootError> {
    let part = slot.root.as_ref().ok_or_else(|| RootError::Missing { disk: slot.disk.clone() })?;
    make_usable(part)?;
    std::fs::create_dir_all(SYSROOT).map_err(io_error("make", SYSROOT))?;
    mount(&part.node.display().to_string(), SYSROOT, "ext4", MountFlags::empty())?;
    furnish(Path::new(SYSROOT), part)
}

fn make_usable(part: &Part) -> Result<(), RootError> {
    let path = part.node.display().to_string();
    let mut first = vec![0; LOOK_BYTES];
    File::open(&part.node)
        .and_then(|file| file.read_exact_at(&mut first, 0))
        .map_err(io_error("read", &path))?;
    match content(&first) {
        Content::Ext4 { errors: false } => Ok(()),
        Content::Ext4 { errors: true } => {
            console::say(Phase::Root, format_args!("{path} is marked for a check: running e2fsck"));
            let mut check = process::command("/usr/sbin/e2fsck");
            process::run(
                Phase::Root,
                {
                    check.args(["-p", &path]);
                    check
                },
                TOOL_LIMIT,
            )?;
            Ok(())
        }
        Content::Blank => {
            console::say(Phase::Root, format_args!("{path} is blank: making ext4"));
            let mut make = process::command("/usr/sbin/mkfs.ext4");
            make.args(["-q", "-L", "root", "-O", "verity", "-E", "lazy_itable_init=1,nodiscard", &path]);
            process::run(Phase::Root, make, TOOL_LIMIT)?;
            Ok(())
        }
        Content::Other => Err(RootError::Foreign { path }),
    }
}

fn furnish(root: &Path, part: &Part) -> Result<Root, RootError> {
    if let Some(reset) =
        stamp::reset_wanted(root).map_err(io_error("read the wish for a reset of", SYSROOT))?
    {
        let kept: String = reset.keep.iter().map(|path| format!(", keeping /{}", path.display())).collect();
        console::say(Phase::Root, format_args!("reset: emptying the root{kept}"));
        stamp::reset(root, &reset).map_err(io_error("reset", SYSROOT))?;
    }
    let seen = stamp::observe(root).map_err(io_error("read the stamps of", SYSROOT))?;
    let boot = stamp::decide(seen);
    match boot {
        Boot::Later => console::say(Phase::Root, "provisioned before: nothing to provision"),
        Boot::First(begun) => {
            if begun.attempts > 1 {
                console::say(
                    Phase::Root,
                    format_args!("first boot, attempt {}: an earlier one did not finish", begun.attempts),
                );
            } else {
                console::say(Phase::Root, "first boot");
            }
            stamp::begin(root, begun).map_err(io_error("stamp", SYSROOT))?;
        }
        Boot::Again(begun) => {
            let attempt = begun.attempts;
            console::say(
                Phase::Root,
                format_args!(
                    "first boot, attempt {attempt}: an earlier one did not finish; starting from an empty root"
                ),
            );
            stamp::empty(root).map_err(io_error("empty", SYSROOT))?;
            stamp::begin(root, begun).map_err(io_error("stamp", SYSROOT))?;
        }
    }
    skeleton::make(root)?;
    let os_release =
        std::fs::read_to_string("/usr/lib/os-release").map_err(io_error("read", "/usr/lib/os-release"))?;
    let release = skeleton::release(&os_release).ok_or(RootError::Release)?;
    let (etc, source) = skeleton::etc(root, Path::new("/usr/etc"), &release)?;
    match source {
        EtcSource::Present => {}
        EtcSource::Template => {
            console::say(Phase::Root, format_args!("/etc of release {release} made from the image"));
        }
        EtcSource::Release(other) => console::say(
            Phase::Root,
            format_args!("warning: release {release} was not staged; its /etc is a copy of {other}'s"),
        ),
    }
    bind("/usr", &root.join("usr"))?;
    bind(&etc.display().to_string(), &root.join("etc"))?;
    console::say(Phase::Root, format_args!("{} mounted, release {release}", part.node.display()));
    Ok(Root { boot, release })
}

/// Grows the root partition to the free space behind it, and its file system to the partition. What cannot be grown is
/// told and left as it is: a machine with a small root is better than none.
pub(crate) fn grow(slot: &Slot, with_partition: bool) {
    let Some(part) = &slot.root else { return };
    let grown = if with_partition { grow_partition(slot, part) } else { Ok(()) };
    match grown.and_then(|()| grow_file_system(part)) {
        Ok(Some(bytes)) => console::say(Phase::Root, format_args!("grown to {}", size(bytes))),
        Ok(None) => {}
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            console::say(Phase::Root, format_args!("warning: not grown: {error}{cause}"));
        }
    }
}

fn grow_partition(slot: &Slot, part: &Part) -> Result<(), RootError> {
    let path = format!("/dev/{}", slot.disk);
    let table_error = |source| RootError::Table { disk: slot.disk.clone(), source };
    let file = File::options().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
    let sector = disk::sector_bytes(&file).map_err(errno_error("ask the sector size of", &path))?;
    let bytes = disk::size_bytes(&file).map_err(errno_error("ask the size of", &path))?;
    let mut table = gpt::read(&file, sector, bytes / u64::from(sector)).map_err(table_error)?;
    let Some((first, last)) =
        enlarge(&mut table, bytes / u64::from(sector), part.number).map_err(table_error)?
    else {
        return Ok(());
    };
    gpt::write(&file, &table).map_err(table_error)?;
    let (start, length) = (first * u64::from(sector), (last + 1 - first) * u64::from(sector));
    disk::change_partition(&file, disk::Change::Resize, part.number, start, length)
        .map_err(errno_error("tell the kernel of the new size of", &part.node.display().to_string()))
}

/// Fits a table to its disk and a partition to the room behind it; `None` when there is nothing worth growing.
fn enlarge(table: &mut gpt::Table, sectors: u64, number: u32) -> Result<Option<(u64, u64)>, GptError> {
    if sectors > table.disk_sectors {
        table.set_disk_sectors(sectors)?;
    }
    let least = GROW_BYTES_MIN / u64::from(table.sector_bytes);
    let room = table.room_for(number);
    let Some(partition) = table.partitions.iter_mut().find(|p| p.number == number) else { return Ok(None) };
    match room {
        Some(last) if last >= partition.last + least => {
            partition.last = last;
            Ok(Some((partition.first, last)))
        }
        _ => Ok(None),
    }
}

fn grow_file_system(part: &Part) -> Result<Option<u64>, RootError> {
    let path = part.node.display().to_string();
    let bytes = File::open(&part.node)
        .and_then(|file| Ok(disk::size_bytes(file)?))
        .map_err(io_error("ask the size of", &path))?;
    let root = File::open(SYSROOT).map_err(io_error("open", SYSROOT))?;
    let now = rustix::fs::fstatvfs(&root).map_err(errno_error("ask the size of", SYSROOT))?;
    let blocks = bytes / now.f_frsize;
    // statvfs leaves out the file system's own tables: a few percent, and never more than a sixteenth and 64 MiB.
    if blocks <= now.f_blocks + now.f_blocks / 16 + (64 << 20) / now.f_frsize {
        return Ok(None);
    }
    disk::resize_ext4(&root, blocks).map_err(errno_error("grow the file system of", &path))?;
    Ok(Some(bytes))
}

/// Binds a directory at another place.
fn bind(from: &str, to: &Path) -> Result<(), RootError> {
    rustix::mount::mount_bind(from, to).map_err(|source| RootError::Mount {
        source_path: from.to_owned(),
        path: to.display().to_string(),
        source,
    })
}

fn mount(from: &str, to: &str, kind: &str, flags: MountFlags) -> Result<(), RootError> {
    rustix::mount::mount(from, to, kind, flags, None).map_err(|source| RootError::Mount {
        source_path: from.to_owned(),
        path: to.to_owned(),
        source,
    })
}

fn io_error(verb: &'static str, path: &str) -> impl FnOnce(io::Error) -> RootError {
    let path = path.to_owned();
    move |source| RootError::Io { verb, path, source }
}

fn errno_error(verb: &'static str, path: &str) -> impl FnOnce(Errno) -> RootError {
    let path = path.to_owned();
    move |source| RootError::Io { verb, path, source: source.into() }
}

/// A size for people, with one decimal.
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1024 { format!("{mib} MiB") } else { format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use block::gpt::{Guid, Partition, Table};

    #[test]
    fn contents() {
        let mut bytes = vec![0; LOOK_BYTES];
        assert_eq!(content(&bytes), Content::Blank);
        bytes[1024 + 0x38..1024 + 0x3b].copy_from_slice(&[0x53, 0xef, 1]);
        assert_eq!(content(&bytes), Content::Ext4 { errors: false });
        bytes[1024 + 0x3a] = 3;
        assert_eq!(content(&bytes), Content::Ext4 { errors: true });
        assert_eq!(content(b"XFSB"), Content::Other);
    }

    #[test]
    fn growth() {
        let mut table = Table::new(Guid([1; 16]), 512, 65536).unwrap();
        for (number, first, last) in [(1, 2048, 4095), (6, 4096, 61439)] {
            let (kind, id) = (Guid::ROOT, Guid([2; 16]));
            table.partitions.push(Partition {
                number,
                kind,
                id,
                first,
                last,
                attributes: 0,
                name: String::new(),
            });
        }
        // Less than 4 MiB behind it, and nothing between two partitions.
        assert_eq!(enlarge(&mut table.clone(), 65536, 6).unwrap(), None);
        assert_eq!(enlarge(&mut table.clone(), 1 << 20, 1).unwrap(), None);
        assert_eq!(enlarge(&mut table.clone(), 1 << 20, 9).unwrap(), None);
        assert_eq!(enlarge(&mut table, 1 << 20, 6).unwrap(), Some((4096, (1 << 20) - 2049)));
        assert_eq!(table.disk_sectors, 1 << 20);
        assert!(table.encode().is_ok());
    }

    #[test]
    fn sizes() {
        assert_eq!(size(300 << 20), "300 MiB");
        assert_eq!(size((9 << 30) + (700 << 20)), "9.6 GiB");
    }
}
