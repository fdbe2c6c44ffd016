//! Processes that outlive us, told apart from later ones with the same number.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, named so that a reused number is not mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`starttime` of proc_pid_stat(5)).
    pub start_ticks: u64,
}

impl Process {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let (_, start_ticks) = stat(pid)?;
        Some(Self { pid, start_ticks })
    }

    /// Whether it still runs. A zombie does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start_ticks && !matches!(state, 'Z' | 'X'))
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.runs()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(pid, signal); // it may end between the look and the signal
        }
    }

    /// Waits for its end; false if it still runs after `timeout`.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.runs() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// State letter and start time.
fn stat(pid: i32) -> Option<(char, u64)> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything: fields are counted from the last `)`.
fn parse(text: &str) -> Option<(char, u64)> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_runs_and_a_namesake_does_not() {
        let own = Process::of(std::process::id().try_into().unwrap()).unwrap();
        assert!(own.runs());
        assert!(!Process { start_ticks: own.start_ticks + 1, ..own }.runs());
    }

    #[test]
    fn names_with_parentheses_are_survived() {
        let text = "7 (a) S 1) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n";
        assert_eq!(parse(text), Some(('R', 777)));
    }

    #[test]
    fn a_killed_child_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id().try_into().unwrap()).unwrap();
        assert!(!process.wait(Duration::from_millis(40)));
        process.signal(Signal::KILL);
        assert!(process.wait(Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
