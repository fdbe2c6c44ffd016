//! The boot as it happens: phases on the terminal, the machine's own words when it gives up.

use std::time::{Duration, Instant};

use cli::{Error, Kind, Progress, ResultExt as _};
use serde::Serialize;
use vm::console::follow::POLL;
use vm::console::{Event, Failure, Timed};
use vm::harness::session::is_up;
use vm::machine::Machine;
use vm::{Agent, Program};

use super::machine::Up;
use super::page;

/// A boot on an idle machine, firmware and a config with downloads included.
const BOOT_IDLE: Duration = Duration::from_secs(60);

/// A container is fetched and started in seconds; it has as long again as a boot.
const ANSWER_IDLE: Duration = Duration::from_secs(45);

/// After a failure the machine powers off by itself; what it has to say comes before.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A kernel that panics has more to say about it.
const REST_OF_CONSOLE: Duration = Duration::from_secs(2);

/// What a boot took.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Boot {
    /// Phases of `orlop-init` by the machine's own clock.
    pub(super) phases: Vec<Phase>,
    /// Seconds from power to each mark.
    pub(super) marks: Marks,
}

/// A phase and its length.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) seconds: f64,
}

/// Seconds from power; nothing for what was not seen.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Marks {
    /// The firmware handed over to the boot loader; nothing where the kernel was started directly.
    pub(super) firmware: Option<f64>,
    /// `orlop-init` began.
    pub(super) init: Option<f64>,
    /// The verified `/usr` is mounted.
    pub(super) usr: Option<f64>,
    /// Services are up.
    pub(super) multi_user: Option<f64>,
}

/// Tells of the boot until services are up.
pub(super) fn until_up(machine: &mut Machine, progress: &mut Progress) -> Result<Boot, Error> {
    let mut follower = machine.follower();
    let mut boot = Boot::default();
    let deadline = Instant::now() + BOOT_IDLE * machine.record().accelerator.patience();
    progress.start("boot");
    loop {
        let runs = machine.runs();
        for Timed { at_secs, event } in follower.poll().kind(Kind::System)? {
            if let Event::Failed(failure) = &event {
                return Err(gave_up(machine, failure));
            }
            tell(&event, at_secs, &mut boot, progress);
            if event.is_the_end() {
                std::thread::sleep(REST_OF_CONSOLE);
                return Err(ended(machine, "the machine broke"));
            }
            if is_up(&event) {
                progress.line(&format!("{at_secs:7.1} s  services are up"));
                progress.done();
                return Ok(boot);
            }
        }
        if !runs {
            return Err(match follower.unfinished_failure() {
                Some(failure) => gave_up(machine, &failure),
                None => ended(machine, "the machine ended before it was up"),
            });
        }
        if Instant::now() >= deadline {
            let text =
                format!("the machine is not up after {:.0} s", machine.began().elapsed().as_secs_f64());
            return Err(ended(machine, &text));
        }
        std::thread::sleep(POLL);
    }
}

fn tell(event: &Event, at_secs: f64, boot: &mut Boot, progress: &mut Progress) {
    let at = Some((at_secs * 1000.0).round() / 1000.0);
    match event {
        Event::Loader | Event::Kernel => boot.marks.firmware = boot.marks.firmware.or(at),
        Event::PhaseStart { phase } => {
            if phase == "init" {
                boot.marks.init = at;
            }
            progress.update(phase);
        }
        // Meant for machines; what it says was told line by line.
        Event::PhaseText { phase, .. } if phase == "report" => {}
        Event::PhaseText { phase, text } => progress.line(&format!("{at_secs:7.1} s  {phase}: {text}")),
        Event::PhaseDone { phase, seconds } => {
            if phase == "usr" {
                boot.marks.usr = at;
            }
            boot.phases.push(Phase { name: phase.clone(), seconds: *seconds });
            progress.line(&format!("{at_secs:7.1} s  {phase}: done in {seconds:.3} s"));
        }
        Event::Trouble(trouble) => {
            progress.line(&format!("{at_secs:7.1} s  {}: {}", trouble.kind, trouble.line));
        }
        event if is_up(event) => boot.marks.multi_user = at,
        Event::Reached { unit } => progress.update(unit),
        Event::Failed(_) | Event::Login | Event::GoingDown { .. } => {}
    }
}

/// The machine's own words, and its folder for the rest.
fn gave_up(machine: &mut Machine, failure: &Failure) -> Error {
    let text = failure.lines.join("\n");
    let summary = format!("{} gave up: {}", machine.record().name, failure.summary);
    let hint = format!("the whole console: {}", machine.console_log().display());
    machine.wait_for_end(LAST_WORDS);
    let _ = machine.kill(); // it was to power off by itself
    Error::message(Kind::Config, summary).details(text).hint(hint)
}

fn ended(machine: &mut Machine, what: &str) -> Error {
    let console = std::fs::read(machine.console_log()).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let lines: Vec<&str> = console.lines().collect();
    let last = &lines[lines.len().saturating_sub(15)..];
    let tail: Vec<String> = last.iter().map(|line| vm::console::text::strip_escapes(line)).collect();
    let hint = format!("the whole console: {}", machine.console_log().display());
    let _ = machine.kill();
    Error::message(Kind::System, what.to_owned()).details(tail.join("\n")).hint(hint)
}

/// Waits until every published address answers. One that does not is told with what the machine says of it:
/// the machine stays, so that the user can look.
pub(super) fn until_answers(up: &mut Up, progress: &mut Progress) {
    if !up.pods {
        return;
    }
    let limit = ANSWER_IDLE * up.machine.record().accelerator.patience();
    let addresses = up.machine.record().addresses.clone();
    progress.start("containers");
    for address in addresses {
        if let Err(error) = page::wait(&address, limit, &mut |text| progress.update(text)) {
            progress.line(&format!("{address} does not answer: {error}"));
            progress.line(&explain(&up.machine));
            return;
        }
    }
    progress.done();
}

/// What the machine says of units that failed.
pub(super) fn explain(machine: &Machine) -> String {
    let script = "systemctl list-units --failed --plain --no-legend; \
                  for unit in $(systemctl list-units --all --plain --no-legend 'pod@*' | cut -d' ' -f1); do \
                  systemctl --no-pager --lines=0 status $unit; \
                  journalctl --no-pager --output=cat --lines=15 --unit=$unit; done";
    let asked = machine
        .agent(Duration::from_secs(10))
        .map_err(|error| error.to_string())
        .and_then(|mut agent: Agent| agent.exec(&Program::shell(script)).map_err(|error| error.to_string()));
    match asked {
        Ok(output) => output.stdout(),
        Err(error) => format!("(the machine cannot be asked why: {error})"),
    }
}
