//! Programs of the verified `/usr`, run with a limit and never waited for in silence.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::console;
use crate::phase::Phase;

/// How often a waited-for child is looked at.
const STEP: Duration = Duration::from_millis(5);
/// After this long, and then as often, the console says what is waited for.
const TELL: Duration = Duration::from_secs(5);
/// Output of a failed program that is kept for the screen.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// `PATH` of every program.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin";

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended badly.
    #[error("{program} failed ({status}){}{output}", if .output.is_empty() { "" } else { ": " })]
    Failed {
        /// The program with its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// It did not end.
    #[error("{program} did not end within {} s and was killed", .limit.as_secs())]
    Timeout {
        /// The program with its arguments.
        program: String,
        /// The limit.
        limit: Duration,
    },
}

/// A command of the verified `/usr` with a plain environment.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Runs a program to its end and returns what it wrote.
pub(crate) fn run(phase: Phase, mut command: Command, limit: Duration) -> Result<String, ProcessError> {
    let name = describe(&command);
    let start = |source| ProcessError::Start { program: name.clone(), source };
    let mut output = tempfile()?;
    command.stdout(output.try_clone().map_err(start)?).stderr(output.try_clone().map_err(start)?);
    let mut child = command.spawn().map_err(start)?;
    let ended = wait(phase, &mut child, &name, limit).map_err(start)?;
    let mut text = String::new();
    let read = output.rewind().and_then(|()| {
        let mut bytes = Vec::new();
        (&output).take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
        text = String::from_utf8_lossy(&bytes).trim().to_owned();
        Ok(())
    });
    read.map_err(start)?;
    match ended {
        None => Err(ProcessError::Timeout { program: name, limit }),
        Some(status) if status.success() => Ok(text),
        Some(status) => Err(ProcessError::Failed { program: name, status, output: text }),
    }
}

/// An unnamed file for output: a pipe would have to be emptied while waiting.
fn tempfile() -> Result<File, ProcessError> {
    rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(|errno| ProcessError::Start { program: "memfd_create".into(), source: errno.into() })
}

/// Waits, telling the console every few seconds; after the limit the child is killed and `None` returned.
fn wait(phase: Phase, child: &mut Child, name: &str, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut told = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let waited = started.elapsed();
        if waited >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        if waited >= told + TELL {
            told = waited;
            console::say(
                phase,
                format_args!("waiting for {name} ({} of {} s)", waited.as_secs(), limit.as_secs()),
            );
        }
        sleep(STEP);
    }
}

/// Asks a daemon to end, and kills it when it does not within the limit.
pub(crate) fn stop(phase: Phase, child: &mut Child, name: &str, limit: Duration) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    match wait(phase, child, name, limit) {
        Ok(Some(_)) => {}
        Ok(None) => console::say(phase, format_args!("{name} did not end and was killed")),
        Err(error) => console::say(phase, format_args!("cannot stop {name}: {error}")),
    }
}

/// Takes in every ended child that nobody waits for: PID 1 inherits orphans.
pub(crate) fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut shell = command("/bin/sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn output_of_a_success_is_returned() {
        assert_eq!(run(Phase::Root, shell("echo a; echo b >&2"), LIMIT).unwrap(), "a\nb");
    }

    #[test]
    fn a_failure_tells_status_and_output() {
        let error = run(Phase::Root, shell("echo why; exit 3"), LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh -c echo why; exit 3 failed (exit status: 3): why");
        let error = run(Phase::Root, command("/nonexistent"), LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nonexistent");
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let error = run(Phase::Root, shell("exec sleep 60"), Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, ProcessError::Timeout { .. }), "{error}");
    }
}
