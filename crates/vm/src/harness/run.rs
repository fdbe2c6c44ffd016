//! Runs registered tests and judges them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Body, Failure, Lab, Session, Speed, Test};

/// How a test ended.
#[derive(Debug)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should, and why.
    Failed(String),
}

/// A test that was run.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What it took.
    pub took: Duration,
    /// Where its console, journal and screen are, if it failed.
    pub kept: Option<PathBuf>,
}

impl Outcome {
    /// Whether it passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }
}

/// Runs one test.
#[must_use]
pub fn run(lab: &Lab, test: &Test) -> Outcome {
    let began = Instant::now();
    let kept = lab.results.join(test.name);
    let _ = fs::remove_dir_all(&kept); // of an earlier run
    let result = match test.body {
        Body::Lab(body) => body(lab),
        Body::Machine(setup, body) => on_machine(lab, test, setup, body),
    };
    let took = began.elapsed();
    let limit = test.limit(lab.patience());
    let verdict = match result {
        Err(failure) => Verdict::Failed(failure.to_string()),
        Ok(()) if took > limit => {
            Verdict::Failed(format!("took {:.0} s, more than {} s", took.as_secs_f64(), limit.as_secs()))
        }
        Ok(()) => Verdict::Passed,
    };
    if let Verdict::Failed(reason) = &verdict {
        let _ = fs::create_dir_all(&kept).and_then(|()| fs::write(kept.join("reason.txt"), reason));
    }
    let kept = kept.exists().then_some(kept);
    Outcome { name: test.name, verdict, took, kept }
}

fn on_machine(
    lab: &Lab,
    test: &Test,
    setup: fn() -> Result<super::Setup, Failure>,
    body: fn(&mut Session<'_>) -> super::TestResult,
) -> Result<(), Failure> {
    let setup = setup()?;
    let mut session = match test.speed {
        Speed::Clone => lab.clone_of(&setup)?,
        Speed::Full | Speed::Initramfs => lab.boot(&setup)?,
    };
    let result = body(&mut session).and_then(|()| judge(&mut session, test.provokes));
    if result.is_err() {
        session.keep(&lab.results.join(test.name));
    }
    let _ = session.machine().kill(); // it ends with the value in any case
    result
}

/// Fails on trouble that the test did not announce.
///
/// # Errors
/// The lines.
pub fn judge(session: &mut Session<'_>, provokes: &[&str]) -> Result<(), Failure> {
    let lines: Vec<String> = session
        .troubles()?
        .into_iter()
        .filter(|trouble| !provokes.contains(&trouble.kind.as_str()))
        .map(|trouble| format!("{}: {}", trouble.kind, trouble.line))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(format!("the machine has troubles:\n{}", lines.join("\n")).into())
    }
}
