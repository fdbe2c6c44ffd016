//! Pods as directories: the state is where a directory lies, and whether somebody holds its lock.
//!
//! ```text
//! pods/{preparing,prepared,running,exited,garbage}/UUID/
//! ```
//!
//! Whoever prepares or runs a pod holds an exclusive flock on its directory; a rename moves it to the next state.
//! A directory in `preparing` or `running` whose lock is free belongs to somebody who died: it is *torn*, and
//! [`crate::gc`] removes it or moves it on. The form of a directory is `docs/formats/pod-dir.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use oci_image::{Digest, Reference};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::dirs::Dirs;
use crate::spec;

/// The version of a pod's directory, in its `pod.json`.
pub const VERSION: u32 = 1;

/// How often a lock that somebody else holds is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Images are fetched, files are written.
    Preparing,
    /// Ready to run.
    Prepared,
    /// A monitor runs it.
    Running,
    /// It ended.
    Exited,
    /// It is being removed.
    Garbage,
}

impl State {
    /// All states, in the order of a pod's life.
    pub const ALL: [State; 5] =
        [State::Preparing, State::Prepared, State::Running, State::Exited, State::Garbage];

    /// The directory of this state, and its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Preparing => "preparing",
            State::Prepared => "prepared",
            State::Running => "running",
            State::Exited => "exited",
            State::Garbage => "garbage",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a pod's directory does not do.
#[derive(Debug, thiserror::Error)]
pub enum PodsError {
    /// A file cannot be read or written.
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
    /// A file was damaged, or made by another version.
    #[error("{path:?} is damaged or of another version")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no pod of that name or id.
    #[error("there is no pod {name}")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// An id's beginning that fits several pods.
    #[error("{name} is the beginning of several ids: {}", .ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids.
        ids: Vec<String>,
    },
    /// Another pod of that name runs.
    #[error("a pod named {name} is running already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The pod is in a state in which this cannot be done.
    #[error("pod {id} is {state}")]
    WrongState {
        /// Which pod.
        id: String,
        /// Its state.
        state: State,
    },
}

pub(crate) fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PodsError + 'a {
    move |source| PodsError::Io { what, path: path.to_owned(), source }
}

/// `pod.json`: what a pod is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// UUID.
    pub id: String,
    /// Name of the declaration.
    pub name: String,
    /// When it was prepared, seconds since 1970.
    pub created_secs: u64,
    /// Image of each container.
    pub images: BTreeMap<String, ImageRecord>,
}

/// An image as a pod uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its name.
    pub reference: Reference,
    /// What the name stood for.
    pub digest: Digest,
}

/// `status.json`: how a pod goes; its monitor writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The monitor's process id.
    pub monitor: i32,
    /// The systemd unit that runs it, if one does.
    #[serde(default)]
    pub unit: Option<String>,
    /// When it was started, seconds since 1970.
    pub started_secs: u64,
    /// When it ended.
    pub ended_secs: Option<u64>,
    /// Its address on the bridge.
    pub address: Option<std::net::Ipv4Addr>,
    /// Its containers.
    pub apps: Vec<AppStatus>,
    /// Its exit code, once it ended.
    pub code: Option<u8>,
    /// Why it could not be started or went on no longer, if that was not a container's doing.
    pub error: Option<String>,
}

/// How a container goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// Its first process, while it runs.
    pub pid: Option<i32>,
    /// Its exit code, once it ended: 128 + n for signal n.
    pub code: Option<u8>,
}

/// A pod as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// UUID.
    pub id: String,
    /// Where it lies.
    pub state: State,
    /// Nobody holds its lock although its state needs one: who held it died.
    pub torn: bool,
    /// Its directory.
    pub dir: PathBuf,
    /// What it is; none if it was torn before that was written.
    pub record: Option<Record>,
    /// How it goes; none before its first start.
    pub status: Option<Status>,
}

impl Seen {
    /// Its name, or its id where there is none yet.
    #[must_use]
    pub fn name(&self) -> &str {
        self.record.as_ref().map_or(&self.id, |record| &record.name)
    }

    /// Whether it runs: in the state, and with a monitor.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == State::Running && !self.torn
    }

    /// Its declaration.
    ///
    /// # Errors
    /// [`PodsError`] where the file is gone or damaged.
    pub fn spec(&self) -> Result<spec::Pod, PodsError> {
        read_spec(&self.dir)
    }
}

/// The declaration that a pod's directory holds.
pub(crate) fn read_spec(dir: &Path) -> Result<spec::Pod, PodsError> {
    let path = dir.join("pod.yaml");
    let text = std::fs::read_to_string(&path).map_err(failed("read", &path))?;
    spec::parse(&text).map_err(|error| PodsError::Damaged { path, source: error.into() })
}

/// The pods of a machine.
#[derive(Debug, Clone)]
pub struct Pods {
    dirs: Dirs,
}

impl Pods {
    /// The pods in `dirs`; missing directories are made.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn open(dirs: &Dirs) -> Result<Self, PodsError> {
        for state in State::ALL {
            let path = dirs.pods().join(state.name());
            std::fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        // Names of users and their secrets are in there.
        let path = dirs.pods();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
            .map_err(failed("protect", &path))?;
        Ok(Self { dirs: dirs.clone() })
    }

    /// The machine's directories.
    #[must_use]
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    fn path(&self, state: State, id: &str) -> PathBuf {
        self.dirs.pods().join(state.name()).join(id)
    }

    /// A new directory in [`State::Preparing`], held.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn create(&self) -> Result<Handle, PodsError> {
        let id = new_id();
        let path = self.path(State::Preparing, &id);
        std::fs::create_dir(&path).map_err(failed("create", &path))?;
        // Held before anybody else can take it for torn: gc leaves young directories alone.
        let lock = open_dir(&path)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed("lock", &path)(errno.into()))?;
        Ok(Handle { pods: self.clone(), id, state: State::Preparing, _lock: lock })
    }

    /// Takes hold of a pod that nobody holds, in one of `states`.
    ///
    /// # Errors
    /// [`PodsError::WrongState`] where it is in another state or held.
    pub fn hold(&self, id: &str, states: &[State]) -> Result<Handle, PodsError> {
        let mut found = None;
        for state in State::ALL {
            let path = self.path(state, id);
            let lock = match File::open(&path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("open", &path)(error)),
            };
            found = Some(state);
            if !states.contains(&state) || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                break;
            }
            // It may have been renamed between open and lock.
            if path.is_dir() {
                return Ok(Handle { pods: self.clone(), id: id.to_owned(), state, _lock: lock });
            }
        }
        match found {
            Some(state) => Err(PodsError::WrongState { id: id.to_owned(), state }),
            None => Err(PodsError::NotFound { name: id.to_owned() }),
        }
    }

    /// Holds a name against a second pod of it, for as long as the file lives.
    ///
    /// # Errors
    /// [`PodsError::NameTaken`].
    pub fn hold_name(&self, name: &str) -> Result<File, PodsError> {
        let dir = self.dirs.run.join("names");
        std::fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
        let path = dir.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => Err(PodsError::NameTaken { name: name.to_owned() }),
            Err(errno) => Err(failed("lock", &path)(errno.into())),
        }
    }

    /// All pods, the oldest first.
    ///
    /// # Errors
    /// [`PodsError`].
    pub fn list(&self) -> Result<Vec<Seen>, PodsError> {
        let mut all: Vec<Seen> = Vec::new();
        for state in State::ALL {
            let dir = self.dirs.pods().join(state.name());
            for entry in std::fs::read_dir(&dir).map_err(failed("read", &dir))? {
                let id = entry.map_err(failed("read", &dir))?.file_name().to_string_lossy().into_owned();
                // One that moved on while we read is seen once, further on.
                if let Some(seen) = self.see(state, &id)? {
                    all.retain(|other| other.id != seen.id);
                    all.push(seen);
                }
            }
        }
        all.sort_by_key(|seen| {
            (seen.record.as_ref().map_or(0, |record| record.created_secs), seen.id.clone())
        });
        Ok(all)
    }

    /// One pod in one state; none if it is not there.
    fn see(&self, state: State, id: &str) -> Result<Option<Seen>, PodsError> {
        let dir = self.path(state, id);
        let needs_holder = matches!(state, State::Preparing | State::Running);
        let torn = match File::open(&dir) {
            Ok(file) => needs_holder && flock(&file, FlockOperation::NonBlockingLockShared).is_ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &dir)(error)),
        };
        // What a power cut damaged must not hide the other pods.
        let record = read_json(&dir.join("pod.json")).unwrap_or_default();
        let status = read_json(&dir.join("status.json")).unwrap_or_default();
        if !dir.is_dir() {
            return Ok(None);
        }
        Ok(Some(Seen { id: id.to_owned(), state, torn, dir, record, status }))
    }

    /// The pod of a name (the running one, else the newest), of an id, or of an id's beginning.
    ///
    /// # Errors
    /// [`PodsError::NotFound`], [`PodsError::Ambiguous`].
    pub fn find(&self, name: &str) -> Result<Seen, PodsError> {
        let mut all = self.list()?;
        all.retain(|seen| seen.state != State::Garbage);
        let mut named: Vec<&Seen> =
            all.iter().filter(|seen| seen.name() == name || seen.id == name).collect();
        named.sort_by_key(|seen| seen.is_running());
        if let Some(found) = named.pop() {
            return Ok(found.clone());
        }
        // Four digits are the least that a person would call the beginning of an id.
        let begins = |seen: &&Seen| name.len() >= 4 && seen.id.starts_with(name);
        let begun: Vec<&Seen> = all.iter().filter(begins).collect();
        match begun.as_slice() {
            [] => Err(PodsError::NotFound { name: name.to_owned() }),
            [found] => Ok((*found).clone()),
            several => Err(PodsError::Ambiguous {
                name: name.to_owned(),
                ids: several.iter().map(|seen| seen.id.clone()).collect(),
            }),
        }
    }

    /// Waits until nobody holds the pod any more, or `limit` is over; tells which, and gives the pod as it is then.
    ///
    /// # Errors
    /// [`PodsError`]; [`PodsError::NotFound`] where it was removed meanwhile.
    pub fn wait_for_end(&self, id: &str, limit: Option<Duration>) -> Result<(bool, Seen), PodsError> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let seen = self.find(id)?;
            if !matches!(seen.state, State::Preparing | State::Running) || seen.torn {
                return Ok((true, seen));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok((false, seen));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A pod's directory, held.
#[derive(Debug)]
pub struct Handle {
    pods: Pods,
    id: String,
    state: State,
    _lock: File,
}

impl Handle {
    /// UUID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The machine's pods.
    #[must_use]
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// Its directory, in the state it is in now.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.pods.path(self.state, &self.id)
    }

    /// Moves it to another state, still held.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn advance(&mut self, to: State) -> Result<(), PodsError> {
        let from = self.dir();
        std::fs::rename(&from, self.pods.path(to, &self.id)).map_err(failed("move on", &from))?;
        self.state = to;
        Ok(())
    }

    /// Writes one of its JSON files, whole or not at all.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), PodsError> {
        let bytes = serde_json::to_vec(value).expect("files of ours always serialise");
        self.write(name, &bytes)
    }

    /// Writes one of its files, whole or not at all.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PodsError> {
        let path = self.dir().join(name);
        let beside = path.with_extension("tmp");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            std::fs::rename(&beside, &path)
        };
        write().map_err(failed("write", &path))
    }

    /// What the pod is.
    ///
    /// # Errors
    /// [`PodsError::Damaged`].
    pub fn record(&self) -> Result<Record, PodsError> {
        let path = self.dir().join("pod.json");
        read_json(&path)?.ok_or_else(|| PodsError::Damaged { path, source: "it is missing".into() })
    }

    /// Its declaration.
    ///
    /// # Errors
    /// [`PodsError::Damaged`].
    pub fn spec(&self) -> Result<spec::Pod, PodsError> {
        read_spec(&self.dir())
    }

    /// Removes it for good. Mounts of it must be gone.
    ///
    /// # Errors
    /// [`PodsError::Io`].
    pub fn remove(mut self) -> Result<(), PodsError> {
        if self.state != State::Garbage {
            self.advance(State::Garbage)?;
        }
        let dir = self.dir();
        oci_image::unpack::remove_path(&dir).map_err(failed("remove", &dir))
    }
}

fn open_dir(path: &Path) -> Result<File, PodsError> {
    File::open(path).map_err(failed("open", path))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, PodsError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let damaged =
                |error: serde_json::Error| PodsError::Damaged { path: path.to_owned(), source: error.into() };
            serde_json::from_slice(&bytes).map(Some).map_err(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Seconds since 1970.
pub(crate) fn now_secs() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A random UUID (RFC 9562, version 4).
fn new_id() -> String {
    let mut bytes = [0u8; 16];
    // The pool is ready long before a pod can be started; a short read would only make the id less random.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> (tempfile::TempDir, Pods) {
        let dir = tempfile::tempdir().unwrap();
        let pods = Pods::open(&Dirs::below(dir.path())).unwrap();
        (dir, pods)
    }

    fn record(handle: &Handle, name: &str) {
        let record = Record {
            version: VERSION,
            id: handle.id().to_owned(),
            name: name.to_owned(),
            created_secs: now_secs(),
            images: BTreeMap::new(),
        };
        handle.write_json("pod.json", &record).unwrap();
    }

    #[test]
    fn a_pod_lives_as_a_directory_that_moves() {
        let (_dir, pods) = pods();
        let mut handle = pods.create().unwrap();
        let id = handle.id().to_owned();
        record(&handle, "web");
        assert!(!pods.find("web").unwrap().torn);
        handle.advance(State::Running).unwrap();
        assert!(pods.find(&id[..6]).unwrap().is_running());
        assert!(matches!(pods.hold(&id, &[State::Running]), Err(PodsError::WrongState { .. })));
        assert!(!pods.wait_for_end(&id, Some(Duration::ZERO)).unwrap().0);
        drop(handle);
        let seen = pods.find("web").unwrap();
        assert!(seen.torn && !seen.is_running(), "a free lock in running means that the monitor died");
        pods.hold(&id, &[State::Running]).unwrap().remove().unwrap();
        assert!(matches!(pods.find("web"), Err(PodsError::NotFound { .. })));
    }

    #[test]
    fn of_one_name_the_running_pod_is_meant() {
        let (_dir, pods) = pods();
        let mut running = pods.create().unwrap();
        record(&running, "web");
        running.advance(State::Running).unwrap();
        let mut exited = pods.create().unwrap();
        record(&exited, "web");
        exited.advance(State::Exited).unwrap();
        assert_eq!(pods.find("web").unwrap().id, running.id());
        assert_eq!(pods.list().unwrap().len(), 2);
    }

    #[test]
    fn a_name_has_one_holder() {
        let (_dir, pods) = pods();
        let held = pods.hold_name("web").unwrap();
        assert!(matches!(pods.hold_name("web"), Err(PodsError::NameTaken { .. })));
        drop(held);
        pods.hold_name("web").unwrap();
    }

    #[test]
    fn a_damaged_pod_hides_no_other() {
        let (_dir, pods) = pods();
        let mut damaged = pods.create().unwrap();
        damaged.write("pod.json", b"").unwrap();
        damaged.advance(State::Exited).unwrap();
        let whole = pods.create().unwrap();
        record(&whole, "web");
        assert_eq!(pods.list().unwrap().len(), 2);
        assert_eq!(pods.find("web").unwrap().id, whole.id());
        assert_eq!(pods.find(damaged.id()).unwrap().name(), damaged.id());
    }

    #[test]
    fn ids_are_uuids() {
        let id = new_id();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
