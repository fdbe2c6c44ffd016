//! The packages' files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use erofs::{Content, Kind, Meta};

use super::{Builder, Inputs, TreeError};
use crate::debian::deb;
use crate::pattern::Filter;

/// What of the packages is not part of the tree as it stands.
#[derive(Debug, Default)]
pub(super) struct Boot {
    /// `boot/vmlinuz-RELEASE`.
    pub(super) kernels: Vec<(String, Content)>,
    /// Files below `usr/lib/modules`, in archive order, by whole path.
    pub(super) modules: Vec<(String, Content)>,
    /// The digest of the package that brought the kernel.
    pub(super) sha256: String,
}

/// Where a path of a package goes.
#[derive(Debug, PartialEq, Eq)]
enum Goes {
    /// Into the tree, here.
    Tree(String),
    /// It is a kernel of this release.
    Kernel(String),
    /// It is a kernel module, or an index of them.
    Module(String),
    /// Nowhere: state, or what a merged `/usr` does not have.
    Nowhere,
}

/// Adds all packages.
pub(super) fn add(builder: &mut Builder, inputs: &Inputs<'_>, filter: Filter<'_>) -> Result<Boot, TreeError> {
    let tars = inputs.cache.join("tars");
    let mut boot = Boot::default();
    for (package, deb) in inputs.packages {
        let tar = deb::data_tar(deb, &package.sha256, &tars, inputs.sdk)?;
        let kernels = boot.kernels.len();
        add_tar(builder, &tar, filter, &mut boot)?;
        if boot.kernels.len() > kernels {
            boot.sha256.clone_from(&package.sha256);
        }
    }
    Ok(boot)
}

fn add_tar(builder: &mut Builder, path: &Path, filter: Filter<'_>, boot: &mut Boot) -> Result<(), TreeError> {
    let file = Arc::new(File::open(path).map_err(TreeError::at("open", path))?);
    let bad = |source| TreeError::Path { action: "read", path: path.to_owned(), source };
    let mut archive = tar::Archive::new(file.as_ref());
    for entry in archive.entries_with_seek().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let name = entry.path().map_err(bad)?.to_string_lossy().into_owned();
        let header = entry.header();
        let mode = u16::try_from(header.mode().map_err(bad)? & 0o7777).unwrap_or(0);
        let id = |number: u64| u32::try_from(number).unwrap_or(0);
        let mut meta = Meta::new(mode);
        meta.uid = id(header.uid().map_err(bad)?);
        meta.gid = id(header.gid().map_err(bad)?);
        let content =
            |builder: &mut Builder| builder.contents.range(&file, entry.raw_file_position(), entry.size());
        let place = match goes(&name) {
            Goes::Nowhere => continue,
            Goes::Kernel(release) => {
                let content = content(builder);
                boot.kernels.push((release, content));
                continue;
            }
            Goes::Module(path) => {
                if header.entry_type().is_file() {
                    let content = content(builder);
                    boot.modules.push((path, content));
                }
                continue;
            }
            Goes::Tree(place) if filter.drops(&place) => continue,
            Goes::Tree(place) => place,
        };
        let target = || entry.link_name().ok().flatten().map(|target| target.to_string_lossy().into_owned());
        match header.entry_type() {
            tar::EntryType::Directory => builder.dir(&place, meta)?,
            tar::EntryType::Symlink => {
                let target = target().unwrap_or_default().into_bytes();
                builder.put(&place, Meta::new(0o777), Kind::Symlink(target)).map(|_| ())?;
            }
            tar::EntryType::Link => link(builder, &place, &target().unwrap_or_default(), filter)?,
            _ => {
                let content = content(builder);
                builder.put(&place, meta, Kind::File(content)).map(|_| ())?;
            }
        }
    }
    Ok(())
}

/// A hard link within a package, unless its target was dropped.
fn link(builder: &mut Builder, place: &str, target: &str, filter: Filter<'_>) -> Result<(), TreeError> {
    match goes(target) {
        Goes::Tree(target) if filter.drops(&target) => {
            Err(TreeError::Link { path: place.to_owned(), target })
        }
        Goes::Tree(target) => builder.link(place, &target),
        _ => Err(TreeError::Link { path: place.to_owned(), target: target.to_owned() }),
    }
}

/// Sorts a package's path.
fn goes(name: &str) -> Goes {
    let path = name.trim_start_matches("./").trim_end_matches('/');
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    match top {
        "boot" => match rest.strip_prefix("vmlinuz-") {
            Some(release) => Goes::Kernel(release.to_owned()),
            None => Goes::Nowhere,
        },
        // Links of base-files, or the last packages that do not know the merged /usr.
        "bin" | "sbin" | "lib" | "lib64" if !rest.is_empty() => goes(&format!("usr/{path}")),
        "etc" => Goes::Tree(format!("usr/{path}")),
        "usr" if rest.starts_with("lib/modules/") => Goes::Module(path.to_owned()),
        "usr" if !rest.is_empty() => Goes::Tree(path.to_owned()),
        _ => Goes::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_where_a_merged_usr_has_them() {
        let tree = |path: &str| Goes::Tree(path.to_owned());
        for (name, expected) in [
            ("./", Goes::Nowhere),
            ("./usr/", Goes::Nowhere),
            ("./bin", Goes::Nowhere),
            ("./bin/sh", tree("usr/bin/sh")),
            ("./lib/systemd/x", tree("usr/lib/systemd/x")),
            ("./etc/ssh/", tree("usr/etc/ssh")),
            ("./var/lib/dpkg", Goes::Nowhere),
            ("./boot/vmlinuz-6.12", Goes::Kernel("6.12".to_owned())),
            ("./boot/config-6.12", Goes::Nowhere),
            ("./lib/modules/6/a.ko", Goes::Module("usr/lib/modules/6/a.ko".to_owned())),
        ] {
            assert_eq!(goes(name), expected, "{name}");
        }
    }
}
