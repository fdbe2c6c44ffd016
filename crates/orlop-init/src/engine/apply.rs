//! `ignition-apply`: files and units of a config, on a tree that is not booted or in a container.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use provision::fetch::{self, resource::Net};
use provision::net::SystemClock;
use provision::{Error, Event, FinalConfig, Phase, Problem};

use super::flags::{Flags, Takes};
use super::log::{Level, Log};
use super::{FAILED, VERSION, client, programs, stage};

const FLAGS: [(&str, Takes); 4] = [
    ("version", Takes::Nothing),
    ("root", Takes::Value),
    ("ignore-unsupported", Takes::Nothing),
    ("offline", Takes::Nothing),
];

pub(super) fn main(arguments: &[String]) -> ExitCode {
    let flags = match Flags::parse(arguments, &FLAGS) {
        Ok(flags) if flags.is_set("version") => {
            crate::console::line(VERSION);
            return ExitCode::SUCCESS;
        }
        Ok(flags) if flags.operands.len() == 1 => flags,
        _ => {
            let text = "Usage: ignition-apply [--root DIR] [--ignore-unsupported] [--offline] CONFIG|-";
            crate::console::error(text);
            return ExitCode::from(FAILED);
        }
    };
    let log = Log::new(true, "apply");
    match apply(&flags, &log) {
        Ok(steps) => {
            log.say(Level::Info, format_args!("{steps} steps"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            log.fail(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn apply(flags: &Flags, log: &Log) -> Result<usize, Error> {
    let name = &flags.operands[0];
    let mut bytes = Vec::new();
    let read = match name.as_str() {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(drop),
        path => std::fs::read(path).map(|read| bytes = read),
    };
    read.map_err(|error| {
        Error::new(Phase::Fetch, Problem::while_doing(format!("cannot read {name}"), &error))
    })?;
    let clock = SystemClock::new();
    let offline = flags.is_set("offline");
    let mut bring_up = |_: &str| if offline { Err("--offline".to_owned()) } else { Ok(()) };
    let mut net = Net::new(client(), &clock, &mut bring_up);
    let mut events = |event: Event| log.event(&event);
    let mut wanted = fetch::document(name, bytes, &mut net, &mut events)?;
    if offline && fetch::needs_network(&wanted.config) {
        let problem = Problem::new("the config refers to what is on the network, and --offline is given");
        return Err(Error::new(Phase::Fetch, problem));
    }
    unsupported(&mut wanted, flags.is_set("ignore-unsupported"), log)?;
    let programs = programs();
    let mut env = stage::environment(&PathBuf::from(flags.text("root", "/")), &programs, net)?;
    env.options.report = false;
    provision::run::files(&wanted, &mut env, &mut events)
}

/// Refuses, or leaves out, what only a first boot can do.
fn unsupported(wanted: &mut FinalConfig, ignore: bool, log: &Log) -> Result<(), Error> {
    let config = &mut wanted.config;
    let (storage, arguments) = (&config.storage, &config.kernel_arguments);
    let sections = [
        ("storage.disks", storage.disks.is_empty()),
        ("storage.raid", storage.raid.is_empty()),
        ("storage.luks", storage.luks.is_empty()),
        ("storage.filesystems", storage.filesystems.is_empty()),
        ("passwd", config.passwd.users.is_empty() && config.passwd.groups.is_empty()),
        ("kernelArguments", arguments.should_exist.is_empty() && arguments.should_not_exist.is_empty()),
    ];
    let mut problems = Vec::new();
    for (section, _) in sections.into_iter().filter(|(_, empty)| !empty) {
        let text = format!("cannot apply {section} live");
        if ignore {
            log.say(Level::Warning, format_args!("{text}; it is left out"));
        } else {
            let place = wanted.documents.place(&format!("$.{section}"));
            problems.push(Problem::new(text).at(place).hint(Some("--ignore-unsupported leaves it out")));
        }
    }
    if !problems.is_empty() {
        return Err(Error { phase: Phase::Plan, problems });
    }
    config.storage.disks.clear();
    config.storage.raid.clear();
    config.storage.luks.clear();
    config.storage.filesystems.clear();
    config.passwd = ignition_spec::config::Passwd::default();
    config.kernel_arguments = ignition_spec::config::KernelArguments::default();
    Ok(())
}
