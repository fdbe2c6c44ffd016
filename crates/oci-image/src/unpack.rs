//! Unpacks a layer (image-spec, layer.md) into a directory that overlayfs can take as a lower one.
//!
//! A layer is a stranger's tar file, unpacked as root: no path in it may lead out of the directory. Every parent is
//! opened by `openat2(2)` with `RESOLVE_IN_ROOT`, so that a symbolic link of the layer resolves as it will inside of
//! the container; the last component is never followed; `..` in a path is refused.
//!
//! Whiteouts become what overlayfs knows: a character device 0/0 for `.wh.NAME`, the extended attribute
//! `trusted.overlay.opaque` for `.wh..wh..opq`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use tar::{Entry, EntryType};

use crate::digest::{Algorithm, Digest, HashingReader};
use crate::manifest::Compression;

/// Marks a directory that hides the one below it (overlayfs.rst, "whiteouts and opaque directories").
const OPAQUE: &str = "trusted.overlay.opaque";

/// A layer with more entries than this is refused: no honest one is near it.
const ENTRIES_MAX: u64 = 10_000_000;

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive or its compression is broken.
    #[error("the layer is not a sound tar archive")]
    Archive {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path has `..` in it, or is empty where it must not be.
    #[error("the layer has an entry with the unsafe path {path:?}")]
    UnsafePath {
        /// The path.
        path: PathBuf,
    },
    /// An entry of a kind that layers do not have.
    #[error("the layer has an entry of the unknown kind {kind:?} at {path:?}")]
    UnknownKind {
        /// The path.
        path: PathBuf,
        /// Its type byte.
        kind: char,
    },
    /// An entry cannot be made.
    #[error("cannot {what} {path:?} of the layer")]
    Entry {
        /// What was tried.
        what: &'static str,
        /// The path in the layer.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The target directory cannot be used.
    #[error("cannot unpack into {dir:?}")]
    Target {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too many entries.
    #[error("the layer has more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// What a layer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Its digest before compression, to be compared with the image's config.
    pub diff_id: Digest,
    /// Size before compression, bytes.
    pub bytes: u64,
    /// Number of entries.
    pub entries: u64,
    /// Extended attributes that were left out: not `user.*` and not `security.capability`.
    pub skipped_xattrs: u64,
}

/// Unpacks a layer into the existing, empty directory `dir`. `reader` gives the compressed bytes, `algorithm` is
/// that of the config's diff id.
///
/// # Errors
/// [`UnpackError`]; `dir` then holds a part and is to be removed.
pub fn unpack(reader: impl Read, algorithm: Algorithm, dir: &Path) -> Result<Unpacked, UnpackError> {
    let archive = |source| UnpackError::Archive { source };
    let plain = decompress(reader).map_err(archive)?;
    let mut hashing = HashingReader::new(plain, algorithm);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(dir, flags, Mode::empty())
        .map_err(|errno| UnpackError::Target { dir: dir.to_owned(), source: errno.into() })?;
    let mut layer = Extractor { root, parent: None, directories: Vec::new(), entries: 0, skipped_xattrs: 0 };
    let mut tar = tar::Archive::new(&mut hashing);
    for entry in tar.entries().map_err(archive)? {
        layer.entry(&mut entry.map_err(archive)?)?;
    }
    // What follows the archive's end (padding) belongs to the digest too.
    io::copy(&mut hashing, &mut io::sink()).map_err(archive)?;
    layer.finish()?;
    let (diff_id, bytes) = hashing.finish();
    Ok(Unpacked { diff_id, bytes, entries: layer.entries, skipped_xattrs: layer.skipped_xattrs })
}

/// The bytes before compression; which one it is, the first bytes tell.
fn decompress<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut reader = io::BufReader::with_capacity(256 << 10, reader);
    let head = peek(&mut reader)?;
    Ok(match Compression::of_bytes(&head) {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(reader)?),
    })
}

fn peek(reader: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let buffer = reader.fill_buf()?;
    Ok(buffer.iter().take(4).copied().collect())
}

struct Extractor {
    root: OwnedFd,
    /// The directory that was used last: entries come by directory.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories are set at the end, when nothing more is put into them.
    directories: Vec<(PathBuf, Timespec)>,
    entries: u64,
    skipped_xattrs: u64,
}

/// What an entry carries besides its content.
struct Meta {
    mode: Mode,
    uid: Uid,
    gid: Gid,
    mtime: Timespec,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Extractor {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(UnpackError::TooMany);
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = clean(Path::new(OsStr::from_bytes(&entry.path_bytes())))?;
        let meta = self.meta(entry, &path)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The root itself: only what it carries matters.
            return self.at(&path, "set up", |layer| layer.dress_directory(&path, &meta));
        };
        if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
            return self.at(&path, "hide what is below", |layer| layer.whiteout(&path, hidden));
        }
        match kind {
            EntryType::Directory => {
                self.at(&path, "make the directory", |layer| layer.directory(&path, &name, &meta))
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.at(&path, "write the file", |layer| layer.file(&path, &name, &meta, entry))
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                self.at(&path, "make the link", |layer| {
                    layer.symlink(&path, &name, &meta, OsStr::from_bytes(&target))
                })
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = clean(Path::new(OsStr::from_bytes(&target)))?;
                self.at(&path, "make the hard link", |layer| layer.hard_link(&path, &name, &target))
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let header = entry.header();
                let number = (header.device_major().ok().flatten(), header.device_minor().ok().flatten());
                self.at(&path, "make the device", |layer| layer.device(&path, &name, &meta, kind, number))
            }
            other => Err(UnpackError::UnknownKind { path, kind: char::from(other.as_byte()) }),
        }
    }

    /// Runs one step and gives its error the entry's path.
    fn at(
        &mut self,
        path: &Path,
        what: &'static str,
        step: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<(), UnpackError> {
        step(self).map_err(|source| UnpackError::Entry { what, path: path.to_owned(), source })
    }

    fn meta<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> Result<Meta, UnpackError> {
        let broken = |source| UnpackError::Archive { source };
        let id = |number: u64| {
            let wide = io::Error::new(io::ErrorKind::InvalidData, format!("the id {number} is too large"));
            u32::try_from(number).ok().filter(|id| *id != u32::MAX).ok_or(UnpackError::Entry {
                what: "set the owner of",
                path: path.to_owned(),
                source: wide,
            })
        };
        let header = entry.header();
        let (mode, mtime) = (header.mode().map_err(broken)?, header.mtime().map_err(broken)?);
        let (mut uid, mut gid) = (header.uid().map_err(broken)?, header.gid().map_err(broken)?);
        let mut mtime = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(i64::MAX), tv_nsec: 0 };
        let mut xattrs = Vec::new();
        for extension in entry.pax_extensions().map_err(broken)?.into_iter().flatten() {
            let extension = extension.map_err(broken)?;
            let text = || std::str::from_utf8(extension.value_bytes()).unwrap_or_default();
            match extension.key_bytes() {
                b"uid" => uid = text().parse().unwrap_or(uid),
                b"gid" => gid = text().parse().unwrap_or(gid),
                b"mtime" => mtime = pax_time(text()).unwrap_or(mtime),
                key => {
                    let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else { continue };
                    if may_set(name) {
                        xattrs.push((OsString::from_vec(name.to_vec()), extension.value_bytes().to_vec()));
                    } else {
                        self.skipped_xattrs += 1;
                    }
                }
            }
        }
        let (uid, gid) = (Uid::from_raw(id(uid)?), Gid::from_raw(id(gid)?));
        Ok(Meta { mode: Mode::from_raw_mode(mode & 0o7777), uid, gid, mtime, xattrs })
    }

    /// The parent directory of `path`, opened inside of the root and made if it is not there.
    fn parent(&mut self, path: &Path) -> io::Result<&OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let known = self.parent.as_ref().is_some_and(|(known, _)| known == parent);
        if !known {
            let fd = match self.open_directory(parent) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make_parents(parent)?;
                    self.open_directory(parent)?
                }
                other => other?,
            };
            self.parent = Some((parent.to_owned(), fd));
        }
        Ok(&self.parent.as_ref().expect("just set").1)
    }

    fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(fs::openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }

    /// Makes the directories above an entry that the archive did not name, 0755 and root's.
    fn make_parents(&self, parent: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::new();
        for part in parent {
            let above = self.open_directory(&so_far)?;
            match fs::mkdirat(&above, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            so_far.push(part);
        }
        Ok(())
    }

    /// Makes room at a path: whatever an earlier entry put there goes. Tells whether that was a whiteout.
    fn make_room(&mut self, path: &Path, name: &OsStr) -> io::Result<bool> {
        let parent = self.parent(path)?;
        let found = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other?,
        };
        let whiteout =
            FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            let parent = parent.try_clone()?;
            self.parent = None;
            self.directories.retain(|(other, _)| !other.starts_with(path));
            remove_tree(&parent, name)?;
        } else {
            // A link may have been the way to the remembered parent.
            let parent = parent.try_clone()?;
            self.parent = None;
            fs::unlinkat(&parent, name, AtFlags::empty())?;
        }
        Ok(whiteout)
    }

    fn directory(&mut self, path: &Path, name: &OsStr, meta: &Meta) -> io::Result<()> {
        let parent = self.parent(path)?;
        match fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let found = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
                    let whiteout = self.make_room(path, name)?;
                    let parent = self.parent(path)?;
                    fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
                    if whiteout {
                        self.set_opaque(path)?;
                    }
                }
            }
            Err(errno) => return Err(errno.into()),
        }
        self.dress_directory(path, meta)
    }

    /// Owner, mode, attributes of a directory; its time comes at the end.
    fn dress_directory(&mut self, path: &Path, meta: &Meta) -> io::Result<()> {
        let fd = self.open_last(path)?;
        dress(&fd, meta)?;
        self.directories.push((path.to_owned(), meta.mtime));
        Ok(())
    }

    /// A directory itself, its last component not followed.
    fn open_last(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let Some(name) = path.file_name() else { return self.open_directory(path) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(self.parent(path)?, name, flags, Mode::empty())?)
    }

    fn file(&mut self, path: &Path, name: &OsStr, meta: &Meta, content: &mut impl Read) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::from_raw_mode(0o600);
        let fd = match fs::openat(self.parent(path)?, name, flags, private) {
            Err(Errno::EXIST) => {
                self.make_room(path, name)?;
                fs::openat(self.parent(path)?, name, flags, private)?
            }
            other => other?,
        };
        let mut file = std::fs::File::from(fd);
        io::copy(content, &mut file)?;
        dress(&file, meta)?;
        fs::futimens(&file, &times(meta.mtime))?;
        Ok(())
    }

    fn symlink(&mut self, path: &Path, name: &OsStr, meta: &Meta, target: &OsStr) -> io::Result<()> {
        // A link in place of a directory changes where paths lead.
        if let Err(errno) = fs::symlinkat(target, self.parent(path)?, name) {
            if errno != Errno::EXIST {
                return Err(errno.into());
            }
            self.make_room(path, name)?;
            fs::symlinkat(target, self.parent(path)?, name)?;
        }
        let parent = self.parent(path)?;
        fs::chownat(parent, name, Some(meta.uid), Some(meta.gid), AtFlags::SYMLINK_NOFOLLOW)?;
        fs::utimensat(parent, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, name: &OsStr, target: &Path) -> io::Result<()> {
        let Some(target_name) = target.file_name() else { return Err(Errno::PERM.into()) };
        let target_parent = self.open_directory(target.parent().unwrap_or(Path::new("")))?;
        let found = fs::statat(&target_parent, target_name, AtFlags::SYMLINK_NOFOLLOW)?;
        let here = self.parent(path)?;
        match fs::linkat(&target_parent, target_name, here, name, AtFlags::empty()) {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
        let present = fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (present.st_dev, present.st_ino) == (found.st_dev, found.st_ino) {
            return Ok(());
        }
        self.make_room(path, name)?;
        Ok(fs::linkat(&target_parent, target_name, self.parent(path)?, name, AtFlags::empty())?)
    }

    fn device(
        &mut self,
        path: &Path,
        name: &OsStr,
        meta: &Meta,
        kind: EntryType,
        (major, minor): (Option<u32>, Option<u32>),
    ) -> io::Result<()> {
        let kind = match kind {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let number = fs::makedev(major.unwrap_or(0), minor.unwrap_or(0));
        self.make_room(path, name)?;
        let parent = self.parent(path)?;
        fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), number)?;
        fs::chownat(parent, name, Some(meta.uid), Some(meta.gid), AtFlags::SYMLINK_NOFOLLOW)?;
        // The name was made just now in a directory that nobody else writes to: it is no link.
        fs::chmodat(parent, name, meta.mode, AtFlags::empty())?;
        fs::utimensat(parent, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    fn whiteout(&mut self, path: &Path, hidden: &[u8]) -> io::Result<()> {
        if hidden == b".wh..opq" {
            return self.set_opaque(path.parent().unwrap_or(Path::new("")));
        }
        // Further `.wh..wh.` names were aufs' own; nothing below has them.
        if hidden.starts_with(b".wh.") {
            return Ok(());
        }
        let name = OsStr::from_bytes(hidden);
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Errno::INVAL.into());
        }
        let parent = self.parent(path)?;
        match fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), fs::makedev(0, 0)) {
            Ok(()) => Ok(()),
            // The layer has that name itself: it hides what is below. A directory must say so.
            Err(Errno::EXIST) => {
                let found = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                    self.set_opaque(&path.with_file_name(name))?;
                }
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn set_opaque(&mut self, path: &Path) -> io::Result<()> {
        if let Some(name) = path.file_name().map(OsStr::to_owned) {
            // A whiteout may come before the directory that it belongs to.
            match fs::mkdirat(self.parent(path)?, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let fd = self.open_last(path)?;
        Ok(fs::fsetxattr(&fd, OPAQUE, b"y", XattrFlags::empty())?)
    }

    /// Sets the times of directories, the deepest first.
    fn finish(&mut self) -> Result<(), UnpackError> {
        let mut directories = std::mem::take(&mut self.directories);
        directories.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, mtime) in directories {
            self.at(&path, "set the time of", |layer| match layer.open_last(&path) {
                Ok(fd) => Ok(fs::futimens(&fd, &times(mtime))?),
                // A later entry took its place.
                Err(error)
                    if matches!(
                        Errno::from_io_error(&error),
                        Some(Errno::NOTDIR | Errno::LOOP | Errno::NOENT)
                    ) =>
                {
                    Ok(())
                }
                Err(error) => Err(error),
            })?;
        }
        Ok(())
    }
}

/// A path without a leading slash and `.`; one with `..` is refused.
fn clean(path: &Path) -> Result<PathBuf, UnpackError> {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(UnpackError::UnsafePath { path: path.to_owned() });
            }
        }
    }
    Ok(clean)
}

/// Attributes that a layer may set: those that decide about mounts and labels are the machine's.
fn may_set(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

/// Owner, then mode (a change of owner clears setuid), then attributes (it clears capabilities too).
fn dress(fd: &impl AsFd, meta: &Meta) -> io::Result<()> {
    fs::fchown(fd, Some(meta.uid), Some(meta.gid))?;
    fs::fchmod(fd, meta.mode)?;
    for (name, value) in &meta.xattrs {
        fs::fsetxattr(fd, name, value, XattrFlags::empty())?;
    }
    Ok(())
}

fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: mtime, last_modification: mtime }
}

/// `SECONDS[.FRACTION]`, with a sign for times before 1970.
fn pax_time(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let (tv_sec, tv_nsec) = (seconds.parse().ok()?, digits.parse().ok()?);
    if seconds.starts_with('-') && tv_nsec > 0 {
        let negative: i64 = tv_sec;
        return Some(Timespec { tv_sec: negative.checked_sub(1)?, tv_nsec: 1_000_000_000 - tv_nsec });
    }
    Some(Timespec { tv_sec, tv_nsec })
}

/// Removes a directory and all in it; links in it are removed, not followed.
///
/// # Errors
/// The first failure.
pub fn remove_tree(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match fs::openat(&parent, name, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(fs::unlinkat(&parent, name, AtFlags::empty())?),
        Err(errno) => return Err(errno.into()),
    };
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(&dir)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes != b"." && bytes != b".." {
            names.push((OsStr::from_bytes(bytes).to_owned(), entry.file_type()));
        }
    }
    for (name, kind) in names {
        match kind {
            FileType::Directory | FileType::Unknown => remove_tree(&dir, &name)?,
            _ => fs::unlinkat(&dir, &name, AtFlags::empty())?,
        }
    }
    Ok(fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
}

/// Removes a tree by its path; nothing there is no error.
///
/// # Errors
/// The first failure.
pub fn remove_path(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(Errno::INVAL.into()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::openat(CWD, path.parent().unwrap_or(Path::new(".")), flags, Mode::empty()) {
        Ok(parent) => remove_tree(&parent, name),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
