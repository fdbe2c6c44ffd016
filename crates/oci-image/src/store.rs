//! The image store: documents by digest, layers unpacked once, names that point at them. Its form on disk is
//! `docs/formats/image-store.md`.
//!
//! ```text
//! version               "1"
//! lock                  flock: shared while images are added, exclusive while some are removed
//! blobs/sha256/HEX      manifests, indexes, configs
//! layers/sha256/HEX/fs  unpacked layers by diff id, fit to be lower directories of overlayfs
//! refs/NAME             one file for each image name, JSON
//! leases/ID             one file for each pod: the manifest that it runs, JSON
//! ingest/               what is being fetched and unpacked
//! ```
//!
//! Everything under its final name is whole: it was written beside, synced and renamed. What a crash leaves is in
//! `ingest/`, where the next pull of the same layer finds it (compressed bytes) or [`Store::gc`] removes it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{self, ImageConfig, Manifest, ManifestError};
use crate::reference::Reference;
use crate::unpack;

/// Numbers the files that this process writes, so that two threads never share one.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// The store's version, in its file `version`.
const VERSION: &str = "1\n";

/// Why the store does not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// It was made by another version.
    #[error("the image store {dir:?} has version {found:?}; this program reads version 1")]
    Version {
        /// Where it is.
        dir: PathBuf,
        /// What its file `version` says.
        found: String,
    },
    /// A file of it was damaged.
    #[error("{path:?} in the image store is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no image of that name.
    #[error("there is no image {name} on this machine")]
    NotFound {
        /// The name.
        name: String,
    },
    /// Pods run the image.
    #[error("{name} is used by {}", .pods.join(", "))]
    InUse {
        /// The image.
        name: String,
        /// The leases' ids.
        pods: Vec<String>,
    },
}

/// An image on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub reference: Reference,
    /// Digest of its manifest (for one platform).
    pub manifest_digest: Digest,
    /// Digest that its name stood for when it was fetched: the manifest's, or that of an index of platforms.
    pub digest: Digest,
    /// When it was fetched, seconds since 1970.
    pub fetched_secs: u64,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: ImageConfig,
}

impl Image {
    /// Compressed size of its layers, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.size).sum()
    }
}

/// What a file in `refs/` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefFile {
    pub(crate) reference: Reference,
    pub(crate) digest: Digest,
    pub(crate) manifest: Digest,
    pub(crate) fetched_secs: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct LeaseFile {
    reference: Reference,
    manifest: Digest,
}

/// What [`Store::gc`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Manifests and configs removed.
    pub documents: usize,
    /// Layers removed.
    pub layers: usize,
    /// Torn downloads and unpackings removed.
    pub torn: usize,
}

/// Images of a machine.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in `dir`, made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Version`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Self { dir: dir.to_owned() };
        for part in ["blobs/sha256", "layers/sha256", "refs", "leases", "ingest"] {
            let path = dir.join(part);
            std::fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        let path = dir.join("version");
        match std::fs::read_to_string(&path) {
            Ok(found) if found == VERSION => {}
            Ok(found) => {
                return Err(StoreError::Version { dir: dir.to_owned(), found: found.trim().to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => write_whole(&path, VERSION.as_bytes())?,
            Err(source) => return Err(failed("read", &path)(source)),
        }
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Holds the store against removal for as long as the file lives.
    pub(crate) fn lock(&self, operation: FlockOperation) -> Result<File, StoreError> {
        lock_file(&self.dir.join("lock"), operation)
    }

    pub(crate) fn ingest(&self, name: &str) -> PathBuf {
        self.dir.join("ingest").join(name)
    }

    /// Where a document lies, whether it is there or not.
    pub(crate) fn document_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The directory of an unpacked layer, whether it is there or not.
    pub(crate) fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join("layers").join(diff_id.algorithm().name()).join(diff_id.hex())
    }

    /// A document, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`].
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.document_path(digest);
        let bytes = std::fs::read(&path).map_err(failed("read", &path))?;
        let mut hasher = crate::digest::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        if hasher.finish() == *digest { Ok(bytes) } else { Err(damaged(&path, "its digest is another one")) }
    }

    pub(crate) fn put_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.document_path(digest);
        let parent = path.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(parent).map_err(failed("create", parent))?;
        write_whole(&path, bytes)
    }

    pub(crate) fn put_ref(&self, file: &RefFile) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(file).expect("a ref always serialises");
        write_whole(&self.ref_path(&file.reference), &bytes)
    }

    fn ref_path(&self, reference: &Reference) -> PathBuf {
        self.dir.join("refs").join(file_name(&reference.to_string()))
    }

    /// The image of a name; none if it was not fetched. A reference with tag and digest is found by either name
    /// under which it was fetched, as long as the digest is the one asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>, StoreError> {
        if let Some(image) = self.read_ref(&self.ref_path(reference))? {
            return Ok(Some(image));
        }
        let Some(digest) = &reference.digest else { return Ok(None) };
        let same = |image: &Image| image.reference.name() == reference.name() && image.digest == *digest;
        Ok(self.list()?.into_iter().find(same).map(|image| Image { reference: reference.clone(), ..image }))
    }

    /// All images, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self) -> Result<Vec<Image>, StoreError> {
        let mut images = Vec::new();
        for path in files_in(&self.dir.join("refs"))? {
            images.extend(self.read_ref(&path)?);
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(images)
    }

    fn read_ref(&self, path: &Path) -> Result<Option<Image>, StoreError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", path)(source)),
        };
        let file: RefFile = serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))?;
        let (manifest, config) = self.read_image(&file.manifest)?;
        Ok(Some(Image {
            reference: file.reference,
            manifest_digest: file.manifest,
            digest: file.digest,
            fetched_secs: file.fetched_secs,
            manifest,
            config,
        }))
    }

    fn read_image(&self, digest: &Digest) -> Result<(Manifest, ImageConfig), StoreError> {
        let parse = || -> Result<_, ReadError> {
            let bytes = self.document(digest)?;
            let manifest::Document::Manifest(manifest) =
                manifest::parse_document(&bytes, Some(manifest::media::MANIFEST))?
            else {
                return Err(
                    ManifestError::NotAnImage { media_type: manifest::media::INDEX.to_owned() }.into()
                );
            };
            let config = self.document(&manifest.config.digest)?;
            let config = manifest::parse_config(&config, &manifest)?;
            Ok((manifest, config))
        };
        parse().map_err(|error| match error {
            ReadError::Store(error) => error,
            ReadError::Manifest(error) => damaged(&self.document_path(digest), error),
        })
    }

    /// The lower directories of an image, the lowest first.
    #[must_use]
    pub fn layers(&self, image: &Image) -> Vec<PathBuf> {
        image.config.rootfs.diff_ids.iter().map(|diff_id| self.layer_dir(diff_id).join("fs")).collect()
    }

    /// Whether all layers of an image are there.
    #[must_use]
    pub fn is_complete(&self, image: &Image) -> bool {
        self.layers(image).iter().all(|layer| layer.is_dir())
    }

    /// Keeps an image from removal for as long as `id` (a pod) needs it.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NotFound`] where the image was removed in the meantime.
    pub fn lease(&self, id: &str, image: &Image) -> Result<(), StoreError> {
        let _shared = self.lock(FlockOperation::LockShared)?;
        if !self.is_complete(image) || !self.document_path(&image.manifest_digest).exists() {
            return Err(StoreError::NotFound { name: image.reference.to_string() });
        }
        let lease = LeaseFile { reference: image.reference.clone(), manifest: image.manifest_digest.clone() };
        let bytes = serde_json::to_vec(&lease).expect("a lease always serialises");
        write_whole(&self.dir.join("leases").join(file_name(id)), &bytes)
    }

    /// Ends all leases whose id begins with `prefix`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn release(&self, prefix: &str) -> Result<(), StoreError> {
        let prefix = file_name(prefix);
        for path in files_in(&self.dir.join("leases"))? {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The image that a lease keeps; its name is the one it was leased under. None if there is no such lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn leased_image(&self, id: &str) -> Result<Option<Image>, StoreError> {
        let path = self.dir.join("leases").join(file_name(id));
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path)(source)),
        };
        let lease: LeaseFile = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error))?;
        let (manifest, config) = self.read_image(&lease.manifest)?;
        let manifest_digest = lease.manifest.clone();
        let (reference, digest) = (lease.reference, lease.manifest);
        Ok(Some(Image { reference, manifest_digest, digest, fetched_secs: 0, manifest, config }))
    }

    /// Ids of all leases.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn leases(&self) -> Result<Vec<String>, StoreError> {
        let names = files_in(&self.dir.join("leases"))?;
        Ok(names.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn leased(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        let mut all = Vec::new();
        for path in files_in(&self.dir.join("leases"))? {
            let bytes = std::fs::read(&path).map_err(failed("read", &path))?;
            let lease: LeaseFile = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.push((name, lease.manifest));
        }
        Ok(all)
    }

    /// Removes an image's name, and what nothing else needs then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::InUse`] unless another name stands for the same image.
    pub fn remove(&self, reference: &Reference) -> Result<Collected, StoreError> {
        let _exclusive = self.lock(FlockOperation::LockExclusive)?;
        let name = reference.to_string();
        let path = self.ref_path(reference);
        let image = self.read_ref(&path)?.ok_or(StoreError::NotFound { name: name.clone() })?;
        let same = self.list()?.iter().filter(|other| other.manifest_digest == image.manifest_digest).count();
        let pods: Vec<String> = self
            .leased()?
            .into_iter()
            .filter(|(_, digest)| *digest == image.manifest_digest)
            .map(|(id, _)| id)
            .collect();
        if same == 1 && !pods.is_empty() {
            return Err(StoreError::InUse { name, pods });
        }
        remove_file(&path)?;
        self.collect()
    }

    /// Removes what no name and no lease needs, and what torn pulls left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc(&self) -> Result<Collected, StoreError> {
        let _exclusive = self.lock(FlockOperation::LockExclusive)?;
        self.collect()
    }

    /// Under the exclusive lock nobody adds anything: what is not reachable is garbage.
    fn collect(&self) -> Result<Collected, StoreError> {
        let mut documents = BTreeSet::new();
        let mut layers = BTreeSet::new();
        let mut manifests: BTreeSet<Digest> = self.leased()?.into_iter().map(|(_, digest)| digest).collect();
        for image in self.list()? {
            documents.insert(image.digest.clone());
            manifests.insert(image.manifest_digest);
        }
        for digest in manifests {
            let (manifest, config) = self.read_image(&digest)?;
            documents.insert(digest);
            documents.insert(manifest.config.digest);
            layers.extend(config.rootfs.diff_ids);
        }
        let mut collected = Collected::default();
        let documents: BTreeSet<PathBuf> =
            documents.iter().map(|digest| self.document_path(digest)).collect();
        let layers: BTreeSet<PathBuf> = layers.iter().map(|diff_id| self.layer_dir(diff_id)).collect();
        collected.documents = sweep(&self.dir.join("blobs"), &documents)?;
        collected.layers = sweep(&self.dir.join("layers"), &layers)?;
        for path in files_in(&self.dir.join("ingest"))? {
            unpack::remove_path(&path).map_err(failed("remove", &path))?;
            collected.torn += 1;
        }
        Ok(collected)
    }
}

/// Either sort of trouble while an image is read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Removes from `dir/ALGORITHM/` what is not in `keep`.
fn sweep(dir: &Path, keep: &BTreeSet<PathBuf>) -> Result<usize, StoreError> {
    let mut removed = 0;
    for algorithm in files_in(dir)? {
        for path in files_in(&algorithm)?.into_iter().filter(|path| !keep.contains(path)) {
            // Renamed first: a torn removal must not leave a layer that looks whole.
            let doomed = dir
                .with_file_name("ingest")
                .join(format!("doomed-{}", path.file_name().unwrap_or_default().to_string_lossy()));
            unpack::remove_path(&doomed).map_err(failed("remove", &doomed))?;
            std::fs::rename(&path, &doomed).map_err(failed("remove", &path))?;
            unpack::remove_path(&doomed).map_err(failed("remove", &doomed))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The entries of a directory, sorted; files that are being written (`.tmp-`) are left out.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed("read", dir))? {
        let path = entry.map_err(failed("read", dir))?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp-")) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

fn damaged(path: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), source: why.into() }
}

/// Opens and locks a file; the lock goes with it.
pub(crate) fn lock_file(path: &Path, operation: FlockOperation) -> Result<File, StoreError> {
    let file =
        File::options().create(true).truncate(false).write(true).open(path).map_err(failed("open", path))?;
    rustix::fs::flock(&file, operation).map_err(|errno| failed("lock", path)(errno.into()))?;
    Ok(file)
}

/// Writes beside, syncs and renames: after a power cut the old file is there, or the new one whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_file_name(format!(".tmp-{}-{number}-{name}", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(failed("write", path))
}

/// A name as a file name: what could lead elsewhere is written as `%HH`.
fn file_name(name: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'@');
    let mut out = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        if keep(byte) && !(i == 0 && byte == b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        assert_eq!(file_name("localhost/web:1"), "localhost%2Fweb:1");
        assert_eq!(file_name("../x"), "%2E.%2Fx");
        assert_eq!(file_name(".tmp-1"), "%2Etmp-1");
    }

    #[test]
    fn a_store_of_the_future_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("version"), "2\n").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Version { .. })));
    }
}
