//! All phases of a first boot after the config is there.

use std::collections::BTreeSet;
use std::time::Duration;

use ignition_spec::Config;

use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::execute::{Env, disks, execute};
use crate::fetch::FinalConfig;
use crate::observe::observe;
use crate::plan::{Action, Plan, Progress, plan_from};
use crate::report;

/// What a provisioned machine can tell about it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan as it was before anything was done.
    pub plan: Plan,
    /// Time that each phase took.
    pub phases: Vec<(Phase, Duration)>,
    /// Steps that were executed.
    pub steps: usize,
}

/// Plans and executes: disks, mount, files, umount; then writes the report. What was mounted is unmounted again also
/// when a phase fails.
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
        let first = look_and_plan(wanted, Progress::Start, env)?;
        for warning in &first.warnings {
            events(Event::Warning(Phase::Plan, warning.clone()));
        }
        let destructive = first.steps.iter().filter(|step| step.destructive).count();
        events(Event::Step(
            Phase::Plan,
            format!("{} steps, {destructive} of them destructive", first.steps.len()),
        ));
        Ok(first)
    })?;
    let mut steps = 0;
    let result = change(wanted, &first, env, &mut steps, &mut events);
    if result.is_err() {
        unmount_all(wanted, &first, env);
    }
    result?;
    let outcome = Outcome { plan: first, phases, steps };
    report::write(wanted, &outcome, env).map_err(|error| failed(Phase::Files, &error))?;
    env.root.sync().map_err(|error| failed(Phase::Umount, &error))?;
    Ok(outcome)
}

fn change(
    wanted: &FinalConfig,
    first: &Plan,
    env: &mut Env<'_>,
    steps: &mut usize,
    events: Events<'_>,
) -> Result<(), Error> {
    let (clock, settings) = (env.net.clock, &wanted.settings);
    crate::phase(Phase::Disks, clock, events, |events| {
        let of_tables = tables(first);
        *steps += execute(first, Phase::Disks, |action| of_tables(action), settings, env, events)?;
        if first.of(Phase::Disks).any(|step| matches!(step.action, Action::Partition { .. })) {
            wait_for_devices(&wanted.config, env);
            let second = look_and_plan(wanted, Progress::Partitioned, env)?;
            *steps += execute(&second, Phase::Disks, |_| true, settings, env, events)?;
        } else {
            *steps += execute(first, Phase::Disks, |action| !of_tables(action), settings, env, events)?;
        }
        Ok(())
    })?;
    crate::phase(Phase::Mount, clock, events, |events| {
        *steps += execute(first, Phase::Mount, |_| true, settings, env, events)?;
        Ok(())
    })?;
    crate::phase(Phase::Files, clock, events, |events| {
        let again = match first.of(Phase::Mount).next() {
            Some(_) => Some(look_and_plan(wanted, Progress::Mounted, env)?),
            None => None,
        };
        *steps += execute(again.as_ref().unwrap_or(first), Phase::Files, |_| true, settings, env, events)?;
        Ok(())
    })?;
    crate::phase(Phase::Umount, clock, events, |events| {
        *steps += execute(first, Phase::Umount, |_| true, settings, env, events)?;
        Ok(())
    })
}

/// Unmounts what is mounted, whatever fails: the error to report is the one that led here, and mounts that are left
/// would keep the disk busy for a shell.
fn unmount_all(wanted: &FinalConfig, plan: &Plan, env: &mut Env<'_>) {
    for step in plan.of(Phase::Umount) {
        let this = |action: &Action| *action == step.action;
        let _ = execute(plan, Phase::Umount, this, &wanted.settings, env, &mut |_| {});
    }
}

/// Tells the steps that are about partition tables: they are done before file systems are looked at.
fn tables(plan: &Plan) -> impl Fn(&Action) -> bool + use<> {
    let disks: BTreeSet<String> = plan
        .of(Phase::Disks)
        .filter_map(|step| match &step.action {
            Action::Partition { disk, .. } => Some(disk.clone()),
            _ => None,
        })
        .collect();
    move |action| match action {
        Action::Partition { .. } => true,
        Action::Wipe { device, .. } => disks.contains(device),
        _ => false,
    }
}

fn look_and_plan(wanted: &FinalConfig, progress: Progress, env: &Env<'_>) -> Result<Plan, Error> {
    let observed = observe(&wanted.config, &env.root, &env.devices, env.programs)
        .map_err(|error| failed(Phase::Plan, &error))?;
    plan_from(wanted, &observed, progress)
}

fn failed(phase: Phase, error: &dyn std::error::Error) -> Error {
    Error::new(phase, Problem::of(error))
}

/// Gives the devices of the config time to appear; those that do not are refused by the planner, with their place.
fn wait_for_devices(config: &Config, env: &Env<'_>) {
    let storage = &config.storage;
    let coming: BTreeSet<String> = storage.disks.iter().flat_map(crate::plan::coming).collect();
    let disks = storage.disks.iter().map(|disk| &disk.device);
    let wanted: BTreeSet<&String> = disks.chain(storage.filesystems.iter().map(|fs| &fs.device)).collect();
    for name in wanted.into_iter().filter(|name| !coming.contains(*name)) {
        let _ = disks::wait_for(name, env);
    }
}
