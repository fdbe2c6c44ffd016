//! What the operations can fail of.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::spec::SpecError;
use crate::state::Status;

/// The result of every operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation. Paths, ids and JSON paths are in the text; causes are in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing a file of the bundle or the state directory failed.
    #[error("{doing} {}", .path.display())]
    File {
        /// `read`, `write`, `make directory`, …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The config is at fault.
    #[error("{}", .file.display())]
    Spec {
        /// The document.
        file: PathBuf,
        /// Where and what.
        #[source]
        source: SpecError,
    },
    /// A step that a field of the config asks for failed.
    #[error("{field}: {doing}")]
    Field {
        /// JSON path.
        field: String,
        /// What was tried.
        doing: String,
        /// Why it failed.
        #[source]
        source: Errno,
    },
    /// A system call on behalf of no field failed.
    #[error("{doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Errno,
    },
    /// A step in the new process failed.
    #[error("{}{step}: {message}", if .field.is_empty() { String::new() } else { format!("{}: ", .field) })]
    Child {
        /// The step's name.
        step: String,
        /// JSON path of the field that asked for it; may be empty.
        field: String,
        /// What failed and why, in words (it comes from another process).
        message: String,
    },
    /// The new process ended before it said that it was ready.
    #[error("the container's process ended while it was made ({how})")]
    ChildGone {
        /// `exit code 1`, `signal 9`.
        how: String,
    },
    /// The id cannot be a directory's name.
    #[error("container id {id:?}: use letters, digits and _+-. (not . or ..), at most 1024")]
    BadId {
        /// The id given.
        id: String,
    },
    /// A container of this id is there.
    #[error("container {id} already exists")]
    Exists {
        /// Its id.
        id: String,
    },
    /// No container of this id is there.
    #[error("container {id} does not exist")]
    NotFound {
        /// The id asked for.
        id: String,
    },
    /// The operation needs another status (runtime-spec runtime.md, Operations).
    #[error("cannot {operation} container {id}: it is {status}")]
    Status {
        /// Its id.
        id: String,
        /// `start`, `kill`, `delete`, `exec`.
        operation: &'static str,
        /// What it is.
        status: Status,
    },
    /// A state file is not what this program writes.
    #[error("{}: not a state file of orun: {why}", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A limit that this machine cannot apply.
    #[error("{field}: {why}")]
    Limit {
        /// JSON path.
        field: String,
        /// What is missing.
        why: String,
    },
    /// A hook failed.
    #[error("hooks.{kind}[{index}] {path}: {why}")]
    Hook {
        /// Its kind.
        kind: &'static str,
        /// Its place in the list.
        index: usize,
        /// Its program.
        path: String,
        /// Exit code, signal, time-out, or why it could not run.
        why: String,
    },
    /// Two values, or one value and the machine, do not go together.
    #[error("{what}: {why}")]
    Refused {
        /// An option or a field.
        what: String,
        /// The rule.
        why: &'static str,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::File { doing, path: path.into(), source: source.into() }
    }

    /// What to try, for the errors where something can be.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Status { operation: "delete", .. } => {
                Some("stop it first (`orun kill ID KILL`), or use --force")
            }
            Self::Exists { .. } => Some("`orun delete ID` removes a stopped container"),
            Self::Limit { .. } => {
                Some("boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1) or remove it")
            }
            _ => None,
        }
    }
}

/// Adds what was tried to a bare error number.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| Error::System { doing, source })
    }
}

/// Something that a caller should tell its user, though the operation went on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The machine has less than the config asks for; the text says what was left out.
    Warning(String),
}

/// Where events go.
pub type Events<'a> = &'a mut dyn FnMut(Event);
