//! The helper: carries a staged change out, apart from whoever asked for it, and takes it back unless it is wanted.
//!
//! It runs as the transient unit `orlop-apply`, so that the end of a login does not end it. It takes the change back when
//! a step fails, when a unit of the change fails, when a health check fails, when nobody confirms in time, and when the
//! process that asked is gone: that process holds a lock, and a lock that can be had means it is gone.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cli::{Error, Kind};
use provision::day2::apply::{Ended, Staged, apply, failed_units, take_back};
use provision::day2::journal::{Recovered, recover};
use provision::net::http::HttpSettings;
use provision::root::Attributes;
use provision::{Env, Event, Root};
use serde::{Deserialize, Serialize};

use super::place::{Place, State};

/// The staged change, below the journal's directory, which goes with it.
const STAGED: &str = "/orlop/apply/staged.json";
/// Programs that say whether the machine is well.
const HEALTH_DIR: &str = "etc/orlop/health.d";
/// How long one of them may take.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// How long units have to fail after they were started.
const SETTLE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

/// What the helper is given.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Staging {
    /// The change.
    pub(crate) staged: Staged,
    /// Seconds until it must be confirmed.
    pub(crate) confirm_seconds: Option<u64>,
}

impl Staging {
    pub(crate) fn save(&self, root: &Root) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::new(Kind::Internal, error))?;
        root.make_dir("/orlop/apply", Attributes { mode: 0o700, uid: 0, gid: 0 })
            .and_then(|()| root.write(STAGED, Attributes { mode: 0o600, uid: 0, gid: 0 }, &text))
            .map_err(|error| Error::new(Kind::System, error))
    }

    fn load(root: &Root) -> Result<Self, Error> {
        let bytes = root.read(STAGED).map_err(|error| Error::new(Kind::System, error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::new(Kind::Internal, error))
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let place = &args.place;
    // Out of the session of whoever asked; the leader of one already (a unit) needs nothing.
    let _ = rustix::process::setsid();
    let Some(lock) = place.lock("apply.lock")? else {
        return Err(Error::message(Kind::Conflict, "another change of this machine is under way"));
    };
    let mut log = Log::open(place)?;
    place.tell(&State::Applying);
    let staging = Staging::load(&place.open()?)?;
    let deadline = staging.confirm_seconds.map(Duration::from_secs);
    let ended = place.with(true, |env| {
        let mut judge = |staged: &Staged, env: &Env<'_>| judge(place, staged, env, deadline);
        let mut events = |event: Event| log.write(&event);
        apply(&staging.staged, &HttpSettings::default(), env, &mut judge, &mut events)
            .map_err(|error| Error::message(Kind::System, error.line()))
    });
    let state = match &ended {
        Ok(Ended::Committed) => State::Committed,
        Ok(Ended::TakenBack(why)) => State::TakenBack { why: why.line() },
        Err(error) => State::Failed { why: error.to_human().trim_end().to_owned() },
    };
    let ok = state == State::Committed;
    // Before it is told: who hears of the end may start the next change.
    drop(lock);
    place.tell(&state);
    if !ok && let Err(error) = ended {
        return Err(error);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(Kind::Conflict.code()) })
}

/// What happened, for whoever asked and for the journal.
struct Log(File);

impl Log {
    fn open(place: &Place) -> Result<Self, Error> {
        File::create(place.run("apply.log")).map(Self).map_err(|error| Error::new(Kind::System, error))
    }

    fn write(&mut self, event: &Event) {
        let _ = writeln!(self.0, "{}: {}", event.phase().name(), event.text());
    }
}

/// Whether the change may stay.
fn judge(place: &Place, staged: &Staged, env: &Env<'_>, deadline: Option<Duration>) -> Result<(), String> {
    let started = Instant::now();
    if staged.plan.of(provision::Phase::Units).next().is_some() {
        std::thread::sleep(SETTLE);
    }
    well(place, staged, env)?;
    let Some(limit) = deadline else { return asked(place) };
    loop {
        let left = limit.saturating_sub(started.elapsed());
        place.tell(&State::Waiting { seconds: left.as_secs() });
        if place.run("apply.confirm").exists() {
            return well(place, staged, env);
        }
        if place.run("apply.revert").exists() {
            return Err("somebody asked for it".into());
        }
        if left.is_zero() {
            return Err(format!("nobody confirmed it within {} s", limit.as_secs()));
        }
        asked(place)?;
        let failed = failed_units(&staged.plan, env);
        if !failed.is_empty() {
            return Err(format!("{} failed", failed.join(", ")));
        }
        std::thread::sleep(POLL.min(left));
    }
}

/// Fails when the process that asked is gone.
fn asked(place: &Place) -> Result<(), String> {
    match place.lock("apply.asker") {
        Ok(Some(_)) => Err("the connection that asked for it is lost".into()),
        _ => Ok(()),
    }
}

fn well(place: &Place, staged: &Staged, env: &Env<'_>) -> Result<(), String> {
    let failed = failed_units(&staged.plan, env);
    if !failed.is_empty() {
        return Err(format!("{} failed", failed.join(", ")));
    }
    let mut checks: Vec<PathBuf> = std::fs::read_dir(place.root.join(HEALTH_DIR))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
        .collect();
    checks.sort();
    checks.iter().try_for_each(|check| run_check(check))
}

/// Declared checks that no change waits for: the documents of docs/formats/health.md are for releases.
pub(super) fn passed_over(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.root.join(HEALTH_DIR)).into_iter().flatten().flatten();
    let mut documents: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    documents.sort();
    documents
}

fn run_check(path: &Path) -> Result<(), String> {
    let name = path.display();
    let mut child = Command::new(path)
        // What it says goes where the helper's own words go: the journal, under `orlop-apply`.
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("the health check {name} cannot be run: {error}"))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("the health check {name} failed ({status})")),
            Ok(None) if started.elapsed() > HEALTH_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the health check {name} took over {} s", HEALTH_LIMIT.as_secs()));
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Err(format!("the health check {name} cannot be awaited: {error}")),
        }
    }
}

/// `orlop-host confirm`.
pub(crate) fn confirm(args: &Args) -> Result<ExitCode, Error> {
    answer(&args.place, "apply.confirm", "confirmed")
}

/// `orlop-host revert`: ends a change that waits; a change that nobody carries out any more is taken back here.
pub(crate) fn revert(args: &Args) -> Result<ExitCode, Error> {
    let place = &args.place;
    let Some(_lock) = place.lock("apply.lock")? else {
        return answer(place, "apply.revert", "it is being taken back");
    };
    let back = place.with(false, |env| {
        take_back(env, &mut |event| cli::say(&event.text()))
            .map_err(|error| Error::message(Kind::System, error.text()))
    })?;
    if !back {
        return Err(Error::message(Kind::NotFound, "no change is under way"));
    }
    cli::say("taken back");
    Ok(ExitCode::SUCCESS)
}

fn answer(place: &Place, file: &str, word: &str) -> Result<ExitCode, Error> {
    let waiting = matches!(place.told(), Some(State::Waiting { .. }));
    if !waiting || place.lock("apply.lock")?.is_some() {
        return Err(Error::message(Kind::NotFound, "no change waits to be confirmed"));
    }
    File::create(place.run(file)).map_err(|error| Error::new(Kind::System, error))?;
    cli::say(word);
    Ok(ExitCode::SUCCESS)
}

/// `orlop-host apply-recover`, early in the boot: a change that was cut short becomes old or new.
pub(crate) fn recover_at_boot(args: &Args) -> Result<ExitCode, Error> {
    let place = &args.place;
    let root = place.open()?;
    let recovered = recover(&root).map_err(|error| {
        Error::new(Kind::System, error).hint(
            "the files as they were are in /orlop/apply/old, listed in /orlop/apply/undo.json; put back what is wrong, \
             then move /orlop/apply away",
        )
    })?;
    match recovered {
        Recovered::Nothing => return Ok(ExitCode::SUCCESS),
        Recovered::Back => cli::say("a change of the config was cut short and is taken back"),
        Recovered::Forward => cli::say("a change of the config was committed and is finished"),
    }
    if recovered == Recovered::Back && place.is_machine() {
        // systemd has read the units of the change that is gone.
        for args in [["daemon-reload", "--no-block"], ["start", "--no-block"]] {
            let mut command = Command::new("systemctl");
            command.args(args);
            if args[0] == "start" {
                command.arg("default.target");
            }
            let _ = command.status();
        }
    }
    Ok(ExitCode::SUCCESS)
}
