//! The executor: one step after the other, each through a capability of [`Env`]; nothing is decided here.

mod accounts;
pub(crate) mod disks;
mod files;
pub mod programs;

use block::devices::Devices;

use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::fetch::resource::{Net, ResourceError};
use crate::net::http::HttpSettings;
use crate::plan::{Action, Plan, Step};
use crate::root::{Root, RootError};
pub(crate) use files::write as write_file;
pub use programs::{ProgramError, Programs, SystemPrograms};

/// Everything that a step may touch.
#[derive(Debug)]
pub struct Env<'a> {
    /// The machine's tree.
    pub root: Root,
    /// The machine's block devices.
    pub devices: Devices,
    /// Programs of the OS.
    pub programs: &'a dyn Programs,
    /// The network, and time.
    pub net: Net<'a>,
    /// How long to wait for a device that the config names.
    pub device_timeout: std::time::Duration,
    /// Id of this boot, for the report (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// In the machine's tree.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A resource could not be had.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A device could not be looked at.
    #[error(transparent)]
    Devices(#[from] block::devices::DevicesError),
    /// A partition table could not be written.
    #[error(transparent)]
    Gpt(#[from] block::gpt::GptError),
    /// The device did not come, or went away.
    #[error("there is no device {device}")]
    NoDevice {
        /// Its name in the config.
        device: String,
    },
    /// The kernel refuses something about a device.
    #[error("cannot {action} {device}")]
    Device {
        /// What was tried.
        action: &'static str,
        /// The node.
        device: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// An owner does not exist.
    #[error("there is no {what} {name}")]
    NoAccount {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl StepError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Resource(error) => error.hint(),
            _ => None,
        }
    }
}

/// Executes the steps of a phase for which `choose` says yes.
///
/// # Errors
/// The first step that fails, with the place in the config that asked for it.
pub fn execute(
    plan: &Plan,
    phase: Phase,
    choose: impl Fn(&Action) -> bool,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<usize, Error> {
    let mut accounts = accounts::Accounts::default();
    let mut done = 0;
    for step in plan.of(phase).filter(|step| choose(&step.action)) {
        events(Event::Step(phase, step.text.clone()));
        run(step, settings, env, &mut accounts, events).map_err(|error| {
            let problem = Problem::while_doing(format!("cannot {}", step.text), &error);
            Error::new(phase, problem.at(step.place.clone()).hint(error.hint()))
        })?;
        done += 1;
    }
    Ok(done)
}

fn run(
    step: &Step,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    accounts: &mut accounts::Accounts,
    events: Events<'_>,
) -> Result<(), StepError> {
    match &step.action {
        Action::Partition { node, after, .. } => disks::partition(node, after, env),
        Action::Wipe { device, .. } => disks::wipe(device, env),
        Action::MakeFilesystem { device, command, .. } => disks::make_filesystem(device, command, env),
        Action::ReuseFilesystem { .. } => Ok(()),
        Action::Mount { device, path, format, options } => disks::mount(device, path, format, options, env),
        Action::Unmount { path } => disks::unmount(path, env),
        Action::Account { program, args, .. } => accounts.change(program, args, env),
        Action::AuthorizeKeys { user, keys } => accounts.authorize(user, keys, env),
        Action::Remove { path, .. } => Ok(env.root.remove(path)?),
        Action::Directory { path, access, .. } => {
            let attributes = accounts.attributes(access, &env.root)?;
            Ok(env.root.make_dir(path, attributes)?)
        }
        Action::File { path, access, base, append, .. } => {
            let attributes = accounts.attributes(access, &env.root)?;
            files::write(path, attributes, base, append, settings, env, events)
        }
        Action::KeepFile { path, access, .. } => {
            let attributes = accounts.attributes(access, &env.root)?;
            Ok(env.root.set_attributes(path, attributes)?)
        }
        Action::Link { path, target, user, group } => {
            let (user, group) = (accounts.user(user, &env.root)?, accounts.group(group, &env.root)?);
            Ok(env.root.make_symlink(path, target, user, group)?)
        }
        Action::HardLink { path, target } => Ok(env.root.make_hard_link(path, target)?),
        Action::Unit { verb, unit, .. } => {
            let args = [verb.word(), unit].into_iter().filter(|word| !word.is_empty());
            Ok(env.programs.run("systemctl", &args.map(str::to_owned).collect::<Vec<_>>())?)
        }
    }
}
