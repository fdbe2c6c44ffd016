//! `ignition`: one stage of provisioning.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use block::devices::Devices;
use provision::execute::{KernelOptions, Options};
use provision::fetch::{self, resource::Net};
use provision::net::SystemClock;
use provision::net::http::Identity;
use provision::{Durability, Env, Error, Event, FetchEnv, FinalConfig, Phase, Root, SystemPrograms};

use super::flags::{self, Flags, Takes};
use super::log::{Level, Log};
use super::state::{State, replace};
use super::{FAILED, SET_UP, USAGE, VERSION, client, journal, programs, sources, variable};

const FLAGS: [(&str, Takes); 9] = [
    ("config-cache", Takes::Value),
    ("fetch-timeout", Takes::Value),
    ("neednet", Takes::Value),
    ("platform", Takes::Value),
    ("root", Takes::Value),
    ("stage", Takes::Value),
    ("state-file", Takes::Value),
    ("version", Takes::Nothing),
    ("log-to-stdout", Takes::Nothing),
];
const STAGES: [&str; 7] = ["fetch-offline", "fetch", "kargs", "disks", "mount", "files", "umount"];
/// How long a device of the config is waited for; upstream leaves that to systemd's own limit of 90 s.
const DEVICE_WAIT: Duration = Duration::from_secs(10);
/// Said of a URL when there may be no network yet.
const OFFLINE: &str = "this stage runs before the network is up";

/// What the flags say.
struct Run {
    stage: String,
    platform: String,
    root: PathBuf,
    cache: PathBuf,
    need_net: PathBuf,
    state_file: PathBuf,
    log: Log,
}

pub(super) fn main(arguments: &[String]) -> ExitCode {
    let usage = |text: &str| {
        crate::console::error(&format!("{text}\nUsage of ignition: {}", usage()));
        ExitCode::from(USAGE)
    };
    let flags = match Flags::parse(arguments, &FLAGS) {
        Ok(flags) => flags,
        Err(text) => return usage(&text),
    };
    if flags.is_set("version") {
        crate::console::line(VERSION);
        return ExitCode::SUCCESS;
    }
    let (stage, platform) = (flags.text("stage", ""), flags.text("platform", ""));
    if platform.is_empty() {
        return usage("'--platform' must be provided");
    }
    if !STAGES.contains(&stage.as_str()) {
        return usage(&format!("'--stage' must be one of {}", STAGES.join(", ")));
    }
    if flags::duration(&flags.text("fetch-timeout", "0")).is_none() {
        return usage("'--fetch-timeout' must be a duration such as 1m30s");
    }
    let path = |name: &str, default: &str| PathBuf::from(flags.text(name, default));
    let run = Run {
        root: Some(path("root", "/"))
            .filter(|root| !root.as_os_str().is_empty())
            .unwrap_or_else(|| "/".into()),
        cache: path("config-cache", "/run/ignition.json"),
        need_net: path("neednet", "/run/ignition/neednet"),
        state_file: path("state-file", "/run/ignition/state"),
        log: Log::new(flags.is_set("log-to-stdout"), &stage),
        stage,
        platform,
    };
    run.log.say(Level::Info, VERSION);
    let mut state = match State::load(&run.state_file) {
        Ok(state) => state,
        Err(error) => {
            run.log.say(Level::Critical, format_args!("cannot read {}: {error}", run.state_file.display()));
            return ExitCode::from(SET_UP);
        }
    };
    let done = match run.stage.as_str() {
        "fetch" | "fetch-offline" => run.fetch(&mut state),
        _ => run.stage(&mut state),
    };
    if let Err(error) = done {
        run.log.fail(&error);
        return ExitCode::from(FAILED);
    }
    if let Err(error) = state.save(&run.state_file) {
        run.log.say(Level::Critical, format_args!("cannot write {}: {error}", run.state_file.display()));
        return ExitCode::from(FAILED);
    }
    run.log.say(Level::Info, "finished");
    ExitCode::SUCCESS
}

fn usage() -> String {
    let flag = |(name, takes): &(&str, Takes)| match takes {
        Takes::Nothing => format!("[-{name}]"),
        Takes::Value => format!("[-{name} VALUE]"),
    };
    FLAGS.iter().map(flag).collect::<Vec<_>>().join(" ")
}

/// An error of the files around a stage.
fn failed(phase: Phase, what: &str, path: &Path, error: &dyn std::error::Error) -> Error {
    Error::new(phase, provision::Problem::while_doing(format!("cannot {what} {}", path.display()), error))
}

impl Run {
    /// Finds the config, and leaves it merged in the cache. Offline: what takes the network is noted instead.
    fn fetch(&self, state: &mut State) -> Result<(), Error> {
        let offline = self.stage == "fetch-offline";
        let clock = SystemClock::new();
        let mut asked_for = None;
        let mut bring_up = |url: &str| {
            asked_for = Some(url.to_owned());
            if offline { Err(OFFLINE.to_owned()) } else { Ok(()) }
        };
        let net = Net::new(client(), &clock, &mut bring_up);
        let mut env = FetchEnv { sources: sources(&self.platform), net, machine: super::machine() };
        let mut events = |event: Event| self.log.event(&event);
        let fetched = provision::fetch_config(&mut env, &mut events);
        drop(env);
        let mut wanted = match fetched {
            Err(_) if offline && asked_for.is_some() => return self.note_network(),
            fetched => fetched?,
        };
        if offline && fetch::needs_network(&wanted.config) {
            self.note_network()?;
        }
        fetch::inline_authorities(&mut wanted);
        // No config at all is a config of no version.
        if wanted.config.ignition.version.is_empty() {
            wanted.config.ignition.version = ignition_spec::Spec::STABLE.to_string();
        }
        self.remember(&wanted, state);
        replace(&self.cache, 0o640, &wanted.config.to_json())
            .map_err(|error| failed(Phase::Fetch, "write", &self.cache, &error))
    }

    fn note_network(&self) -> Result<(), Error> {
        self.log.say(Level::Info, "the network is needed");
        replace(&self.need_net, 0o644, b"")
            .map_err(|error| failed(Phase::Fetch, "write", &self.need_net, &error))
    }

    /// Says which configs were used, in the state file and in the journal.
    fn remember(&self, wanted: &FinalConfig, state: &mut State) {
        let kind = if wanted.user_config_provided { "user" } else { "base" };
        state.configs = vec![(kind.to_owned(), self.platform.clone(), false)];
        for name in wanted.documents.names() {
            let text = format!("fetched {kind} config from {name:?}");
            let fields = [
                ("MESSAGE_ID", journal::FETCHED_CONFIG),
                ("IGNITION_CONFIG_TYPE", kind),
                ("IGNITION_CONFIG_SRC", name),
                ("IGNITION_CONFIG_REFERENCED", if name.contains(" at $") { "true" } else { "false" }),
            ];
            journal::send(&text, 6, &fields);
        }
    }

    /// Runs a stage over the cached config.
    fn stage(&self, state: &mut State) -> Result<(), Error> {
        let clock = SystemClock::new();
        let mut bring_up = |_: &str| Ok(());
        let mut net = Net::new(client(), &clock, &mut bring_up);
        net.identity = Identity::of_platform(&self.platform);
        let mut events = |event: Event| self.log.event(&event);
        let bytes = std::fs::read(&self.cache)
            .map_err(|error| failed(Phase::Fetch, "read the config cache", &self.cache, &error))?;
        let mut wanted = fetch::cached(&self.cache.display().to_string(), &bytes, &mut net, &mut events)?;
        wanted.user_config_provided = state.user_config();
        let programs = programs();
        let mut env = environment(&self.root, &programs, net)?;
        env.keys = std::mem::take(&mut state.keys);
        env.mount_points_made.clone_from(&state.mount_points_made);
        let done = match self.stage.as_str() {
            "disks" => provision::run::disks(&wanted, &mut env, &mut events),
            "kargs" => provision::run::one_phase(&wanted, Phase::Kargs, &mut env, &mut events),
            "mount" => provision::run::one_phase(&wanted, Phase::Mount, &mut env, &mut events),
            "umount" => provision::run::one_phase(&wanted, Phase::Umount, &mut env, &mut events),
            _ => provision::run::files(&wanted, &mut env, &mut events),
        };
        state.keys = std::mem::take(&mut env.keys);
        state.mount_points_made = std::mem::take(&mut env.mount_points_made);
        self.log.say(Level::Info, format_args!("{} steps", done?));
        if self.stage == "files" {
            tell_keys(&wanted);
        }
        Ok(())
    }
}

/// Says in the journal whose keys were written: programs look for the entries.
fn tell_keys(wanted: &FinalConfig) {
    for user in &wanted.config.passwd.users {
        if user.should_exist != Some(false) && !user.ssh_authorized_keys.is_empty() {
            let text = format!("wrote ssh authorized keys file for user: {}", user.name);
            let fields =
                [("MESSAGE_ID", journal::AUTHORIZED_KEYS), ("IGNITION_USER_NAME", user.name.as_str())];
            journal::send(&text, 6, &fields);
        }
    }
}

/// The machine as a stage of upstream's sees it: any system, with its own tools.
pub(super) fn environment<'a>(
    root: &Path,
    programs: &'a SystemPrograms,
    net: Net<'a>,
) -> Result<Env<'a>, Error> {
    let error = |error: &dyn std::error::Error| failed(Phase::Plan, "use the root", root, error);
    let absolute = std::path::absolute(root).map_err(|source| error(&source))?;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let cmdline = super::path_of("IGNITION_KERNEL_CMDLINE_PATH", "/proc/cmdline");
    let fragment = variable("IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT");
    Ok(Env {
        root: Root::open(&absolute, Durability::AtEnd).map_err(|source| error(&source))?,
        devices: Devices::default(),
        programs,
        net,
        device_timeout: DEVICE_WAIT,
        boot_id: boot_id.trim().to_owned(),
        options: Options {
            kernel: KernelOptions {
                command_line: std::fs::read_to_string(cmdline).unwrap_or_default(),
                ..KernelOptions::default()
            },
            keys_fragment: !fragment.is_some_and(|value| matches!(value.as_str(), "false" | "0")),
            writable_usr: true,
            ..Options::default()
        },
        keys: std::collections::BTreeMap::new(),
        mount_points_made: Vec::new(),
    })
}
