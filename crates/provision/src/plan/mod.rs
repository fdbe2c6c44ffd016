//! The planner: what has to be done, as a pure function of what is wanted and what there is.
//!
//! A **plan** is a list of steps in the order of execution. Each step belongs to a phase, names the path of the final
//! config that asks for it, and reads as one line. All problems of a config are found at once, and before anything is
//! changed. On a first boot the executor plans again after disks were partitioned and after file systems were mounted,
//! since then there is more to observe; a running machine plans once.

pub mod action;
mod disks;
pub mod expect;
pub mod install;
pub mod kargs;
pub(crate) mod nodes;
mod relabel;
pub mod show;
pub mod units;
pub(crate) mod users;
pub mod volumes;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem};
use crate::event::Phase;
use crate::fetch::FinalConfig;
use crate::fetch::resource::Resource;
use crate::observe::Observed;
use crate::place::Place;
pub use action::Action;
pub(crate) use disks::coming;
pub use disks::device_names;

/// Version of the JSON form of a plan (docs/explanation/provisioning.md).
pub const PLAN_VERSION: u32 = 1;

/// One thing to do, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub phase: Phase,
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// The path of the final config that asks for it.
    pub origin: String,
    /// Where the user wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whether data of the machine may be lost.
    pub destructive: bool,
    /// One line for people.
    pub text: String,
}

/// Everything to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The steps.
    pub steps: Vec<Step>,
    /// What deserves attention though it can be done.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The steps of a phase.
    pub fn of(&self, phase: Phase) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.phase == phase)
    }

    /// A part of the plan.
    #[must_use]
    pub fn only(&self, choose: impl Fn(&Action) -> bool) -> Self {
        let steps = self.steps.iter().filter(|step| choose(&step.action)).cloned().collect();
        Self { version: self.version, steps, warnings: self.warnings.clone() }
    }

    /// The remote resources that its steps will write, each with the path of the final config that names it.
    pub fn resources(&self) -> Vec<(String, Resource)> {
        let mut found = Vec::new();
        for step in &self.steps {
            match &step.action {
                Action::File { base, append, .. } => {
                    if let action::Base::Resource(resource) = base {
                        found.push((format!("{}.contents", step.origin), resource.clone()));
                    }
                    found.extend(append.iter().map(|part| (format!("{}.append", step.origin), part.clone())));
                }
                Action::MakeLuks { volume } | Action::OpenLuks { volume } => {
                    found.extend(
                        volume.key.iter().map(|key| (format!("{}.keyFile", step.origin), key.clone())),
                    );
                }
                _ => {}
            }
        }
        found.retain(|(_, resource)| resource.is_remote());
        found
    }

    /// The plan as lines, for people and golden tests.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let mark = if step.destructive { "! " } else { "" };
            text.push_str(&format!("{}: {mark}{} [{}]\n", step.phase.name(), step.text, step.origin));
        }
        for warning in &self.warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
        text
    }
}

/// What the parts of the planner write to.
struct Draft<'a> {
    wanted: &'a FinalConfig,
    observed: &'a Observed,
    steps: Vec<Step>,
    warnings: Vec<String>,
    problems: Vec<(Phase, Problem)>,
    progress: Progress,
    phases: &'a [Phase],
    /// Directories that steps so far give away: path, user, group.
    given: Vec<(String, action::Id, action::Id)>,
    /// The phase that is being planned.
    now: Phase,
}

impl Draft<'_> {
    fn step(&mut self, phase: Phase, origin: impl Into<String>, action: Action) {
        let origin = origin.into();
        let place = self.wanted.documents.place(&origin);
        let (destructive, text) = (action.is_destructive(), action.to_string());
        self.steps.push(Step { phase, action, origin, place, destructive, text });
    }

    fn problem(&mut self, origin: &str, problem: Problem) {
        let place = self.wanted.documents.place(origin).unwrap_or_else(|| Place {
            document: "config".into(),
            path: origin.to_owned(),
            ..Place::default()
        });
        self.problems.push((self.now, problem.at(Some(place))));
    }

    fn refuse(&mut self, origin: &str, message: impl Into<String>, hint: &str) {
        self.problem(origin, Problem::new(message).hint(Some(hint)));
    }

    fn warn(&mut self, origin: &str, text: impl std::fmt::Display) {
        let place =
            self.wanted.documents.place(origin).map_or_else(|| origin.to_owned(), |place| place.short());
        self.warnings.push(format!("{place}: {text}"));
    }

    /// Refuses when a program that a step needs is not in the image.
    fn need_program(&mut self, origin: &str, program: &str) {
        if !self.observed.programs.contains(program) {
            let message = format!("{program} is needed and not in this image");
            self.refuse(origin, message, "add its package to os/orlop.toml and build the image again");
        }
    }
}

/// How far a first boot has come; what is behind is not planned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing is done.
    Start,
    /// Partition tables are as they shall be.
    Partitioned,
    /// RAID arrays run.
    Assembled,
    /// LUKS volumes are open.
    Unlocked,
    /// File systems are made and mounted.
    Mounted,
}

/// Works out what to do so that the machine is as `wanted` says, given what is `observed`.
///
/// # Errors
/// Every problem of the config that can be told from what is observed: [`Error`] of phase plan.
pub fn plan(wanted: &FinalConfig, observed: &Observed) -> Result<Plan, Error> {
    plan_from(wanted, observed, Progress::Start)
}

/// [`plan`] of a first boot that has come some way.
///
/// # Errors
/// As [`plan`].
pub fn plan_from(wanted: &FinalConfig, observed: &Observed, progress: Progress) -> Result<Plan, Error> {
    plan_phases(wanted, observed, progress, &Phase::ALL)
}

/// [`plan_from`] of some phases only, for a machine that runs them one at a time: what is wrong with others is not told.
///
/// # Errors
/// As [`plan`].
pub fn plan_phases(
    wanted: &FinalConfig,
    observed: &Observed,
    progress: Progress,
    phases: &[Phase],
) -> Result<Plan, Error> {
    let (steps, warnings, problems) = (Vec::new(), Vec::new(), Vec::new());
    let now = Phase::Kargs;
    let given = Vec::new();
    let mut draft = Draft { wanted, observed, steps, warnings, problems, progress, phases, given, now };
    if progress == Progress::Start && phases.contains(&Phase::Kargs) {
        kargs::plan(&mut draft);
    }
    let unfinished = &observed.unfinished;
    if progress == Progress::Start && !unfinished.is_empty() {
        let (parts, nodes) =
            (unfinished.partitions.values().map(Vec::len).sum::<usize>(), unfinished.nodes.len());
        let volumes = unfinished.volumes.len() + unfinished.arrays.len();
        draft.warnings.push(format!(
            "a first boot was cut short before: what it made is taken as its own ({parts} partitions, {volumes} \
             volumes, {nodes} files and links)"
        ));
    }
    draft.now = Phase::Disks;
    let mounts =
        if progress < Progress::Mounted { disks::plan(&mut draft) } else { disks::Mounts::default() };
    if phases.contains(&Phase::Files) {
        draft.now = Phase::Files;
        users::plan(&mut draft);
        let mut world = observed.nodes.clone();
        nodes::plan(&mut draft, &mut world, &mounts);
        units::plan(&mut draft, &mut world);
        volumes::plan_keys(&mut draft);
        relabel::plan(&mut draft);
    }
    disks::unmount(&mut draft, &mounts);
    draft.steps.retain(|step| phases.contains(&step.phase));
    draft.problems.retain(|(phase, _)| phases.contains(phase));
    draft.steps.sort_by_key(|step| step.phase);
    let Draft { steps, warnings, problems, .. } = draft;
    if problems.is_empty() {
        Ok(Plan { version: PLAN_VERSION, steps, warnings })
    } else {
        Err(Error {
            phase: Phase::Plan,
            problems: problems.into_iter().map(|(_, problem)| problem).collect(),
        })
    }
}
