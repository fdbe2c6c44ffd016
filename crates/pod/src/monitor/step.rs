//! What a monitor does next: a pure function of the pod's state and of what happened.
//!
//! ```text
//!            app ended, pod goes on          app failed | stop asked | all ended
//!  Running ────────────────────────▶ Running ─────────────────────────▶ Stopping ──▶ Done(code)
//!                                                                         │ grace over | kill asked
//!                                                                         ▼
//!                                                                      Killing ────▶ Done(code)
//! ```
//!
//! The first container that fails ends the pod, and its exit code is the pod's. A container that ends by the very
//! signal that a requested stop sent has not failed.

use crate::spec::RestartPolicy;

/// SIGTERM and SIGKILL as exit codes.
const TERMINATED: u8 = 128 + 15;
const KILLED: u8 = 128 + 9;

/// Where a pod is while its monitor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its containers run.
    Running,
    /// They were asked to end.
    Stopping,
    /// They were killed; their ends are awaited.
    Killing,
    /// All ended.
    Done {
        /// The pod's exit code.
        code: u8,
    },
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Container number `app` ended; 128 + n for signal n.
    Ended {
        /// Which one.
        app: usize,
        /// Its exit code.
        code: u8,
    },
    /// Somebody wants the pod to stop.
    StopAsked,
    /// Somebody wants the pod to end at once.
    KillAsked,
    /// The time to stop in is over.
    GraceOver,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask container number `app` to end, by its image's stop signal.
    Stop(usize),
    /// Kill container number `app`.
    Kill(usize),
    /// Send [`Event::GraceOver`] when the pod's time to stop is over.
    StartGrace,
}

/// The pod as its monitor knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    phase: Phase,
    policy: RestartPolicy,
    /// Exit codes of those that ended.
    ended: Vec<Option<u8>>,
    /// Of the first that failed.
    failure: Option<u8>,
    /// The end was asked for, not caused by a container.
    asked: bool,
}

impl Machine {
    /// A pod of `apps` containers that all run.
    #[must_use]
    pub fn new(apps: usize, policy: RestartPolicy) -> Self {
        Self { phase: Phase::Running, policy, ended: vec![None; apps], failure: None, asked: false }
    }

    /// Where the pod is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes in what happened; tells what to do.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        match (event, self.phase) {
            (_, Phase::Done { .. }) => Vec::new(),
            (Event::Ended { app, code }, _) => self.ended(app, code),
            (Event::StopAsked, Phase::Running) => {
                self.asked = true;
                self.stop()
            }
            // Whoever asks twice is in a hurry no more than the grace allows.
            (Event::StopAsked, _) => Vec::new(),
            (Event::KillAsked, phase) => {
                self.asked |= phase == Phase::Running;
                self.kill()
            }
            (Event::GraceOver, Phase::Stopping) => self.kill(),
            (Event::GraceOver, _) => Vec::new(),
        }
    }

    fn ended(&mut self, app: usize, code: u8) -> Vec<Action> {
        let Some(slot) = self.ended.get_mut(app) else { return Vec::new() };
        *slot = Some(code);
        let by_us = self.phase != Phase::Running && matches!(code, TERMINATED | KILLED);
        if code != 0 && !by_us {
            self.failure.get_or_insert(code);
        }
        if self.ended.iter().all(Option::is_some) {
            self.phase = Phase::Done { code: self.failure.unwrap_or(0) };
            return Vec::new();
        }
        // With `Always` every container is meant to run: one that is gone makes the pod start anew as a whole.
        let ends_pod = code != 0 || self.policy == RestartPolicy::Always;
        if self.phase == Phase::Running && ends_pod { self.stop() } else { Vec::new() }
    }

    fn stop(&mut self) -> Vec<Action> {
        self.phase = Phase::Stopping;
        let mut actions: Vec<Action> = self.alive().map(Action::Stop).collect();
        actions.push(Action::StartGrace);
        actions
    }

    fn kill(&mut self) -> Vec<Action> {
        self.phase = Phase::Killing;
        self.alive().map(Action::Kill).collect()
    }

    fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        self.ended.iter().enumerate().filter(|(_, code)| code.is_none()).map(|(app, _)| app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Kill, StartGrace, Stop};
    use Event::{GraceOver, KillAsked, StopAsked};
    use RestartPolicy::{Always, Never, OnFailure};

    fn ended(app: usize, code: u8) -> Event {
        Event::Ended { app, code }
    }

    /// Runs events through a pod of two; gives the actions of each and the last phase.
    fn run(policy: RestartPolicy, events: &[Event]) -> (Vec<Vec<Action>>, Phase) {
        let mut machine = Machine::new(2, policy);
        let actions = events.iter().map(|event| machine.step(*event)).collect();
        (actions, machine.phase())
    }

    #[test]
    fn the_first_failure_ends_the_pod_and_gives_its_code() {
        let (actions, phase) = run(Never, &[ended(1, 7), ended(0, 143)]);
        assert_eq!(actions[0], [Stop(0), StartGrace]);
        assert_eq!(phase, Phase::Done { code: 7 });
        assert_eq!(run(Never, &[ended(0, 143), ended(1, 9)]).1, Phase::Done { code: 143 });
    }

    #[test]
    fn success_ends_a_pod_only_when_all_are_done_unless_all_should_run() {
        assert_eq!(run(OnFailure, &[ended(0, 0)]), (vec![vec![]], Phase::Running));
        assert_eq!(run(Never, &[ended(0, 0), ended(1, 0)]).1, Phase::Done { code: 0 });
        assert_eq!(run(Always, &[ended(0, 0)]).0[0], [Stop(1), StartGrace]);
        assert_eq!(run(Always, &[ended(0, 0), ended(1, 143)]).1, Phase::Done { code: 0 });
    }

    #[test]
    fn a_requested_stop_is_no_failure_but_a_container_may_fail_in_it() {
        assert_eq!(run(Never, &[StopAsked, ended(0, 143), ended(1, 0)]).1, Phase::Done { code: 0 });
        assert_eq!(run(Never, &[StopAsked, ended(0, 143), ended(1, 3)]).1, Phase::Done { code: 3 });
    }

    #[test]
    fn who_does_not_stop_is_killed() {
        let (actions, phase) = run(Never, &[StopAsked, ended(0, 143), GraceOver, ended(1, 137)]);
        assert_eq!(actions[0], [Stop(0), Stop(1), StartGrace]);
        assert_eq!(actions[2], [Kill(1)]);
        assert_eq!(phase, Phase::Done { code: 0 });
        assert_eq!(run(Never, &[KillAsked]).0[0], [Kill(0), Kill(1)]);
    }

    #[test]
    fn every_event_in_every_phase_has_an_answer() {
        let events = [ended(0, 0), ended(1, 1), ended(9, 0), StopAsked, KillAsked, GraceOver];
        for policy in [Always, OnFailure, Never] {
            for first in events {
                for second in events {
                    for third in events {
                        let (_, phase) =
                            run(policy, &[first, second, third, KillAsked, ended(0, 137), ended(1, 137)]);
                        assert!(matches!(phase, Phase::Done { .. }), "{first:?} {second:?} {third:?}");
                    }
                }
            }
        }
    }
}
