//! All phases of a first boot after the config is there.

use std::collections::BTreeSet;
use std::time::Duration;

use ignition_spec::Config;

use crate::day2::Declaration;
use crate::day2::declaration::CURRENT;
use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::execute::{Env, disks as device, execute};
use crate::fetch::FinalConfig;
use crate::notes::{self, Notes};
use crate::observe::{Observed, observe};
use crate::plan::expect::expect;
use crate::plan::{Action, Plan, Progress, plan_phases};
use crate::report;
use crate::root::RootError;

/// What a provisioned machine can tell about it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan as it was before anything was done.
    pub plan: Plan,
    /// Time that each phase took.
    pub phases: Vec<(Phase, Duration)>,
    /// Steps that were executed.
    pub steps: usize,
    /// Why the machine has to start again before anything else is done: its kernel arguments were changed. Nothing
    /// after phase kargs was carried out then.
    pub reboot: Option<String>,
}

/// Plans and executes: kargs, disks, mount, files, umount; then writes the report. What was mounted is unmounted again
/// also when a phase fails.
///
/// # Errors
/// [`Error`] of the phase that failed. After an error of phase plan nothing is changed.
pub fn provision(wanted: &FinalConfig, env: &mut Env<'_>, events: Events<'_>) -> Result<Outcome, Error> {
    let mut phases = Vec::new();
    let mut events = |event: Event| {
        if let Event::Done(phase, time) = &event {
            phases.push((*phase, *time));
        }
        events(event);
    };
    let clock = env.net.clock;
    let first = crate::phase(Phase::Plan, clock, &mut events, |events| {
        wait_for_devices(&wanted.config, env);
        let looked = look_and_plan(wanted, Progress::Start, env)?;
        let first = &looked.0;
        for warning in &first.warnings {
            events(Event::Warning(Phase::Plan, warning.clone()));
        }
        let destructive = first.steps.iter().filter(|step| step.destructive).count();
        events(Event::Step(
            Phase::Plan,
            format!("{} steps, {destructive} of them destructive", first.steps.len()),
        ));
        if first.of(Phase::Kargs).next().is_none() {
            prefetch(wanted, first, env, events)?;
        }
        Ok(looked)
    })?;
    let mut steps = 0;
    let reboot = arguments(wanted, &first.0, env, &mut steps, &mut events)?;
    if reboot.is_some() {
        return Ok(Outcome { plan: first.0, phases, steps, reboot });
    }
    let result = change(wanted, &first, env, &mut steps, &mut events);
    if result.is_err() {
        unmount_all(wanted, &first.0, env);
    }
    result?;
    let outcome = Outcome { plan: first.0, phases, steps, reboot };
    if env.options.report {
        report::write(wanted, &outcome, env).map_err(|error| failed(Phase::Files, &error))?;
    }
    env.root.sync().map_err(|error| failed(Phase::Umount, &error))?;
    Ok(outcome)
}

/// Changes kernel arguments; `Some` when the machine has to start again.
fn arguments(
    wanted: &FinalConfig,
    first: &Plan,
    env: &mut Env<'_>,
    steps: &mut usize,
    events: Events<'_>,
) -> Result<Option<String>, Error> {
    let Some(step) = first.of(Phase::Kargs).next() else { return Ok(None) };
    crate::phase(Phase::Kargs, env.net.clock, events, |events| {
        *steps += execute(first, Phase::Kargs, |_| true, &wanted.settings, env, events)?;
        Ok(())
    })?;
    Ok(Some(step.text.clone()))
}

/// Fetches and verifies every remote content, so that a URL that leads nowhere or a digest that does not match is
/// found before anything is changed. With file systems to mount all contents of the config are fetched: what is on
/// them is not known yet.
fn prefetch(wanted: &FinalConfig, first: &Plan, env: &mut Env<'_>, events: Events<'_>) -> Result<(), Error> {
    env.net.spool = crate::fetch::spool::Spool::new(env.options.spool.clone());
    let resources = match first.of(Phase::Mount).next() {
        Some(_) => crate::fetch::remote_resources(&wanted.config),
        None => first.resources(),
    };
    for (origin, resource) in resources {
        let fetched =
            env.net.prefetch(&resource, &wanted.settings, Phase::Plan, events).map_err(|error| {
                let place = wanted.documents.place(&error.place(&origin));
                let problem = Problem::while_doing(format!("cannot fetch what {origin} asks for"), &error);
                Error::new(Phase::Plan, problem.at(place).hint(error.hint()))
            })?;
        if let Some(text) = fetched {
            events(Event::Step(Phase::Plan, text));
        }
    }
    Ok(())
}

fn change(
    wanted: &FinalConfig,
    looked: &(Plan, Observed),
    env: &mut Env<'_>,
    steps: &mut usize,
    events: Events<'_>,
) -> Result<(), Error> {
    let first = &looked.0;
    let (clock, settings) = (env.net.clock, &wanted.settings);
    crate::phase(Phase::Disks, clock, events, |events| {
        *steps += disks_phase(wanted, first, env, events)?;
        Ok(())
    })?;
    crate::phase(Phase::Mount, clock, events, |events| {
        *steps += execute(first, Phase::Mount, |_| true, settings, env, events)?;
        Ok(())
    })?;
    crate::phase(Phase::Files, clock, events, |events| {
        let again = match first.of(Phase::Mount).next().is_some() || !wanted.config.storage.luks.is_empty() {
            true => Some(look_and_plan(wanted, Progress::Mounted, env)?),
            false => None,
        };
        *steps += files_phase(wanted, again.as_ref().unwrap_or(looked), env, events)?;
        Ok(())
    })?;
    crate::phase(Phase::Umount, clock, events, |events| {
        *steps += execute(first, Phase::Umount, |_| true, settings, env, events)?;
        Ok(())
    })
}

/// The files phase, and the record of what it wrote: day 2 starts from it.
fn files_phase(
    wanted: &FinalConfig,
    (plan, observed): &(Plan, Observed),
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<usize, Error> {
    let time = env.net.clock.now();
    let recording = |error: RootError| failed(Phase::Files, &error);
    // An earlier attempt knows better what was there before it.
    let earlier = Declaration::load(&env.root).unwrap_or_default();
    let expectation = expect(plan, observed);
    let mut declaration = Declaration::of(wanted, &expectation, plan, observed, earlier.as_ref(), time);
    declaration.keep_contents(&env.root).map_err(recording)?;
    notes::before_files(env.options.notes.as_deref(), plan, &env.root).map_err(recording)?;
    let steps = execute(plan, Phase::Files, |_| true, &wanted.settings, env, events)?;
    declaration.complete(&env.root).map_err(recording)?;
    declaration.save(CURRENT, &env.root).map_err(recording)?;
    Ok(steps)
}

/// The disks phase: tables, then arrays, then volumes, then file systems. After each that had something to do the rest is
/// planned again, since there is more to look at.
fn disks_phase(
    wanted: &FinalConfig,
    first: &Plan,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<usize, Error> {
    let mut plan = first.clone();
    let mut steps = 0;
    let noted = |plan: &Plan, env: &Env<'_>| {
        notes::before_disks(env.options.notes.as_deref(), plan, &env.root)
            .map_err(|error| failed(Phase::Disks, &error))
    };
    for progress in [Progress::Partitioned, Progress::Assembled, Progress::Unlocked] {
        let round = plan.only(|action| round_of(action, &plan) == progress);
        if round.steps.is_empty() {
            continue;
        }
        noted(&round, env)?;
        steps += execute(&round, Phase::Disks, |_| true, &wanted.settings, env, events)?;
        plan = look_and_plan(wanted, progress, env)?.0;
    }
    Ok(steps + execute(&plan, Phase::Disks, |_| true, &wanted.settings, env, events)?)
}

/// Runs the disks phase alone: for a machine that runs the stages one at a time.
///
/// # Errors
/// As [`provision`].
pub fn disks(wanted: &FinalConfig, env: &mut Env<'_>, events: Events<'_>) -> Result<usize, Error> {
    wait_for_devices(&wanted.config, env);
    let (first, _) = look_and_plan_phases(wanted, Progress::Start, &[Phase::Disks], env)?;
    disks_phase(wanted, &first, env, events)
}

/// Runs the files phase alone, contents fetched first, and writes the report.
///
/// # Errors
/// As [`provision`].
pub fn files(wanted: &FinalConfig, env: &mut Env<'_>, events: Events<'_>) -> Result<usize, Error> {
    let (plan, _) = look_and_plan_phases(wanted, Progress::Mounted, &[Phase::Files], env)?;
    for warning in &plan.warnings {
        events(Event::Warning(Phase::Files, warning.clone()));
    }
    prefetch(wanted, &plan, env, events)?;
    let steps = execute(&plan, Phase::Files, |_| true, &wanted.settings, env, events)?;
    if env.options.report {
        let outcome = Outcome { plan, phases: Vec::new(), steps, reboot: None };
        report::write(wanted, &outcome, env).map_err(|error| failed(Phase::Files, &error))?;
    }
    env.root.sync().map_err(|error| failed(Phase::Files, &error))?;
    Ok(steps)
}

/// Runs another phase alone, as the machine is now.
///
/// # Errors
/// As [`provision`].
pub fn one_phase(
    wanted: &FinalConfig,
    phase: Phase,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<usize, Error> {
    let progress = match phase {
        Phase::Kargs => Progress::Start,
        _ => Progress::Unlocked,
    };
    let (plan, _) = look_and_plan_phases(wanted, progress, &[phase], env)?;
    for warning in &plan.warnings {
        events(Event::Warning(phase, warning.clone()));
    }
    execute(&plan, phase, |_| true, &wanted.settings, env, events)
}

/// Unmounts what is mounted, whatever fails: the error to report is the one that led here, and mounts that are left
/// would keep the disk busy for a shell.
fn unmount_all(wanted: &FinalConfig, plan: &Plan, env: &mut Env<'_>) {
    for step in plan.of(Phase::Umount) {
        let this = |action: &Action| *action == step.action;
        let _ = execute(plan, Phase::Umount, this, &wanted.settings, env, &mut |_| {});
    }
}

/// What is there when a step of the disks phase is done; file systems come last. Wiping belongs to what is made on the
/// wiped device.
fn round_of(action: &Action, plan: &Plan) -> Progress {
    let of_device = |device: &String| {
        let makes = |action: &Action| match action {
            Action::Partition { disk, .. } => disk == device,
            Action::MakeLuks { volume } => volume.device == *device,
            _ => false,
        };
        plan.of(Phase::Disks).map(|step| &step.action).find(|action| makes(action))
    };
    match action {
        Action::Partition { .. } => Progress::Partitioned,
        Action::MakeRaid { .. } => Progress::Assembled,
        Action::MakeLuks { .. } | Action::OpenLuks { .. } => Progress::Unlocked,
        Action::Wipe { device, .. } => {
            of_device(device).map_or(Progress::Mounted, |made| round_of(made, plan))
        }
        _ => Progress::Mounted,
    }
}

type Looked = (Plan, Observed);

fn look_and_plan(wanted: &FinalConfig, progress: Progress, env: &Env<'_>) -> Result<Looked, Error> {
    look_and_plan_phases(wanted, progress, &Phase::ALL, env)
}

fn look_and_plan_phases(
    wanted: &FinalConfig,
    progress: Progress,
    phases: &[Phase],
    env: &Env<'_>,
) -> Result<Looked, Error> {
    let mut observed = observe(&wanted.config, &env.root, &env.devices, env.programs)
        .map_err(|error| failed(Phase::Plan, &error))?;
    observed.unfinished =
        Notes::read(env.options.notes.as_deref(), &env.root).map_err(|error| failed(Phase::Plan, &error))?;
    observed.kernel = crate::execute::kernel(&env.options.kernel, env.programs)
        .map_err(|error| failed(Phase::Plan, &error))?;
    observed.mount_points_made = env.mount_points_made.clone();
    if env.options.writable_usr {
        observed.read_only.clear();
    }
    Ok((plan_phases(wanted, &observed, progress, phases)?, observed))
}

fn failed(phase: Phase, error: &dyn std::error::Error) -> Error {
    Error::new(phase, Problem::of(error))
}

/// Gives the devices of the config time to appear; those that do not are refused by the planner, with their place.
fn wait_for_devices(config: &Config, env: &Env<'_>) {
    let coming = crate::plan::coming(config);
    let wanted: BTreeSet<&str> =
        crate::plan::device_names(config).into_iter().map(|(name, _)| name).collect();
    for name in wanted.into_iter().filter(|name| !coming.contains(*name)) {
        let _ = device::wait_for(name, env);
    }
}
