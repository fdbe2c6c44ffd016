//! Where this machine's kernel arguments can be changed: on the EFI system partition, when systemd-stub started us.

use std::fs;
use std::path::{Path, PathBuf};

use block::gpt::Guid;
use provision::execute::{KernelOptions, Programs};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::disks;

/// Where the ESP is mounted while arguments are changed.
pub(crate) const ESP: &str = "/run/orlop/esp";
const VARIABLES: &str = "/run/orlop/efivars";
/// There when firmware of the UEFI kind started the machine.
const FIRMWARE: &str = "/sys/firmware/efi";
/// Left by systemd-stub (systemd-stub(7), "EFI variables").
const STUB: &str = "StubInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// UEFI 3.3: four bytes of attributes, then 1 when only signed programs are started.
const SECURE: &str = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// What the stages may know. Without systemd-stub, or without an ESP that can be mounted, arguments cannot be changed, and
/// a config that wants to is refused by the planner.
pub(crate) fn look(arguments: &str, disk: &str, programs: &dyn Programs) -> KernelOptions {
    let mut options = KernelOptions { command_line: arguments.to_owned(), ..KernelOptions::default() };
    if !Path::new(FIRMWARE).exists() || !mount("efivarfs", "efivarfs", VARIABLES, MountFlags::RDONLY, "") {
        return options;
    }
    let variable = |name: &str| fs::read(Path::new(VARIABLES).join(name)).ok();
    let by_stub = variable(STUB).is_some();
    options.secure_boot = variable(SECURE).is_some_and(|bytes| bytes.last() == Some(&1));
    let _ = rustix::mount::unmount(VARIABLES, UnmountFlags::empty());
    if by_stub && let Some(node) = esp(disk) {
        // When the driver cannot be loaded the mount says so.
        let _ = programs.run("modprobe", &["-q".into(), "vfat".into()]);
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        if mount(&node.display().to_string(), "vfat", ESP, flags, "umask=0022") {
            options.esp = Some(ESP.into());
        }
    }
    options
}

/// Unmounts the ESP again.
pub(crate) fn done(options: &KernelOptions) {
    if let Some(path) = &options.esp {
        let _ = rustix::mount::unmount(path, UnmountFlags::empty());
    }
}

fn mount(source: &str, kind: &str, path: &str, flags: MountFlags, data: &str) -> bool {
    let data = std::ffi::CString::new(data).unwrap_or_default();
    fs::create_dir_all(path).is_ok()
        && rustix::mount::mount(source, path, kind, flags, Some(data.as_c_str())).is_ok()
}

/// The ESP of the disk that `/usr` is on.
fn esp(disk: &str) -> Option<PathBuf> {
    let disk =
        disks::scan(Path::new("/sys"), Path::new("/dev")).into_iter().find(|found| found.name == disk)?;
    let table = disk.table.ok()?;
    let part = table.partitions.iter().find(|part| part.kind == Guid::ESP)?;
    disk.nodes.into_iter().find(|(number, _)| *number == part.number).map(|(_, node)| node)
}
