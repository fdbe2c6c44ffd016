//! Brings the locked packages into the cache (`$ORLOP_CACHE/debs`); what is there already is not fetched again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::DebianError;
use crate::hex;
use crate::lock::{Lock, Package};

/// Attempts at one package before the build gives up.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; doubled each time.
const BACKOFF: Duration = Duration::from_millis(500);

/// Progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Packages in the cache so far.
    pub packages: usize,
    /// Packages in all.
    pub total: usize,
    /// Bytes downloaded so far.
    pub bytes: u64,
}

/// Fetches what is missing and returns the packages' files, by name in the lock's order.
///
/// # Errors
/// [`DebianError::Gone`] when the mirror has a package no more, [`DebianError::Download`], [`DebianError::Digest`],
/// [`DebianError::Path`].
pub fn fetch(
    lock: &Lock,
    mirror: &str,
    cache: &Path,
    progress: &mut dyn FnMut(Fetched),
) -> Result<Vec<(Package, PathBuf)>, DebianError> {
    fs::create_dir_all(cache).map_err(DebianError::at("create", cache))?;
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(600))).build().into();
    let mut done = Fetched { packages: 0, total: lock.packages.len(), bytes: 0 };
    let mut files = Vec::new();
    for package in lock.packages.values() {
        let path = cache.join(package.file_name());
        if !present(&path, package)? {
            done.bytes += download(&agent, mirror, package, &path)?;
        }
        done.packages += 1;
        progress(done);
        files.push((package.clone(), path));
    }
    Ok(files)
}

/// Whether the cache has the package. Its digest is checked each time: a build vouches for what it is made of.
fn present(path: &Path, package: &Package) -> Result<bool, DebianError> {
    match File::open(path) {
        Ok(mut file) => {
            let mut hash = Sha256::new();
            copy(&mut file, &mut hash, &mut io::sink()).map_err(DebianError::at("read", path))?;
            Ok(hex(&hash.finalize()) == package.sha256)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DebianError::at("open", path)(error)),
    }
}

/// Downloads one package beside its place, checks it and moves it there. Returns its size in bytes.
fn download(agent: &ureq::Agent, mirror: &str, package: &Package, path: &Path) -> Result<u64, DebianError> {
    let url = format!("{}/{}", mirror.trim_end_matches('/'), package.path);
    let mut wait = BACKOFF;
    for attempt in 1.. {
        let error = match get(agent, &url, package, path) {
            Err(DebianError::Download { source, url }) if attempt < ATTEMPTS && transient(&source) => {
                DebianError::Download { source, url }
            }
            other => return other,
        };
        drop(error);
        std::thread::sleep(wait);
        wait *= 2;
    }
    unreachable!("the loop returns at the last attempt")
}

fn transient(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::StatusCode(code) => *code == 429 || *code >= 500,
        _ => true,
    }
}

fn get(agent: &ureq::Agent, url: &str, package: &Package, path: &Path) -> Result<u64, DebianError> {
    let failed = |source| DebianError::Download { url: url.to_owned(), source: Box::new(source) };
    let response = match agent.get(url).call() {
        Err(ureq::Error::StatusCode(404)) => {
            let (name, version) = (package.name.clone(), package.version.clone());
            return Err(DebianError::Gone { name, version, url: url.to_owned() });
        }
        other => other.map_err(failed)?,
    };
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let mut file = File::create(&partial).map_err(DebianError::at("create", &partial))?;
    let mut hash = Sha256::new();
    let copied = copy(&mut response.into_body().into_reader(), &mut hash, &mut file);
    let found = hex(&hash.finalize());
    let outcome = match copied {
        Err(error) => Err(failed(ureq::Error::Io(error))),
        Ok(_) if found != package.sha256 => {
            Err(DebianError::Digest { url: url.to_owned(), expected: package.sha256.clone(), found })
        }
        Ok(bytes) => fs::rename(&partial, path).map(|()| bytes).map_err(DebianError::at("rename to", path)),
    };
    if outcome.is_err() {
        let _ = fs::remove_file(&partial);
    }
    outcome
}

/// Copies to the end through a hash; returns the bytes copied.
fn copy(from: &mut impl Read, hash: &mut Sha256, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        total += count as u64;
    }
}
