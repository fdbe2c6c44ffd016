//! Carries a planned change out under the undo journal.
//!
//! [`stage`] fetches what is remote, so that no server can fail a change half-way; [`apply`] keeps what is there, runs
//! the steps, asks the caller's `judge` (health, confirmation), and commits, or takes everything back. Whoever calls
//! it must outlive the connection that asked for the change.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::declaration::{Declaration, private_dir};
use super::journal::{Journal, JournalError, NEW, Touched, UnitBefore, recover};
use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::execute::{Env, execute};
use crate::fetch::resource::Resource;
use crate::net::http::HttpSettings;
use crate::observe::Observed;
use crate::plan::action::{Base, UnitVerb};
use crate::plan::{Action, Plan};
use crate::root::{Attributes, RootError};

/// Files that shadow-utils write, and their backups, which they write in place (`useradd(8)`, FILES).
const ACCOUNT_FILES: [&str; 13] = [
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/group",
    "/etc/group-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/subuid",
    "/etc/subuid-",
    "/etc/subgid",
    "/etc/subgid-",
    "/etc/.pwd.lock",
];

/// A change whose contents are all on the machine, ready to be carried out by another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// What to do.
    pub plan: Plan,
    /// What is then declared.
    pub declaration: Declaration,
    /// What the journal keeps.
    pub touched: Touched,
    /// Why the machine must be started again for all of it to count.
    pub reboots: Vec<String>,
}

/// How a change ended.
#[derive(Debug)]
pub enum Ended {
    /// It is made.
    Committed,
    /// It was taken back, for this reason.
    TakenBack(Error),
}

/// Fetches what is remote and works out what the journal must keep.
///
/// # Errors
/// [`Error`] of phase files when a resource cannot be had; nothing is changed then.
pub fn stage(
    change: &Change,
    now: &Observed,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<Staged, Error> {
    let mut plan = change.plan.clone();
    env.root.remove(NEW).map_err(|error| failed(Phase::Fetch, &error))?;
    for (index, step) in plan.steps.iter_mut().enumerate() {
        let Action::File { path, base, append, .. } = &mut step.action else { continue };
        let path = path.clone();
        let of_base = match &*base {
            Base::Resource(resource) => Some(resource.clone()),
            _ => None,
        };
        if !of_base.iter().chain(append.iter()).any(Resource::is_remote) {
            continue;
        }
        let mut fetched: Vec<Resource> = of_base.into_iter().collect();
        fetched.append(append);
        let place = format!("{NEW}/{index}");
        let first = match &*base {
            Base::Resource(_) => Base::Empty,
            other => other.clone(),
        };
        *base = Base::Copy(place.clone());
        fetch(&place, &first, &path, &fetched, settings, env, events).map_err(|error| {
            let problem = Problem::while_doing(format!("cannot {}", step.text), &*error);
            Error::new(Phase::Fetch, problem.at(step.place.clone()))
        })?;
    }
    let touched = touched(&plan, change, now);
    let (declaration, reboots) = (change.declaration.clone(), change.reboots.clone());
    Ok(Staged { plan, declaration, touched, reboots })
}

type AnyError = Box<dyn std::error::Error>;

fn fetch(
    place: &str,
    base: &Base,
    path: &str,
    parts: &[Resource],
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<(), AnyError> {
    private_dir("/orlop/apply", &env.root)?;
    private_dir(NEW, &env.root)?;
    let attributes = Attributes { mode: 0o600, uid: 0, gid: 0 };
    // What is appended to stays what it is.
    let base = match base {
        Base::Existing => &Base::Copy(path.to_owned()),
        other => other,
    };
    Ok(crate::execute::write_file(place, attributes, base, parts, settings, env, events)?)
}

/// What the journal must keep for a plan.
fn touched(plan: &Plan, change: &Change, now: &Observed) -> Touched {
    let mut touched = Touched { nodes: change.touched.clone(), ..Touched::default() };
    for step in &plan.steps {
        match &step.action {
            Action::Remove { path, .. } => touched.trees.push(path.clone()),
            Action::Account { program, args, .. } => {
                touched.rewritten.extend(ACCOUNT_FILES.iter().map(|path| (*path).to_owned()));
                if program == "useradd" {
                    touched.made.extend(args.last().map(|name| home_of_new(name, args, now)));
                }
            }
            Action::AuthorizeKeys { user, .. } => {
                if let Some(user) = now.users.get(user) {
                    let home = true_path(&user.home, now);
                    for below in ["", "/.ssh", "/.ssh/authorized_keys.d", "/.ssh/authorized_keys.d/ignition"]
                    {
                        touched.nodes.push(format!("{home}{below}"));
                    }
                }
            }
            _ => {}
        }
    }
    touched
}

fn home_of_new(name: &str, args: &[String], now: &Observed) -> String {
    let given = args.iter().position(|arg| arg == "--home-dir").and_then(|at| args.get(at + 1));
    true_path(&given.cloned().unwrap_or_else(|| format!("/home/{name}")), now)
}

fn true_path(path: &str, now: &Observed) -> String {
    crate::resolve::resolve(path, true, |at| now.nodes.get(at)).unwrap_or_else(|_| path.to_owned())
}

/// Makes the change, or leaves the machine as it was.
///
/// # Errors
/// When the change could not be begun (nothing is changed), or when it could neither be made nor taken back: then the
/// journal is there, and the next start of the machine takes it back.
pub fn apply(
    staged: &Staged,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    judge: &mut dyn FnMut(&Staged, &Env<'_>) -> Result<(), String>,
    events: Events<'_>,
) -> Result<Ended, Error> {
    let units = units_before(&staged.plan, env);
    let journal =
        Journal::begin(&staged.touched, units, &env.root).map_err(|e| of_journal(Phase::Plan, &e))?;
    // What the change replaces, for the day when its declaration goes.
    let kept = staged.declaration.keep_contents(&env.root).map_err(|error| failed(Phase::Files, &error));
    let made = kept
        .and_then(|()| carry_out(&staged.plan, settings, env, events))
        .and_then(|()| judge(staged, env).map_err(|why| Error::new(Phase::Units, Problem::new(why))));
    let made = made.and_then(|()| {
        let mut declaration = staged.declaration.clone();
        declaration.complete(&env.root).map_err(|error| failed(Phase::Files, &error))?;
        journal.commit(&declaration, &env.root).map_err(|error| of_journal(Phase::Files, &error))
    });
    match made {
        Ok(()) => {
            // They count from the next boot and lie outside of the tree: after the change is there to stay.
            execute(&staged.plan, Phase::Kargs, |_| true, settings, env, events)?;
            Ok(Ended::Committed)
        }
        Err(why) => {
            events(Event::Warning(why.phase, format!("taking the change back: {}", why.line())));
            if take_back(env, events)? {
                return Ok(Ended::TakenBack(why));
            }
            // The commit mark is there; what failed is the cleaning behind it, which the next start does again.
            let _ = recover(&env.root);
            Ok(Ended::Committed)
        }
    }
}

fn carry_out(
    plan: &Plan,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<(), Error> {
    let clock = env.net.clock;
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Kargs) {
        if plan.of(phase).next().is_some() {
            crate::phase(phase, clock, events, |events| {
                execute(plan, phase, |_| true, settings, env, events).map(drop)
            })?;
        }
    }
    Ok(())
}

/// Whether each unit of the plan runs.
fn units_before(plan: &Plan, env: &Env<'_>) -> Vec<UnitBefore> {
    let mut units: Vec<UnitBefore> = Vec::new();
    for step in &plan.steps {
        let Action::Unit { unit, .. } = &step.action else { continue };
        if unit.is_empty() || units.iter().any(|known| known.unit == *unit) {
            continue;
        }
        let query = ["is-active".to_owned(), "--quiet".to_owned(), unit.clone()];
        let active = env.programs.run("systemctl", &query).is_ok();
        units.push(UnitBefore { unit: unit.clone(), active });
    }
    units
}

/// Takes back a change that is under way: the tree, then the units as they were. Also what `orlop-apply-recover.service`
/// and `orlop-host revert` do.
///
/// # Errors
/// When the tree cannot be put back; units that do not come back are warned of.
pub fn take_back(env: &mut Env<'_>, events: Events<'_>) -> Result<bool, Error> {
    let under_way = Journal::under_way(&env.root).map_err(|error| of_journal(Phase::Files, &error))?;
    let Some(journal) = under_way else { return Ok(false) };
    journal.take_back(&env.root).map_err(|error| of_journal(Phase::Files, &error))?;
    if journal.units.is_empty() {
        return Ok(true);
    }
    let mut ask = |verb: &str, unit: &str| {
        let args: Vec<String> =
            [verb, unit].iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect();
        if let Err(error) = env.programs.run("systemctl", &args) {
            events(Event::Warning(Phase::Units, format!("{verb} {unit}: {error}")));
        }
    };
    ask(UnitVerb::DaemonReload.word(), "");
    for UnitBefore { unit, active } in &journal.units {
        match (active, unit.contains('*')) {
            (_, true) => ask(UnitVerb::TryRestart.word(), unit),
            (true, false) => ask("restart", unit),
            (false, false) => ask("stop", unit),
        }
    }
    Ok(true)
}

/// Names the units of a plan that failed.
pub fn failed_units(plan: &Plan, env: &Env<'_>) -> Vec<String> {
    let mut failed = Vec::new();
    for step in plan.of(Phase::Units) {
        let Action::Unit { unit, .. } = &step.action else { continue };
        if unit.is_empty() || unit.contains('*') {
            continue;
        }
        let query = ["is-failed".to_owned(), "--quiet".to_owned(), unit.clone()];
        if env.programs.run("systemctl", &query).is_ok() {
            failed.push(unit.clone());
        }
    }
    failed.dedup();
    failed
}

fn failed(phase: Phase, error: &RootError) -> Error {
    Error::new(phase, Problem::of(error))
}

fn of_journal(phase: Phase, error: &JournalError) -> Error {
    let hint = match error {
        JournalError::Busy { .. } => Some("wait for it, or take it back with `orlop-host revert`"),
        _ => None,
    };
    Error::new(phase, Problem::of(error).hint(hint))
}
