//! A program in the foreground: its signals, its terminal and its end.

use std::os::fd::{AsFd, OwnedFd};

use linux::signal::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use rustix::termios::{OptionalActions, Termios};

use crate::error::{Doing, Result};
use crate::lifecycle::Running;

/// The caller's side of a program in the foreground. Made before the program, so that no signal is lost.
#[derive(Debug)]
pub struct Foreground {
    signals: SignalFd,
    /// The caller's terminal as it was, if it is one.
    saved: Option<Termios>,
}

/// Sets the caller's terminal back.
impl Drop for Foreground {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, saved);
        }
    }
}

impl Foreground {
    /// Blocks all signals from here on.
    ///
    /// # Errors
    /// If the kernel gives no signalfd.
    pub fn prepare() -> Result<Self> {
        Ok(Self { signals: SignalFd::block_all().doing("catch signals")?, saved: None })
    }

    /// Passes signals and terminal data on until the program ends. Gives its exit code, or 128 and the signal.
    ///
    /// # Errors
    /// Failing waits and polls.
    pub fn follow(mut self, running: &Running) -> Result<i32> {
        if running.terminal.is_some() {
            self.raw_mode();
        }
        if let Some(master) = &running.terminal {
            resize(master);
        }
        let mut input = running.terminal.is_some();
        let mut output = running.terminal.is_some();
        loop {
            let mut fds =
                vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&running.pidfd, PollFlags::IN)];
            if let Some(master) = running.terminal.as_ref().filter(|_| output) {
                fds.push(PollFd::new(master, PollFlags::IN));
            }
            let stdin = rustix::stdio::stdin();
            if input {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
            match rustix::event::poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other.doing("wait for the program")?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            if ready[0] {
                self.pass_signals(running);
            }
            if let Some(master) = &running.terminal {
                let (master_ready, stdin_at) = if output { (ready[2], 3) } else { (false, 2) };
                if master_ready {
                    output = copy(master, &rustix::stdio::stdout());
                }
                if input && ready[stdin_at] {
                    input = copy(&stdin, master);
                }
            }
            if ready[1] {
                while output && running.terminal.as_ref().is_some_and(|m| copy(m, &rustix::stdio::stdout())) {
                }
                return reap(running);
            }
        }
    }

    fn raw_mode(&mut self) {
        let stdin = rustix::stdio::stdin();
        let Ok(saved) = rustix::termios::tcgetattr(stdin) else { return };
        let mut raw = saved.clone();
        raw.make_raw();
        if rustix::termios::tcsetattr(stdin, OptionalActions::Flush, &raw).is_ok() {
            self.saved = Some(saved);
        }
    }

    fn pass_signals(&self, running: &Running) {
        while let Some(number) = self.signals.next() {
            match Signal::from_named_raw(number) {
                // The pidfd tells of the program's end; nobody else is waited for.
                Some(Signal::CHILD) => {}
                Some(Signal::WINCH) => {
                    if let Some(master) = &running.terminal {
                        resize(master);
                    }
                }
                // Job control of the caller's own terminal, and broken pipes of its own streams.
                Some(Signal::PIPE | Signal::TTIN | Signal::TTOU | Signal::URG) | None => {}
                Some(signal) => {
                    let _ = rustix::process::pidfd_send_signal(&running.pidfd, signal);
                }
            }
        }
    }
}

/// Copies what is there; false at the end.
fn copy(from: &impl AsFd, to: &impl AsFd) -> bool {
    let mut buffer = [0_u8; 4096];
    let mut rest = match rustix::io::read(from, &mut buffer) {
        Ok(0) => return false,
        Ok(n) => &buffer[..n],
        Err(Errno::INTR | Errno::AGAIN) => return true,
        // A terminal whose last slave is closed reads as EIO.
        Err(_) => return false,
    };
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Gives the program's terminal the size of the caller's.
fn resize(master: &OwnedFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

fn reap(running: &Running) -> Result<i32> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => break other.doing("wait for the program")?,
        }
    };
    Ok(status.map_or(1, |s| exit_code(s.exit_status(), s.terminating_signal())))
}

/// As a shell has it.
fn exit_code(code: Option<i32>, signal: Option<i32>) -> i32 {
    match (code, signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert_eq!(exit_code(Some(7), None), 7);
        assert_eq!(exit_code(None, Some(9)), 137);
    }
}
