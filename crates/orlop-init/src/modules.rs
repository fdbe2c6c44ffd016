//! The kernel modules that the initramfs carries: of drivers only those whose device is there are loaded.
//!
//! Loading a module means checking its signature, a tenth of a second under emulation; an image carries the drivers of
//! every platform. What a module drives and needs is read from its own `.modinfo` (ELF section; `modinfo(8)` shows the
//! same), what the machine has from the `modalias` files of sysfs.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::console;
use crate::phase::Phase;

/// Where the initramfs keeps its modules.
pub(crate) const DIRECTORY: &str = "/lib/orlop/modules";
const NO_PARAMETERS: &CStr = c"";
/// Buses whose devices have drivers that an initramfs may carry.
const BUSES: [&str; 8] = ["pci", "virtio", "scsi", "acpi", "platform", "vmbus", "xen", "usb"];

/// Why the modules could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModulesError {
    /// The order file cannot be read.
    #[error("cannot read {path}")]
    Order {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A module file of the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    /// File name.
    file: String,
    /// Name by which others depend on it.
    name: String,
    /// Patterns of the devices it drives; none when it is no driver.
    drives: Vec<String>,
    /// Names of the modules it needs.
    needs: Vec<String>,
}

/// The modules and which of them were tried.
#[derive(Debug)]
pub(crate) struct Modules {
    directory: PathBuf,
    modules: Vec<Module>,
    tried: Vec<bool>,
}

impl Modules {
    /// Reads the order file and what each module says of itself. No order file means a kernel with all built in.
    pub(crate) fn open(directory: &Path) -> Result<Self, ModulesError> {
        let path = directory.join("order");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ModulesError::Order { path: path.display().to_string(), source }),
        };
        let modules: Vec<Module> = order(&text)
            .map(|file| module(file, &fs::read(directory.join(file)).unwrap_or_default()))
            .collect();
        Ok(Self { directory: directory.to_owned(), tried: vec![false; modules.len()], modules })
    }

    /// Loads what every machine needs: device mapper, verity, the file system, and before them the hash as this
    /// processor does it best: dm-verity takes the quickest that is there when it starts.
    pub(crate) fn load_base(&mut self) {
        let processor = fs::read_to_string("/sys/devices/system/cpu/modalias").unwrap_or_default();
        for at in wanted(&self.modules, &[processor.trim().to_owned()]) {
            self.load(at);
        }
    }

    /// Loads one more driver of a device that is there, with what it needs; false when there is none left to try. One
    /// at a time, so that a machine with a disk on the first controller pays for no other; udev loads the rest later.
    pub(crate) fn load_driver(&mut self) -> bool {
        let all = wanted(&self.modules, &devices(Path::new("/sys")));
        let Some(driver) =
            all.iter().copied().find(|&at| !self.tried[at] && !self.modules[at].drives.is_empty())
        else {
            return false;
        };
        for at in with_needs(&self.modules, driver) {
            self.load(at);
        }
        true
    }

    /// A module that is refused is told and passed over: the wait for the disk says what is missing.
    fn load(&mut self, at: usize) {
        if std::mem::replace(&mut self.tried[at], true) {
            return;
        }
        let file = &self.modules[at].file;
        if let Err(error) = load(&self.directory.join(file)) {
            console::say(Phase::Init, format_args!("module {file}: {error}"));
        }
    }
}

/// The file names of an order file: one a line; blank lines and `#` comments are skipped.
fn order(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Loads one module file; a module that is there already is fine.
pub(crate) fn load(path: &Path) -> io::Result<()> {
    match rustix::system::finit_module(File::open(path)?, NO_PARAMETERS, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Indices of the modules to load, in their order: every module that is neither a driver nor only there for others,
/// every driver of one of the devices, and what these need.
fn wanted(modules: &[Module], devices: &[String]) -> Vec<usize> {
    let needed_by_any = |name: &str| modules.iter().any(|m| m.needs.iter().any(|need| need == name));
    let take = modules.iter().map(|m| match m.drives.as_slice() {
        [] => !needed_by_any(&m.name),
        patterns => patterns.iter().any(|p| devices.iter().any(|d| matches(p.as_bytes(), d.as_bytes()))),
    });
    close(modules, take.collect())
}

/// One module with what it needs, in their order.
fn with_needs(modules: &[Module], wanted: usize) -> Vec<usize> {
    close(modules, (0..modules.len()).map(|at| at == wanted).collect())
}

/// Adds what the taken modules need. The order puts what is needed before what needs it, so one pass from the end
/// reaches all.
fn close(modules: &[Module], mut take: Vec<bool>) -> Vec<usize> {
    for at in (0..modules.len()).rev() {
        if take[at] {
            for (other, module) in modules.iter().enumerate() {
                take[other] |= modules[at].needs.contains(&module.name);
            }
        }
    }
    (0..modules.len()).filter(|&at| take[at]).collect()
}

/// What a module file says of itself. One that cannot be read as ELF counts as no driver, so it is loaded.
fn module(file: &str, bytes: &[u8]) -> Module {
    let stem = file.split(".ko").next().unwrap_or(file);
    let mut module =
        Module { file: file.to_owned(), name: stem.replace('-', "_"), drives: Vec::new(), needs: Vec::new() };
    for entry in section(bytes, b".modinfo").unwrap_or_default().split(|&b| b == 0) {
        let Some((key, value)) = std::str::from_utf8(entry).ok().and_then(|text| text.split_once('=')) else {
            continue;
        };
        match key {
            // Aliases without a bus are for file systems, device-mapper targets and the like.
            "alias" if value.contains(':') && !value.starts_with("devname:") => {
                module.drives.push(value.to_owned());
            }
            "depends" => {
                module.needs =
                    value.split(',').filter(|n| !n.is_empty()).map(|n| n.replace('-', "_")).collect();
            }
            _ => {}
        }
    }
    module
}

/// A section of a 64-bit little-endian ELF file by name (`elf(5)`).
fn section<'a>(elf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const HEADER_BYTES: usize = 64;
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(width)?)?;
        usize::try_from(bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte))).ok()
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, count, names) = (number(40, 8)?, number(60, 2)?, number(62, 2)?);
    let header = |index: usize| table.checked_add(index.checked_mul(HEADER_BYTES)?);
    let body = |header: usize| {
        let (start, length) = (number(header.checked_add(24)?, 8)?, number(header.checked_add(32)?, 8)?);
        elf.get(start..start.checked_add(length)?)
    };
    let names = body(header(names)?)?;
    (0..count).find_map(|index| {
        let header = header(index)?;
        let found = names.get(number(header, 4)?..)?.split(|&b| b == 0).next()?;
        (found == name).then(|| body(header))?
    })
}

/// Whether a module's alias matches a device's: `*`, `?` and `[…]` as in `fnmatch(3)`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            matches(&pattern[1..], text) || text.split_first().is_some_and(|(_, rest)| matches(pattern, rest))
        }
        (Some(b'['), Some(byte)) => {
            let Some(end) = pattern.iter().position(|&b| b == b']') else { return false };
            set(&pattern[1..end]).any(|range| range.contains(byte))
                && matches(&pattern[end + 1..], &text[1..])
        }
        (Some(b'?'), Some(_)) => matches(&pattern[1..], &text[1..]),
        (Some(one), Some(other)) => one == other && matches(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn set(mut inner: &[u8]) -> impl Iterator<Item = std::ops::RangeInclusive<u8>> {
    std::iter::from_fn(move || {
        let (range, rest) = match inner {
            [from, b'-', to, rest @ ..] => (*from..=*to, rest),
            [one, rest @ ..] => (*one..=*one, rest),
            [] => return None,
        };
        inner = rest;
        Some(range)
    })
}

/// The `modalias` of every device on the buses looked at.
fn devices(sys: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for bus in BUSES {
        let Ok(entries) = fs::read_dir(sys.join("bus").join(bus).join("devices")) else { continue };
        for entry in entries.flatten() {
            if let Ok(text) = fs::read_to_string(entry.path().join("modalias")) {
                found.push(text.trim().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<Module> {
        let module = |name: &str, drives: &[&str], needs: &[&str]| Module {
            file: format!("{name}.ko"),
            name: name.into(),
            drives: drives.iter().map(|&d| d.into()).collect(),
            needs: needs.iter().map(|&n| n.into()).collect(),
        };
        vec![
            module("virtio_blk", &["virtio:d00000002v*"], &[]),
            module("scsi_common", &[], &[]),
            module("scsi_mod", &[], &["scsi_common"]),
            module("virtio_scsi", &["virtio:d00000008v*"], &["scsi_mod"]),
            module("ahci", &["pci:v*d*sv*sd*bc01sc06i01*"], &["scsi_mod"]),
            module("sd_mod", &["scsi:t-0x00*"], &["scsi_mod"]),
            module("sha256_ssse3", &["cpu:type:x86,ven*fam*mod*:feature:*0089*"], &[]),
            module("dm_mod", &[], &[]),
            module("dm_verity", &[], &["dm_mod"]),
            module("erofs", &[], &[]),
        ]
    }

    #[test]
    fn drivers_are_loaded_for_devices_only() {
        let modules = modules();
        let all = |devices: &[&str]| {
            let devices: Vec<String> = devices.iter().map(|&d| d.into()).collect();
            wanted(&modules, &devices).into_iter().map(|at| modules[at].name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(all(&[]), ["dm_mod", "dm_verity", "erofs"]);
        assert_eq!(
            all(&["cpu:type:x86,ven0002fam000Fmod006B:feature:,0000,0089,"]),
            ["sha256_ssse3", "dm_mod", "dm_verity", "erofs"]
        );
        assert_eq!(
            all(&["virtio:d00000002v00001AF4", "pci:v00001AF4d00001042sv0sd0bc01sc00i00"]),
            ["virtio_blk", "dm_mod", "dm_verity", "erofs"]
        );
        assert_eq!(
            all(&["pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", "scsi:t-0x00"]),
            ["scsi_common", "scsi_mod", "ahci", "sd_mod", "dm_mod", "dm_verity", "erofs"]
        );
    }

    #[test]
    fn a_driver_comes_with_what_it_needs() {
        let modules = modules();
        let names: Vec<&str> =
            with_needs(&modules, 5).into_iter().map(|at| modules[at].name.as_str()).collect();
        assert_eq!(names, ["scsi_common", "scsi_mod", "sd_mod"]);
        assert_eq!(wanted(&modules, &[]).len(), 3);
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("acpi*:QEMU0002:*", "acpi:QEMU0002:", true),
            ("acpi*:QEMU0002:*", "acpi:QEMU0003:", false),
            ("cpu:type:x86,ven*[02-4]?", "cpu:type:x86,ven0003x", true),
            ("cpu:type:x86,ven*[02-4]?", "cpu:type:x86,ven0001x", false),
            ("a[", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    /// A least ELF file: header, `.modinfo`, names, two section headers.
    fn elf(info: &[u8]) -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf.extend_from_slice(info);
        let names = elf.len();
        elf.extend_from_slice(b"\0.modinfo\0");
        let table = elf.len();
        for (name, start, length) in [(1u32, 64, info.len()), (0, names, 10)] {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&(start as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
            elf.extend(header);
        }
        elf[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        elf[60] = 2;
        elf[62] = 1;
        elf
    }

    #[test]
    fn modules_describe_themselves() {
        let info = b"license=GPL\0alias=fs-erofs\0alias=devname:mapper/control\0alias=virtio:d2v*\0depends=dm-mod,netfs\0";
        let found = module("dm-verity.ko", &elf(info));
        assert_eq!(found.name, "dm_verity");
        assert_eq!(found.drives, ["virtio:d2v*"]);
        assert_eq!(found.needs, ["dm_mod", "netfs"]);
        assert!(module("x.ko", b"\x7fELF\x02\x01").drives.is_empty());
    }

    #[test]
    fn order_files() {
        let text = "# made by os-image\nlibcrc32c.ko\n\n  erofs.ko  \n";
        assert_eq!(order(text).collect::<Vec<_>>(), ["libcrc32c.ko", "erofs.ko"]);
        assert!(Modules::open(Path::new("/nonexistent")).unwrap().modules.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            module("x.ko", &bytes);
            if bytes.len() > 6 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
                module("x.ko", &bytes);
            }
        }
    }
}
