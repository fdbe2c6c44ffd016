//! `/usr`: found by its hash, opened under dm-verity, mounted read-only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use block::verity::{SUPER_BYTES, Super, VerityError};
use linux::dm;
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::cmdline::{CommandLine, RootHash};
use crate::console;
use crate::disks;
use crate::modules::Modules;
use crate::phase::Phase;
use crate::slot::{self, Part, Slot, SlotError};
use crate::verity;

/// Name of the device-mapper device.
const NAME: &str = "usr";
/// Longest wait for another disk once one with other slots was seen.
const MISMATCH_WAIT: Duration = Duration::from_secs(3);
/// How often the disks are looked at, and how often the console says so.
const LOOK: Duration = Duration::from_millis(20);
const TELL: Duration = Duration::from_secs(5);
/// Programs of `/usr` expect these beside it.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Why `/usr` could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsrError {
    /// No slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// A partition could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Its node.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The hash partition's superblock is not usable.
    #[error("{path}")]
    Superblock {
        /// Its node.
        path: String,
        /// Why.
        #[source]
        source: VerityError,
    },
    /// No device mapper.
    #[error("cannot open {}: the kernel module dm-mod is missing", dm::CONTROL)]
    Mapper {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the verity table.
    #[error("dm-verity refused {data} with {hashes}")]
    Verity {
        /// Data partition.
        data: String,
        /// Hash partition.
        hashes: String,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The image could not be mounted.
    #[error("cannot mount /usr from {path}{}", hint_of(.source))]
    Mount {
        /// The verity device.
        path: String,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A directory or link of the initramfs.
    #[error("cannot make {path}")]
    Make {
        /// What.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What errors of a mount over dm-verity mean.
fn hint_of(errno: &Errno) -> &'static str {
    match *errno {
        Errno::IO => ": its data does not match the root hash",
        Errno::NODEV => ": the kernel module erofs is missing",
        _ => "",
    }
}

/// Finds, opens and mounts `/usr`.
pub(crate) fn open(line: &CommandLine, modules: &mut Modules) -> Result<Slot, UsrError> {
    let slot = find(&line.usr_hash, line.device_wait, modules)?;
    let named = |part: &Part| format!("{} `{}`", part.node.display(), part.label);
    console::say(Phase::Usr, format_args!("slot {}, hashes {}", named(&slot.data), named(&slot.hashes)));
    let device = open_verity(&slot, &line.usr_hash)?;
    mount(&device.node())?;
    Ok(slot)
}

/// Looks for the slot until it is there; disks may appear late.
fn find(hash: &RootHash, limit: Duration, modules: &mut Modules) -> Result<Slot, SlotError> {
    let started = Instant::now();
    let mut told = Duration::ZERO;
    loop {
        let error = match slot::choose(&disks::scan(Path::new("/sys"), Path::new("/dev")), hash) {
            Ok(slot) => return Ok(slot),
            Err(error) => error,
        };
        if modules.load_driver() {
            // Its disks may be there at once.
            continue;
        }
        let waited = started.elapsed();
        let limit = if error.saw_slots() { limit.min(MISMATCH_WAIT) } else { limit };
        if waited >= limit {
            return Err(error);
        }
        if waited >= told + TELL {
            told = waited;
            console::say(
                Phase::Usr,
                format_args!("waiting: {error} ({} of {} s)", waited.as_secs(), limit.as_secs()),
            );
        }
        sleep(LOOK);
    }
}

/// Opens dm-verity over the slot.
fn open_verity(slot: &Slot, hash: &RootHash) -> Result<dm::Device, UsrError> {
    let hashes = slot.hashes.node.display().to_string();
    let data = slot.data.node.display().to_string();
    let mut bytes = [0; SUPER_BYTES];
    File::open(&slot.hashes.node)
        .and_then(|file| file.read_exact_at(&mut bytes, 0))
        .map_err(|source| UsrError::Read { path: hashes.clone(), source })?;
    let tree =
        Super::parse(&bytes).map_err(|source| UsrError::Superblock { path: hashes.clone(), source })?;
    let target = verity::target(&tree, &data, &hashes, hash);
    dm::Control::open()
        .map_err(|source| UsrError::Mapper { source })?
        .create(NAME, &verity::dm_uuid(&tree, NAME), &[target], true)
        .map_err(|source| UsrError::Verity { data, hashes: hashes.clone(), source })
}

/// Mounts the image and makes the links that programs of a merged `/usr` expect.
fn mount(device: &Path) -> Result<(), UsrError> {
    let make = |path: &str| {
        let path = path.to_owned();
        move |source| UsrError::Make { path, source }
    };
    std::fs::create_dir_all("/usr").map_err(make("/usr"))?;
    rustix::mount::mount(device, "/usr", "erofs", MountFlags::RDONLY | MountFlags::NODEV, None)
        .map_err(|source| UsrError::Mount { path: device.display().to_string(), source })?;
    for name in LINKS {
        link(&format!("usr/{name}"), &format!("/{name}")).map_err(make(name))?;
    }
    make_etc().map_err(make("/etc"))
}

/// An `/etc` of links into the image's, for programs that run before the machine has its own: accounts, name service,
/// certificates. What must differ is a file of our own.
fn make_etc() -> io::Result<()> {
    std::fs::create_dir_all("/etc")?;
    for entry in std::fs::read_dir("/usr/etc")? {
        let name = entry?.file_name();
        let own = name == "machine-id" || name == "resolv.conf";
        if let (false, Some(name)) = (own, name.to_str()) {
            link(&format!("../usr/etc/{name}"), &format!("/etc/{name}"))?;
        }
    }
    link(crate::network::RESOLV_CONF, "/etc/resolv.conf")
}

/// Makes a symlink. `/lib` of the initramfs holds the modules, which are loaded by now: such a directory makes way.
fn link(target: &str, path: &str) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        std::fs::remove_dir_all(path)?;
    }
    match std::os::unix::fs::symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
