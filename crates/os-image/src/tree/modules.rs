//! Kernel modules: decompressed (packed ones make every update's delta useless), thinned out, indexed by `depmod`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use erofs::Content;
use sha2::{Digest, Sha256};

use super::packages::Boot;
use super::{Builder, Inputs, TreeError, run};
use crate::content::Contents;
use crate::hex;
use crate::manifest::Kernel;
use crate::pattern::Filter;

/// Bytes of arguments for one call of `xz`; the kernel takes two megabytes.
const ARGUMENT_BYTES: usize = 100_000;

/// The kernel of a tree.
#[derive(Debug)]
pub struct KernelModules {
    /// Its release (`6.12.107+deb13-cloud-amd64`).
    pub release: String,
    /// Its image.
    pub image: Vec<u8>,
    /// The directory with the decompressed modules and `depmod`'s indexes (`…/usr/lib/modules/RELEASE`).
    pub directory: PathBuf,
}

/// Decompresses and indexes the modules in the cache, unless they are there, and adds them to the tree.
pub(super) fn add(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    boot: &Boot,
) -> Result<KernelModules, TreeError> {
    let [(release, image)] = boot.kernels.as_slice() else {
        return Err(TreeError::Kernels { count: boot.kernels.len() });
    };
    let rules = &inputs.manifest.kernel;
    let place = inputs.cache.join("modules").join(key(&boot.sha256, rules));
    let directory = place.join("usr/lib/modules").join(release);
    if !directory.exists() {
        let partial = place.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        unpack(boot, rules, &builder.contents, &partial, inputs.sdk)?;
        index(&partial, release, inputs.sdk)?;
        fs::rename(&partial, &place).map_err(TreeError::at("rename to", &place))?;
    }
    let release = release.clone();
    let image = builder.contents.read(image.id).map_err(TreeError::at("read", Path::new("vmlinuz")))?;
    insert(builder, &directory, &format!("usr/lib/modules/{release}"))?;
    Ok(KernelModules { release, image, directory })
}

/// Names the set of modules in the cache.
fn key(package: &str, rules: &Kernel) -> String {
    let mut hash = Sha256::new();
    for line in std::iter::once(package)
        .chain(rules.drop.iter().chain(["|".to_owned()].iter()).chain(&rules.keep).map(String::as_str))
    {
        hash.update(line);
        hash.update(b"\n");
    }
    hex(&hash.finalize())[..16].to_owned()
}

/// Writes the kept modules below `root`, decompressed.
fn unpack(
    boot: &Boot,
    rules: &Kernel,
    contents: &Contents,
    root: &Path,
    sdk: &sdk::Sdk,
) -> Result<(), TreeError> {
    let filter = Filter { drop: &rules.drop, keep: &rules.keep };
    let mut packed = Vec::new();
    for (path, content) in &boot.modules {
        let inner = path.find("/kernel/").map_or(path.as_str(), |at| &path[at + "/kernel/".len()..]);
        if filter.drops(inner.trim_end_matches(".xz")) {
            continue;
        }
        let file = root.join(path);
        write(contents, *content, &file)?;
        if inner.ends_with(".xz") {
            packed.push(file);
        }
    }
    let mut rest = packed.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let count = rest.iter().take_while(|path| {
            bytes += path.as_os_str().len() + 1;
            bytes < ARGUMENT_BYTES
        });
        let (batch, after) = rest.split_at(count.count().max(1));
        let mut xz = sdk.command("xz")?;
        xz.args(["--decompress", "--threads=0", "--"]).args(batch).stdin(Stdio::null());
        run("xz", &mut xz)?;
        rest = after;
    }
    Ok(())
}

fn write(contents: &Contents, content: Content, file: &Path) -> Result<(), TreeError> {
    let parent = file.parent().unwrap_or(file);
    fs::create_dir_all(parent).map_err(TreeError::at("create", parent))?;
    let bytes = contents.read(content.id).map_err(TreeError::at("read", file))?;
    fs::write(file, bytes).map_err(TreeError::at("write", file))
}

/// Makes `modules.dep` and its kin.
fn index(root: &Path, release: &str, sdk: &sdk::Sdk) -> Result<(), TreeError> {
    let link = root.join("lib");
    std::os::unix::fs::symlink("usr/lib", &link).map_err(TreeError::at("link", &link))?;
    let mut depmod = sdk.command("depmod")?;
    depmod.arg("--basedir").arg(root).args(["--config", "/nonexistent", release]).stdin(Stdio::null());
    run("depmod", &mut depmod)
}

/// Adds a directory of the cache to the tree.
fn insert(builder: &mut Builder, directory: &Path, place: &str) -> Result<(), TreeError> {
    let entries = fs::read_dir(directory).map_err(TreeError::at("read", directory))?;
    for entry in entries {
        let entry = entry.map_err(TreeError::at("read", directory))?;
        let name = format!("{place}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(TreeError::at("read", directory))?.is_dir() {
            insert(builder, &entry.path(), &name)?;
        } else {
            let path = entry.path();
            let content = builder.contents.path(&path).map_err(TreeError::at("read", &path))?;
            builder.file(&name, 0o644, content)?;
        }
    }
    Ok(())
}

/// The modules named, each after those it needs, as paths relative to the modules' directory. Names that
/// `modules.builtin` has are skipped.
///
/// # Errors
/// The first name that is neither a module nor built in.
pub fn dependencies(dep: &str, builtin: &str, wanted: &[String]) -> Result<Vec<String>, String> {
    let lines: Vec<(&str, Vec<&str>)> = dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module, needs.split_whitespace().collect()))
        .collect();
    let mut order: Vec<String> = Vec::new();
    for name in wanted {
        let name = name.replace('-', "_");
        let Some((module, needs)) = lines.iter().find(|(path, _)| module_name(path) == name) else {
            if builtin.lines().any(|path| module_name(path) == name) {
                continue;
            }
            return Err(name);
        };
        // depmod lists what is needed nearest first, so the farthest is loaded first.
        for path in needs.iter().rev().chain([module]) {
            if !order.iter().any(|known| known == path) {
                order.push((*path).to_owned());
            }
        }
    }
    Ok(order)
}

/// A module's name as the kernel has it: `kernel/drivers/md/dm-mod.ko` is `dm_mod`.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need_and_once() {
        let dep = "kernel/a/dm-verity.ko: kernel/a/dm-bufio.ko kernel/a/dm-mod.ko\nkernel/a/dm-bufio.ko: kernel/a/dm-mod.ko\nkernel/a/dm-mod.ko:\n";
        let wanted = ["ext4", "dm-mod", "dm_verity"].map(str::to_owned);
        let order = dependencies(dep, "kernel/fs/ext4/ext4.ko\n", &wanted).unwrap();
        assert_eq!(order, ["kernel/a/dm-mod.ko", "kernel/a/dm-bufio.ko", "kernel/a/dm-verity.ko"]);
        assert_eq!(dependencies(dep, "", &wanted).unwrap_err(), "ext4");
    }
}
