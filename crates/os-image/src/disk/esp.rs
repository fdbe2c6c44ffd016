//! The EFI system partition: FAT32 with systemd-boot and one UKI, by mkfs.vfat and mtools.

use std::fs::{self, File};
use std::path::Path;

use sdk::Sdk;

use super::{DiskError, MIB, run};

/// Settings of systemd-boot: the newest UKI at once; the menu is there for whoever holds a key.
const LOADER_CONF: &str = "timeout 0\nconsole-mode keep\neditor no\n";

/// What goes in.
#[derive(Debug, Clone, Copy)]
pub struct Esp<'a> {
    /// systemd-boot.
    pub loader: &'a Path,
    /// The UKI.
    pub uki: &'a Path,
    /// The UKI's file name in `EFI/Linux`.
    pub uki_name: &'a str,
    /// Size of the file system, in MiB.
    pub size_mib: u32,
    /// Serial number of the volume.
    pub serial: u32,
    /// The build's time.
    pub time_secs: u64,
}

/// Makes the file system in `path`.
///
/// # Errors
/// [`DiskError`].
pub fn make(esp: &Esp<'_>, path: &Path, sdk: &Sdk) -> Result<(), DiskError> {
    let file = File::create(path).map_err(DiskError::at("create", path))?;
    file.set_len(u64::from(esp.size_mib) * MIB).map_err(DiskError::at("size", path))?;
    drop(file);
    let mut mkfs = sdk.command("mkfs.vfat")?;
    // --invariant fixes the time stamps of the root directory; -g the geometry, which has no meaning any more.
    mkfs.args([
        "-F",
        "32",
        "-n",
        "ORLOP-ESP",
        "--invariant",
        "-g",
        "255/63",
        "-i",
        &format!("{:08x}", esp.serial),
    ]);
    run("mkfs.vfat", mkfs.arg(path), esp.time_secs)?;
    let mut mmd = sdk.command("mmd")?;
    mmd.arg("-i").arg(path).args(["::EFI", "::EFI/BOOT", "::EFI/Linux", "::EFI/systemd", "::loader"]);
    run("mmd", &mut mmd, esp.time_secs)?;
    let settings = path.with_extension("loader.conf");
    fs::write(&settings, LOADER_CONF).map_err(DiskError::at("write", &settings))?;
    let uki = format!("::EFI/Linux/{}", esp.uki_name);
    for (source, target) in [
        (esp.loader, "::EFI/BOOT/BOOTX64.EFI"),
        (esp.loader, "::EFI/systemd/systemd-bootx64.efi"),
        (&settings, "::loader/loader.conf"),
        (esp.uki, uki.as_str()),
    ] {
        let mut mcopy = sdk.command("mcopy")?;
        mcopy.arg("-i").arg(path).arg(source).arg(target);
        run("mcopy", &mut mcopy, esp.time_secs)?;
    }
    fs::remove_file(&settings).map_err(DiskError::at("remove", &settings))
}
