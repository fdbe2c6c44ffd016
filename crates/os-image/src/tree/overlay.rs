//! Our own files: the overlay directory, our programs, os-release.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use erofs::{Kind, Meta};

use super::{Builder, TreeError};
use crate::manifest::Image;
use crate::pattern::matches;

/// Where packages have their units, below `/usr`.
const UNITS: &str = "lib/systemd/system/";

/// Lays a directory over the tree. Files are 0644, or 0755 when their owner may run them: a clone's umask has no say.
pub(super) fn add(builder: &mut Builder, overlay: &Path) -> Result<(), TreeError> {
    add_below(builder, overlay, "")
}

fn add_below(builder: &mut Builder, directory: &Path, prefix: &str) -> Result<(), TreeError> {
    let read = fs::read_dir(directory).map_err(TreeError::at("read", directory))?;
    let mut entries: Vec<_> = read.collect::<Result<_, _>>().map_err(TreeError::at("read", directory))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let place = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = fs::symlink_metadata(&path).map_err(TreeError::at("read", &path))?;
        if metadata.is_dir() {
            builder.parents(&format!("{place}/x"))?;
            add_below(builder, &path, &format!("{place}/"))?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(TreeError::at("read", &path))?;
            builder.put(&place, Meta::new(0o777), Kind::Symlink(target.as_os_str().as_bytes().to_vec()))?;
        } else {
            let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            let content = builder.contents.memory(fs::read(&path).map_err(TreeError::at("read", &path))?);
            builder.file(&place, mode, content)?;
        }
    }
    Ok(())
}

/// Removes units of packages, and every link that has the name of one or leads to one.
pub(super) fn without_units(builder: &mut Builder, patterns: &BTreeMap<String, String>) {
    let dropped = |name: &str| patterns.keys().any(|pattern| matches(pattern, name));
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut gone = Vec::new();
    for (path, id) in builder.tree.walk() {
        let path = String::from_utf8_lossy(&path).into_owned();
        if !path.starts_with(UNITS) {
            continue;
        }
        let target = match &builder.tree.node(id).kind {
            Kind::Symlink(target) => last(&String::from_utf8_lossy(target)),
            _ => String::new(),
        };
        if dropped(&last(&path)) || dropped(last(&path).trim_end_matches(".d")) || dropped(&target) {
            gone.push(path);
        }
    }
    // Directories come before what is in them; what went with its directory is not there any more.
    for path in gone {
        builder.tree.remove(path);
    }
}

/// Adds our programs under their names.
pub(super) fn programs(
    builder: &mut Builder,
    list: &BTreeMap<String, Vec<String>>,
    directory: &Path,
) -> Result<(), TreeError> {
    for (place, others) in list {
        let path = directory.join(place.rsplit('/').next().unwrap_or(place));
        if !path.is_file() {
            return Err(TreeError::Program { path });
        }
        let content = builder.contents.path(&path).map_err(TreeError::at("read", &path))?;
        builder.file(place, 0o755, content)?;
        for other in others {
            builder.link(other, place)?;
        }
    }
    Ok(())
}

/// Writes `os-release(5)`; `usr/etc/os-release` points to it.
pub(super) fn os_release(builder: &mut Builder, image: &Image) -> Result<(), TreeError> {
    let content = builder.contents.memory(os_release_text(image).into_bytes());
    builder.file("usr/lib/os-release", 0o644, content)?;
    builder.put("usr/etc/os-release", Meta::new(0o777), Kind::Symlink(b"../usr/lib/os-release".to_vec()))?;
    Ok(())
}

/// The text of os-release, also part of the UKI.
#[must_use]
pub(crate) fn os_release_text(image: &Image) -> String {
    let Image { id, name, version, .. } = image;
    format!(
        "NAME=\"{name}\"\nID={id}\nID_LIKE=debian\nPRETTY_NAME=\"{name} {version}\"\nVERSION_ID={version}\nIMAGE_ID={id}\nIMAGE_VERSION={version}\n"
    )
}
