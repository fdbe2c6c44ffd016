//! Reads the console log of a machine that runs, and says when each event was seen.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Event, Failure, Parser};

/// An event and when it was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Seconds from the machine's start to the moment the event was read: at most [`POLL`] late.
    pub at_secs: f64,
    /// The event.
    pub event: Event,
}

/// How often a caller that waits should look at the log; QEMU writes it by itself.
pub const POLL: Duration = Duration::from_millis(30);

/// Reads what was added to the log since it last looked.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    began: Instant,
    file: Option<File>,
    parser: Parser,
}

impl Follower {
    /// Follows the log at `path`, which need not exist yet; `began` is when the machine started.
    #[must_use]
    pub fn new(path: &Path, began: Instant) -> Self {
        Self { path: path.to_owned(), began, file: None, parser: Parser::default() }
    }

    /// Events since the last look.
    ///
    /// # Errors
    /// When the log cannot be read; a log that is not there yet has no events.
    pub fn poll(&mut self) -> io::Result<Vec<Timed>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let at_secs = self.began.elapsed().as_secs_f64();
        Ok(self.parser.push(&bytes).into_iter().map(|event| Timed { at_secs, event }).collect())
    }

    /// A failure that was begun and never ended, once the machine is gone.
    pub fn unfinished_failure(&mut self) -> Option<Failure> {
        self.parser.unfinished_failure()
    }
}
