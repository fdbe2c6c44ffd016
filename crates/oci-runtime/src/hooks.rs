//! Hooks: programs of the config, run one after another with the container's state on their standard input.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::error::{Error, Result};
use crate::spec::Hook;

/// A list of hooks and what they are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookRun<'a> {
    /// Name of the list in the config.
    pub(crate) kind: &'static str,
    /// In order.
    pub(crate) hooks: &'a [Hook],
    /// State JSON.
    pub(crate) state: &'a str,
}

/// Runs all; the first failure ends it.
pub(crate) fn run_all(run: &HookRun<'_>) -> Result<()> {
    for (index, hook) in run.hooks.iter().enumerate() {
        run_one(hook, run.state).map_err(|why| Error::Hook {
            kind: run.kind,
            index,
            path: hook.path.clone(),
            why,
        })?;
    }
    Ok(())
}

/// Runs all, whatever fails, and gives the failures.
pub(crate) fn run_each(run: &HookRun<'_>) -> Vec<Error> {
    let failed = |(index, hook): (usize, &Hook)| {
        let why = run_one(hook, run.state).err()?;
        Some(Error::Hook { kind: run.kind, index, path: hook.path.clone(), why })
    };
    run.hooks.iter().enumerate().filter_map(failed).collect()
}

fn run_one(hook: &Hook, state: &str) -> std::result::Result<(), String> {
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear();
    for variable in &hook.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    command.stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot run: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input.
        let _ = stdin.write_all(state.as_bytes());
    }
    let status = match hook.timeout {
        Some(timeout) => wait_at_most(&mut child, timeout)?,
        None => child.wait().map_err(|e| e.to_string())?,
    };
    judge(status)
}

fn judge(status: ExitStatus) -> std::result::Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit code {code}")),
        (_, Some(signal)) => Err(format!("killed by signal {signal}")),
        _ => Err(status.to_string()),
    }
}

fn wait_at_most(child: &mut Child, timeout: Duration) -> std::result::Result<ExitStatus, String> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|e| e.to_string())?;
    let limit =
        Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: i64::from(timeout.subsec_nanos()) };
    let ended = rustix::event::poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Some(&limit));
    if ended == Ok(0) {
        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        let _ = child.wait();
        return Err(format!("still running after {} s", timeout.as_secs()));
    }
    child.wait().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<u64>) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "-c".into(), script.into()],
            env: vec!["WORD=x=y".into()],
            timeout: timeout.map(Duration::from_secs),
        }
    }

    #[test]
    fn outcomes() {
        assert_eq!(run_one(&shell("test \"$WORD\" = x=y && test \"$(cat)\" = '{}'", None), "{}"), Ok(()));
        assert_eq!(run_one(&shell("exit 3", Some(5)), "{}"), Err("exit code 3".into()));
        assert_eq!(run_one(&shell("kill -9 $$", None), "{}"), Err("killed by signal 9".into()));
        assert_eq!(run_one(&shell("exec sleep 30", Some(1)), "{}"), Err("still running after 1 s".into()));
        let missing = Hook { path: "/no/such".into(), ..shell("", None) };
        assert!(run_one(&missing, "{}").unwrap_err().starts_with("cannot run"));
    }

    #[test]
    fn the_first_failure_ends_create_hooks_but_not_poststop_hooks() {
        let hooks = [shell("exit 1", None), shell("exit 2", None)];
        let run = HookRun { kind: "poststop", hooks: &hooks, state: "{}" };
        assert!(run_all(&run).unwrap_err().to_string().starts_with("hooks.poststop[0] /bin/sh: exit code 1"));
        assert_eq!(run_each(&run).len(), 2);
    }
}
