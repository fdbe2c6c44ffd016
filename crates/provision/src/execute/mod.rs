//! The executor: one step after the other, each through a capability of [`Env`]; nothing is decided here.

mod accounts;
mod addon;
pub(crate) mod disks;
mod files;
mod luks;
pub mod programs;

use block::devices::Devices;

use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::fetch::resource::{Net, ResourceError};
use crate::net::http::HttpSettings;
use crate::plan::{Action, Plan, Step, kargs};
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
    /// What differs from machine to machine.
    pub options: Options,
    /// Keys of LUKS volumes by name, from when they are made or opened until they are kept in the tree.
    pub keys: std::collections::BTreeMap<String, Vec<u8>>,
    /// Directories that were made for mount points, by true path, from phase mount to phase files.
    pub mount_points_made: Vec<String>,
}

/// What a front knows of its machine beyond where things are.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the root for the notes of a first boot ([`crate::notes`]); `None` keeps none.
    pub notes: Option<String>,
    /// Directory for contents that are too large for memory, on a tmpfs ([`crate::fetch::spool`]).
    pub spool: Option<std::path::PathBuf>,
    /// The kernel's command line, and how it can be changed.
    pub kernel: KernelOptions,
    /// Whether keys go to `.ssh/authorized_keys.d/ignition` instead of `.ssh/authorized_keys`.
    pub keys_fragment: bool,
    /// Whether the report is written.
    pub report: bool,
    /// Whether `/usr` may be written: on systems of another make.
    pub writable_usr: bool,
}

/// See [`Options::kernel`].
#[derive(Debug, Clone, Default)]
pub struct KernelOptions {
    /// The command line in force.
    pub command_line: String,
    /// Where the ESP is mounted, on a machine that was started from it by systemd-stub.
    pub esp: Option<std::path::PathBuf>,
    /// Whether the firmware takes signed files only.
    pub secure_boot: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            notes: None,
            spool: None,
            kernel: KernelOptions::default(),
            keys_fragment: true,
            report: true,
            writable_usr: false,
        }
    }
}

/// See [`crate::fuzz::kernel_addon`].
pub(crate) fn fuzz_addon(bytes: &[u8]) {
    let _ = addon::parse(bytes);
    let line = String::from_utf8_lossy(bytes).replace('\0', " ");
    assert_eq!(addon::parse(&addon::build(&line)), kargs::words(&line));
}

/// What is known of the kernel's arguments.
///
/// # Errors
/// When the ESP cannot be read.
pub fn kernel(options: &KernelOptions, programs: &dyn Programs) -> Result<kargs::Kernel, RootError> {
    let mut kernel =
        kargs::Kernel { arguments: kargs::words(&options.command_line), ..kargs::Kernel::default() };
    match &options.esp {
        Some(esp) => {
            kernel.boot = kargs::Boot::AddOn { secure: options.secure_boot };
            kernel.declared = addon::read(esp)?;
        }
        None if programs.has(kargs::HELPER) => kernel.boot = kargs::Boot::Helper,
        None => {}
    }
    Ok(kernel)
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
    /// No key was made or given for a volume.
    #[error("the key of LUKS volume {name} is not at hand")]
    NoKey {
        /// The volume.
        name: String,
    },
    /// Random numbers or memory for a key.
    #[error("cannot make a key")]
    MakeKey {
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
        Action::KernelArguments { arguments } => addon::change(arguments, env),
        Action::MakeRaid { name, args, members, .. } => disks::make_raid(name, args, members, env),
        Action::MakeLuks { volume } => luks::make(volume, settings, env, events),
        Action::OpenLuks { volume } => luks::open(volume, settings, env, events),
        Action::KeepKey { name, path, access } => {
            let attributes = accounts.attributes(access, &env.root)?;
            luks::keep(name, path, attributes, env)
        }
        Action::Relabel { contexts, paths } => files::relabel(contexts, paths, env),
        Action::Mount { device, path, format, options } => disks::mount(device, path, format, options, env),
        Action::Unmount { path } => disks::unmount(path, env),
        Action::Account { program, args, .. } => accounts.change(program, args, env),
        Action::OwnHome { user, paths } => accounts.own(user, paths, env),
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
