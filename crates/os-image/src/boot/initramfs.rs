//! The initramfs: `orlop-init` as `/init` and the modules that open `/usr`. Everything else comes from the verified
//! `/usr` itself.

use std::path::Path;

use super::BootError;
use super::cpio::Archive;
use crate::manifest::Initramfs;
use crate::tree::{KernelModules, dependencies};

/// Where the modules are in the archive.
const MODULES: &str = "lib/orlop/modules";
/// Directories that `orlop-init` mounts on.
const DIRECTORIES: &[&str] = &["dev", "proc", "run", "sys", "sysroot", "usr", "lib", "lib/orlop", MODULES];

/// The archive, uncompressed.
///
/// # Errors
/// [`BootError::NoModule`], [`BootError::Read`].
pub fn archive(rules: &Initramfs, init: &Path, kernel: &KernelModules) -> Result<Vec<u8>, BootError> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.dir(directory)?;
    }
    // Before devtmpfs is mounted, the kernel opens this one for PID 1.
    archive.device("dev/console", 5, 1)?;
    archive.file("init", 0o755, &read(init)?)?;
    let mut order = String::new();
    for path in wanted(rules, kernel)? {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        archive.file(&format!("{MODULES}/{name}"), 0o644, &read(&kernel.directory.join(&path))?)?;
        order.push_str(&name);
        order.push('\n');
    }
    archive.file(&format!("{MODULES}/order"), 0o644, order.as_bytes())?;
    archive.finish()
}

/// The modules in load order, relative to the modules' directory.
fn wanted(rules: &Initramfs, kernel: &KernelModules) -> Result<Vec<String>, BootError> {
    let text = |name: &str| {
        read(&kernel.directory.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    dependencies(&text("modules.dep")?, &text("modules.builtin")?, &rules.modules)
        .map_err(|name| BootError::NoModule { name })
}

/// Compresses an archive as the kernel can unpack it.
///
/// # Errors
/// [`BootError::Compress`].
pub fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>, BootError> {
    zstd_frame(bytes, level).map_err(|source| BootError::Compress { source })
}

fn zstd_frame(bytes: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    // The kernel's decompressor takes windows up to 8 MiB; it skips the checksum, which others check.
    encoder.window_log(23)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    std::io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

fn read(path: &Path) -> Result<Vec<u8>, BootError> {
    std::fs::read(path).map_err(|source| BootError::Read { path: path.to_owned(), source })
}
