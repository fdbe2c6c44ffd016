//! The OS tree: everything below `/usr`, as one [`erofs::Tree`] rooted there.
//!
//! Packages' files, kernel modules, our overlay and our programs, in that order; a later one replaces an earlier. The
//! machine's `/etc` template is `usr/etc`. Paths in this module are those of the machine without the leading `/`
//! (`usr/bin/bash`).

mod accounts;
mod certificates;
mod libraries;
mod modules;
mod overlay;
mod packages;

use std::path::{Path, PathBuf};

use erofs::{Content, Kind, Meta, Node, NodeId, Tree};
use sha2::{Digest, Sha256};

use crate::content::Contents;
use crate::debian::DebianError;
use crate::lock::{Lock, Package};
use crate::manifest::Manifest;
use crate::pattern::Filter;

pub use modules::{KernelModules, dependencies, module_name};
pub(crate) use overlay::os_release_text;

/// Why no tree could be made.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A package cannot be opened.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Path {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path has no place in a tree.
    #[error("cannot put {path} into the tree")]
    Insert {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: erofs::TreeError,
    },
    /// A hard link whose target is not in the tree.
    #[error("{path} is a hard link to {target}, which is not in the tree")]
    Link {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// The packages have no kernel, or several.
    #[error("the packages bring {count} kernels, one is needed")]
    Kernels {
        /// How many.
        count: usize,
    },
    /// A program needs a library that is not in the tree.
    #[error(
        "{path} needs {library}, which is not in the tree: see debian.omit and tree.drop of the manifest"
    )]
    Library {
        /// The program or library.
        path: String,
        /// What it needs.
        library: String,
    },
    /// One of our programs is missing.
    #[error("{} is missing: build the programs of the image first (cargo xtask build-image does)", path.display())]
    Program {
        /// Where it should be.
        path: PathBuf,
    },
    /// A program of the SDK is missing.
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
    /// A program of the SDK failed.
    #[error("{program} ended with {status}: {said}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        said: String,
    },
}

impl TreeError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { action, path, source }
    }
}

/// Inputs of [`assemble`].
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What to make.
    pub manifest: &'a Manifest,
    /// Its lock.
    pub lock: &'a Lock,
    /// The packages' files.
    pub packages: &'a [(Package, PathBuf)],
    /// The overlay directory.
    pub overlay: &'a Path,
    /// The directory of our programs.
    pub programs: &'a Path,
    /// Where decompressed packages and modules are kept.
    pub cache: &'a Path,
    /// The toolbox.
    pub sdk: &'a sdk::Sdk,
}

/// A finished tree.
#[derive(Debug)]
pub struct OsTree {
    /// Rooted at `/usr`.
    pub tree: Tree,
    /// Contents of its files.
    pub contents: Contents,
    /// Kernel, its release and modules.
    pub kernel: KernelModules,
}

/// Makes the tree.
///
/// # Errors
/// [`TreeError`].
pub fn assemble(inputs: &Inputs<'_>) -> Result<OsTree, TreeError> {
    let mut builder = Builder::new();
    let rules = &inputs.manifest.tree;
    let boot = packages::add(&mut builder, inputs, Filter { drop: &rules.drop, keep: &rules.keep })?;
    let kernel = modules::add(&mut builder, inputs, &boot)?;
    certificates::bundle(&mut builder)?;
    overlay::without_units(&mut builder, &rules.without_units);
    overlay::add(&mut builder, inputs.overlay)?;
    overlay::programs(&mut builder, &inputs.manifest.programs, inputs.programs)?;
    for (path, target) in &rules.links {
        builder.put(path, Meta::new(0o777), Kind::Symlink(target.clone().into_bytes()))?;
    }
    overlay::os_release(&mut builder, &inputs.manifest.image)?;
    accounts::add(&mut builder, inputs)?;
    libraries::check(&builder)?;
    Ok(OsTree { tree: builder.tree, contents: builder.contents, kernel })
}

impl OsTree {
    /// Identity of the tree: a SHA-256 over every path with its metadata and content.
    ///
    /// # Errors
    /// [`TreeError::Path`] when a content cannot be read.
    pub fn digest(&self) -> Result<[u8; 32], TreeError> {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (path, id) in self.tree.walk() {
            let node = self.tree.node(id);
            let Meta { mode, uid, gid, .. } = &node.meta;
            field(&path);
            field(format!("{mode:o} {uid} {gid}").as_bytes());
            match &node.kind {
                Kind::File(content) => {
                    let bytes = self.contents.read(content.id);
                    let name = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
                    field(&Sha256::digest(bytes.map_err(TreeError::at("read", &name))?));
                }
                Kind::Symlink(target) => field(target),
                other => field(format!("{:?}", std::mem::discriminant(other)).as_bytes()),
            }
        }
        Ok(hash.finalize().into())
    }

    /// Number of names below `/usr` and of bytes in its files, hard links counted once a name.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let (mut names, mut bytes) = (0, 0);
        for (_, id) in self.tree.walk() {
            names += 1;
            if let Kind::File(content) = &self.tree.node(id).kind {
                bytes += content.size_bytes;
            }
        }
        (names, bytes)
    }
}

/// The tree while it grows.
#[derive(Debug)]
pub(crate) struct Builder {
    tree: Tree,
    contents: Contents,
}

impl Builder {
    fn new() -> Self {
        Self { tree: Tree::new(Meta::new(0o755)), contents: Contents::default() }
    }

    /// The path below `/usr`; the tree's root has the empty one.
    fn inner(path: &str) -> &str {
        path.strip_prefix("usr").unwrap_or(path).trim_start_matches('/')
    }

    /// Puts a node at a path, in place of what was there, with parents as needed.
    fn put(&mut self, path: &str, meta: Meta, kind: Kind) -> Result<NodeId, TreeError> {
        self.parents(path)?;
        self.tree.remove(Self::inner(path));
        self.tree
            .insert(Self::inner(path), Node { meta, kind })
            .map_err(|source| TreeError::Insert { path: path.to_owned(), source })
    }

    /// Puts a regular file owned by root.
    fn file(&mut self, path: &str, mode: u16, content: Content) -> Result<NodeId, TreeError> {
        self.put(path, Meta::new(mode), Kind::File(content))
    }

    /// Makes a directory unless it is there; sets its metadata.
    fn dir(&mut self, path: &str, meta: Meta) -> Result<(), TreeError> {
        if let Some(id) = self.tree.find(Self::inner(path))
            && matches!(self.tree.node(id).kind, Kind::Dir(_))
        {
            *self.tree.meta_mut(id) = meta;
            return Ok(());
        }
        self.put(path, meta, Kind::dir()).map(|_| ())
    }

    /// Gives a file a further name.
    fn link(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        self.parents(path)?;
        let id = self.tree.find(Self::inner(target));
        let id = id.ok_or_else(|| TreeError::Link { path: path.to_owned(), target: target.to_owned() })?;
        self.tree.remove(Self::inner(path));
        self.tree
            .link(Self::inner(path), id)
            .map_err(|source| TreeError::Insert { path: path.to_owned(), source })
    }

    fn parents(&mut self, path: &str) -> Result<(), TreeError> {
        let inner = Self::inner(path);
        for (at, _) in inner.match_indices('/') {
            if self.tree.find(&inner[..at]).is_none() {
                let node = Node { meta: Meta::new(0o755), kind: Kind::dir() };
                let insert = self.tree.insert(&inner[..at], node);
                insert.map_err(|source| TreeError::Insert { path: path.to_owned(), source })?;
            }
        }
        Ok(())
    }

    /// The bytes of a file of the tree.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let Some(id) = self.tree.find(Self::inner(path)) else { return Ok(None) };
        let Kind::File(content) = &self.tree.node(id).kind else { return Ok(None) };
        self.contents.read(content.id).map(Some).map_err(TreeError::at("read", Path::new(path)))
    }

    /// The regular files below a directory, as whole paths, sorted.
    fn files_below(&self, directory: &str) -> Vec<String> {
        let prefix = format!("{}/", Self::inner(directory));
        let files = self.tree.walk().filter(|(path, id)| {
            path.starts_with(prefix.as_bytes()) && matches!(self.tree.node(*id).kind, Kind::File(_))
        });
        files.map(|(path, _)| format!("usr/{}", String::from_utf8_lossy(&path))).collect()
    }
}

/// Runs a program of the SDK and returns its failure as an error.
fn run(program: &'static str, command: &mut std::process::Command) -> Result<(), TreeError> {
    let output = command.output().map_err(TreeError::at("run", Path::new(program)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(TreeError::Tool { program, status: output.status, said })
}
