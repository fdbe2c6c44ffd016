//! The monitor of a pod: one process that starts its containers, keeps what they print, reaps them, stops them.
//!
//! It has one thread and waits in one `poll(2)`: for signals, and for the pipes of its containers. What to do next
//! is decided by [`step`] (and by [`signals`], which one stops a process); this module does it. Everything that it holds (mounts, namespaces, locks) is the kernel's
//! to release when it dies.

pub mod signals;
pub mod step;

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use linux::signal::SignalFd;
use oci_image::Store;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitOptions};

use crate::logs::{Lines, Stream, Writer};
use crate::pods::{AppStatus, Handle, PodsError, State, Status, VERSION, now_secs};
use crate::runtime::{Runtime, RuntimeError};
use crate::spec::Pod;
use crate::start::{self, App, Assembled, StartError, chain};
use step::{Action, Event as Happened, Machine, Phase};

/// After the last container ended, its pipes are read for what is still in them.
const PIPE_BYTES: usize = 64 << 10;

/// What a monitor tells its front.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All containers run.
    Ready {
        /// The pod's address.
        address: Option<std::net::Ipv4Addr>,
    },
    /// A container printed a line (or the part of a long one).
    Line {
        /// Which container.
        app: &'a str,
        /// Where.
        stream: Stream,
        /// What, without the line's end.
        text: &'a [u8],
    },
    /// A container ended.
    Ended {
        /// Which one.
        app: &'a str,
        /// Its exit code: 128 + n for signal n.
        code: u8,
    },
    /// Something could not be cleaned up; gc will try again.
    Leftover {
        /// What, and why.
        what: String,
    },
}

/// Why a pod did not run, or ended otherwise than by its containers.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The pod's directory failed.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// It cannot be started.
    #[error("cannot start the pod {name}")]
    Start {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: StartError,
    },
    /// The runtime failed.
    #[error("cannot start the pod {name}")]
    Runtime {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: RuntimeError,
    },
    /// The kernel refused something to the monitor itself.
    #[error("the monitor cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> MonitorError {
    move |source| MonitorError::System { what, source }
}

/// Runs a prepared pod to its end in this process, which must have one thread; gives the pod's exit code.
///
/// # Errors
/// [`MonitorError`] where it did not get as far as running; the pod is then in [`State::Exited`] with the reason.
pub fn run(
    mut handle: Handle,
    store: &Store,
    runtime: &Runtime,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<u8, MonitorError> {
    let spec = handle.spec()?;
    let _name = handle.pods().hold_name(&spec.name)?;
    handle.advance(State::Running)?;
    let monitor = i32::try_from(std::process::id()).unwrap_or(-1);
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unit = start::unit_of(&cgroup);
    let mut status =
        Status { version: VERSION, monitor, unit, started_secs: now_secs(), ..Status::default() };
    handle.write_json("status.json", &status)?;
    let result = live(&handle, store, runtime, &spec, &cgroup, &mut status, events);
    for container in &spec.containers {
        // Removes the cgroup and kills what is left of it; a container that was never made is no failure.
        let _ = runtime.delete(&start::container_id(handle.id(), &container.name));
    }
    for what in start::take_down(&handle, &spec) {
        events(Event::Leftover { what });
    }
    status.ended_secs = Some(now_secs());
    status.code = result.as_ref().ok().copied();
    status.error = result.as_ref().err().map(chain);
    for app in &mut status.apps {
        app.pid = None;
    }
    handle.write_json("status.json", &status)?;
    handle.advance(State::Exited)?;
    result
}

/// The pod between start and end.
fn live(
    handle: &Handle,
    store: &Store,
    runtime: &Runtime,
    spec: &Pod,
    cgroup: &str,
    status: &mut Status,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<u8, MonitorError> {
    // From here on a signal waits until it is read: nobody can end us between two steps.
    let signals = SignalFd::block_all().map_err(|errno| system("take signals")(errno.into()))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| system("become the reaper")(errno.into()))?;
    start::own_mounts().map_err(system("have mounts of its own"))?;
    let cgroup = start::cgroup_of(cgroup, handle.id());
    let named = |source| MonitorError::Start { name: spec.name.clone(), source };
    let Assembled { namespaces, address, apps } =
        start::assemble(handle, store, spec, &cgroup).map_err(named)?;
    status.address = address;
    let mut running = Vec::new();
    for app in apps {
        let made = Running::create(app, runtime).map_err(|error| error.into_monitor(&spec.name))?;
        status.apps.push(AppStatus { name: made.app.name.clone(), pid: Some(made.pid), code: None });
        running.push(made);
    }
    for made in &running {
        let named = |source| MonitorError::Runtime { name: spec.name.clone(), source };
        runtime.start(&made.app.container_id).map_err(named)?;
    }
    handle.write_json("status.json", status)?;
    events(Event::Ready { address });
    let machine = Machine::new(running.len(), spec.restart_policy);
    let grace = Duration::from_secs(u64::from(spec.grace_secs));
    let mut monitor =
        Monitor { handle, runtime, signals, running, machine, grace, deadline: None, status, events };
    let code = monitor.run_to_end()?;
    drop(namespaces);
    Ok(code)
}

/// A container with processes.
#[derive(Debug)]
struct Running {
    app: App,
    pid: i32,
    log: Writer,
    pipes: [Pipe; 2],
}

/// What a container prints to.
#[derive(Debug)]
struct Pipe {
    /// None once it is at its end.
    reader: Option<std::fs::File>,
    stream: Stream,
    lines: Lines,
}

/// Trouble while a container is created.
enum CreateError {
    Io(io::Error),
    Runtime(RuntimeError),
}

impl CreateError {
    fn into_monitor(self, name: &str) -> MonitorError {
        match self {
            CreateError::Io(source) => system("make a container's pipes and log")(source),
            CreateError::Runtime(source) => MonitorError::Runtime { name: name.to_owned(), source },
        }
    }
}

impl Running {
    fn create(app: App, runtime: &Runtime) -> Result<Self, CreateError> {
        let pipe = |stream| -> io::Result<(Pipe, OwnedFd)> {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&reader, true)?;
            Ok((Pipe { reader: Some(reader.into()), stream, lines: Lines::default() }, writer))
        };
        let (stdout, out_writer) = pipe(Stream::Stdout).map_err(CreateError::Io)?;
        let (stderr, err_writer) = pipe(Stream::Stderr).map_err(CreateError::Io)?;
        let log = Writer::open(&app.bundle.join("log")).map_err(CreateError::Io)?;
        let mut made = Self { app, pid: 0, log, pipes: [stdout, stderr] };
        match runtime.create(&made.app.container_id, &made.app.bundle, out_writer, err_writer) {
            Ok(pid) => made.pid = pid,
            Err(error) => return Err(CreateError::Runtime(made.with_last_words(error))),
        }
        Ok(made)
    }

    /// A runtime that has no log says what is wrong on the container's standard error.
    fn with_last_words(&mut self, error: RuntimeError) -> RuntimeError {
        let mut text = String::new();
        if let Some(reader) = &mut self.pipes[1].reader {
            let mut bytes = vec![0u8; PIPE_BYTES];
            let count = reader.read(&mut bytes).unwrap_or(0);
            text = String::from_utf8_lossy(&bytes[..count]).trim().to_owned();
        }
        match error {
            RuntimeError::Failed { program, what, id, message }
                if !text.is_empty() && !text.contains(&message) =>
            {
                RuntimeError::Failed { program, what, id, message: format!("{message}: {text}") }
            }
            other => other,
        }
    }

    /// Reads what is in the pipes now.
    fn drain(&mut self, events: &mut dyn FnMut(Event<'_>)) {
        let (log, name) = (&mut self.log, &self.app.name);
        let mut buffer = vec![0u8; PIPE_BYTES];
        for pipe in &mut self.pipes {
            let stream = pipe.stream;
            let mut line = |text: &[u8], whole: bool| {
                // A full disk must not stop the container; the journal still has the line.
                let _ = log.line(stream, text, whole, SystemTime::now());
                events(Event::Line { app: name, stream, text });
            };
            let Some(reader) = &mut pipe.reader else { continue };
            // A container that prints without end must not keep us from its signals.
            for _ in 0..16 {
                match reader.read(&mut buffer) {
                    Ok(0) => {
                        pipe.lines.finish(&mut line);
                        pipe.reader = None;
                        break;
                    }
                    Ok(count) => pipe.lines.push(&buffer[..count], &mut line),
                    Err(_) => break,
                }
            }
        }
    }

    /// The last of what it printed.
    fn finish(&mut self, events: &mut dyn FnMut(Event<'_>)) {
        self.drain(events);
        let (log, name) = (&mut self.log, &self.app.name);
        for pipe in &mut self.pipes {
            let stream = pipe.stream;
            pipe.lines.finish(|text, whole| {
                let _ = log.line(stream, text, whole, SystemTime::now());
                events(Event::Line { app: name, stream, text });
            });
        }
    }
}

struct Monitor<'a> {
    handle: &'a Handle,
    runtime: &'a Runtime,
    signals: SignalFd,
    running: Vec<Running>,
    machine: Machine,
    grace: Duration,
    /// When the time to stop is over.
    deadline: Option<Instant>,
    status: &'a mut Status,
    events: &'a mut dyn FnMut(Event<'_>),
}

impl Monitor<'_> {
    fn run_to_end(&mut self) -> Result<u8, MonitorError> {
        // One may have ended before the first wait.
        self.reap()?;
        loop {
            if let Phase::Done { code } = self.machine.phase() {
                for running in &mut self.running {
                    running.finish(self.events);
                }
                return Ok(code);
            }
            self.wait().map_err(system("wait"))?;
            while let Some(signal) = self.signals.next() {
                self.signal(signal)?;
            }
            for running in &mut self.running {
                running.drain(self.events);
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.deadline = None;
                self.happened(Happened::GraceOver);
            }
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> io::Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let pipes = self.running.iter().flat_map(|running| &running.pipes);
        fds.extend(
            pipes.filter_map(|pipe| pipe.reader.as_ref()).map(|reader| PollFd::new(reader, PollFlags::IN)),
        );
        let timeout = self.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up: waking early would spin until the deadline.
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn signal(&mut self, number: i32) -> Result<(), MonitorError> {
        let is = |signal: Signal| number == signal.as_raw();
        if is(Signal::CHILD) {
            self.reap()?;
        } else if is(Signal::TERM) || is(Signal::HUP) {
            self.happened(Happened::StopAsked);
        } else if is(Signal::INT) {
            // A second Ctrl-C is a person who does not want to wait.
            let impatient = self.machine.phase() == Phase::Stopping;
            self.happened(if impatient { Happened::KillAsked } else { Happened::StopAsked });
        } else if is(Signal::QUIT) {
            self.happened(Happened::KillAsked);
        }
        Ok(())
    }

    /// Takes in all children that ended, ours and those that were left to us.
    fn reap(&mut self) -> Result<(), MonitorError> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, ended))) => {
                    let code = match (ended.exit_status(), ended.terminating_signal()) {
                        (Some(code), _) => code,
                        (None, Some(signal)) => 128 + signal,
                        (None, None) => continue,
                    };
                    let pid = pid.as_raw_nonzero().get();
                    if let Some(app) = self.running.iter().position(|running| running.pid == pid) {
                        self.ended(app, u8::try_from(code).unwrap_or(u8::MAX))?;
                    }
                }
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(system("reap")(errno.into())),
            }
        }
    }

    fn ended(&mut self, app: usize, code: u8) -> Result<(), MonitorError> {
        self.running[app].drain(self.events);
        (self.events)(Event::Ended { app: &self.running[app].app.name, code });
        self.status.apps[app].pid = None;
        self.status.apps[app].code = Some(code);
        self.handle.write_json("status.json", &*self.status)?;
        self.happened(Happened::Ended { app, code });
        Ok(())
    }

    fn happened(&mut self, event: Happened) {
        for action in self.machine.step(event) {
            // A container that ended in between cannot be signalled; its end is on its way to us.
            let result = match action {
                Action::Stop(app) => {
                    let Running { app, pid, .. } = &self.running[app];
                    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                    // What the signal would do to any other process, the kernel does not do to a first one.
                    let signal =
                        if signals::is_deaf(&status, &app.stop_signal) { "KILL" } else { &app.stop_signal };
                    self.runtime.kill(&app.container_id, signal, false)
                }
                Action::Kill(app) => self.runtime.kill(&self.running[app].app.container_id, "KILL", false),
                Action::StartGrace => {
                    self.deadline = Some(Instant::now() + self.grace);
                    Ok(())
                }
            };
            if let Err(error) = result {
                tracing::debug!(error = %chain(&error), "a signal was not sent");
            }
        }
    }
}

/// Asks the monitor of a running pod to stop it (or to kill it). The caller then waits for the pod's end.
///
/// # Errors
/// The kernel's; a monitor that ended in between is no error.
pub fn ask_to_end(monitor: i32, dir: &Path, kill: bool) -> io::Result<()> {
    let Some(pid) = rustix::process::Pid::from_raw(monitor) else { return Ok(()) };
    // The descriptor is of the process that has the number now; if the pod is still held, that is its monitor.
    let process = match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let held = std::fs::File::open(dir).is_ok_and(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
    });
    if !held {
        return Ok(());
    }
    let signal = if kill { Signal::QUIT } else { Signal::TERM };
    match rustix::process::pidfd_send_signal(&process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
