//! The planner of day 2: old declaration, new config and what is observed in; steps out. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ignition_spec::Config;

use super::declaration::Declaration;
use super::nodes::{self, Comparison};
use super::{baseline, units, users};
use crate::error::{Error, Problem};
use crate::event::Phase;
use crate::fetch::FinalConfig;
use crate::observe::Observed;
use crate::place::Place;
use crate::plan::expect::{Expectation, expect, of_node};
use crate::plan::kargs::Boot;
use crate::plan::volumes::{CRYPTTAB, KEY_DIR};
use crate::plan::{Action, PLAN_VERSION, Plan, Step};

/// What the administrator allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permission {
    /// Losing what was changed by hand in places that are declared.
    pub force: bool,
    /// Losing data: partitions, file systems, directories with contents that nobody declared, users who were there.
    pub destructive: bool,
}

/// A planned change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What to do.
    pub plan: Plan,
    /// What is then declared.
    pub declaration: Declaration,
    /// Paths that change, made parents included; the undo journal keeps what is there.
    pub touched: Vec<String>,
    /// Why the machine must be started again for all of it to count.
    pub reboots: Vec<String>,
    /// What is at each path afterwards.
    pub expectation: Expectation,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.plan.steps.is_empty()
    }
}

/// What the parts of this planner write to.
pub(super) struct Draft<'a> {
    pub(super) wanted: &'a FinalConfig,
    pub(super) now: &'a Observed,
    pub(super) permission: Permission,
    pub(super) steps: Vec<Step>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) reboots: Vec<String>,
}

impl Draft<'_> {
    pub(super) fn step(&mut self, phase: Phase, origin: &str, action: Action, destructive: bool) {
        let place = if origin.is_empty() { None } else { self.wanted.documents.place(origin) };
        let text = action.to_string();
        self.steps.push(Step { phase, action, origin: origin.to_owned(), place, destructive, text });
    }

    pub(super) fn problem(&mut self, origin: Option<&str>, problem: Problem) {
        let place = origin.filter(|origin| !origin.is_empty()).map(|origin| {
            self.wanted.documents.place(origin).unwrap_or_else(|| Place {
                document: "config".into(),
                path: origin.to_owned(),
                ..Place::default()
            })
        });
        self.problems.push(problem.at(place));
    }
}

/// Works out what to do so that a machine, on which `old` was applied, is as a first boot with `wanted` would have
/// made it.
///
/// # Errors
/// Every problem that can be told: [`Error`] of phase plan.
pub fn plan_change(
    wanted: &FinalConfig,
    old: Option<&Declaration>,
    now: &Observed,
    permission: Permission,
    time: SystemTime,
) -> Result<Change, Error> {
    let nothing = Declaration::default();
    let declared = old.unwrap_or(&nothing);
    let old_config = match old {
        Some(old) => old.config().map_err(|error| Error::new(Phase::Plan, Problem::of(&error)))?,
        None => Config::default(),
    };
    let base = baseline(now, declared);
    let fresh_config = FinalConfig { config: undone(&wanted.config, &old_config, now), ..wanted.clone() };
    let fresh = crate::plan::plan(&fresh_config, &base)?;
    let expectation = expect(&fresh, &base);
    let config = &wanted.config;
    let (steps, warnings, problems, reboots) = (Vec::new(), fresh.warnings.clone(), Vec::new(), Vec::new());
    let mut draft = Draft { wanted, now, permission, steps, warnings, problems, reboots };
    // Disks, mounts and whatever else is not a node or an account is as on a first boot.
    for step in &fresh.steps {
        if !is_ours(&step.action) {
            draft.steps.push(step.clone());
        }
    }
    let want = nodes::wanted(&fresh, expectation.clone(), config, &old_config, declared, &base, &mut draft);
    let want = volumes(config, &old_config, want, &mut draft);
    disks(&fresh, &old_config, &mut draft);
    users::plan(config, &old_config, declared, now, &mut draft);
    let recipes = nodes::recipes(&fresh);
    let comparison = Comparison { now, old: declared, recipes: &recipes, want: &want };
    let changed = comparison.plan(&mut draft);
    units::plan(config, &old_config, &want, &changed, &mut draft);
    draft.steps.sort_by_key(|step| step.phase);
    guard(&mut draft);

    let Draft { steps, warnings, problems, reboots, .. } = draft;
    if !problems.is_empty() {
        return Err(Error { phase: Phase::Plan, problems });
    }
    // Only what the new config is about is declared; what it shares with the old one keeps its first `before`.
    let of_new = want.iter().filter(|(path, _)| expectation.contains_key(*path));
    let of_new: Expectation = of_new.map(|(path, node)| (path.clone(), node.clone())).collect();
    let mut declaration = Declaration::of(wanted, &of_new, &fresh, &base, old, time);
    for (path, managed) in
        declared.nodes.iter().filter(|(path, _)| [CRYPTTAB, KEY_DIR].contains(&path.as_str()))
    {
        if !config.storage.luks.is_empty() {
            declaration.nodes.insert(path.clone(), managed.clone());
        }
    }
    let plan = Plan { version: PLAN_VERSION, steps, warnings };
    Ok(Change { plan, declaration, touched: changed.into_iter().collect(), reboots, expectation: want })
}

/// Steps that the comparison makes itself.
fn is_ours(action: &Action) -> bool {
    matches!(
        action,
        Action::Account { .. }
            | Action::AuthorizeKeys { .. }
            | Action::Remove { .. }
            | Action::Directory { .. }
            | Action::File { .. }
            | Action::KeepFile { .. }
            | Action::Link { .. }
            | Action::HardLink { .. }
    )
}

/// The config without what was done to disks and kernel arguments before: a table that was wiped once is not wiped
/// again. Entries keep their places, so that errors point at the user's lines.
fn undone(config: &Config, old: &Config, now: &Observed) -> Config {
    let mut config = config.clone();
    for disk in &mut config.storage.disks {
        if let Some(known) = old.storage.disks.iter().find(|old| old.device == disk.device) {
            disk.wipe_table = None;
            if known.partitions == disk.partitions {
                disk.partitions.clear();
            }
        }
    }
    let known: BTreeMap<&str, _> =
        old.storage.filesystems.iter().map(|fs| (fs.device.as_str(), fs)).collect();
    for fs in &mut config.storage.filesystems {
        if known.get(fs.device.as_str()).is_some_and(|old| *old == fs) {
            (fs.format, fs.path, fs.wipe_filesystem) = (None, None, None);
        }
    }
    config.storage.raid.retain(|raid| !old.storage.raid.contains(raid));
    // Changes of volumes are refused below; what is there needs nothing.
    config.storage.luks.clear();
    let (new, known) = (&mut config.kernel_arguments, &old.kernel_arguments);
    // What was declared goes with its declaration; what is part of the image stays, whoever declared it too.
    let kernel = &now.kernel;
    let gone = known.should_exist.iter().filter(|karg| {
        !new.should_exist.contains(karg)
            && !new.should_not_exist.contains(karg)
            && (kernel.boot == Boot::Helper || kernel.declared.contains(karg))
    });
    let gone: Vec<String> = gone.cloned().collect();
    new.should_not_exist.extend(gone);
    config
}

/// Encrypted volumes are made on a first boot only; on a running machine their keys and table stay as they are.
fn volumes(config: &Config, old: &Config, mut want: Expectation, draft: &mut Draft<'_>) -> Expectation {
    if config.storage.luks != old.storage.luks {
        let hint = "encrypted volumes are made on a first boot: `orlop-host reset` starts one";
        let problem = Problem::new("LUKS volumes cannot be changed on a running machine").hint(Some(hint));
        draft.problem(Some("$.storage.luks"), problem);
    }
    if !old.storage.luks.is_empty() {
        for path in [CRYPTTAB, KEY_DIR] {
            want.insert(path.to_owned(), draft.now.nodes.get(path).map(of_node));
        }
    }
    want
}

/// What is to be told about disks: what is not done, and what needs a boot.
fn disks(fresh: &Plan, old: &Config, draft: &mut Draft<'_>) {
    let config = &draft.wanted.config;
    let declared = |device: &String| {
        config.storage.disks.iter().any(|disk| disk.device == *device)
            || config.storage.filesystems.iter().any(|fs| fs.device == *device)
    };
    let of_old = old.storage.disks.iter().map(|disk| &disk.device);
    for device in of_old.chain(old.storage.filesystems.iter().map(|fs| &fs.device)) {
        if !declared(device) {
            draft.warnings.push(format!("{device} is no longer declared; what is on it stays"));
        }
    }
    for step in &fresh.steps {
        if let Action::Partition { disk, .. } = &step.action
            && draft.now.devices.get(disk).is_some_and(|device| !device.used_by.is_empty())
        {
            draft.reboots.push(format!("the partition table of {disk} changes while it is in use"));
        }
    }
    if fresh.of(Phase::Kargs).next().is_some() {
        draft.reboots.push("kernel arguments count from the next boot".into());
    }
}

/// Refuses to lose data unasked.
fn guard(draft: &mut Draft<'_>) {
    if draft.permission.destructive {
        return;
    }
    let losing: Vec<(String, String)> = draft
        .steps
        .iter()
        .filter(|step| step.destructive)
        .map(|step| (step.origin.clone(), step.text.clone()))
        .collect();
    for (origin, text) in losing {
        let problem = Problem::new(format!("this would lose data: {text}"))
            .hint(Some("give --allow destructive if that is meant"));
        draft.problem(Some(&origin), problem);
    }
}
