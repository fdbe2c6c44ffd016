//! `orlop-host apply`: plans a change, shows it, has the helper carry it out, and says how it ended.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cli::{Error, Format, Kind};
use ignition_spec::config;
use provision::day2::apply::{Staged, stage};
use provision::day2::journal::Journal;
use provision::day2::{Change, Declaration, Permission, observe, plan_change};
use provision::fetch::resource::Resource;
use provision::fetch::source::Raw;
use provision::fetch::{documents::decode_source_maps, read_config};
use provision::plan::{expect, show};
use provision::{Env, Event, FinalConfig, Observed};

use super::helper::Staging;
use super::place::{Place, State};

/// By which a workstation keeps hold of a machine that it made (crate `vm`, module `config`).
const AGENT: &str = "orlop-guest-agent.service";
/// How often the helper's state is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long a helper may take to say its first word.
const START_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Config, Butane or Ignition; `-` for standard input
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Take it back unless `orlop-host confirm` comes within this time
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<Duration>,

    /// Lose what was changed by hand in places that are declared
    #[arg(long)]
    force: bool,

    /// What may be lost
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Option<Allow>,

    /// Map from the config to the lines of its source
    #[arg(long, value_name = "FILE", hide = true)]
    source_map: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allow {
    /// Partitions, file systems, directories with contents, users
    Destructive,
}

/// `90`, `90s`, `2m`.
fn seconds(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = digits.parse().map_err(|_| "use seconds (60s) or minutes (2m)".to_owned())?;
    match number.checked_mul(factor) {
        Some(seconds) if (1..=86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("use between 1s and 1440m".into()),
    }
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    let place = &args.place;
    let Some(lock) = place.lock("apply.lock")? else {
        return Err(Error::message(Kind::Conflict, "another change of this machine is under way")
            .hint("`orlop-host confirm` or `orlop-host revert` ends one that waits"));
    };
    let broken_off = Journal::under_way(&place.open()?).map_err(|error| Error::new(Kind::System, error))?;
    if broken_off.is_some() {
        return Err(Error::message(Kind::Conflict, "a change of this machine was broken off")
            .hint("`orlop-host revert` takes it back"));
    }
    let planned = place.with(true, |env| {
        let wanted = read(args, env)?;
        let (change, now) = plan(args, &wanted, env)?;
        tell(&change, &now, args, format);
        if args.dry_run {
            return Ok(None);
        }
        let mut events = |event: Event| match event {
            Event::Step(..) | Event::Start(..) | Event::Done(..) => {}
            event => cli::say(&event.text()),
        };
        let staged = stage(&change, &now, &wanted.settings, env, &mut events).map_err(|e| refused(&e))?;
        Ok(Some(staged))
    })?;
    let Some(staged) = planned else { return Ok(ExitCode::SUCCESS) };
    let staging = Staging { staged, confirm_seconds: args.confirm_within.map(|time| time.as_secs()) };
    staging.save(&place.open()?)?;
    // Held as long as we live: by it the helper knows whether the one who asked is still there.
    let asker = place.lock("apply.asker")?;
    drop(lock);
    start_helper(place)?;
    let ended = follow(place);
    drop(asker);
    for check in super::helper::passed_over(place) {
        cli::say(&format!("warning: {} is not run after a change yet, only programs are", check.display()));
    }
    tell_end(&ended?, &staging.staged)
}

fn read(args: &Args, env: &mut Env<'_>) -> Result<FinalConfig, Error> {
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::System };
        Error::new(kind, anyhow::Error::new(error).context(format!("cannot read {}", args.config.display())))
    };
    let mut bytes = Vec::new();
    let name = if args.config.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
        "<stdin>".to_owned()
    } else {
        bytes = std::fs::read(&args.config).map_err(failed)?;
        args.config.display().to_string()
    };
    let maps = match &args.source_map {
        Some(path) => decode_source_maps(&std::fs::read(path).map_err(failed)?),
        None => Vec::new(),
    };
    let mut base = args.place.base()?;
    let additions = args.place.declaration(&env.root)?.as_ref().and_then(additions);
    base.extend(additions.iter().map(|(_, raw)| raw.clone()));
    let mut events = |event: Event| {
        if matches!(event, Event::Warning(..) | Event::Retry(..)) {
            cli::say(&event.text());
        }
    };
    let user = Raw { name, bytes };
    let read = read_config(&user, &base, &maps, &mut env.net, &mut events);
    let mut wanted = read.map_err(|error| refused(&error))?;
    if let Some((reference, _)) = additions {
        // The next change finds them here.
        wanted.config.ignition.config.merge.insert(0, reference);
    }
    Ok(wanted)
}

/// What the workstation that made this machine put beside its user's config: without it the workstation would lose the
/// machine at the first change. It is the first config that the machine's own merges, and enables the guest agent.
fn additions(old: &Declaration) -> Option<(config::Resource, Raw)> {
    let first = old.config().ok()?.ignition.config.merge.first()?.clone();
    let bytes = Resource::of(&first).ok()?.at_hand().ok()??;
    let parsed = ignition_spec::parse(&bytes).ok()?;
    let enables = |unit: &config::Unit| unit.name == AGENT && unit.enabled == Some(true);
    parsed.config.systemd.units.iter().any(enables).then(|| {
        let name = "additions of the workstation".to_owned();
        (first, Raw { name, bytes })
    })
}

fn plan(args: &Args, wanted: &FinalConfig, env: &mut Env<'_>) -> Result<(Change, Observed), Error> {
    let old = args.place.declaration(&env.root)?;
    let system = |error: anyhow::Error| Error::new(Kind::System, error);
    let config = &wanted.config;
    let mut now = observe::observe(config, old.as_ref(), &env.root, &env.devices, env.programs)
        .map_err(|error| system(error.into()))?;
    now.kernel = provision::execute::kernel(&env.options.kernel, env.programs)
        .map_err(|error| system(error.into()))?;
    let destructive = args.allow == Some(Allow::Destructive);
    let permission = Permission { force: args.force, destructive };
    let change = plan_change(wanted, old.as_ref(), &now, permission, env.net.clock.now());
    Ok((change.map_err(|error| refused(&error))?, now))
}

/// The plan: data where it is all that was asked for, else words.
fn tell(change: &Change, now: &Observed, args: &Args, format: Format) {
    let nodes = expect::apply(&change.expectation, now);
    let nodes = nodes.into_iter().filter(|(path, _)| change.expectation.contains_key(path)).collect();
    let shown = show::show(&change.plan, now, &change.reboots, expect::digest(&nodes));
    match (format, args.dry_run) {
        (Format::Json, _) => cli::out_json(&shown),
        (Format::Human, true) => cli::out(&shown.to_human()),
        (Format::Human, false) => cli::say(shown.to_human().trim_end()),
    }
}

/// Starts the helper where it outlives us: as a transient unit, or in a session of its own.
fn start_helper(place: &Place) -> Result<(), Error> {
    for name in ["apply.json", "apply.confirm", "apply.revert"] {
        let _ = std::fs::remove_file(place.run(name));
    }
    let failed = |error: std::io::Error| {
        Error::new(Kind::System, anyhow::Error::new(error).context("cannot start the helper"))
    };
    let own = std::env::current_exe().map_err(failed)?;
    if place.is_machine() && std::path::Path::new("/run/systemd/system").is_dir() {
        let unit = Command::new("systemd-run")
            .args(["--quiet", "--collect", "--unit=orlop-apply", "--property=DefaultDependencies=no"])
            .args(["--property=KillMode=mixed", "--property=Description=Change of the machine's config"])
            .arg(&own)
            .arg("apply-helper")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if unit.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    let mut helper = Command::new(own);
    helper.arg("apply-helper").arg("--root").arg(&place.root);
    helper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    helper.spawn().map(drop).map_err(failed)
}

/// Waits for the end, and says what happens on the way.
fn follow(place: &Place) -> Result<State, Error> {
    let started = Instant::now();
    let mut asked = false;
    let mut shown = 0;
    loop {
        shown = log_from(place, shown);
        match place.told() {
            Some(State::Waiting { seconds }) if !asked => {
                asked = true;
                cli::say(&format!(
                    "applied; confirm with `orlop-host confirm` within {seconds} s, else it is taken back"
                ));
            }
            Some(state @ (State::Committed | State::TakenBack { .. } | State::Failed { .. })) => {
                log_from(place, shown);
                return Ok(state);
            }
            None if started.elapsed() > START_LIMIT => {
                let error = Error::message(Kind::System, "the helper did not start; nothing is changed");
                return Err(error.hint("`journalctl -u orlop-apply` may say why"));
            }
            _ => {}
        }
        std::thread::sleep(POLL);
    }
}

/// Prints what the helper wrote since; gives how much it is.
fn log_from(place: &Place, shown: usize) -> usize {
    let text = std::fs::read_to_string(place.run("apply.log")).unwrap_or_default();
    let Some(new) = text.get(shown..) else { return shown };
    let whole = new.rfind('\n').map_or(0, |end| end + 1);
    for line in new[..whole].lines() {
        cli::say(line);
    }
    shown + whole
}

fn tell_end(state: &State, staged: &Staged) -> Result<ExitCode, Error> {
    match state {
        State::TakenBack { why } => {
            Err(Error::message(Kind::Conflict, format!("the change was taken back: {why}"))
                .hint("`journalctl -u orlop-apply` has what units and checks said"))
        }
        State::Failed { why } => Err(Error::message(Kind::System, why.clone())
            .hint("the next start of the machine takes the change back")),
        _ => {
            cli::say("applied");
            for why in &staged.reboots {
                cli::say(&format!("reboot needed: {why}"));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(super) fn refused(error: &provision::Error) -> Error {
    let kind = match error.phase {
        provision::Phase::Plan => Kind::Conflict,
        provision::Phase::Fetch => Kind::Config,
        _ => Kind::System,
    };
    Error::message(kind, "the config is not applied").details(error.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("60s").unwrap().as_secs(), 60);
        assert_eq!(seconds("90").unwrap().as_secs(), 90);
        assert_eq!(seconds("2m").unwrap().as_secs(), 120);
        for wrong in ["", "0", "x", "1h", "99999999999999999999m", "2000m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
