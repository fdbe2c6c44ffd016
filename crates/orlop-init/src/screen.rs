//! The failure screen: what went wrong, where in the config, and the ways out. It never returns.

use std::error::Error;
use std::io::{self, Read as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::system::RebootCommand;
use rustix::termios::{OptionalActions, Termios};

use crate::cmdline::{self, OnFailure};
use crate::console;
use crate::phase::Phase;
use crate::process;

/// How long the screen stands before `orlop.on_failure=reboot` restarts: long enough to read, or to press a key.
pub(crate) const REBOOT_DELAY: Duration = Duration::from_secs(30);
/// How often a screen that waits says that it does.
const TELL: Duration = Duration::from_secs(300);
/// Shells of the verified `/usr`, the best first.
const SHELLS: [&str; 3] = ["/usr/bin/bash", "/usr/bin/dash", "/usr/bin/sh"];

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The phase in which it did.
    pub(crate) phase: Phase,
    /// One line.
    pub(crate) cause: String,
    /// The causes of the cause, the config's line, hints.
    pub(crate) details: Vec<String>,
}

impl Failure {
    /// A failure from an error and the errors below it.
    pub(crate) fn new(phase: Phase, error: &dyn Error) -> Self {
        let mut lines = error.to_string();
        let mut below = error.source();
        while let Some(error) = below {
            lines.push_str(": ");
            lines.push_str(&error.to_string());
            below = error.source();
        }
        let mut lines = lines.lines().map(str::to_owned);
        let cause = lines.next().unwrap_or_default();
        Self { phase, cause, details: lines.collect() }
    }

    /// With more lines.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.details.extend(text.lines().map(str::to_owned));
        self
    }

    /// The lines of the screen, in the forms that `orlop up` reads.
    pub(crate) fn lines(&self, shell: Option<&str>, policy: OnFailure) -> Vec<String> {
        let mut lines = vec![format!("orlop: FAILED: {}: {}", self.phase, self.cause)];
        let mut more: Vec<String> = self.details.clone();
        if !more.is_empty() {
            more.push(String::new());
        }
        more.push(match (policy, shell) {
            (OnFailure::PowerOff, _) => "Powering off (orlop.on_failure=poweroff).".into(),
            (OnFailure::Reboot, _) => format!(
                "Restarting in {} s (orlop.on_failure=reboot). Any key on the console stops that.",
                REBOOT_DELAY.as_secs()
            ),
            (OnFailure::Ask, Some(_)) => "On the console: Enter = shell, r = restart, p = power off.".into(),
            (OnFailure::Ask, None) => {
                "On the console: r = restart, p = power off. There is no shell: /usr is not open, and the initramfs \
                 holds nothing else."
                    .into()
            }
        });
        lines.extend(more.iter().map(|line| format!("orlop: | {line}").trim_end().to_owned()));
        lines.push("orlop: END".into());
        lines
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Shell,
    Reboot,
    PowerOff,
    Nothing,
}

fn choice(key: u8) -> Choice {
    match key {
        b'\r' | b'\n' => Choice::Shell,
        b'r' | b'R' => Choice::Reboot,
        b'p' | b'P' => Choice::PowerOff,
        _ => Choice::Nothing,
    }
}

/// Shows the screen and does what the policy or a key says.
pub(crate) fn show(failure: &Failure) -> ! {
    let arguments = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    // A policy that cannot be read is told by the failure itself; then a person decides.
    let policy = cmdline::on_failure(&arguments).unwrap_or_default();
    let shell = SHELLS.into_iter().find(|path| Path::new(path).exists());
    for line in failure.lines(shell, policy) {
        console::line(&line);
    }
    match policy {
        OnFailure::PowerOff => leave(RebootCommand::PowerOff),
        OnFailure::Reboot if key(REBOOT_DELAY).is_none() => leave(RebootCommand::Restart),
        OnFailure::Reboot | OnFailure::Ask => ask(shell),
    }
}

fn ask(shell: Option<&str>) -> ! {
    loop {
        let Some(key) = key(TELL) else {
            console::line("orlop: still waiting for a key: Enter = shell, r = restart, p = power off");
            continue;
        };
        match (choice(key), shell) {
            (Choice::Shell, Some(shell)) => {
                run_shell(shell);
                console::line("orlop: the shell ended: Enter = shell, r = restart, p = power off");
            }
            (Choice::Shell, None) => {
                console::line("orlop: no shell: /usr is not open. r = restart, p = power off");
            }
            (Choice::Reboot, _) => leave(RebootCommand::Restart),
            (Choice::PowerOff, _) => leave(RebootCommand::PowerOff),
            (Choice::Nothing, _) => {}
        }
    }
}

/// Runs a shell on the console until it ends.
fn run_shell(shell: &str) {
    console::line("orlop: shell of the verified /usr; the machine's root, if it was reached, is at /sysroot");
    let mut command = process::command(shell);
    command.env("TERM", "linux").env("HOME", "/").env("PS1", "orlop-init# ").current_dir("/");
    let started = console::open()
        .and_then(|console| linux::session::on_terminal(&mut command, &console))
        .and_then(|()| command.status());
    if let Err(error) = started {
        console::line(&format!("orlop: cannot start {shell}: {error}"));
    }
    process::reap();
    // With its leader the session lost the terminal: what was open of it hangs.
    let _ = console::adopt();
}

/// One key from the console, without waiting for Enter; `None` after the time.
fn key(time: Duration) -> Option<u8> {
    let Ok(mut console) = console::open() else {
        sleep(time);
        return None;
    };
    let before = raw(&console).ok();
    let limit = Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&console, PollFlags::IN)], Some(&limit));
    let mut byte = [0];
    let key = match ready {
        Ok(1) => console.read_exact(&mut byte).ok().map(|()| byte[0]),
        _ => None,
    };
    if let Some(before) = before {
        let _ = rustix::termios::tcsetattr(&console, OptionalActions::Drain, &before);
    }
    if key.is_none() && !matches!(ready, Ok(0)) {
        // A console that cannot be read (closed serial line) must not make this a busy loop.
        sleep(Duration::from_secs(1));
    }
    key
}

/// Lets single keys through; returns what the terminal was set to. After what was said has gone out: a serial port drops
/// what it still holds when its settings change.
fn raw(console: impl rustix::fd::AsFd) -> io::Result<Termios> {
    let before = rustix::termios::tcgetattr(&console)?;
    let mut now = before.clone();
    now.local_modes -= rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO;
    rustix::termios::tcsetattr(&console, OptionalActions::Drain, &now)?;
    Ok(before)
}

/// Starts the machine again.
pub(crate) fn restart() -> ! {
    leave(RebootCommand::Restart)
}

/// Writes everything out and ends the machine.
fn leave(how: RebootCommand) -> ! {
    rustix::fs::sync();
    for path in ["/sysroot/etc", "/sysroot/usr", "/sysroot"] {
        let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::empty());
    }
    loop {
        if let Err(errno) = rustix::system::reboot(how) {
            console::line(&format!("orlop: the kernel refuses: {errno}"));
        }
        sleep(TELL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::CommandLineError;

    #[test]
    fn the_screen() {
        let failure = Failure::new(Phase::Init, &CommandLineError::NoHash).with("web.bu:3:1\n  x: y");
        assert_eq!(
            failure.lines(Some("/usr/bin/bash"), OnFailure::Ask),
            [
                "orlop: FAILED: init: the kernel command line has no usrhash=: nothing says which /usr to trust",
                "orlop: | web.bu:3:1",
                "orlop: |   x: y",
                "orlop: |",
                "orlop: | On the console: Enter = shell, r = restart, p = power off.",
                "orlop: END",
            ]
        );
        let last = |policy, shell| failure.lines(shell, policy)[4].clone();
        assert!(last(OnFailure::Ask, None).contains("There is no shell: /usr is not open"));
        assert!(last(OnFailure::PowerOff, None).contains("Powering off"));
        assert!(last(OnFailure::Reboot, None).contains("Restarting in 30 s"));
    }

    #[test]
    fn causes_are_joined_and_further_lines_kept() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer\nsecond line")]
        struct Outer(#[source] io::Error);
        let failure = Failure::new(Phase::Usr, &Outer(io::Error::other("inner")));
        assert_eq!(failure.cause, "outer");
        assert_eq!(failure.details, ["second line: inner"]);
    }

    #[test]
    fn keys() {
        for (key, expected) in [
            (b'\r', Choice::Shell),
            (b'\n', Choice::Shell),
            (b'r', Choice::Reboot),
            (b'P', Choice::PowerOff),
            (b'x', Choice::Nothing),
        ] {
            assert_eq!(choice(key), expected);
        }
    }
}
