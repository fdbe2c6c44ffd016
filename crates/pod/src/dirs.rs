//! Where things are: passed in, so that tests have a machine of their own.

use std::path::{Path, PathBuf};

/// The directories of pods and images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// What outlives a boot: `/var/lib/orlop`.
    pub state: PathBuf,
    /// What does not: `/run/orlop`.
    pub run: PathBuf,
    /// Declarations: `/etc/pods.d`.
    pub declared: PathBuf,
}

impl Default for Dirs {
    fn default() -> Self {
        Self { state: "/var/lib/orlop".into(), run: "/run/orlop".into(), declared: "/etc/pods.d".into() }
    }
}

impl Dirs {
    /// The same directories below another root.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            state: root.join("var/lib/orlop"),
            run: root.join("run/orlop"),
            declared: root.join("etc/pods.d"),
        }
    }

    /// The image store.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// The pods, one directory for each state below it.
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.state.join("pods")
    }

    /// What the runtime keeps of containers that run.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.run.join("orun")
    }

    /// Addresses and ports in use.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.run.join("network")
    }
}
