//! Brings an image from a [`Source`] into the [`Store`].
//!
//! Each layer is fetched into `ingest/`, hashed as it comes, resumed where it was torn (in this run or an earlier
//! one), then unpacked beside its final place and renamed. What is there already is not fetched.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use crate::digest::{Digest, Hasher};
use crate::manifest::{
    self, Compression, Descriptor, Document, ImageConfig, Manifest, ManifestError, Platform,
};
use crate::reference::Reference;
use crate::source::{RawDocument, Source, Transient};
use crate::store::{Image, RefFile, Store, StoreError, failed, lock_file};
use crate::unpack::{self, UnpackError};

/// Tries for one request or one stretch of a blob that gave nothing.
const TRIES: u32 = 6;

/// Wait before the second try; it doubles each time.
const BACKOFF: Duration = Duration::from_millis(500);

/// Progress is told each time so many bytes came.
const STEP_BYTES: u64 = 1 << 20;

/// An index of platforms may name further indexes; one level is what exists.
const INDEX_DEPTH_MAX: u32 = 2;

/// What happens during a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The manifest is known.
    Resolved {
        /// Its digest.
        digest: Digest,
        /// Layers of the image.
        layers: usize,
        /// Compressed bytes of all layers.
        bytes: u64,
    },
    /// A layer is on the machine already.
    Present {
        /// The layer.
        digest: Digest,
    },
    /// Bytes of a layer came.
    Fetching {
        /// The layer.
        digest: Digest,
        /// So many bytes of it are here.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// A layer is being unpacked.
    Unpacking {
        /// The layer.
        digest: Digest,
    },
    /// Something failed and is tried again.
    Retry {
        /// Why.
        error: String,
        /// After so long.
        wait: Duration,
    },
}

/// Why an image was not brought here.
#[derive(Debug, thiserror::Error)]
pub enum PullError<E: std::error::Error + Send + Sync + 'static> {
    /// The source does not give it.
    #[error("cannot fetch {what}")]
    Source {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: E,
    },
    /// What came is no image.
    #[error("{what} cannot be used")]
    Manifest {
        /// What was read.
        what: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// There is no image for this machine.
    #[error("{what} has no image for {}/{}", .platform.os, .platform.architecture)]
    NoPlatform {
        /// The index.
        what: String,
        /// This machine.
        platform: Platform,
    },
    /// What came is not what its digest names.
    #[error("{what} has the digest {found}, not {expected}: it was damaged or tampered with")]
    Digest {
        /// What was fetched.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A layer has another size than its manifest says.
    #[error("{digest} has not the {expected} bytes that its manifest names")]
    Size {
        /// The layer.
        digest: Digest,
        /// What it should be.
        expected: u64,
    },
    /// A layer of a kind that is not unpacked here (encrypted, foreign).
    #[error("a layer has the media type {media_type}, which is not unpacked here")]
    LayerKind {
        /// The type.
        media_type: String,
    },
    /// The connection broke while a layer came.
    #[error("the connection broke after {done} of {total} bytes of {digest}")]
    Broken {
        /// The layer.
        digest: Digest,
        /// Bytes that came.
        done: u64,
        /// Of so many.
        total: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack {digest}")]
    Unpack {
        /// The layer.
        digest: Digest,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One pull.
struct Puller<'a, S: Source> {
    store: &'a Store,
    source: &'a S,
    events: &'a mut dyn FnMut(Event),
}

type Result<T, S> = std::result::Result<T, PullError<<S as Source>::Error>>;

/// Brings the image `reference` from `source`; what is here already is not fetched again.
///
/// # Errors
/// [`PullError`]. The store is sound after any of them, and a later pull goes on where this one ended.
pub fn pull<S: Source>(
    store: &Store,
    source: &S,
    reference: &Reference,
    events: &mut dyn FnMut(Event),
) -> Result<Image, S> {
    let _shared = store.lock(FlockOperation::LockShared)?;
    let mut puller = Puller { store, source, events };
    let (digest, manifest_digest, manifest) = puller.resolve(reference)?;
    let config = puller.config(&manifest)?;
    let bytes = manifest.layers.iter().map(|layer| layer.size).sum();
    (puller.events)(Event::Resolved { digest: digest.clone(), layers: manifest.layers.len(), bytes });
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        puller.layer(layer, diff_id)?;
    }
    let fetched_secs = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    store.put_ref(&RefFile {
        reference: reference.clone(),
        digest: digest.clone(),
        manifest: manifest_digest.clone(),
        fetched_secs,
    })?;
    Ok(Image { reference: reference.clone(), manifest_digest, digest, fetched_secs, manifest, config })
}

impl<S: Source> Puller<'_, S> {
    /// The manifest for this machine, and the digest that the name stands for.
    fn resolve(&mut self, reference: &Reference) -> Result<(Digest, Digest, Manifest), S> {
        let platform = Platform::host();
        let mut selector = reference.selector();
        let mut expected = reference.digest.clone();
        let mut outer = None;
        for _ in 0..=INDEX_DEPTH_MAX {
            let what = format!("{}@{selector}", reference.name());
            let what = if expected.is_some() { what } else { reference.to_string() };
            let RawDocument { bytes, media_type } =
                self.retrying(&what, |source| source.document(&selector))?;
            let digest = checked(&what, &bytes, expected.as_ref())?;
            let document = manifest::parse_document(&bytes, media_type.as_deref())
                .map_err(|source| PullError::Manifest { what: what.clone(), source })?;
            self.store.put_document(&digest, &bytes)?;
            let outermost = outer.get_or_insert_with(|| digest.clone()).clone();
            match document {
                Document::Manifest(manifest) => return Ok((outermost, digest, manifest)),
                Document::Index(index) => {
                    let Some(entry) = index.choose(&platform) else {
                        return Err(PullError::NoPlatform { what, platform });
                    };
                    selector = entry.digest.to_string();
                    expected = Some(entry.digest.clone());
                }
            }
        }
        Err(PullError::NoPlatform { what: reference.to_string(), platform })
    }

    fn config(&mut self, manifest: &Manifest) -> Result<ImageConfig, S> {
        let descriptor = &manifest.config;
        let what = format!("the config {}", descriptor.digest);
        let bytes = match self.store.document(&descriptor.digest) {
            Ok(bytes) => bytes,
            Err(_) => self.small_blob(&what, descriptor)?,
        };
        manifest::parse_config(&bytes, manifest).map_err(|source| PullError::Manifest { what, source })
    }

    /// A blob that fits into memory, kept as a document.
    fn small_blob(&mut self, what: &str, descriptor: &Descriptor) -> Result<Vec<u8>, S> {
        if descriptor.size > manifest::DOCUMENT_BYTES_MAX {
            return Err(PullError::Size {
                digest: descriptor.digest.clone(),
                expected: manifest::DOCUMENT_BYTES_MAX,
            });
        }
        let mut tries = 0;
        loop {
            let stream = self.retrying(what, |source| source.blob(descriptor, 0))?;
            let mut bytes = Vec::new();
            match stream.reader.take(descriptor.size + 1).read_to_end(&mut bytes) {
                Ok(_) => {
                    checked(what, &bytes, Some(&descriptor.digest))?;
                    self.store.put_document(&descriptor.digest, &bytes)?;
                    return Ok(bytes);
                }
                Err(error) if tries + 1 < TRIES => self.wait(&mut tries, &error),
                Err(source) => {
                    let (digest, total) = (descriptor.digest.clone(), descriptor.size);
                    return Err(PullError::Broken { digest, done: bytes.len() as u64, total, source });
                }
            }
        }
    }

    /// One layer, unless it is here.
    fn layer(&mut self, layer: &Descriptor, diff_id: &Digest) -> Result<(), S> {
        if Compression::of_media_type(&layer.media_type).is_none() {
            return Err(PullError::LayerKind { media_type: layer.media_type.clone() });
        }
        let dir = self.store.layer_dir(diff_id);
        if dir.is_dir() {
            (self.events)(Event::Present { digest: layer.digest.clone() });
            return Ok(());
        }
        // Who comes second waits here, and then finds the layer.
        let lock = self.store.ingest(&format!("{}.lock", diff_id.hex()));
        let _held = lock_file(&lock, FlockOperation::LockExclusive)?;
        if !dir.is_dir() {
            let blob = self.store.ingest(&format!("{}.blob", layer.digest.hex()));
            self.fetch(layer, &blob)?;
            (self.events)(Event::Unpacking { digest: layer.digest.clone() });
            self.unpack(layer, diff_id, &blob, &dir)?;
            std::fs::remove_file(&blob).map_err(failed("remove", &blob))?;
        }
        let _ = std::fs::remove_file(&lock);
        Ok(())
    }

    /// Fetches a blob into a file, from where the file ends.
    fn fetch(&mut self, layer: &Descriptor, path: &Path) -> Result<(), S> {
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = open().map_err(failed("open", path))?;
        let mut hasher = Hasher::new(layer.digest.algorithm());
        let mut done = rehash(&mut file, &mut hasher, layer.size).map_err(failed("read", path))?;
        let mut tries = 0;
        while done < layer.size {
            let from = done;
            let what = format!("the layer {}", layer.digest);
            let stream = self.retrying(&what, |source| source.blob(layer, done))?;
            if stream.offset != done {
                (hasher, done) = (Hasher::new(layer.digest.algorithm()), 0);
                let rewound = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
                rewound.map_err(failed("write", path))?;
            }
            match self.receive(layer, stream.reader, &mut file, path, &mut hasher, &mut done)? {
                None => {}
                Some(error) if tries + 1 < TRIES => {
                    tries = if done > from { 0 } else { tries };
                    self.wait(&mut tries, &error);
                }
                Some(source) => {
                    return Err(PullError::Broken {
                        digest: layer.digest.clone(),
                        done,
                        total: layer.size,
                        source,
                    });
                }
            }
        }
        let found = hasher.finish();
        if found != layer.digest {
            // Nothing of it can be kept.
            std::fs::remove_file(path).map_err(failed("remove", path))?;
            return Err(PullError::Digest {
                what: "a layer".to_owned(),
                expected: layer.digest.clone(),
                found,
            });
        }
        Ok(())
    }

    /// Takes what a stream gives; tells how it broke, if it did.
    fn receive(
        &mut self,
        layer: &Descriptor,
        mut reader: impl Read,
        file: &mut File,
        path: &Path,
        hasher: &mut Hasher,
        done: &mut u64,
    ) -> Result<Option<io::Error>, S> {
        let mut buffer = vec![0u8; 64 << 10];
        let mut told = *done;
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) if *done == layer.size => return Ok(None),
                Ok(0) => return Ok(Some(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error)),
            };
            if *done + count as u64 > layer.size {
                std::fs::remove_file(path).map_err(failed("remove", path))?;
                return Err(PullError::Size { digest: layer.digest.clone(), expected: layer.size });
            }
            file.write_all(&buffer[..count]).map_err(failed("write", path))?;
            hasher.update(&buffer[..count]);
            *done += count as u64;
            if *done - told >= STEP_BYTES || *done == layer.size {
                told = *done;
                let (digest, total) = (layer.digest.clone(), layer.size);
                (self.events)(Event::Fetching { digest, done: *done, total });
            }
        }
    }

    /// Unpacks a fetched layer beside its place, checks it, and puts it there.
    fn unpack(&mut self, layer: &Descriptor, diff_id: &Digest, blob: &Path, dir: &Path) -> Result<(), S> {
        let beside = self.store.ingest(&format!("{}.layer", diff_id.hex()));
        let inner = beside.join("fs");
        unpack::remove_path(&beside).map_err(failed("remove", &beside))?;
        std::fs::create_dir_all(&inner).map_err(failed("create", &inner))?;
        let file = File::open(blob).map_err(failed("open", blob))?;
        let unpacked = unpack::unpack(file, diff_id.algorithm(), &inner);
        let unpacked = unpacked.map_err(|source| PullError::Unpack { digest: layer.digest.clone(), source });
        let outcome = unpacked.and_then(|unpacked| {
            if unpacked.diff_id == *diff_id {
                return Ok(());
            }
            let what = format!("the layer {} before compression", layer.digest);
            Err(PullError::Digest { what, expected: diff_id.clone(), found: unpacked.diff_id })
        });
        if outcome.is_err() {
            // The blob is what its digest names, so it will never be better.
            let _ = unpack::remove_path(&beside);
            let _ = std::fs::remove_file(blob);
        }
        outcome?;
        place(&beside, dir).map_err(failed("write", dir))?;
        Ok(())
    }

    /// Asks the source, again and again while that may help.
    fn retrying<T>(
        &mut self,
        what: &str,
        ask: impl Fn(&S) -> std::result::Result<T, S::Error>,
    ) -> Result<T, S> {
        let mut tries = 0;
        loop {
            match ask(self.source) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_transient() && tries + 1 < TRIES => self.wait(&mut tries, &error),
                Err(source) => return Err(PullError::Source { what: what.to_owned(), source }),
            }
        }
    }

    fn wait(&mut self, tries: &mut u32, error: &dyn std::error::Error) {
        let wait = BACKOFF * 2u32.pow(*tries);
        *tries += 1;
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        (self.events)(Event::Retry { error: text, wait });
        std::thread::sleep(wait);
    }
}

fn checked<E>(
    what: &str,
    bytes: &[u8],
    expected: Option<&Digest>,
) -> std::result::Result<Digest, PullError<E>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(expected) = expected else { return Ok(Digest::of(bytes)) };
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(bytes);
    let found = hasher.finish();
    if found == *expected {
        return Ok(found);
    }
    Err(PullError::Digest { what: what.to_owned(), expected: expected.clone(), found })
}

/// Hashes what an earlier run fetched; a file that is too long is begun anew. Gives the number of bytes kept.
fn rehash(file: &mut File, hasher: &mut Hasher, size: u64) -> io::Result<u64> {
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    let mut buffer = vec![0u8; 64 << 10];
    let mut done = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(done);
        }
        hasher.update(&buffer[..count]);
        done += count as u64;
    }
}

/// Renames a whole directory into place after everything in it reached the disk.
fn place(beside: &Path, dir: &Path) -> io::Result<()> {
    let parent: PathBuf = dir.parent().unwrap_or(dir).to_owned();
    std::fs::create_dir_all(&parent)?;
    let opened = File::open(beside)?;
    rustix::fs::syncfs(&opened)?;
    std::fs::rename(beside, dir)?;
    File::open(&parent)?.sync_all()
}
