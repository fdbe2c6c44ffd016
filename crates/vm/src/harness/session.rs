//! A machine under test: programs, files, reboots, power cuts, faults.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::Failure;
use super::lab::Lab;
use crate::agent::{Agent, Output, Program};
use crate::console::{Event, Failure as ConfigFailure, Follower, Timed, Trouble, follow::POLL};
use crate::machine::{Lifetime, Machine};
use crate::spec::{Fault, file};

/// Seconds from power to the agent's first answer on an idle machine, without the patience of TCG.
const UP_SECS: u64 = 60;

/// A machine under test; it ends with the value.
#[derive(Debug)]
pub struct Session<'a> {
    lab: &'a Lab,
    machine: Machine,
    follower: Follower,
    events: Vec<Timed>,
    agent: Option<Agent>,
    folder: TempDir,
    /// Keeps the saved machine under this one from being thrown away.
    _saved: Option<fs::File>,
}

impl<'a> Session<'a> {
    pub(super) fn new(lab: &'a Lab, machine: Machine, folder: TempDir) -> Self {
        let follower = machine.follower();
        Self { lab, machine, follower, events: Vec::new(), agent: None, folder, _saved: None }
    }

    pub(super) fn keep_saved(mut self, lock: fs::File) -> Self {
        self._saved = Some(lock);
        self
    }

    /// The machine itself.
    #[must_use]
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Everything the console told so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn events(&mut self) -> Result<&[Timed], Failure> {
        let new = self.follower.poll()?;
        self.events.extend(new);
        Ok(&self.events)
    }

    /// The console's text so far.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.machine.console_log()).unwrap_or_default()).into_owned()
    }

    /// Waits for something on the console.
    ///
    /// # Errors
    /// When it does not come within `timeout` (of an idle machine), or the machine ends first.
    pub fn wait_for(
        &mut self,
        what: &str,
        idle: Duration,
        pick: impl Fn(&Event) -> bool,
    ) -> Result<Timed, Failure> {
        let limit = idle * self.lab.patience();
        let deadline = Instant::now() + limit;
        loop {
            let runs = self.machine.runs();
            if let Some(found) = self.events()?.iter().find(|timed| pick(&timed.event)) {
                return Ok(found.clone());
            }
            if self.events.iter().any(|timed| timed.event.is_the_end()) {
                return Err(format!("the machine broke before {what}\n{}", self.tail()).into());
            }
            if !runs {
                return Err(format!("the machine ended before {what}\n{}", self.tail()).into());
            }
            if Instant::now() >= deadline {
                return Err(format!("no {what} within {} s\n{}", limit.as_secs(), self.tail()).into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the machine gives up on its config, and gives its words.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_failure(&mut self, idle: Duration) -> Result<ConfigFailure, Failure> {
        let failed = self.wait_for("failure", idle, |event| matches!(event, Event::Failed(_)))?;
        match failed.event {
            Event::Failed(failure) => Ok(failure),
            other => Err(format!("not a failure: {other:?}").into()),
        }
    }

    /// Waits until the machine has reached `multi-user.target` and its agent answers.
    ///
    /// # Errors
    /// When it gives up, ends, or takes too long.
    pub fn wait_until_up(&mut self) -> Result<(), Failure> {
        let up = Duration::from_secs(UP_SECS);
        let found = self
            .wait_for("multi-user.target", up, |event| is_up(event) || matches!(event, Event::Failed(_)))?;
        if let Event::Failed(failure) = found.event {
            return Err(format!("the machine gave up: {failure}").into());
        }
        self.agent().map(drop)
    }

    /// The agent, waited for at first use.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn agent(&mut self) -> Result<&mut Agent, Failure> {
        if self.agent.is_none() {
            let limit = Duration::from_secs(UP_SECS) * self.lab.patience();
            let agent = self.machine.agent(limit).map_err(|error| format!("{error}\n{}", self.tail()))?;
            self.agent = Some(agent);
        }
        self.agent.as_mut().ok_or_else(|| "no agent".into())
    }

    /// Runs a program; its exit code is no error.
    ///
    /// # Errors
    /// When the agent cannot run it.
    pub fn exec(&mut self, program: &Program) -> Result<Output, Failure> {
        Ok(self.agent()?.exec(program)?)
    }

    /// Runs a shell line that must succeed, and gives its standard output without the last line end.
    ///
    /// # Errors
    /// When it does not exit with 0.
    pub fn sh(&mut self, line: &str) -> Result<String, Failure> {
        let output = self.exec(&Program::shell(line).timeout(Duration::from_secs(120)))?;
        if output.ok() {
            return Ok(output.stdout().trim_end_matches('\n').to_owned());
        }
        let end = match (output.code, output.signal) {
            _ if output.timed_out => "took too long".to_owned(),
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        Err(format!("`{line}`: {end}\n{}{}", output.stdout(), output.stderr()).into())
    }

    /// Runs a shell line until it succeeds.
    ///
    /// # Errors
    /// When it has not within `idle` times the patience; the last failure.
    pub fn wait_until(&mut self, line: &str, idle: Duration) -> Result<String, Failure> {
        let deadline = Instant::now() + idle * self.lab.patience();
        loop {
            match self.sh(line) {
                Ok(output) => return Ok(output),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// A file of the machine.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.agent()?.read(path)?)
    }

    /// Writes a file of the machine.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.agent()?.write(path, mode, bytes)?)
    }

    /// Reboots by the service manager and waits for another boot id.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn reboot(&mut self) -> Result<(), Failure> {
        let before = self.agent()?.boot_id().to_owned();
        self.agent()?.power(true)?;
        self.wait_for_other_boot(&before)
    }

    fn wait_for_other_boot(&mut self, before: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(2 * UP_SECS) * self.lab.patience();
        while Instant::now() < deadline {
            self.events()?; // so that their times are right
            // The agent of the old boot answers for a while.
            if let Ok(()) = self.agent()?.sync(Duration::from_secs(1))
                && self.agent()?.boot_id() != before
            {
                return Ok(());
            }
            if !self.machine.runs() {
                return Err(format!("the machine ended instead of rebooting\n{}", self.tail()).into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!("the machine did not come back\n{}", self.tail()).into())
    }

    /// Powers off by the service manager; returns whether it went down by itself.
    ///
    /// # Errors
    /// When QEMU survives.
    pub fn power_off(&mut self) -> Result<bool, Failure> {
        self.agent = None; // QEMU serves one connection at a time
        Ok(self.machine.stop()?)
    }

    /// Cuts the power: what the machine had not flushed is lost. [`Session::power_on`] starts it again.
    ///
    /// # Errors
    /// When QEMU survives.
    pub fn power_cut(&mut self) -> Result<(), Failure> {
        self.agent = None;
        Ok(self.machine.kill()?)
    }

    /// Starts the machine again with the disks as they are, and waits until it is up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn power_on(&mut self) -> Result<(), Failure> {
        let spec = self.machine.record().spec.clone();
        let log = self.machine.console_log();
        fs::rename(&log, log.with_extension("before.log"))?;
        self.machine = Machine::start(&self.lab.qemu, self.folder.path(), &spec, Lifetime::Owned, None)?;
        self.follower = self.machine.follower();
        self.events.retain(|timed| matches!(timed.event, Event::Trouble(_)));
        self.wait_until_up()
    }

    /// Waits until the machine has powered off by itself.
    ///
    /// # Errors
    /// When it has not.
    pub fn wait_for_end(&mut self, idle: Duration) -> Result<(), Failure> {
        if self.machine.wait_for_end(idle * self.lab.patience()) {
            self.events()?;
            return Ok(());
        }
        Err(format!("the machine did not power off\n{}", self.tail()).into())
    }

    /// Makes requests to a disk fail from now on; with none, mends it. `disk` counts from 0, the system's.
    ///
    /// # Errors
    /// When QEMU refuses the rules.
    pub fn disk_faults(&mut self, disk: usize, faults: &[Fault]) -> Result<(), Failure> {
        Ok(self.machine.qmp()?.disk_faults(disk, faults)?)
    }

    /// Pulls the network cable.
    ///
    /// # Errors
    /// When the machine has no card.
    pub fn network_cut(&mut self) -> Result<(), Failure> {
        Ok(self.machine.qmp()?.set_link(false)?)
    }

    /// Plugs the network cable in again.
    ///
    /// # Errors
    /// When the machine has no card.
    pub fn network_restore(&mut self) -> Result<(), Failure> {
        Ok(self.machine.qmp()?.set_link(true)?)
    }

    /// Sets the machine's clock.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn set_clock(&mut self, time: SystemTime) -> Result<(), Failure> {
        Ok(self.agent()?.set_clock(time)?)
    }

    /// The port of 127.0.0.1 that leads to a guest port of the setup.
    #[must_use]
    pub fn host_port(&self, guest_port: u16) -> Option<u16> {
        let forwards = &self.machine.record().spec.forwards;
        forwards.iter().find(|forward| forward.guest_port == guest_port).map(|forward| forward.host_port)
    }

    /// Faults the console told of, and units that failed without a word on it.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn troubles(&mut self) -> Result<Vec<Trouble>, Failure> {
        let mut found: Vec<Trouble> = self
            .events()?
            .iter()
            .filter_map(|timed| match &timed.event {
                Event::Trouble(trouble) => Some(trouble.clone()),
                _ => None,
            })
            .collect();
        if self.agent.is_some() && self.machine.runs() {
            let failed = self.sh("systemctl list-units --failed --plain --no-legend || true")?;
            found.extend(
                failed.lines().map(|line| Trouble { kind: "failed-unit".into(), line: line.to_owned() }),
            );
        }
        Ok(found)
    }

    /// Keeps what is needed to understand a failure: console, journal, screen, what the machine was made of.
    /// What cannot be kept is left out: the test's own failure matters more.
    pub fn keep(&mut self, folder: &Path) {
        let _ = fs::create_dir_all(folder);
        for name in [file::CONSOLE_LOG, "console.before.log", "machine.json", "qemu.stderr", "config.ign"] {
            let _ = fs::copy(self.folder.path().join(name), folder.join(name));
        }
        if let Ok(mut qmp) = self.machine.qmp() {
            // QEMU runs in the machine's folder, so the picture's place must be absolute.
            if let Ok(absolute) = folder.canonicalize() {
                let _ = qmp.screenshot(&absolute.join("screen.png"));
            }
        }
        if let Some(agent) = &mut self.agent
            && let Ok(journal) =
                agent.exec(&Program::new(["journalctl", "--no-pager", "--boot=all", "-o", "short-precise"]))
        {
            let _ = fs::write(folder.join("journal.txt"), journal.stdout);
        }
    }

    /// The last lines of the console, for messages.
    fn tail(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        let console = last.iter().map(|line| crate::console::text::strip_escapes(line));
        let qemu = fs::read_to_string(self.folder.path().join("qemu.stderr")).unwrap_or_default();
        console.chain(qemu.lines().map(Into::into)).map(|line| format!("  | {line}\n")).collect()
    }
}

/// Whether an event means that services are up.
#[must_use]
pub fn is_up(event: &Event) -> bool {
    matches!(event, Event::Reached { unit } if unit == "multi-user.target" || unit == "Multi-User System")
}
