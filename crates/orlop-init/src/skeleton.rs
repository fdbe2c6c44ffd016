//! The top of the machine's `/`, and its `/etc` of this release.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use provision::skeleton::{DIRECTORIES, LINKS};
use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, Uid};

use crate::stamp;

/// The text of `/etc/machine-id` by which systemd knows a first boot (machine-id(5)).
const MACHINE_ID: &str = "uninitialized\n";

/// What could not be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {path}")]
pub(crate) struct SkeletonError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SkeletonError {
    let path = path.to_owned();
    move |source| SkeletonError { path, source }
}

/// Makes what is missing of the top of a root; what is there stays.
pub(crate) fn make(root: &Path) -> Result<(), SkeletonError> {
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        match fs::DirBuilder::new().mode(mode).create(&path) {
            // The mode again, because a umask may have cut it.
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(at(&path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    for (name, target) in LINKS {
        let path = root.join(name);
        match symlink(target, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Where the `/etc` of a release comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EtcSource {
    /// It is there.
    Present,
    /// From the image's `/usr/etc`: the first boot.
    Template,
    /// From the machine's `/etc` of another release: this one was started without having been staged, and what the
    /// machine was told must not be lost.
    Release(String),
}

/// Decides where `/etc` comes from, given the releases that have one and which of them was used last.
pub(crate) fn etc_source(release: &str, present: &[String], last: Option<&str>) -> EtcSource {
    if present.iter().any(|name| name == release) {
        return EtcSource::Present;
    }
    let last = last.filter(|last| present.iter().any(|name| name == last));
    match last.or_else(|| present.iter().max().map(String::as_str)) {
        Some(other) => EtcSource::Release(other.to_owned()),
        None => EtcSource::Template,
    }
}

/// Makes sure that `/orlop/etc/RELEASE` is there, and returns it with where it came from.
pub(crate) fn etc(
    root: &Path,
    template: &Path,
    release: &str,
) -> Result<(PathBuf, EtcSource), SkeletonError> {
    let releases = root.join(stamp::DIRECTORY).join("etc");
    let place = releases.join(release);
    let mut present = Vec::new();
    for entry in fs::read_dir(&releases).map_err(at(&releases))? {
        let name = entry.map_err(at(&releases))?.file_name().to_string_lossy().into_owned();
        // A leading dot: a copy that was cut short, or the note of the last release.
        if !name.starts_with('.') {
            present.push(name);
        }
    }
    let note = releases.join(".last");
    let last = fs::read_to_string(&note).ok();
    let last = last.as_deref().map(str::trim);
    let source = etc_source(release, &present, last);
    let from = match &source {
        EtcSource::Present => None,
        EtcSource::Template => Some(template.to_owned()),
        EtcSource::Release(other) => Some(releases.join(other)),
    };
    if let Some(from) = from {
        let beside = releases.join(format!(".{release}.new"));
        if fs::symlink_metadata(&beside).is_ok() {
            fs::remove_dir_all(&beside).map_err(at(&beside))?;
        }
        copy_directory(&from, &beside)?;
        if source == EtcSource::Template {
            let id = beside.join("machine-id");
            fs::write(&id, MACHINE_ID).map_err(at(&id))?;
        }
        // A first boot that is cut short starts again; a machine's /etc must be whole before it has its name.
        if source != EtcSource::Template {
            File::open(&beside).and_then(|file| Ok(rustix::fs::syncfs(file)?)).map_err(at(&beside))?;
        }
        fs::rename(&beside, &place).map_err(at(&place))?;
    }
    if last != Some(release) {
        fs::write(&note, format!("{release}\n")).map_err(at(&note))?;
    }
    Ok((place, source))
}

/// Copies a directory with modes, owners, times and links. Device nodes and sockets have no place in an `/etc`.
fn copy_directory(from: &Path, to: &Path) -> Result<(), SkeletonError> {
    fs::create_dir(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(at(&source))?;
        if kind.is_dir() {
            copy_directory(&source, &place)?;
            continue;
        }
        if kind.is_symlink() {
            fs::read_link(&source).and_then(|target| symlink(target, &place)).map_err(at(&place))?;
        } else if kind.is_file() {
            fs::copy(&source, &place).map_err(at(&place))?;
        } else {
            continue;
        }
        copy_attributes(&source, &place).map_err(at(&place))?;
    }
    copy_attributes(from, to).map_err(at(to))
}

/// Owner first, because a change of owner clears the setuid bits.
fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    rustix::fs::chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !meta.is_symlink() {
        fs::set_permissions(to, meta.permissions())?;
    }
    let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The release named by an os-release file: `IMAGE_VERSION`, else `VERSION_ID` (os-release(5)), as a file name.
pub(crate) fn release(os_release: &str) -> Option<String> {
    let value = |key: &str| {
        os_release.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim_matches(['"', '\'']);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~' | '^');
            (!value.is_empty() && !value.starts_with('.') && value.chars().all(plain))
                .then(|| value.to_owned())
        })
    };
    value("IMAGE_VERSION").or_else(|| value("VERSION_ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_os_release_files() {
        for (text, expected) in [
            ("ID=orlop\nVERSION_ID=\"0.1.0\"\n", Some("0.1.0")),
            ("VERSION_ID=1\nIMAGE_VERSION='2026.11.21'\n", Some("2026.11.21")),
            ("VERSION_ID=../x\n", None),
            ("VERSION_ID=..\n", None),
            ("ID=orlop\n", None),
        ] {
            assert_eq!(release(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn where_etc_comes_from() {
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (present, last, expected) in [
            (all(&[]), None, EtcSource::Template),
            (all(&["2"]), None, EtcSource::Present),
            (all(&["1", "2"]), Some("1"), EtcSource::Present),
            (all(&["0", "1"]), Some("0"), EtcSource::Release("0".into())),
            (all(&["0", "1"]), Some("gone"), EtcSource::Release("1".into())),
        ] {
            assert_eq!(etc_source("2", &present, last), expected, "{present:?} {last:?}");
        }
    }

    #[test]
    fn a_fresh_root_and_its_etc() {
        let temp = tempfile::tempdir().unwrap();
        let (root, template) = (temp.path().join("root"), temp.path().join("template"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(template.join("ssh")).unwrap();
        fs::write(template.join("shadow"), "root:*:::::::\n").unwrap();
        fs::set_permissions(template.join("shadow"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("../usr/lib/os-release", template.join("os-release")).unwrap();
        make(&root).unwrap();
        make(&root).unwrap();
        assert_eq!(fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(root.join("home")).unwrap(), Path::new("var/home"));

        let (place, source) = etc(&root, &template, "1").unwrap();
        assert_eq!(source, EtcSource::Template);
        assert_eq!(fs::metadata(place.join("shadow")).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_link(place.join("os-release")).unwrap(), Path::new("../usr/lib/os-release"));
        assert_eq!(fs::read_to_string(place.join("machine-id")).unwrap(), MACHINE_ID);
        fs::write(place.join("machine-id"), "0123\n").unwrap();

        // A copy that was cut short does not count; an unstaged release takes over the machine's own.
        fs::create_dir_all(root.join("orlop/etc/.2.new/half")).unwrap();
        assert_eq!(etc(&root, &template, "1").unwrap().1, EtcSource::Present);
        let (place, source) = etc(&root, &template, "2").unwrap();
        assert_eq!(source, EtcSource::Release("1".into()));
        assert_eq!(fs::read_to_string(place.join("machine-id")).unwrap(), "0123\n");
        assert!(!place.join("half").exists());
    }
}
