//! Runs the stages of a build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::boot::BootError;
use crate::debian::{DebianError, fetch, resolve};
use crate::disk::DiskError;
use crate::hex;
use crate::lock::{Lock, LockError, Move};
use crate::manifest::{Manifest, ManifestError};
use crate::product::{FILE, Product};
use crate::stages::{Workshop, copy_modules};
use crate::tree::{self, TreeError};

/// What to build, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The manifest; its lock is beside it (`orlop.toml` → `orlop.lock`).
    pub manifest: PathBuf,
    /// The image directory.
    pub out: PathBuf,
    /// The directory of our programs.
    pub programs: PathBuf,
    /// The cache (`sdk::cache_dir`).
    pub cache: PathBuf,
    /// Whether a finished image of equal inputs is left as it is, and stages of equal inputs are taken from the cache.
    pub reuse: bool,
    /// Threads that compress; the image is the same for any number.
    pub threads: usize,
}

/// A part of the work, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Packages into the cache.
    Packages,
    /// The OS tree.
    Tree,
    /// `usr.erofs`.
    Usr,
    /// `usr.verity` and the root hash.
    Verity,
    /// `initramfs.cpio.zst`.
    Initramfs,
    /// `uki.efi`.
    Uki,
    /// File systems and `disk.raw`.
    Disk,
    /// `disk.qcow2`.
    Qcow2,
    /// Sizes and digests.
    Manifest,
}

impl Stage {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Tree => "tree",
            Self::Usr => "usr.erofs",
            Self::Verity => "usr.verity",
            Self::Initramfs => "initramfs",
            Self::Uki => "uki",
            Self::Disk => "disk.raw",
            Self::Qcow2 => "disk.qcow2",
            Self::Manifest => "manifest",
        }
    }
}

/// Progress of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Everything is as it would be built.
    UpToDate,
    /// A stage begins.
    Started(Stage),
    /// How far it is.
    Detail(Stage, String),
    /// A stage is over.
    Done(Stage, Duration),
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The lock is wrong.
    #[error("{} is not a valid lock", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: LockError,
    },
    /// There is no lock yet.
    #[error("{} does not exist", path.display())]
    NoLock {
        /// The file.
        path: PathBuf,
    },
    /// Packages.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// `/usr`.
    #[error("cannot write usr.erofs")]
    Erofs(#[from] erofs::WriteError),
    /// Its hash tree.
    #[error("cannot make the hash tree of usr.erofs")]
    Verity(#[from] block::verity::VerityError),
    /// Initramfs and UKI.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Disk images.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The toolbox.
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
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
}

impl BuildError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { action, path, source }
    }

    /// What the user can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoLock { .. } => Some("make it: orlop build --refresh-lock"),
            Self::Debian(error) if error.wants_refresh() => {
                Some("Debian moved on; renew the lock and look at what moved: orlop build --refresh-lock")
            }
            _ => None,
        }
    }
}

/// The lock of a manifest.
#[must_use]
pub fn lock_path(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// The mirror in use: `ORLOP_DEBIAN_MIRROR`, else the manifest's.
fn mirror(manifest: &Manifest) -> String {
    let set = std::env::var("ORLOP_DEBIAN_MIRROR").ok().filter(|value| !value.is_empty());
    set.unwrap_or_else(|| manifest.debian.mirror.clone())
}

/// Resolves the packages anew, writes the lock and returns what moved. `now_secs` (seconds since 1970) becomes the
/// time of everything built from it.
///
/// # Errors
/// [`BuildError`]. The old lock stays when resolving fails.
pub fn refresh_lock(manifest: &Path, now_secs: u64) -> Result<Vec<Move>, BuildError> {
    let path = lock_path(manifest);
    let old = match read_lock(&path) {
        Err(BuildError::NoLock { .. }) => Lock::default(),
        other => other?,
    };
    let manifest = Manifest::read(manifest)?;
    let packages = resolve::resolve(&manifest.debian, &mirror(&manifest))?;
    let mut new = Lock { time_secs: now_secs, packages };
    let moves = old.moves(&new);
    if moves.is_empty() && old.packages == new.packages {
        // Nothing moved: the same lock, so that the same image is built.
        new.time_secs = old.time_secs;
    }
    let partial = path.with_extension("lock.partial");
    fs::write(&partial, new.render()).map_err(BuildError::at("write", &partial))?;
    fs::rename(&partial, &path).map_err(BuildError::at("rename to", &path))?;
    Ok(moves)
}

fn read_lock(path: &Path) -> Result<Lock, BuildError> {
    match fs::read_to_string(path) {
        Ok(text) => Lock::parse(&text).map_err(|source| BuildError::Lock { path: path.to_owned(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(BuildError::NoLock { path: path.to_owned() })
        }
        Err(error) => Err(BuildError::at("read", path)(error)),
    }
}

/// Builds the image directory.
///
/// # Errors
/// [`BuildError`]. A failed build leaves no `manifest.json`: the directory counts as unfinished.
pub fn build(
    options: &Options,
    sdk: &sdk::Sdk,
    events: &mut dyn FnMut(Event),
) -> Result<Product, BuildError> {
    let manifest = Manifest::read(&options.manifest)?;
    let lock = read_lock(&lock_path(&options.manifest))?;
    let overlay = options.manifest.parent().unwrap_or(Path::new(".")).join(&manifest.tree.overlay);
    let init = options.programs.join(&manifest.initramfs.init);
    if !init.is_file() {
        return Err(TreeError::Program { path: init }.into());
    }
    let inputs = inputs_digest(options, &manifest, &overlay)?;
    if options.reuse
        && let Some(product) = Product::read(&options.out).filter(|product| product.inputs_sha256 == inputs)
        && product.complete(&options.out)
    {
        events(Event::UpToDate);
        return Ok(product);
    }
    fs::create_dir_all(&options.out).map_err(BuildError::at("create", &options.out))?;
    let _ = fs::remove_file(options.out.join(FILE));

    let packages = timed(Stage::Packages, events, |events| {
        let debs = options.cache.join("debs");
        let tell = &mut |fetched: fetch::Fetched| events(Event::Detail(Stage::Packages, describe(fetched)));
        Ok(fetch::fetch(&lock, &mirror(&manifest), &debs, tell)?)
    })?;
    let tree = timed(Stage::Tree, events, |_| {
        let (manifest, programs, cache) = (&manifest, options.programs.as_path(), options.cache.as_path());
        let inputs = tree::Inputs {
            manifest,
            lock: &lock,
            packages: &packages,
            overlay: &overlay,
            programs,
            cache,
            sdk,
        };
        Ok(tree::assemble(&inputs)?)
    })?;
    let mut shop =
        Workshop { options, manifest: &manifest, lock: &lock, sdk, out: &options.out, tree: &tree };
    let usr = timed(Stage::Usr, events, |events| shop.usr(events))?;
    let root_hash = timed(Stage::Verity, events, |_| shop.verity(&usr))?;
    timed(Stage::Initramfs, events, |_| shop.initramfs(&init))?;
    timed(Stage::Uki, events, |_| shop.uki(&root_hash))?;
    timed(Stage::Disk, events, |_| shop.disk(&root_hash))?;
    timed(Stage::Qcow2, events, |_| shop.qcow2())?;
    timed(Stage::Manifest, events, |_| {
        copy_modules(&tree.kernel, &options.out)?;
        shop.product(&usr, &root_hash, inputs.clone())
    })
}

fn timed<T>(
    stage: Stage,
    events: &mut dyn FnMut(Event),
    work: impl FnOnce(&mut dyn FnMut(Event)) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let began = Instant::now();
    events(Event::Started(stage));
    let result = work(events)?;
    events(Event::Done(stage, began.elapsed()));
    Ok(result)
}

fn describe(fetched: fetch::Fetched) -> String {
    let fetch::Fetched { packages, total, bytes } = fetched;
    let megabytes = bytes / 1_000_000;
    format!("{packages} of {total}, {megabytes} MB downloaded")
}

/// A hash of all that decides the image: manifest, lock, overlay, programs, SDK, and the builder itself.
fn inputs_digest(options: &Options, manifest: &Manifest, overlay: &Path) -> Result<String, BuildError> {
    let mut hash = Sha256::new();
    let lock = lock_path(&options.manifest);
    let mut files = vec![options.manifest.clone(), lock];
    if let Ok(builder) = std::env::current_exe() {
        files.push(builder);
    }
    let names = manifest.programs.keys().map(String::as_str).chain([manifest.initramfs.init.as_str()]);
    files.extend(names.map(|name| options.programs.join(name.rsplit('/').next().unwrap_or(name))));
    collect(overlay, &mut files)?;
    hash.update(sdk::packages::directory_name());
    for path in files {
        let bytes = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                fs::read_link(&path).map(|target| target.to_string_lossy().into_owned().into_bytes())
            }
            // A missing program is reported, by name, by the stage that wants it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => fs::read(&path),
        };
        let bytes = bytes.map_err(BuildError::at("read", &path))?;
        hash.update(path.strip_prefix(overlay).unwrap_or(Path::new("")).to_string_lossy().as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hex(&hash.finalize()))
}

/// The files below a directory, sorted.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let read = fs::read_dir(directory).map_err(BuildError::at("read", directory))?;
    let mut entries: Vec<_> = read.collect::<Result<_, _>>().map_err(BuildError::at("read", directory))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().map_err(BuildError::at("read", directory))?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
