//! OCI image layouts (image-spec 1.1, image-layout.md): `oci-layout`, `index.json`, `blobs/ALGORITHM/HEX`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::{Descriptor, Index, media};

/// The annotation that holds a tag, or a whole reference, in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The file that makes a directory a layout, and all that it says.
const MARKER: &str = "oci-layout";
const MARKER_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Why a directory is no layout, or cannot be read or written as one.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of it cannot be read or written.
    #[error("cannot {what} {path:?}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `oci-layout` or `index.json` is not what it should be.
    #[error("{path:?} is not the {what} of an OCI layout")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Its role.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A directory that holds images by the image-layout spec.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Whether `dir` looks like a layout.
    #[must_use]
    pub fn is_layout(dir: &Path) -> bool {
        dir.join(MARKER).is_file() && dir.join("index.json").is_file()
    }

    /// An existing layout; its index is read by [`Layout::index`].
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// A new, empty layout (or the one that is there already).
    ///
    /// # Errors
    /// [`LayoutError::Io`].
    pub fn create(dir: &Path) -> Result<Self, LayoutError> {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(io_error("create", &blobs))?;
        write_file(&dir.join(MARKER), MARKER_TEXT.as_bytes())?;
        Ok(Self::at(dir))
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`LayoutError`] where `index.json` cannot be read.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.dir.join("index.json");
        let bytes = std::fs::read(&path).map_err(io_error("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| LayoutError::Malformed {
            path,
            what: "index",
            source,
        })
    }

    /// The file of a blob, whether it is there or not.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Opens a blob; gives its size in bytes too.
    ///
    /// # Errors
    /// [`LayoutError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<(File, u64), LayoutError> {
        let path = self.blob_path(digest);
        let open = || {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        open().map_err(io_error("open", &path))
    }

    /// Writes a blob under its own digest.
    ///
    /// # Errors
    /// [`LayoutError::Io`].
    pub fn write_blob(&self, bytes: &[u8]) -> Result<Digest, LayoutError> {
        let digest = Digest::of(bytes);
        write_file(&self.blob_path(&digest), bytes)?;
        Ok(digest)
    }

    /// Replaces the index.
    ///
    /// # Errors
    /// [`LayoutError::Io`].
    pub fn write_index(&self, manifests: Vec<Descriptor>) -> Result<(), LayoutError> {
        let index = Index { schema_version: 2, media_type: Some(media::INDEX.to_owned()), manifests };
        let bytes = serde_json::to_vec(&index).expect("an index always serialises");
        write_file(&self.dir.join("index.json"), &bytes)
    }
}

pub(crate) fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LayoutError + 'a {
    move |source| LayoutError::Io { what, path: path.to_owned(), source }
}

/// Writes beside and renames, so that a reader sees the old file or the new one.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        std::fs::rename(&beside, path)
    };
    write().map_err(io_error("write", path))
}
