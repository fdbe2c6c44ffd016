//! The stock Debian that is measured beside ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sdk::Sdk;
use vm::Boot;

use crate::Failure;

const PACKAGES: &str =
    "linux-image-cloud-amd64,systemd-sysv,systemd-resolved,openssh-server,initramfs-tools,dbus";
const NETWORK: &str = "[Match]\nName=en*\n[Network]\nDHCP=yes\n";
const DISK_BYTES: u64 = 3 << 30;

/// How it boots, and its disk: one raw ext4 file system.
pub(crate) struct Peer {
    pub(crate) boot: Boot,
    pub(crate) disk: PathBuf,
}

/// Makes it if it is not there. Root is needed, and the network.
pub(crate) fn ensure(sdk: &Sdk, place: &Path) -> Result<Peer, Failure> {
    let disk = place.join("root.img");
    if !disk.exists() {
        let partial = place.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        make(sdk, &partial)?;
        fs::rename(&partial, place)?;
    }
    let boot = Boot::Direct {
        kernel: place.join("vmlinuz"),
        initramfs: place.join("initrd"),
        cmdline: "root=/dev/vda rw console=ttyS0".into(),
    };
    Ok(Peer { boot, disk })
}

fn make(sdk: &Sdk, place: &Path) -> Result<(), Failure> {
    let tree = place.join("tree");
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--quiet", "--mode=root", "--variant=important"]).arg(format!("--include={PACKAGES}"));
    run(debian.arg("trixie").arg(&tree).arg("http://deb.debian.org/debian"))?;
    fs::write(tree.join("etc/systemd/network/10.network"), NETWORK)?;
    fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 defaults 0 1\n")?;
    let wants = tree.join("etc/systemd/system/multi-user.target.wants");
    symlink("/usr/lib/systemd/system/systemd-networkd.service", wants.join("systemd-networkd.service"))?;
    for entry in fs::read_dir(tree.join("boot"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.split('-').next() {
            Some("vmlinuz") => drop(fs::copy(&path, place.join("vmlinuz"))?),
            Some("initrd.img") => drop(fs::copy(&path, place.join("initrd"))?),
            _ => {}
        }
    }
    let disk = place.join("root.img");
    fs::File::create(&disk)?.set_len(DISK_BYTES)?;
    run(sdk.command("mke2fs")?.args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&disk))?;
    Ok(fs::remove_dir_all(&tree)?)
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} failed: {status}", command.get_program().display()).into())
    }
}
