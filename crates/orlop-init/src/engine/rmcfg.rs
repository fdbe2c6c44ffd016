//! `ignition-rmcfg`: removes the user data from the platform, where it can: secrets in them would stay readable.

use std::process::ExitCode;

use provision::Event;
use provision::fetch::resource::Net;
use provision::net::SystemClock;
use provision::platform::{self, Deleted};

use super::flags::{Flags, Takes};
use super::log::{Level, Log};
use super::{FAILED, SET_UP, USAGE, VERSION, client, machine};

const FLAGS: [(&str, Takes); 3] =
    [("platform", Takes::Value), ("log-to-stdout", Takes::Nothing), ("version", Takes::Nothing)];

pub(super) fn main(arguments: &[String]) -> ExitCode {
    let usage = |text: &str| {
        crate::console::error(&format!("{text}\nUsage: ignition-rmcfg --platform NAME [--log-to-stdout]"));
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
    let name = flags.text("platform", "");
    if !flags.operands.is_empty() || name.is_empty() {
        return usage("'--platform' must be provided, and nothing else");
    }
    let log = Log::new(flags.is_set("log-to-stdout"), "rmcfg");
    let provider = match platform::find(&name) {
        Ok(provider) => provider,
        Err(error) => {
            log.say(Level::Critical, error);
            return ExitCode::from(SET_UP);
        }
    };
    let clock = SystemClock::new();
    let mut bring_up = |_: &str| Ok(());
    let (mut net, mut machine) = (Net::new(client(), &clock, &mut bring_up), machine());
    let mut events = |event: Event| log.event(&event);
    let mut env = platform::Env::new(&mut net, &mut machine, "/sys".into(), &mut events);
    match provider.delete(&mut env) {
        Ok(Deleted::Yes) => log.say(Level::Info, "the config is removed"),
        Ok(Deleted::Nothing) => log.say(Level::Info, "there is no config to remove"),
        Ok(Deleted::NotPossible) => {
            log.say(Level::Info, format_args!("platform {name} has no way to remove a config"));
        }
        Err(error) => {
            log.say(Level::Critical, provision::Problem::of(&error).line());
            return ExitCode::from(FAILED);
        }
    }
    ExitCode::SUCCESS
}
