//! Reads a directory of this machine into a tree: regular files, directories and symbolic links, owned by root, without
//! extended attributes. Shared by the tests and the benchmark.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use erofs::{Content, ContentId, Kind, Meta, Node, Source, Tree};

/// Files by number.
pub(crate) struct Files(Vec<PathBuf>);

impl Source for Files {
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        let path =
            usize::try_from(id.0).ok().and_then(|index| self.0.get(index)).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File::open(path)?))
    }
}

/// Scans the directory `root`.
pub(crate) fn scan(root: &Path) -> io::Result<(Tree, Files)> {
    let mode = |metadata: &fs::Metadata| (metadata.mode() & 0o7777) as u16;
    let mut tree = Tree::new(Meta::new(mode(&fs::metadata(root)?)));
    let mut files = Files(Vec::new());
    let mut linked = HashMap::new();
    let mut dirs = vec![(root.to_path_buf(), Vec::new())];
    while let Some((dir, target)) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            let name = path.file_name().unwrap_or_default().as_bytes();
            let target = [target.as_slice(), b"/", name].concat();
            let kind = if metadata.is_dir() {
                dirs.push((path, target.clone()));
                Kind::dir()
            } else if metadata.is_symlink() {
                Kind::Symlink(fs::read_link(&path)?.into_os_string().into_vec())
            } else if metadata.is_file() {
                if let Some(&id) = linked.get(&(metadata.dev(), metadata.ino())) {
                    tree.link(&target, id).map_err(io::Error::other)?;
                    continue;
                }
                files.0.push(path);
                Kind::File(Content { size_bytes: metadata.len(), id: ContentId(files.0.len() as u64 - 1) })
            } else {
                continue;
            };
            let node = Node { meta: Meta::new(mode(&metadata)), kind };
            let id = tree.insert(&target, node).map_err(io::Error::other)?;
            if metadata.nlink() > 1 && metadata.is_file() {
                linked.insert((metadata.dev(), metadata.ino()), id);
            }
        }
    }
    Ok((tree, files))
}
