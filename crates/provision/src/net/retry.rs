//! Trying again: after 200 ms, doubling to 5 s, for ever or as long as the config allows.

use std::cell::Cell;
use std::io::{self, Read};
use std::time::Duration;

use super::Clock;

/// First wait before another attempt; upstream's value.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before another attempt; upstream's value.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Another attempt is going to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The URL.
    pub url: String,
    /// Number of the attempt that failed, from 1.
    pub attempt: u32,
    /// Why it failed.
    pub why: String,
    /// Time until the next.
    pub wait: Duration,
}

/// How one attempt failed.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    /// Another may go better.
    Again(String),
    /// No other will.
    Final(E),
}

/// Why there is no other attempt.
#[derive(Debug)]
pub(crate) enum GaveUp<E> {
    Final(E),
    TimedOut { attempts: u32, seconds: u64, why: String },
}

/// Attempts until one succeeds, fails for good, or `total` has passed. An attempt is told the time that is left.
pub(crate) fn persist<T, E>(
    url: &str,
    total: Option<Duration>,
    clock: &dyn Clock,
    retrying: &mut dyn FnMut(Retry),
    mut attempt: impl FnMut(Option<Duration>) -> Result<T, Failed<E>>,
) -> Result<T, GaveUp<E>> {
    let started = clock.elapsed();
    let mut wait = BACKOFF_FIRST;
    for attempts in 1.. {
        let left = total.map(|total| total.saturating_sub(clock.elapsed() - started));
        let why = match attempt(left) {
            Ok(value) => return Ok(value),
            Err(Failed::Final(error)) => return Err(GaveUp::Final(error)),
            Err(Failed::Again(why)) => why,
        };
        if let Some(total) = total
            && clock.elapsed() - started + wait >= total
        {
            return Err(GaveUp::TimedOut { attempts, seconds: total.as_secs(), why });
        }
        retrying(Retry { url: url.to_owned(), attempt: attempts, why, wait });
        clock.sleep(wait);
        wait = (wait * 2).min(BACKOFF_MAX);
    }
    unreachable!("attempts are counted without end")
}

/// Gives a body to `consume`. Errors of the body are worth another attempt, those of `consume` are not.
pub(crate) fn consume_body<T, E>(
    body: impl Read,
    consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
    unusable: impl FnOnce(io::Error) -> E,
) -> Result<T, Failed<E>> {
    let broken = Cell::new(None);
    let mut reader = Watched { inner: body, broken: &broken };
    consume(&mut reader).map_err(|source| match broken.take() {
        Some(why) => Failed::Again(why),
        None => Failed::Final(unusable(source)),
    })
}

/// Remembers that an error came from the connection and not from what the reader's user did with the bytes.
struct Watched<'a, R> {
    inner: R,
    broken: &'a Cell<Option<String>>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| self.broken.set(Some(error.to_string())))
    }
}
