//! Makes the tree with `mmdebstrap --variant=extract`: packages are downloaded, checked against Debian's signed
//! release file and unpacked; no maintainer script runs.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, Sdk, packages};

/// Written last into a tree: says what it was made of. Relative to the tree's root.
pub const STAMP: &str = "orlop-sdk";

/// Lines of `mmdebstrap` kept for the error message.
const LAST_LINES_MAX: usize = 4;

/// What happens while the tree is made; nothing is sent when it is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another process makes the tree: waiting for it.
    Waiting,
    /// Work begins, for this many packages asked for by name, into this directory.
    Started {
        /// Packages asked for by name.
        packages: usize,
        /// The tree's final place.
        path: PathBuf,
    },
    /// The maker says what it is at ("downloading packages with apt").
    Step(String),
    /// The tree is in place.
    Done {
        /// How long it took.
        elapsed: Duration,
    },
}

/// Returns the tree in `cache_dir`, making it first when it is missing (half a minute and about 100 MB of downloads).
///
/// # Errors
/// [`Error::HostProgram`] without `mmdebstrap` (or `tar`, when not root), [`Error::Mmdebstrap`] when it fails (no network,
/// no user namespaces when not root), [`Error::Path`] when the cache cannot be written.
pub fn ensure(cache_dir: &Path, events: &mut dyn FnMut(Event)) -> Result<Sdk, Error> {
    let place = cache_dir.join(packages::directory_name());
    if place.join(STAMP).exists() {
        return Sdk::open(&place);
    }
    fs::create_dir_all(cache_dir).map_err(at("create", cache_dir))?;
    let _lock = lock(&cache_dir.join("sdk.lock"), events)?;
    if place.join(STAMP).exists() {
        return Sdk::open(&place);
    }
    let started = Instant::now();
    events(Event::Started { packages: packages::PACKAGES.len(), path: place.clone() });
    let temporary = cache_dir.join(format!("{}.partial", packages::directory_name()));
    remove(&temporary)?;
    unpack(&temporary, events)?;
    let stamp = temporary.join(STAMP);
    fs::write(&stamp, format!("{} {}\n", packages::SUITE, packages::PACKAGES.join(" ")))
        .map_err(at("write", &stamp))?;
    remove(&place)?;
    fs::rename(&temporary, &place).map_err(at("rename to", &place))?;
    events(Event::Done { elapsed: started.elapsed() });
    Sdk::open(&place)
}

/// Closure for `map_err` that says what was tried on which path.
pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Path { action, path, source }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Takes the lock file, which lasts as long as the returned handle.
fn lock(path: &Path, events: &mut dyn FnMut(Event)) -> Result<File, Error> {
    use rustix::fs::{FlockOperation, flock};
    let file = File::create(path).map_err(at("create", path))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        events(Event::Waiting);
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| at("lock", path)(errno.into()))?;
    }
    Ok(file)
}

/// The arguments of `mmdebstrap` for a target (`-` is a tar stream on its standard output).
fn arguments(mode: &str, target: &str) -> Vec<String> {
    let mut list = vec![
        format!("--mode={mode}"),
        "--variant=extract".to_owned(),
        "--architectures=amd64".to_owned(),
        format!("--include={}", packages::PACKAGES.join(",")),
        "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
        "--aptopt=Acquire::Retries \"3\"".to_owned(),
    ];
    list.extend(packages::EXCLUDED.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    list.extend([packages::SUITE.to_owned(), target.to_owned(), packages::mirror()]);
    list
}

/// As root straight into the directory; otherwise through a tar stream, so that the files belong to the user and not
/// to one of the subordinate ids that `mmdebstrap` unpacks with.
fn unpack(target: &Path, events: &mut dyn FnMut(Event)) -> Result<(), Error> {
    let root = rustix::process::geteuid().is_root();
    let (mode, name) =
        if root { ("root", target.to_string_lossy().into_owned()) } else { ("unshare", "-".to_owned()) };
    let mut command = Command::new("mmdebstrap");
    command.args(arguments(mode, &name)).stdin(Stdio::null()).stderr(Stdio::piped());
    command.stdout(if root { Stdio::null() } else { Stdio::piped() });
    let mut child = command.spawn().map_err(|source| Error::HostProgram {
        program: "mmdebstrap",
        package: "mmdebstrap",
        source,
    })?;
    let tar = match child.stdout.take() {
        Some(stream) => {
            fs::create_dir_all(target).map_err(at("create", target))?;
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--no-same-owner", "--exclude=./dev/*", "--directory"])
                .arg(target)
                .stdin(stream);
            Some(tar.spawn().map_err(|source| Error::HostProgram {
                program: "tar",
                package: "tar",
                source,
            })?)
        }
        None => None,
    };
    let last_lines = child.stderr.take().map(|stream| follow(stream, events)).unwrap_or_default();
    let status = child.wait().map_err(at("wait for mmdebstrap in", target))?;
    if let Some(mut tar) = tar {
        tar.wait().map_err(at("wait for tar in", target))?;
    }
    if status.success() { Ok(()) } else { Err(Error::Mmdebstrap { status, last_lines }) }
}

/// Sends the maker's steps on as events and returns its last lines.
fn follow(stream: impl std::io::Read, events: &mut dyn FnMut(Event)) -> Vec<String> {
    let mut last = VecDeque::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        match step(&line) {
            Some(text) if !takes_time(text) => {}
            Some(text) => events(Event::Step(text.to_owned())),
            None if line.starts_with("W: ") || line.trim().is_empty() => {}
            None => {
                if last.len() == LAST_LINES_MAX {
                    last.pop_front();
                }
                last.push_back(line);
            }
        }
    }
    last.into()
}

/// The text of a step line (`I: extracting archives...`).
fn step(line: &str) -> Option<&str> {
    let text = line.strip_prefix("I: ")?;
    Some(text.strip_suffix("...").unwrap_or(text))
}

/// Whether a user waits during this step; the others are over at once.
fn takes_time(step: &str) -> bool {
    ["running apt-get", "downloading", "extracting"].iter().any(|start| step.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_the_makers_lines() {
        assert_eq!(step("I: extracting archives..."), Some("extracting archives"));
        assert_eq!(step("E: apt-get failed"), None);
    }

    #[test]
    fn only_lines_that_explain_a_failure_are_kept() {
        let mut steps = Vec::new();
        let text = "I: running apt-get update...\nW: skipping mounting\nErr:1 no route\n\nE: apt-get update failed\n";
        let last = follow(text.as_bytes(), &mut |event| steps.push(event));
        assert_eq!(last, ["Err:1 no route", "E: apt-get update failed"]);
        assert_eq!(steps, [Event::Step("running apt-get update".to_owned())]);
    }

    #[test]
    fn a_finished_tree_is_used_without_any_work() {
        let cache = tempfile::tempdir().unwrap();
        let tree = cache.path().join(packages::directory_name());
        let loader = tree.join(crate::run::LOADER);
        fs::create_dir_all(loader.parent().unwrap()).unwrap();
        fs::write(loader, "").unwrap();
        fs::write(tree.join(STAMP), "").unwrap();
        let sdk = ensure(cache.path(), &mut |event| panic!("{event:?}")).unwrap();
        assert_eq!(sdk.root(), tree.canonicalize().unwrap());
    }
}
