//! The OCI runtime as a program: `orun`, or any that takes runc's command line.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names another runtime, for development.
pub const VARIABLE: &str = "ORLOP_RUNTIME";

/// Why the runtime did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It cannot be run.
    #[error("cannot run {program:?}")]
    Program {
        /// Its name or path.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program:?} could not {what} the container {id}: {message}")]
    Failed {
        /// Its name or path.
        program: PathBuf,
        /// Which of its commands.
        what: &'static str,
        /// Which container.
        id: String,
        /// What it said.
        message: String,
    },
    /// It did not say which process it made.
    #[error("{program:?} wrote no process id for the container {id}")]
    NoPid {
        /// Its name or path.
        program: PathBuf,
        /// Which container.
        id: String,
    },
}

/// The runtime and where it keeps its state.
#[derive(Debug, Clone)]
pub struct Runtime {
    program: PathBuf,
    root: PathBuf,
}

impl Runtime {
    /// `orun` from PATH (or what `ORLOP_RUNTIME` names) with its state in `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let program = std::env::var_os(VARIABLE).map_or_else(|| "orun".into(), PathBuf::from);
        Self { program, root: root.to_owned() }
    }

    /// The command line up to the runtime's own command.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        // It would wait for the container to say that it is ready, in our place.
        command.env_remove(crate::notify::VARIABLE);
        command.env_remove("LISTEN_FDS");
        command.env_remove("LISTEN_PID");
        command
    }

    /// Makes a container from the bundle in `bundle`, its output to two pipes; gives its first process.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn create(
        &self,
        id: &str,
        bundle: &Path,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<i32, RuntimeError> {
        let log = bundle.join("runtime.log");
        let pid_file = bundle.join("pid");
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).arg("--log").arg(&log).args(["--log-format", "json", "create"]);
        command.env_remove(crate::notify::VARIABLE);
        command.arg("--bundle").arg(bundle).arg("--pid-file").arg(&pid_file).arg(id);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let status = command.status().map_err(|source| self.no_program(source))?;
        if !status.success() {
            // Its standard error is the container's; what it says is in its log too.
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let message = log_message(&text).unwrap_or_else(|| status.to_string());
            return Err(RuntimeError::Failed {
                program: self.program.clone(),
                what: "create",
                id: id.to_owned(),
                message,
            });
        }
        let pid = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        pid.ok_or_else(|| RuntimeError::NoPid { program: self.program.clone(), id: id.to_owned() })
    }

    /// Starts the process of a container that was made.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.run("start", id, &["start", id])
    }

    /// Sends a signal to a container's first process, or to all of its processes.
    ///
    /// # Errors
    /// [`RuntimeError`]; a container that ended is one.
    pub fn kill(&self, id: &str, signal: &str, all: bool) -> Result<(), RuntimeError> {
        let all: &[&str] = if all { &["--all"] } else { &[] };
        self.run("signal", id, &[&["kill"], all, &[id, signal]].concat())
    }

    /// Removes a container and its cgroup, and kills what is left of it.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.run("delete", id, &["delete", "--force", id])
    }

    fn run(&self, what: &'static str, id: &str, args: &[impl AsRef<OsStr>]) -> Result<(), RuntimeError> {
        let output = self
            .command()
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| self.no_program(source))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let message = log_message(&text).unwrap_or_else(|| output.status.to_string());
        Err(RuntimeError::Failed { program: self.program.clone(), what, id: id.to_owned(), message })
    }

    fn no_program(&self, source: io::Error) -> RuntimeError {
        RuntimeError::Program { program: self.program.clone(), source }
    }
}

/// The last thing that a runtime said: `msg` of a JSON line, else the line itself.
fn log_message(text: &str) -> Option<String> {
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let message = value.as_ref().and_then(|value| value.get("msg").or_else(|| value.get("error"))?.as_str());
    Some(message.unwrap_or(line).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_runtime_is_told() {
        assert_eq!(
            log_message("{\"level\":\"error\",\"msg\":\"no such file\"}\n").as_deref(),
            Some("no such file")
        );
        assert_eq!(log_message("a\nerror: b\n\n").as_deref(), Some("error: b"));
        assert_eq!(log_message(""), None);
    }
}
