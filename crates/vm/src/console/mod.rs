//! What a machine says on its serial console, as typed events.
//!
//! Pure: [`Parser`] takes bytes as they come and gives events; [`follow`] reads the log file of a machine
//! that runs and adds the time. The forms of Orlop's own lines are fixed by `orlop-init`:
//!
//! ```text
//! orlop: PHASE: start | orlop: PHASE: TEXT | orlop: PHASE: done in 0.123 s
//! orlop: FAILED: one line, then lines `orlop: | text`, then `orlop: END`
//! ```
//!
//! A console is shared by the firmware, the kernel and every service: terminal escapes are dropped, and a
//! line of ours is found wherever in a line it begins.

pub mod follow;
pub mod text;
pub mod trouble;

pub use follow::{Follower, Timed};
pub use trouble::Trouble;

use text::{Lines, strip_escapes};

/// Something the console told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The firmware hands over to the boot loader.
    Loader,
    /// The kernel's first line; a quiet kernel has none.
    Kernel,
    /// A phase of `orlop-init` began.
    PhaseStart {
        /// Its name, as `disks`.
        phase: String,
    },
    /// What a phase does now.
    PhaseText {
        /// Its name.
        phase: String,
        /// Words for people.
        text: String,
    },
    /// A phase ended well.
    PhaseDone {
        /// Its name.
        phase: String,
        /// What it took by the machine's own clock, in seconds.
        seconds: f64,
    },
    /// The machine gave up; complete with its explanation.
    Failed(Failure),
    /// systemd reached a target, as `Multi-User System`.
    Reached {
        /// The unit's name where systemd gives it (`multi-user.target`), else its description.
        unit: String,
    },
    /// A login prompt.
    Login,
    /// The kernel is about to power off or reboot.
    GoingDown {
        /// It comes back.
        reboot: bool,
    },
    /// A line that no healthy machine prints.
    Trouble(Trouble),
}

impl Event {
    /// Whether nothing good comes after it: the kernel stopped, or systemd asks for a person.
    #[must_use]
    pub fn is_the_end(&self) -> bool {
        matches!(self, Event::Trouble(trouble) if trouble.kind == "panic" || trouble.kind == "emergency")
    }
}

/// Why a machine gave up, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// One line.
    pub summary: String,
    /// The explanation, with the excerpt of the user's config where there is one.
    pub lines: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.summary)?;
        self.lines.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// Lines of explanation kept; more is a machine that talks nonsense.
const FAILURE_LINES_MAX: usize = 200;

/// Turns a console's bytes into events.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    /// A failure whose `orlop: END` has not come.
    failure: Option<Failure>,
}

impl Parser {
    /// Takes bytes as they came, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for line in self.lines.push(bytes) {
            self.line(&strip_escapes(&line), &mut events);
        }
        // A prompt is not followed by a line end.
        if self.lines.partial().ends_with(b" login: ") && self.lines.once() {
            events.push(Event::Login);
        }
        events
    }

    /// What was told of a failure whose end never came: the machine died, or its console did.
    pub fn unfinished_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) {
        if let Some(at) = line.find("orlop: ") {
            self.own_line(&line[at + "orlop: ".len()..], events);
            return;
        }
        if let Some(event) = foreign_line(line) {
            events.push(event);
        }
        if let Some(trouble) = trouble::judge(line) {
            events.push(Event::Trouble(trouble));
        }
    }

    fn own_line(&mut self, rest: &str, events: &mut Vec<Event>) {
        if let Some(summary) = rest.strip_prefix("FAILED: ") {
            self.failure = Some(Failure { summary: summary.trim_end().to_owned(), lines: Vec::new() });
        } else if rest.trim_end() == "END" {
            events.extend(self.failure.take().map(Event::Failed));
        } else if let Some(text) = rest.strip_prefix('|') {
            if let Some(failure) = &mut self.failure
                && failure.lines.len() < FAILURE_LINES_MAX
            {
                failure.lines.push(text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned());
            }
        } else {
            events.extend(phase_line(rest));
        }
    }
}

fn phase_line(rest: &str) -> Option<Event> {
    let (phase, text) = rest.split_once(": ")?;
    let named = !phase.is_empty() && phase.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !named {
        return None;
    }
    let (phase, text) = (phase.to_owned(), text.trim_end());
    if text == "start" {
        return Some(Event::PhaseStart { phase });
    }
    let seconds = text.strip_prefix("done in ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    Some(match seconds {
        Some(seconds) => Event::PhaseDone { phase, seconds },
        None => Event::PhaseText { phase, text: text.to_owned() },
    })
}

fn foreign_line(line: &str) -> Option<Event> {
    if line.contains("] Linux version ") || line.starts_with("Linux version ") {
        return Some(Event::Kernel);
    }
    // EDK II's boot manager, as `BdsDxe: starting Boot0002 "UEFI Misc Device" from PciRoot(0x0)/…`.
    if line.contains("BdsDxe: starting ") {
        return Some(Event::Loader);
    }
    if let Some(at) = line.find("Reached target ") {
        let name = line[at + "Reached target ".len()..].trim_end();
        // systemd writes `multi-user.target - Multi-User System.`, or the description alone (StatusUnitFormat=).
        let unit = name.split(" - ").next().unwrap_or(name).trim_end_matches('.');
        return Some(Event::Reached { unit: unit.to_owned() });
    }
    if line.contains("reboot: Power down") || line.contains("reboot: System halted") {
        return Some(Event::GoingDown { reboot: false });
    }
    line.contains("reboot: Restarting system").then_some(Event::GoingDown { reboot: true })
}

/// Entry for the fuzzer: any bytes must end in events.
pub fn fuzz(bytes: &[u8]) {
    let mut parser = Parser::default();
    for piece in bytes.chunks(11) {
        parser.push(piece);
    }
    parser.unfinished_failure();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        Parser::default().push(text.as_bytes())
    }

    #[test]
    fn phases_are_told() {
        let text =
            "orlop: disks: start\r\norlop: disks: /dev/vdb is empty\r\norlop: disks: done in 0.123 s\r\n";
        let phase = || "disks".to_owned();
        assert_eq!(
            events(text),
            [
                Event::PhaseStart { phase: phase() },
                Event::PhaseText { phase: phase(), text: "/dev/vdb is empty".into() },
                Event::PhaseDone { phase: phase(), seconds: 0.123 },
            ]
        );
    }

    #[test]
    fn failure_is_whole() {
        let text = "orlop: FAILED: file /etc/a: wrong hash\norlop: | web.bu:7:5\norlop: |\n[  3.1] usb 1-1: new\n\
                    orlop: |   hash: sha256-00\norlop: END\n";
        let failure = Failure {
            summary: "file /etc/a: wrong hash".into(),
            lines: vec!["web.bu:7:5".into(), String::new(), "  hash: sha256-00".into()],
        };
        assert_eq!(events(text), [Event::Failed(failure)]);
    }

    #[test]
    fn failure_without_end_is_not_lost() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"orlop: FAILED: a\norlop: | b\n"), []);
        assert_eq!(parser.unfinished_failure().map(|failure| failure.to_string()).as_deref(), Some("a\nb"));
    }

    #[test]
    fn escapes_and_a_kernel_line_in_front_do_not_hide_a_phase() {
        let text = "\x1b[2J\x1b[01;01H[    1.2] random: crng init done orlop: usr: \x1b[0mstart\r\n";
        assert_eq!(events(text), [Event::PhaseStart { phase: "usr".into() }]);
    }

    #[test]
    fn systemd_and_kernel_lines() {
        let text = "BdsDxe: starting Boot0002 \"UEFI Misc Device\" from PciRoot(0x0)\r\n\
             [    0.000000] Linux version 6.12.107+deb13-cloud-amd64\n\
             [\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.\r\n\
             [  OK  ] Reached target Network.\n[   21.3] reboot: Power down\n";
        assert_eq!(
            events(text),
            [
                Event::Loader,
                Event::Kernel,
                Event::Reached { unit: "multi-user.target".into() },
                Event::Reached { unit: "Network".into() },
                Event::GoingDown { reboot: false },
            ]
        );
    }

    #[test]
    fn login_prompt_needs_no_line_end_and_is_told_once() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"\r\nweb log"), []);
        assert_eq!(parser.push(b"in: "), [Event::Login]);
        assert_eq!(parser.push(b""), []);
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let text =
            b"orlop: init: start\norlop: FAILED: x\norlop: | y\norlop: END\nKernel panic - not syncing: z\n";
        let whole = Parser::default().push(text);
        for size in 1..9 {
            let mut parser = Parser::default();
            let pieces: Vec<Event> = text.chunks(size).flat_map(|piece| parser.push(piece)).collect();
            assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        fuzz(b"\xff\x1b[\x1b]0;\norlop: \norlop: :\norlop: a: done in x s\n\x1b");
    }
}
