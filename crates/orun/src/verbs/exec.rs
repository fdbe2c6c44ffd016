//! `exec`.

use oci_runtime::relay::Foreground;
use oci_runtime::spec::Process;
use oci_runtime::spec::process::{Capabilities, capability};
use oci_runtime::state::Root;
use oci_runtime::{ExecOptions, protect};

use super::{events, handed_over};
use crate::Failure;
use crate::args::Parsed;
use crate::log::Log;

/// The program: from a file, or the container's own with what the options change.
fn process(root: &Root, id: &str, parsed: &Parsed) -> Result<Process, Failure> {
    if let Some(file) = parsed.value("process") {
        let bytes = std::fs::read(file).map_err(|e| Failure::Value(format!("--process {file}: {e}")))?;
        return oci_runtime::spec::parse_process(&bytes)
            .map_err(|e| Failure::Value(format!("--process {file}: {e}")));
    }
    let mut process = oci_runtime::process_of(root, id)?;
    process.args = parsed.operands[1..].to_vec();
    if process.args.is_empty() {
        return Err(Failure::Value("exec: the command is missing".to_owned()));
    }
    process.terminal = parsed.has("tty");
    process.console_size = None;
    // A further program must not be the last to be killed because the first one is.
    if let Some(cwd) = parsed.value("cwd") {
        if !cwd.starts_with('/') {
            return Err(Failure::Value(format!("--cwd: {cwd} must be absolute")));
        }
        cwd.clone_into(&mut process.cwd);
    }
    process.env.extend(parsed.values("env").map(str::to_owned));
    if let Some(user) = parsed.value("user") {
        set_user(&mut process, user)?;
    }
    for gid in parsed.values("additional-gids") {
        process.user.additional_gids.push(id_number("--additional-gids", gid)?);
    }
    if let Some(profile) = parsed.value("apparmor") {
        process.apparmor_profile = Some(profile.to_owned());
    }
    process.no_new_privileges |= parsed.has("no-new-privs");
    for name in parsed.values("cap") {
        let cap = capability(name).map_err(|e| Failure::Value(format!("--cap: {e}")))?;
        add_capability(&mut process, cap);
    }
    Ok(process)
}

fn id_number(option: &str, text: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| Failure::Value(format!("{option}: {text:?} is not a number")))
}

fn set_user(process: &mut Process, user: &str) -> Result<(), Failure> {
    let (uid, gid) = user.split_once(':').map_or((user, None), |(u, g)| (u, Some(g)));
    process.user.uid = id_number("--user", uid)?;
    if let Some(gid) = gid {
        process.user.gid = id_number("--user", gid)?;
    }
    Ok(())
}

fn add_capability(process: &mut Process, cap: rustix::thread::CapabilitySet) {
    let none = rustix::thread::CapabilitySet::empty();
    let sets = process.capabilities.get_or_insert(Capabilities {
        bounding: none,
        effective: none,
        inheritable: none,
        permitted: none,
        ambient: none,
    });
    sets.bounding |= cap;
    sets.effective |= cap;
    sets.permitted |= cap;
}

pub(super) fn exec(root: &Root, parsed: &Parsed, log: &mut Log) -> Result<u8, Failure> {
    let Some(id) = parsed.operands.first() else {
        return Err(Failure::Value("exec: the container's id is missing".to_owned()));
    };
    if parsed.value("process-label").is_some_and(|l| !l.is_empty()) {
        return Err(Failure::Value("--process-label: orun has no SELinux support yet".to_owned()));
    }
    protect::protect_binary()?;
    let mut process = process(root, id, parsed)?;
    process.terminal |= parsed.has("tty");
    let path = |name| parsed.value(name).filter(|v| !v.is_empty()).map(Into::into);
    let (preserve_fds, extra_env) = handed_over(parsed)?;
    let detach = parsed.has("detach");
    let options = ExecOptions {
        console_socket: path("console-socket"),
        pid_file: path("pid-file"),
        preserve_fds,
        extra_env,
        ignore_paused: parsed.has("ignore-paused"),
        cgroup: parsed.value("cgroup").map(str::to_owned),
        relay_terminal: !detach,
    };
    if process.terminal && detach && options.console_socket.is_none() {
        return Err(Failure::Value("--tty with --detach needs --console-socket".to_owned()));
    }
    if detach {
        oci_runtime::exec(root, id, &process, &options, &mut events(log))?;
        return Ok(0);
    }
    let foreground = Foreground::prepare()?;
    let running = oci_runtime::exec(root, id, &process, &options, &mut events(log))?;
    Ok(u8::try_from(foreground.follow(&running)?).unwrap_or(255))
}
