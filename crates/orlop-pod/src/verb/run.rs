//! `orlop-pod run`

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use cli::{Error, Kind, ResultExt};
use pod::pods::{Handle, State};

use super::prepare::{What, prepare};
use super::run_prepared::run_held;
use crate::context::{Context, pods_error};

/// How often a detached monitor that is not ready yet is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Run a pod
///
/// In the foreground: what its containers print is printed, and the exit code is that of the first container that
/// failed, 128 + n for signal n, or 254 where the pod could not be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,

    /// Return as soon as the pod runs, and print its id
    #[arg(short, long, conflicts_with = "unit")]
    detach: bool,

    /// Remove pods of this name that ended
    #[arg(long)]
    replace: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        context.passing_codes(|| self.go(context))
    }

    fn go(&self, context: &Context) -> Result<ExitCode, Error> {
        let (text, spec) = self.what.declaration(context)?;
        // Told before anything is fetched; the monitor holds the name for good.
        drop(context.pods()?.hold_name(&spec.name).map_err(pods_error)?);
        if self.replace || self.what.unit.is_some() {
            remove_ended(context, &spec.name)?;
        }
        let handle = prepare(context, &text, &spec)?;
        let id = handle.id().to_owned();
        let result = if self.detach { detach(context, handle) } else { run_held(context, handle) };
        if result.is_err() && context.find(&id).is_ok_and(|seen| seen.state == State::Prepared) {
            // Another pod of the name was faster: nobody asked for a prepared one.
            pod::gc::remove(&context.pods()?, &context.store()?, &id).map_err(super::rm::gc_error)?;
        }
        result
    }
}

/// Removes the pods of a name that ended, and ends those whose monitor died.
fn remove_ended(context: &Context, name: &str) -> Result<(), Error> {
    let (pods, store) = (context.pods()?, context.store()?);
    for seen in pods.list().map_err(pods_error)?.into_iter().filter(|seen| seen.name() == name) {
        if seen.torn && seen.state == State::Running {
            pod::gc::end_torn(&pods, &context.runtime(), &seen).map_err(super::rm::gc_error)?;
        }
        if matches!(seen.state, State::Exited | State::Running) && !seen.is_running() {
            pod::gc::remove(&pods, &store, &seen.id).map_err(super::rm::gc_error)?;
        }
    }
    Ok(())
}

/// Starts a monitor in a session of its own and waits until the pod runs.
fn detach(context: &Context, handle: Handle) -> Result<ExitCode, Error> {
    let id = handle.id().to_owned();
    let dir = context.dirs.run.join("ready");
    std::fs::create_dir_all(&dir).kind(Kind::System)?;
    let socket = dir.join(&id);
    let ready = UnixDatagram::bind(&socket).kind(Kind::System)?;
    ready.set_read_timeout(Some(POLL)).kind(Kind::System)?;
    let log = std::fs::File::create(handle.dir().join("monitor.log")).kind(Kind::System)?;
    let log_path = handle.dir().join("monitor.log");
    // The monitor takes hold of the pod itself.
    drop(handle);
    let program = std::env::current_exe().kind(Kind::System)?;
    let mut command = Command::new(program);
    command.arg("--root").arg(context.root()).args(["run-prepared", "--quiet", &id]);
    command.env(pod::notify::VARIABLE, &socket);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    let child = command.spawn().kind(Kind::System)?;
    let result = wait_until_ready(&ready, child);
    let _ = std::fs::remove_file(&socket);
    if !result? {
        return Err(not_ready(context, &id, &log_path));
    }
    if context.json() {
        cli::out_json(&serde_json::json!({ "id": id }));
    } else {
        cli::out(&format!("{id}\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the monitor said that the pod runs, rather than ended.
fn wait_until_ready(ready: &UnixDatagram, mut child: Child) -> Result<bool, Error> {
    let mut buffer = [0u8; 4096];
    loop {
        if let Ok(count) = ready.recv(&mut buffer)
            && buffer[..count].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
        {
            return Ok(true);
        }
        if child.try_wait().kind(Kind::System)?.is_some() {
            // It may have said so just before a short pod's end.
            return Ok(ready.recv(&mut buffer).is_ok_and(|count| buffer[..count].starts_with(b"READY=1")));
        }
    }
}

fn not_ready(context: &Context, id: &str, log_path: &std::path::Path) -> Error {
    let seen = context.find(id).ok();
    let told = seen.as_ref().and_then(|seen| seen.status.as_ref()?.error.clone());
    let log = seen.map_or_else(|| log_path.to_owned(), |seen| seen.dir.join("monitor.log"));
    let text = told.or_else(|| Some(std::fs::read_to_string(log).ok()?.trim().to_owned()));
    Error::message(
        Kind::System,
        text.unwrap_or_else(|| "the pod's monitor ended before the pod ran".to_owned()),
    )
}
