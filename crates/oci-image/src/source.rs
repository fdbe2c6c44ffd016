//! Where an image can come from: a registry ([`crate::client`]) or a layout on disk.

use std::io::{Read, Seek, SeekFrom};

use crate::digest::Digest;
use crate::layout::{Layout, LayoutError, REF_NAME};
use crate::manifest::Descriptor;

/// A manifest or index as its source gave it.
#[derive(Debug, Clone)]
pub struct RawDocument {
    /// The bytes, as the digest names them.
    pub bytes: Vec<u8>,
    /// What the source called it.
    pub media_type: Option<String>,
}

/// A blob from `offset` on.
pub struct BlobStream {
    /// The bytes.
    pub reader: Box<dyn Read>,
    /// From where they are: what was asked for, or 0 if the source gives only whole blobs.
    pub offset: u64,
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStream").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// Gives the documents and blobs of images.
pub trait Source {
    /// Its error; [`Transient`] tells whether trying again may help.
    type Error: std::error::Error + Transient + Send + Sync + 'static;

    /// A manifest or index by tag or digest.
    ///
    /// # Errors
    /// The source's.
    fn document(&self, selector: &str) -> Result<RawDocument, Self::Error>;

    /// A blob, from `offset` on if the source can.
    ///
    /// # Errors
    /// The source's.
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobStream, Self::Error>;
}

/// Whether trying again may help.
pub trait Transient {
    /// True for what passes: a lost connection, a busy server.
    fn is_transient(&self) -> bool;
}

/// A layout as the source of an image.
#[derive(Debug, Clone)]
pub struct LayoutSource {
    layout: Layout,
}

/// Why a layout does not give an image.
#[derive(Debug, thiserror::Error)]
pub enum LayoutSourceError {
    /// It cannot be read.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It has no such tag or digest.
    #[error("the layout {dir:?} has no image {selector}")]
    NotFound {
        /// Where it is.
        dir: std::path::PathBuf,
        /// The tag or digest.
        selector: String,
    },
}

impl Transient for LayoutSourceError {
    fn is_transient(&self) -> bool {
        false
    }
}

impl LayoutSource {
    /// Images of `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }
}

impl Source for LayoutSource {
    type Error = LayoutSourceError;

    fn document(&self, selector: &str) -> Result<RawDocument, LayoutSourceError> {
        let index = self.layout.index()?;
        let found = index.manifests.iter().rev().find(|entry| {
            let tag = entry.annotations.get(REF_NAME).map_or("latest", String::as_str);
            tag == selector
                || entry.digest.to_string() == selector
                || index.manifests.len() == 1 && selector.is_empty()
        });
        let (digest, media_type) = match (found, selector.parse::<Digest>()) {
            (Some(entry), _) => (entry.digest.clone(), Some(entry.media_type.clone())),
            // A manifest inside of an index of platforms.
            (None, Ok(digest)) => (digest, None),
            (None, Err(_)) => {
                return Err(LayoutSourceError::NotFound {
                    dir: self.layout.dir().to_owned(),
                    selector: selector.to_owned(),
                });
            }
        };
        let path = self.layout.blob_path(&digest);
        let bytes = std::fs::read(&path).map_err(crate::layout::io_error("read", &path))?;
        Ok(RawDocument { bytes, media_type })
    }

    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobStream, LayoutSourceError> {
        let (mut file, _) = self.layout.open_blob(&descriptor.digest)?;
        let path = self.layout.blob_path(&descriptor.digest);
        file.seek(SeekFrom::Start(offset)).map_err(crate::layout::io_error("read", &path))?;
        Ok(BlobStream { reader: Box::new(file), offset })
    }
}
