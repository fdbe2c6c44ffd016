//! `orlop-pod run-prepared`, and the monitor in this process

use std::io::Write;
use std::process::ExitCode;

use cli::Error;
use pod::logs::Stream;
use pod::monitor::{Event, run};
use pod::pods::{Handle, State};

use crate::context::{Context, monitor_error, pods_error};

/// Run a pod that was prepared
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id, or the beginning of an id
    pod: String,

    /// Do not print what its containers print
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        context.passing_codes(|| {
            let seen = context.find(&self.pod)?;
            let handle = context.pods()?.hold(&seen.id, &[State::Prepared]).map_err(pods_error)?;
            monitor(context, handle, !self.quiet)
        })
    }
}

/// Runs a pod that is held, in the foreground.
pub(crate) fn run_held(context: &Context, handle: Handle) -> Result<ExitCode, Error> {
    monitor(context, handle, true)
}

fn monitor(context: &Context, handle: Handle, print: bool) -> Result<ExitCode, Error> {
    let many = handle.spec().map_err(pods_error)?.containers.len() > 1;
    let store = context.store()?;
    let mut tell = |event: Event<'_>| match event {
        // Without a service manager there is nobody to tell; one that is gone will kill us anyway.
        Event::Ready { .. } => drop(pod::notify::notify("READY=1")),
        Event::Line { app, stream, text } if print => mirror(many.then_some(app), stream, text),
        Event::Ended { app, code } if code != 0 => {
            cli::say(&format!("container {app} ended with code {code}"));
        }
        Event::Leftover { what } => cli::say(&format!("warning: {what}")),
        _ => {}
    };
    let code = run(handle, &store, &context.runtime(), &mut tell).map_err(monitor_error)?;
    Ok(ExitCode::from(code))
}

/// Prints a line of a container; a closed pipe must not end the pod.
fn mirror(app: Option<&str>, stream: Stream, text: &[u8]) {
    let mut line = Vec::with_capacity(text.len() + 1);
    if let Some(app) = app {
        line.extend(format!("{app}: ").bytes());
    }
    line.extend(text);
    line.push(b'\n');
    match stream {
        Stream::Stdout => drop(std::io::stdout().lock().write_all(&line)),
        Stream::Stderr => drop(std::io::stderr().lock().write_all(&line)),
    }
}
