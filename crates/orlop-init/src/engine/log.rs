//! What upstream's program says, in its form: level, stage, text; to standard output or to the journal.

use std::fmt::Display;
use std::io::Write as _;

use provision::{Error, Event};

use super::journal;

/// Levels of upstream's that are used here, with their syslog priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The program cannot go on. Nothing else may be said with this word: callers look for it.
    Critical,
    /// Something deserves attention.
    Warning,
    /// Something was done.
    Info,
}

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    to_stdout: bool,
    prefix: String,
}

impl Log {
    pub(crate) fn new(to_stdout: bool, prefix: &str) -> Self {
        Self { to_stdout: to_stdout || !journal::is_there(), prefix: prefix.to_owned() }
    }

    /// One line.
    pub(crate) fn say(&self, level: Level, text: impl Display) {
        let (word, priority) = match level {
            Level::Critical => ("CRITICAL", 2),
            Level::Warning => ("WARNING ", 4),
            Level::Info => ("INFO    ", 6),
        };
        let text = format!("{}: {text}", self.prefix);
        if self.to_stdout {
            let mut out = std::io::stdout().lock();
            for line in text.lines() {
                // A log that cannot be written is no reason to stop.
                let _ = writeln!(out, "{word} : {line}");
            }
        } else {
            journal::send(&text, priority, &[]);
        }
    }

    /// An event of the engine.
    pub(crate) fn event(&self, event: &Event) {
        let level = match event {
            Event::Warning(..) | Event::Retry(..) => Level::Warning,
            _ => Level::Info,
        };
        self.say(level, event.text());
    }

    /// Why the program fails.
    pub(crate) fn fail(&self, error: &Error) {
        self.say(Level::Critical, error.text());
    }
}
