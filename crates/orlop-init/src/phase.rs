//! The boot as a list of named phases, each timed.

use std::fmt;
use std::time::{Duration, Instant};

use crate::console;

/// The phases, by the names that the console shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Kernel file systems, command line, modules.
    Init,
    /// The slot is found, verified and mounted.
    Usr,
    /// The root partition with `/etc` and `/var`.
    Root,
    /// An address, for a config that must be fetched.
    Network,
    /// A phase of provisioning, by the name that its crate gives it.
    Provision(provision::Phase),
    /// Into the machine's own root.
    Switch,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "init",
            Self::Usr => "usr",
            Self::Root => "root",
            Self::Network => "network",
            Self::Provision(phase) => phase.name(),
            Self::Switch => "switch",
        })
    }
}

/// How long each phase took, in order.
#[derive(Debug, Default)]
pub(crate) struct Times {
    phases: Vec<(Phase, Duration)>,
}

impl Times {
    /// Runs one phase, announcing its start and its end. A phase that fails is ended by the failure screen.
    pub(crate) fn run<T, E>(&mut self, phase: Phase, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        console::say(phase, "start");
        let started = Instant::now();
        let value = work()?;
        let took = started.elapsed();
        console::say(phase, console::done(took));
        self.add(phase, took);
        Ok(value)
    }

    /// Records a phase that somebody else announced.
    pub(crate) fn add(&mut self, phase: Phase, took: Duration) {
        self.phases.push((phase, took));
    }

    /// `/run/orlop/boot.json`: what `orlop-host status` and the figures read (docs/formats/boot.md).
    pub(crate) fn json(&self, first_boot: bool, slot: &str, started_s: f64, now_s: f64) -> String {
        let phases: Vec<serde_json::Value> = self
            .phases
            .iter()
            .map(|(phase, took)| serde_json::json!({"name": phase.to_string(), "seconds": round(took.as_secs_f64())}))
            .collect();
        let text = serde_json::json!({
            "version": 1,
            "first_boot": first_boot,
            "slot": slot,
            "kernel_seconds": round(started_s),
            "switched_seconds": round(now_s),
            "phases": phases,
        });
        format!("{text:#}\n")
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_console() {
        let names =
            [Phase::Init, Phase::Usr, Phase::Root, Phase::Network, Phase::Switch].map(|p| p.to_string());
        assert_eq!(names, ["init", "usr", "root", "network", "switch"]);
        assert_eq!(Phase::Provision(provision::Phase::Umount).to_string(), "umount");
    }

    #[test]
    fn the_record_of_a_boot() {
        let mut times = Times::default();
        times.add(Phase::Init, Duration::from_micros(12_345));
        let record: serde_json::Value = serde_json::from_str(&times.json(true, "vda2", 1.5, 2.25)).unwrap();
        assert_eq!(record["phases"][0]["name"], "init");
        assert_eq!(record["phases"][0]["seconds"], 0.012);
        assert_eq!(record["switched_seconds"], 2.25);
        assert_eq!(record["first_boot"], true);
    }
}
