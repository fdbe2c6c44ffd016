//! Reads a directory into an [`erofs::Tree`].
//!
//! The tree gets paths, modes, owners, link targets, device numbers, extended attributes and hard links; contents stay
//! where they are, and [`Contents`] opens them by number when the image is written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use erofs::{Content, ContentId, Device, Kind, Meta, Node, NodeId, Source, Tree, TreeError};

/// Longest list of names and longest value of extended attributes (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`, `limits.h`).
const XATTR_BYTES_MAX: usize = 65536;

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// A file or directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its path on this machine.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its extended attributes could not be read.
    #[error("cannot read the extended attributes of {}", path.display())]
    Xattrs {
        /// Its path on this machine.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tree refused it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// How to read a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScanOptions {
    /// Gives every node this owner and group, whatever the files have.
    pub owner: Option<(u32, u32)>,
    /// Leaves extended attributes out.
    pub without_xattrs: bool,
}

/// The files of scanned directories, by [`ContentId`].
#[derive(Debug, Default)]
pub struct Contents {
    paths: Vec<PathBuf>,
}

impl Contents {
    /// Adds a file of this machine and gives its number and size, for a node that no scan found.
    ///
    /// # Errors
    /// [`ScanError::Read`] when there is no such file.
    pub fn add(&mut self, path: impl Into<PathBuf>) -> Result<Content, ScanError> {
        let path = path.into();
        match fs::metadata(&path) {
            Ok(metadata) => Ok(self.push(path, metadata.len())),
            Err(source) => Err(ScanError::Read { path, source }),
        }
    }

    /// The file behind a number.
    #[must_use]
    pub fn path(&self, id: ContentId) -> Option<&Path> {
        self.paths.get(usize::try_from(id.0).ok()?).map(PathBuf::as_path)
    }

    fn push(&mut self, path: PathBuf, size_bytes: u64) -> Content {
        self.paths.push(path);
        Content { size_bytes, id: ContentId(self.paths.len() as u64 - 1) }
    }
}

impl Source for Contents {
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        let path = self.path(id).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File::open(path)?))
    }
}

/// Reads the directory `root` and all below it. Symbolic links are not followed, other filesystems are.
///
/// # Errors
/// [`ScanError`] with the path that could not be read.
pub fn scan(root: &Path, options: &ScanOptions) -> Result<(Tree, Contents), ScanError> {
    let mut contents = Contents::default();
    let mut tree = Tree::new(meta(root, &stat(root)?, options)?);
    scan_into(&mut tree, &mut contents, root, b"", options)?;
    Ok((tree, contents))
}

/// Reads what is in the directory `root` into the directory `target` of `tree`, which must be there.
///
/// # Errors
/// As [`scan`]; also when a path is already in the tree.
pub fn scan_into(
    tree: &mut Tree,
    contents: &mut Contents,
    root: &Path,
    target: &[u8],
    options: &ScanOptions,
) -> Result<(), ScanError> {
    let mut linked: HashMap<(u64, u64), NodeId> = HashMap::new();
    let mut dirs = vec![(root.to_path_buf(), target.to_vec())];
    while let Some((dir, target)) = dirs.pop() {
        for (name, path) in names(&dir)? {
            let metadata = stat(&path)?;
            let target = if target.is_empty() { name } else { [target.as_slice(), b"/", &name].concat() };
            let file = (metadata.dev(), metadata.ino());
            if let Some(&id) = linked.get(&file) {
                tree.link(&target, id)?;
                continue;
            }
            let kind = kind(&path, &metadata, contents)?;
            let id = tree.insert(&target, Node { meta: meta(&path, &metadata, options)?, kind })?;
            if metadata.is_dir() {
                dirs.push((path, target));
            } else if metadata.nlink() > 1 {
                linked.insert(file, id);
            }
        }
    }
    Ok(())
}

/// The names in a directory, sorted, with their paths on this machine: numbers of contents follow this order.
fn names(dir: &Path) -> Result<Vec<(Vec<u8>, PathBuf)>, ScanError> {
    let read_error = |source| ScanError::Read { path: dir.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        names.push((entry.file_name().into_vec(), entry.path()));
    }
    names.sort();
    Ok(names)
}

fn stat(path: &Path) -> Result<Metadata, ScanError> {
    fs::symlink_metadata(path).map_err(|source| ScanError::Read { path: path.to_path_buf(), source })
}

fn kind(path: &Path, metadata: &Metadata, contents: &mut Contents) -> Result<Kind, ScanError> {
    let file_type = metadata.file_type();
    let device = || {
        let number = metadata.rdev();
        Device { major: rustix::fs::major(number), minor: rustix::fs::minor(number) }
    };
    Ok(if file_type.is_dir() {
        Kind::dir()
    } else if file_type.is_symlink() {
        let target =
            fs::read_link(path).map_err(|source| ScanError::Read { path: path.to_path_buf(), source })?;
        Kind::Symlink(target.as_os_str().as_bytes().to_vec())
    } else if file_type.is_char_device() {
        Kind::CharDevice(device())
    } else if file_type.is_block_device() {
        Kind::BlockDevice(device())
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        Kind::File(contents.push(path.to_path_buf(), metadata.len()))
    })
}

fn meta(path: &Path, metadata: &Metadata, options: &ScanOptions) -> Result<Meta, ScanError> {
    let (uid, gid) = options.owner.unwrap_or((metadata.uid(), metadata.gid()));
    let xattrs = if options.without_xattrs { BTreeMap::new() } else { xattrs(path)? };
    let mode = (metadata.mode() & 0o7777) as u16;
    Ok(Meta { mode, uid, gid, xattrs })
}

fn xattrs(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ScanError> {
    let error =
        |errno: rustix::io::Errno| ScanError::Xattrs { path: path.to_path_buf(), source: errno.into() };
    match rustix::fs::llistxattr(path, &mut [0u8; 0]) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(BTreeMap::new()),
        Ok(_) => {}
        Err(errno) => return Err(error(errno)),
    }
    let mut list = vec![0; XATTR_BYTES_MAX];
    let length = rustix::fs::llistxattr(path, &mut list).map_err(error)?;
    let mut xattrs = BTreeMap::new();
    for name in list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; XATTR_BYTES_MAX];
        let length = rustix::fs::lgetxattr(path, name, &mut value).map_err(error)?;
        value.truncate(length);
        xattrs.insert(name.to_vec(), value);
    }
    Ok(xattrs)
}
