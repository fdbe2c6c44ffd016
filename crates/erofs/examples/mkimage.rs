//! Writes an EROFS image of a directory: `mkimage DIR IMAGE [none|LEVEL [CLUSTER_BYTES [THREADS]]]`.
//!
//! A development aid; images of the OS are written by `orlop-os build`.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use erofs::{Compression, Content, ContentId, Kind, Meta, Node, Options, Source, Tree};

struct Files(Vec<PathBuf>);

impl Source for Files {
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(&self.0[usize::try_from(id.0).map_err(io::Error::other)?])?))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [dir, image, rest @ ..] = args.as_slice() else {
        return Err("mkimage DIR IMAGE [none|LEVEL [BYTES]]".into());
    };
    let compression = match rest.first().map(String::as_str) {
        Some("none") => Compression::None,
        None => Compression::DEFAULT,
        Some(level) => Compression::Lz4hc {
            level: level.parse()?,
            cluster_bytes: rest.get(1).map_or(Ok(65536), |bytes| bytes.parse())?,
        },
    };
    let threads = rest.get(2).map_or(Ok(1), |threads| threads.parse())?;
    let (tree, files) = scan(Path::new(dir))?;
    let mut out = File::create(image)?;
    let options = Options { compression, threads, ..Options::default() };
    let summary = erofs::write(&tree, &files, &options, &mut out, &mut |_| {})?;
    writeln!(io::stdout().lock(), "{summary:?}")?;
    Ok(())
}

/// Regular files, directories and symbolic links below `root`, owned by root.
fn scan(root: &Path) -> Result<(Tree, Files), Box<dyn Error>> {
    let mut tree = Tree::new(Meta::new(0o755));
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
                    tree.link(&target, id)?;
                    continue;
                }
                files.0.push(path);
                Kind::File(Content { size_bytes: metadata.len(), id: ContentId(files.0.len() as u64 - 1) })
            } else {
                continue;
            };
            let id =
                tree.insert(&target, Node { meta: Meta::new((metadata.mode() & 0o7777) as u16), kind })?;
            if metadata.nlink() > 1 && metadata.is_file() {
                linked.insert((metadata.dev(), metadata.ino()), id);
            }
        }
    }
    Ok((tree, files))
}
