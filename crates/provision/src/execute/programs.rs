//! Programs of the OS, run one at a time.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Lines of a failed program's words that are kept.
const LINES_KEPT: usize = 6;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("there is no program {program}")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be started.
    #[error("cannot run {program}")]
    Start {
        /// Its name.
        program: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed ({status}): {words}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        words: String,
    },
}

/// Runs programs by name.
pub trait Programs: std::fmt::Debug {
    /// Whether there is such a program.
    fn has(&self, program: &str) -> bool;

    /// Runs a program to its end.
    ///
    /// # Errors
    /// [`ProgramError`] when it cannot be run or fails.
    fn run(&self, program: &str, args: &[String]) -> Result<(), ProgramError>;
}

/// Programs in directories.
#[derive(Debug, Clone)]
pub struct SystemPrograms {
    /// Where programs are looked for, in this order.
    pub dirs: Vec<PathBuf>,
}

impl Default for SystemPrograms {
    fn default() -> Self {
        Self { dirs: vec!["/usr/sbin".into(), "/usr/bin".into()] }
    }
}

impl SystemPrograms {
    fn find(&self, program: &str) -> Option<PathBuf> {
        self.dirs.iter().map(|dir| dir.join(program)).find(|path| path.is_file())
    }
}

impl Programs for SystemPrograms {
    fn has(&self, program: &str) -> bool {
        self.find(program).is_some()
    }

    fn run(&self, program: &str, args: &[String]) -> Result<(), ProgramError> {
        let name = program.to_owned();
        let path = self.find(program).ok_or_else(|| ProgramError::Missing { program: name.clone() })?;
        let search = std::env::join_paths(&self.dirs).unwrap_or_default();
        let output = Command::new(path)
            .args(args)
            .env_clear()
            .env("PATH", search)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| ProgramError::Start { program: name.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let words = lines[lines.len().saturating_sub(LINES_KEPT)..].join("; ");
        Err(ProgramError::Failed { program: name, status: output.status.to_string(), words })
    }
}
