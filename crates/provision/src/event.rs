//! What happens while a machine is provisioned, for whoever draws it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::http::Retry;

/// The stages of Ignition in their order, as named phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The config and what it refers to are fetched and merged.
    Fetch,
    /// What has to change is worked out; nothing is changed.
    Plan,
    /// Units that go are stopped; only on a running machine.
    Stop,
    /// Kernel arguments for the next start of the machine.
    Kargs,
    /// Partitions, arrays, encrypted volumes and file systems are made.
    Disks,
    /// File systems of the config are mounted in the machine's root.
    Mount,
    /// Users, directories, files, links and units.
    Files,
    /// What was mounted is unmounted.
    Umount,
    /// Units that are concerned are started, restarted, reloaded; only on a running machine.
    Units,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 9] = [
        Self::Fetch,
        Self::Plan,
        Self::Stop,
        Self::Kargs,
        Self::Disks,
        Self::Mount,
        Self::Files,
        Self::Umount,
        Self::Units,
    ];

    /// The name on the console and in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Plan => "plan",
            Self::Stop => "stop",
            Self::Kargs => "kargs",
            Self::Disks => "disks",
            Self::Mount => "mount",
            Self::Files => "files",
            Self::Umount => "umount",
            Self::Units => "units",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A phase begins.
    Start(Phase),
    /// A step of it is done or begins; one line for people.
    Step(Phase, String),
    /// Something that deserves attention and does not stop the phase.
    Warning(Phase, String),
    /// A URL could not be fetched and will be tried again.
    Retry(Phase, Retry),
    /// A phase is done.
    Done(Phase, Duration),
}

impl Event {
    /// The phase that this is about.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Start(phase)
            | Self::Step(phase, _)
            | Self::Warning(phase, _)
            | Self::Retry(phase, _)
            | Self::Done(phase, _) => *phase,
        }
    }

    /// What follows `orlop: PHASE: ` on the console.
    pub fn text(&self) -> String {
        match self {
            Self::Start(_) => "start".into(),
            Self::Step(_, text) => text.clone(),
            Self::Warning(_, text) => format!("warning: {text}"),
            Self::Retry(_, Retry { url, attempt, why, wait }) => {
                format!("still trying {url}: {why}, attempt {attempt}, next in {:.1} s", wait.as_secs_f64())
            }
            Self::Done(_, time) => format!("done in {:.3} s", time.as_secs_f64()),
        }
    }
}

/// Whoever listens.
pub type Events<'a> = &'a mut dyn FnMut(Event);
