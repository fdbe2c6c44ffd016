//! Third-party programs of the toolbox (QEMU, mke2fs, mtools …) run from one unpacked Debian tree.
//!
//! The tree is Debian 13 (trixie) packages unpacked by `mmdebstrap` into the cache; nothing is installed into the host
//! and nothing in the tree is run as part of an installation. Programs are started through the tree's own dynamic
//! loader (`ld.so --library-path`), so they need no chroot, no root and no particular host libraries.
//!
//! Principles: a tree is complete or absent (made beside its place, then renamed); its name is the hash of what it is
//! made of, so a changed list makes a new tree; one maker at a time (a lock file), the others wait and find it made.
//!
//! Modules: [`packages`] says what is in the tree, [`make`] makes it, [`run`] starts programs of it.

pub mod make;
pub mod packages;
pub mod run;

use std::path::{Path, PathBuf};

pub use make::{Event, ensure};

/// Why the tree cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path of the cache or of the tree cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Path {
        /// What was tried: a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A program of the host, needed to make the tree, cannot be started.
    #[error("cannot start {program} (install the Debian package {package})")]
    HostProgram {
        /// Its name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `mmdebstrap` ended badly.
    #[error("mmdebstrap ended with {status}: {}", last_lines.join(" / "))]
    Mmdebstrap {
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines it printed.
        last_lines: Vec<String>,
    },
    /// The directory is not an SDK tree, or an unfinished one.
    #[error("{} is not a complete SDK tree: {missing} is missing", path.display())]
    NotATree {
        /// The directory.
        path: PathBuf,
        /// The first thing looked for and not found.
        missing: &'static str,
    },
    /// The tree has no such program.
    #[error("the SDK tree {} has no program {name}", path.display())]
    NoProgram {
        /// The tree.
        path: PathBuf,
        /// The program looked for.
        name: String,
    },
    /// Neither `ORLOP_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache directory: set ORLOP_CACHE or HOME")]
    NoCacheDirectory,
}

/// An unpacked tree of third-party programs.
#[derive(Debug, Clone)]
pub struct Sdk {
    root: PathBuf,
}

impl Sdk {
    /// Uses the tree at `root`, which must be complete.
    ///
    /// # Errors
    /// [`Error::NotATree`] when the stamp or the loader is missing, [`Error::Path`] when `root` cannot be resolved.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = root.canonicalize().map_err(|source| Error::Path {
            action: "open",
            path: root.to_owned(),
            source,
        })?;
        for needed in [make::STAMP, run::LOADER] {
            if !root.join(needed).exists() {
                return Err(Error::NotATree { path: root, missing: needed });
            }
        }
        Ok(Self { root })
    }

    /// The tree's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the tree, named relative to its root (`usr/share/OVMF/OVMF_CODE_4M.fd`). Need not exist.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }
}

/// The cache directory of all of Orlop's tools: `$ORLOP_CACHE`, else `$XDG_CACHE_HOME/orlop`, else `~/.cache/orlop`.
///
/// # Errors
/// [`Error::NoCacheDirectory`] when none of the three variables is set.
pub fn cache_dir() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ORLOP_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("orlop")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/orlop")))
        .ok_or(Error::NoCacheDirectory)
}
