//! Local files that a config names: given as a capability, so that transpiling needs no filesystem.

use std::io;
use std::path::{Path, PathBuf};

use ignition_spec::gopath;

/// Why a local file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path leaves the folder.
    #[error("local file path traverses outside the files directory")]
    Escapes,
    /// The system refused.
    #[error("{operation} {path}: {reason}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: String,
        /// What the system said, in Go's words.
        reason: String,
        /// Its error.
        source: io::Error,
    },
    /// The root of a tree is no folder.
    #[error("root of tree must be a directory")]
    NotADirectory,
}

/// What a tree holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    /// A folder.
    Directory,
    /// A file; `true` when somebody may execute it.
    File(bool),
    /// A symbolic link and its target.
    Link(String),
    /// Something else.
    Other,
}

/// Access to local files.
pub trait Files {
    /// The content of the file `path`.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;
    /// Everything in the folder `path` in the order of a walk that sorts each folder by name, the folder itself (with
    /// an empty path) first; paths are relative to it.
    fn tree(&self, path: &str) -> Result<Vec<(String, TreeEntry)>, FileError>;
}

/// The files below a folder. Symbolic links are followed wherever they lead, as upstream does.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `path` below the root; refused when its dots lead out.
    fn resolve(&self, path: &str) -> Result<PathBuf, FileError> {
        let root = std::path::absolute(&self.root).map_err(|source| failure("open", &self.root, source))?;
        let root = gopath::clean(&root.to_string_lossy());
        match gopath::join(&root, path).strip_prefix(root.trim_end_matches('/')) {
            Some("" | "/") => Ok(self.root.clone()),
            Some(inside) if inside.starts_with('/') => Ok(self.root.join(&inside[1..])),
            _ => Err(FileError::Escapes),
        }
    }
}

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let path = self.resolve(path)?;
        std::fs::read(&path).map_err(|source| {
            let operation = if source.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
            failure(operation, &path, source)
        })
    }

    fn tree(&self, path: &str) -> Result<Vec<(String, TreeEntry)>, FileError> {
        let root = self.resolve(path)?;
        let metadata = std::fs::metadata(&root).map_err(|source| failure("stat", &root, source))?;
        if !metadata.is_dir() {
            return Err(FileError::NotADirectory);
        }
        let mut entries = vec![(String::new(), TreeEntry::Directory)];
        walk(&root, "", &mut entries)?;
        Ok(entries)
    }
}

fn walk(folder: &Path, relative: &str, entries: &mut Vec<(String, TreeEntry)>) -> Result<(), FileError> {
    let list = || std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>();
    let mut here = list().map_err(|source| failure("open", folder, source))?;
    here.sort_by_key(std::fs::DirEntry::file_name);
    for entry in here {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        let metadata = entry.metadata().map_err(|source| failure("lstat", &path, source))?;
        let kind = if metadata.is_dir() {
            TreeEntry::Directory
        } else if metadata.is_file() {
            TreeEntry::File(is_executable(&metadata))
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|source| failure("readlink", &path, source))?;
            TreeEntry::Link(target.to_string_lossy().into_owned())
        } else {
            TreeEntry::Other
        };
        let folder = kind == TreeEntry::Directory;
        entries.push((below.clone(), kind));
        if folder {
            walk(&path, &below, entries)?;
        }
    }
    Ok(())
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

fn failure(operation: &'static str, path: &Path, source: io::Error) -> FileError {
    let reason = match source.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        io::ErrorKind::NotADirectory => "not a directory".into(),
        _ => source.to_string(),
    };
    FileError::System { operation, path: path.display().to_string(), reason, source }
}
