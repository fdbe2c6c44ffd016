//! Tests of whole machines: one API at three speeds.
//!
//! | speed | what runs | idle, under TCG |
//! |---|---|---|
//! | [`Speed::Initramfs`] | a program straight from a small initramfs on the image's kernel | 5 s |
//! | [`Speed::Clone`] | a machine booted once, saved, restored for each test with disks of its own | 3 s |
//! | [`Speed::Full`] | a boot of its own | 15-30 s |
//!
//! A test is registered as a [`Test`]; [`run`](mod@run) runs it in a [`Lab`] and judges the console of every
//! machine it used: a line of [`trouble`](crate::console::trouble) that the test did not announce fails it.
//!
//! Modules: [`lab`] is what tests run in, [`session`] a machine under test, [`setup`] what it is made of,
//! [`saved`] keeps booted machines, [`bare`] is the initramfs speed, [`mod@run`] judges, [`report`] tells.

pub mod bare;
pub mod lab;
pub mod report;
pub mod run;
pub mod saved;
pub mod session;
pub mod setup;

pub use bare::{Bare, BareOutcome};
pub use lab::{Lab, LabError};
pub use run::{Outcome, Verdict};
pub use session::Session;
pub use setup::Setup;

use std::time::Duration;

/// What a test ends with when it fails: anything that tells why.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a test's body gives.
pub type TestResult = Result<(), Failure>;

/// A registered test.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Unique; also its name under nextest.
    pub name: &'static str,
    /// What it shows, one line.
    pub about: &'static str,
    /// Which of the three speeds.
    pub speed: Speed,
    /// Seconds it needs on an idle machine with KVM or a fast TCG host; the limit is four times that.
    pub idle_secs: u64,
    /// Kinds of console trouble that it provokes (`io-error`, `failed-unit` …).
    pub provokes: &'static [&'static str],
    /// What it does.
    pub body: Body,
}

/// A test's code, by what it is given.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// A machine that is up, made from a setup.
    Machine(fn() -> Result<Setup, Failure>, fn(&mut Session<'_>) -> TestResult),
    /// The lab: the test makes its own machines.
    Lab(fn(&Lab) -> TestResult),
}

/// How a test's machine comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// A program straight from an initramfs.
    Initramfs,
    /// A restored machine.
    Clone,
    /// A boot of its own.
    Full,
}

impl Speed {
    /// Its name in lists.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Speed::Initramfs => "initramfs",
            Speed::Clone => "clone",
            Speed::Full => "full",
        }
    }
}

impl Test {
    /// Whether a pattern picks it: a part of its name, or everything when empty.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        self.name.contains(pattern)
    }

    /// How long it may take here.
    #[must_use]
    pub fn limit(&self, patience: u32) -> Duration {
        Duration::from_secs(self.idle_secs) * patience
    }
}
