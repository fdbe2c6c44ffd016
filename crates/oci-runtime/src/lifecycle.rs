//! The operations of runtime.md.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use linux::clone::Namespaces;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal};

use crate::cgroup::{self, Cgroup, Host, devices};
use crate::child::Container;
use crate::child::plan;
use crate::error::{Doing, Error, Event, Events, Result};
use crate::hooks::{self, HookRun};
use crate::launch::{self, Join, Launch, Launched};
use crate::seccomp;
use crate::spec::linux::Kind;
use crate::spec::{Process, Spec};
use crate::state::{Dir, Process as ProcessId, Record, Root, Status};

/// How long a killed process and its cgroup may take to go: memory of many gigabytes takes the kernel seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `create` and `run` are told.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// Directory with `config.json`.
    pub bundle: PathBuf,
    /// Socket that gets the terminal's master side.
    pub console_socket: Option<PathBuf>,
    /// File that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// Do not use pivot_root.
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// Descriptors beside the standard streams that the program gets.
    pub preserve_fds: u32,
    /// Variables added to the program's environment (`LISTEN_FDS=1`).
    pub extra_env: Vec<String>,
    /// A caller that relays the terminal itself is there (`run` in the foreground).
    pub relay_terminal: bool,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process id.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Master side of its terminal, if the caller relays it.
    pub terminal: Option<OwnedFd>,
}

/// What is known of a container.
#[derive(Debug, Clone)]
pub struct State {
    /// Its record.
    pub record: Record,
    /// Its status now.
    pub status: Status,
}

impl State {
    /// Its process id, unless it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.record.process.filter(|_| self.status != Status::Stopped).map(|p| p.pid)
    }
}

/// Makes a container whose program waits for [`start`].
///
/// # Errors
/// Whatever is wrong with the config or the machine; nothing is left behind.
pub fn create(root: &Root, id: &str, options: &CreateOptions, events: Events<'_>) -> Result<i32> {
    let (spec, bytes) = read_spec(&options.bundle)?;
    let dir = claim(root, id, events)?;
    let made = Making { root, id, options, spec: &spec, bytes: &bytes, dir: &dir }.make(true, events);
    match made {
        Ok(launched) => Ok(launched.pid.as_raw_nonzero().get()),
        Err(e) => {
            let _ = dir.remove();
            Err(e)
        }
    }
}

/// Makes a container and runs its program.
///
/// # Errors
/// As [`create`] and [`start`]; nothing is left behind.
pub fn run(root: &Root, id: &str, options: &CreateOptions, events: Events<'_>) -> Result<Running> {
    let (spec, bytes) = read_spec(&options.bundle)?;
    let dir = claim(root, id, events)?;
    let making = Making { root, id, options, spec: &spec, bytes: &bytes, dir: &dir };
    let result = making.make(false, events).and_then(|launched| {
        let started = launched.go().and_then(|()| making.poststart());
        match started {
            Ok(()) => Ok(Running { pid: launched.pid, pidfd: launched.pidfd, terminal: launched.terminal }),
            Err(e) => {
                launched.abandon();
                if let Ok(Some(record)) = dir.read_record() {
                    clear_cgroup(&record);
                }
                Err(e)
            }
        }
    });
    if result.is_err() {
        let _ = dir.remove();
    }
    result
}

fn read_spec(bundle: &Path) -> Result<(Spec, Vec<u8>)> {
    let file = bundle.join("config.json");
    let bytes = fs::read(&file).map_err(|e| Error::file("read", &file, e))?;
    let spec = crate::spec::parse(&bytes).map_err(|source| Error::Spec { file, source })?;
    Ok((spec, bytes))
}

/// Makes the state directory. One that a killed `create` left is cleared first.
fn claim(root: &Root, id: &str, events: Events<'_>) -> Result<Dir> {
    match root.make(id) {
        Err(Error::Exists { id }) => {
            // Whoever makes a container holds the lock until its process is on record.
            let dir = root.open(&id)?;
            let Ok(record) = dir.read_record() else { return Err(Error::Exists { id }) };
            if record.as_ref().is_some_and(|r| r.process.is_some()) {
                return Err(Error::Exists { id });
            }
            remove_all(&dir, record.as_ref(), None, events)?;
            drop(dir);
            root.make(&id)
        }
        other => other,
    }
}

/// One `create` or `run` under way.
struct Making<'a> {
    root: &'a Root,
    id: &'a str,
    options: &'a CreateOptions,
    spec: &'a Spec,
    bytes: &'a [u8],
    dir: &'a Dir,
}

impl Making<'_> {
    fn process(&self) -> Result<&Process> {
        self.spec
            .process
            .as_ref()
            .ok_or(Error::Refused { what: "process".into(), why: "missing: nothing to run" })
    }

    /// Everything up to a process at its gate; `wait` gives it the gate that [`start`] opens.
    fn make(&self, wait: bool, events: Events<'_>) -> Result<Launched> {
        let process = self.process()?;
        if process.terminal != (self.options.console_socket.is_some() || self.options.relay_terminal) {
            let why = if process.terminal {
                "needs --console-socket, or run in the foreground"
            } else {
                "is false, so there is nothing for --console-socket"
            };
            if process.terminal || self.options.console_socket.is_some() {
                return Err(Error::Refused { what: "process.terminal".into(), why });
            }
        }
        let host = Host::detect();
        let mut record = self.record(&host)?;
        self.dir.write_config(self.bytes)?;
        self.dir.write_record(&record)?;
        let relative =
            record.cgroup.as_ref().and_then(|(p, _)| Some(p.strip_prefix(host.tree()?).ok()?.to_owned()));
        let resources = &self.spec.linux.resources;
        let group = Cgroup::make(&host, relative.as_deref().unwrap_or(Path::new("")), resources)?;
        let made = self.launch(&mut record, &host, group.as_ref(), wait, events);
        if made.is_err()
            && let Some(group) = &group
        {
            let _ = cgroup::kill(&group.path);
            if group.made {
                let _ = cgroup::remove(&group.path, PATIENCE);
            }
        }
        made
    }

    fn record(&self, host: &Host) -> Result<Record> {
        let bundle =
            self.options.bundle.canonicalize().map_err(|e| Error::file("find", &self.options.bundle, e))?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let wanted = self.spec.linux.cgroups_path.as_deref();
        let refused = |why| Error::Refused { what: "linux.cgroupsPath".into(), why };
        let place = cgroup::place(wanted, self.id, cgroup::own_path(&own)).map_err(refused)?;
        let path = host.tree().map(|tree| tree.join(place));
        Ok(Record {
            id: self.id.to_owned(),
            oci_version: self.spec.oci_version.clone(),
            rootfs: bundle.join(&self.spec.root_path),
            bundle,
            process: None,
            cgroup: path.map(|p| {
                let made = !p.exists();
                (p, made)
            }),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            annotations: self.spec.annotations.clone(),
        })
    }

    fn launch(
        &self,
        record: &mut Record,
        host: &Host,
        group: Option<&Cgroup>,
        wait: bool,
        events: Events<'_>,
    ) -> Result<Launched> {
        guard_devices(self.spec, host, group, events)?;
        let process = self.process()?;
        let linux = &self.spec.linux;
        let filter = linux.seccomp.as_ref().map(seccomp::compile).transpose()?;
        let listener = wait.then(|| UnixListener::bind(self.dir.socket_path())).transpose();
        let listener = listener.map_err(|e| Error::file("bind", self.dir.socket_path(), e))?;
        let console = self.options.console_socket.as_ref().map(|p| connect(p)).transpose()?;
        let plan_options = plan::Options { no_new_keyring: self.options.no_new_keyring };
        let steps = plan::steps(self.spec, process, plan_options);
        let state_record = record.clone();
        let state = move |status, pid| state_record.to_oci(status, Some(pid)).to_string();
        let launch = Launch {
            process,
            seccomp: filter.as_deref(),
            seccomp_flags: linux.seccomp.as_ref().map_or(0, |s| s.flags),
            console: console.as_ref(),
            gate: listener.as_ref(),
            preserve_fds: self.options.preserve_fds,
            extra_env: &self.options.extra_env,
            groups_allowed: launch::groups_allowed(linux),
            cgroup: group.map(AsFd::as_fd),
            joins: launch::joins(linux)?,
            new: launch::new_namespaces(linux),
            linux: Some(linux),
            user_namespace: linux.namespace(Kind::User).is_some(),
            container: Some(Container {
                id: self.id,
                spec: self.spec,
                steps: &steps,
                bundle: &record.bundle,
                rootfs: &record.rootfs,
                cgroups: host,
                cgroup: group.map(|g| g.path.as_path()),
                no_pivot: self.options.no_pivot,
                state: &state,
            }),
        };
        let mut runtime_hooks = |pid: Pid| {
            let state = state(Status::Creating, pid.as_raw_nonzero().get());
            let hooks = &self.spec.hooks;
            hooks::run_all(&HookRun { kind: "prestart", hooks: &hooks.prestart, state: &state })?;
            hooks::run_all(&HookRun { kind: "createRuntime", hooks: &hooks.create_runtime, state: &state })
        };
        let launched = launch.start(&mut runtime_hooks, events)?;
        record.process = ProcessId::observe(launched.pid);
        let recorded = self.settle(record, &launched, wait);
        recorded.inspect_err(|_| launched.abandon())?;
        Ok(launched)
    }

    /// Puts the process on record; from then on it may outlive this program.
    fn settle(&self, record: &Record, launched: &Launched, wait: bool) -> Result<()> {
        self.dir.write_record(record)?;
        if let Some(path) = &self.options.pid_file {
            write_pid(path, launched.pid)?;
        }
        if wait { launched.channel.go() } else { Ok(()) }
    }

    fn poststart(&self) -> Result<()> {
        if self.spec.hooks.poststart.is_empty() {
            return Ok(());
        }
        let state = state(self.root, self.id)?;
        let json = state.record.to_oci(Status::Running, state.pid()).to_string();
        hooks::run_all(&HookRun { kind: "poststart", hooks: &self.spec.hooks.poststart, state: &json })
    }
}

/// Device rules go on the cgroup before anything is in it.
fn guard_devices(spec: &Spec, host: &Host, group: Option<&Cgroup>, events: Events<'_>) -> Result<()> {
    let rules = &spec.linux.resources.devices;
    let Some(group) = group else {
        if !rules.is_empty() {
            let text =
                "linux.resources.devices: no cgroup v2 here, device access is limited by capabilities alone";
            events(Event::Warning(text.to_owned()));
        }
        return Ok(());
    };
    let program = devices::program(&devices::Table::new(rules));
    let attached = linux::bpf::load_device_program(&program)
        .and_then(|program| linux::bpf::attach_device_program(group.as_fd(), program.as_fd()));
    match attached {
        Ok(()) => Ok(()),
        Err(e) if !rustix::process::geteuid().is_root() || *host == Host::None => {
            let text = format!("linux.resources.devices: not enforced without privileges ({e})");
            events(Event::Warning(text));
            Ok(())
        }
        Err(source) => Err(Error::Field {
            field: "linux.resources.devices".to_owned(),
            doing: "load the device program".to_owned(),
            source,
        }),
    }
}

fn connect(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).map_err(|e| Error::file("connect to", path, e))
}

/// Writes a process id as callers expect it: whole, no newline.
fn write_pid(path: &Path, pid: Pid) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    fs::write(&temporary, pid.as_raw_nonzero().to_string())
        .map_err(|e| Error::file("write", &temporary, e))?;
    fs::rename(&temporary, path).map_err(|e| Error::file("write", path, e))
}

/// What a container is now.
///
/// # Errors
/// [`Error::NotFound`]; a state file that cannot be read.
pub fn state(root: &Root, id: &str) -> Result<State> {
    let dir = root.open_unlocked(id)?;
    let record = dir.read_record()?.ok_or_else(|| Error::NotFound { id: id.to_owned() })?;
    Ok(State { status: status(&dir, &record), record })
}

fn status(dir: &Dir, record: &Record) -> Status {
    let Some(process) = record.process else {
        return if dir.busy() { Status::Creating } else { Status::Stopped };
    };
    if process.open().is_none() {
        Status::Stopped
    } else if UnixStream::connect(dir.socket_path()).is_ok() {
        Status::Created
    } else if record.cgroup.as_ref().is_some_and(|(path, _)| cgroup::frozen(path)) {
        Status::Paused
    } else {
        Status::Running
    }
}

fn locked(root: &Root, id: &str) -> Result<(Dir, State)> {
    let dir = root.open(id)?;
    let record = dir.read_record()?.ok_or_else(|| Error::NotFound { id: id.to_owned() })?;
    let status = match record.process {
        None => Status::Stopped,
        Some(_) => status(&dir, &record),
    };
    Ok((dir, State { record, status }))
}

/// Runs the program of a created container.
///
/// # Errors
/// [`Error::Status`] unless it is created; why the program cannot run; a failed hook (the container is stopped then).
pub fn start(root: &Root, id: &str) -> Result<()> {
    let (dir, state) = locked(root, id)?;
    let refused = Error::Status { id: id.to_owned(), operation: "start", status: state.status };
    if state.status != Status::Created {
        return Err(refused);
    }
    let failed = |e| Error::file("talk to", dir.path.join(crate::state::START_SOCKET), e);
    let mut stream = UnixStream::connect(dir.socket_path()).map_err(failed)?;
    stream.write_all(b"S").map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    // The process acknowledges, then either becomes the program (and the socket closes) or says why it cannot.
    match answer.split_first() {
        Some((b'A', [])) => {}
        Some((b'A', words)) => {
            let message = String::from_utf8_lossy(words).into_owned();
            return Err(Error::Child { step: "start".into(), field: "process.args".into(), message });
        }
        _ => return Err(refused),
    }
    let _ = fs::remove_file(dir.path.join(crate::state::START_SOCKET));
    let spec = kept_spec(&dir)?;
    let json = state.record.to_oci(Status::Running, state.pid()).to_string();
    hooks::run_all(&HookRun { kind: "poststart", hooks: &spec.hooks.poststart, state: &json }).inspect_err(
        |_| {
            let _ = end(&state.record);
        },
    )
}

fn kept_spec(dir: &Dir) -> Result<Spec> {
    crate::spec::parse(&dir.read_config()?).map_err(|source| Error::Spec { file: dir.config_path(), source })
}

/// Sends a signal to a container's first process, or with `all` to every process in its cgroup.
///
/// # Errors
/// [`Error::Status`] if it is stopped.
pub fn kill(root: &Root, id: &str, signal: Signal, all: bool) -> Result<()> {
    let state = state(root, id)?;
    let refused = || Error::Status { id: id.to_owned(), operation: "kill", status: state.status };
    let group = state.record.cgroup.as_ref().map(|(path, _)| path);
    if all && let Some(path) = group.filter(|path| path.exists()) {
        return kill_all(path, signal);
    }
    let process = state.record.process.and_then(ProcessId::open).ok_or_else(refused)?;
    match rustix::process::pidfd_send_signal(&process, signal) {
        Err(rustix::io::Errno::SRCH) => Err(refused()),
        other => other.doing("send signal"),
    }
}

fn kill_all(path: &Path, signal: Signal) -> Result<()> {
    if signal == Signal::KILL {
        return cgroup::kill(path);
    }
    let file = path.join("cgroup.procs");
    let procs = fs::read_to_string(&file).map_err(|e| Error::file("read", file, e))?;
    for pid in procs.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        // Those that end meanwhile need no signal.
        let _ = rustix::process::kill_process(pid, signal);
    }
    Ok(())
}

/// Kills everything in a container and waits until its first process is gone.
fn end(record: &Record) -> Result<()> {
    if let Some((path, _)) = &record.cgroup {
        cgroup::kill(path)?;
    }
    let Some(pidfd) = record.process.and_then(ProcessId::open) else { return Ok(()) };
    // Without a cgroup v2 the first process is all that can be reached; its pid namespace goes with it.
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))
        .doing("wait for the process")?;
    Ok(())
}

/// Removes a stopped container; with `force` it is killed first, and one that is not there is no error.
///
/// # Errors
/// [`Error::Status`] if it is not stopped.
pub fn delete(root: &Root, id: &str, force: bool, events: Events<'_>) -> Result<()> {
    let dir = match root.open(id) {
        Err(Error::NotFound { .. }) if force => return Ok(()),
        other => other?,
    };
    let record = match dir.read_record() {
        // Nothing can be known of a container whose record is damaged; `force` at least frees its name.
        Err(Error::State { .. }) if force => return dir.remove(),
        other => other?,
    };
    if let Some(record) = &record {
        let status = if record.process.is_none() { Status::Stopped } else { status(&dir, record) };
        if status != Status::Stopped && !force {
            return Err(Error::Status { id: id.to_owned(), operation: "delete", status });
        }
    }
    let hooks = kept_spec(&dir).ok();
    remove_all(&dir, record.as_ref(), hooks.as_ref(), events)
}

fn remove_all(dir: &Dir, record: Option<&Record>, spec: Option<&Spec>, events: Events<'_>) -> Result<()> {
    if let Some(record) = record {
        end(record)?;
        if let Some((path, true)) = &record.cgroup {
            cgroup::remove(path, PATIENCE)?;
        }
    }
    dir.remove()?;
    if let (Some(record), Some(spec)) = (record, spec) {
        let json = record.to_oci(Status::Stopped, None).to_string();
        let run = HookRun { kind: "poststop", hooks: &spec.hooks.poststop, state: &json };
        for failed in hooks::run_each(&run) {
            events(Event::Warning(failed.to_string()));
        }
    }
    Ok(())
}

fn clear_cgroup(record: &Record) {
    if let Some((path, made)) = &record.cgroup {
        let _ = cgroup::kill(path);
        if *made {
            let _ = cgroup::remove(path, PATIENCE);
        }
    }
}

/// What `exec` is told.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Socket that gets the terminal's master side.
    pub console_socket: Option<PathBuf>,
    /// File that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// Descriptors beside the standard streams that the program gets.
    pub preserve_fds: u32,
    /// Variables added to the program's environment.
    pub extra_env: Vec<String>,
    /// Run in a frozen container too.
    pub ignore_paused: bool,
    /// A cgroup below the container's.
    pub cgroup: Option<String>,
    /// A caller that relays the terminal itself is there.
    pub relay_terminal: bool,
}

/// The process of a container's config as kept at create, for `exec` to start from.
///
/// # Errors
/// As [`state`]; a kept config that cannot be read.
pub fn process_of(root: &Root, id: &str) -> Result<Process> {
    let dir = root.open_unlocked(id)?;
    kept_spec(&dir)?.process.ok_or_else(|| Error::NotFound { id: id.to_owned() })
}

/// Runs a further program in a container.
///
/// # Errors
/// [`Error::Status`] unless it is created or running; why the program cannot run.
pub fn exec(
    root: &Root,
    id: &str,
    process: &Process,
    options: &ExecOptions,
    events: Events<'_>,
) -> Result<Running> {
    let state = state(root, id)?;
    let refused = || Error::Status { id: id.to_owned(), operation: "exec in", status: state.status };
    match state.status {
        Status::Created | Status::Running => {}
        Status::Paused if options.ignore_paused => {}
        _ => return Err(refused()),
    }
    let spec = kept_spec(&root.open_unlocked(id)?)?;
    let target = state.record.process.ok_or_else(refused)?;
    let pidfd = target.open().ok_or_else(refused)?;
    let filter = spec.linux.seccomp.as_ref().map(seccomp::compile).transpose()?;
    let console = options.console_socket.as_ref().map(|p| connect(p)).transpose()?;
    let group = exec_cgroup(&state.record, target, options.cgroup.as_deref())?;
    let namespaces = different_namespaces(target.pid);
    // Nothing of this program may be looked at or changed from inside while it enters.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .doing("hide from ptrace")?;
    let launch = Launch {
        process,
        seccomp: filter.as_deref(),
        seccomp_flags: spec.linux.seccomp.as_ref().map_or(0, |s| s.flags),
        console: console.as_ref(),
        gate: None,
        preserve_fds: options.preserve_fds,
        extra_env: &options.extra_env,
        groups_allowed: launch::groups_allowed(&spec.linux),
        cgroup: group.as_ref().map(AsFd::as_fd),
        joins: vec![Join::Process(pidfd, namespaces)],
        new: Namespaces::empty(),
        linux: None,
        user_namespace: namespaces.contains(Namespaces::USER),
        container: None,
    };
    let launched = launch.start(&mut |_| Ok(()), events)?;
    let settled = options.pid_file.as_ref().map_or(Ok(()), |path| write_pid(path, launched.pid));
    settled.and_then(|()| launched.go()).inspect_err(|_| launched.abandon())?;
    Ok(Running { pid: launched.pid, pidfd: launched.pidfd, terminal: launched.terminal })
}

/// Namespaces of another process that are not this one's; entering one's own user namespace is an error.
fn different_namespaces(pid: i32) -> Namespaces {
    let link = |who: &str, file: &str| fs::read_link(format!("/proc/{who}/ns/{file}")).ok();
    let pid = pid.to_string();
    let differs = |file: &&str| {
        let theirs = link(&pid, file);
        theirs.is_some() && theirs != link("self", file)
    };
    Kind::ALL
        .iter()
        .filter(|(_, _, file, _)| differs(file))
        .fold(Namespaces::empty(), |all, (.., bit)| all.union(*bit))
}

/// The cgroup that a further process is born in: the container's, or where its first process moved to.
fn exec_cgroup(record: &Record, target: ProcessId, below: Option<&str>) -> Result<Option<OwnedFd>> {
    let Some((path, _)) = &record.cgroup else { return Ok(None) };
    let mut path = path.clone();
    if let Some(below) = below {
        let below = Path::new(below.trim_start_matches('/'));
        if below.components().any(|c| c == std::path::Component::ParentDir) {
            return Err(Error::Refused { what: "--cgroup".into(), why: "may not hold .." });
        }
        path.push(below);
    } else if fs::read_to_string(path.join("cgroup.subtree_control")).is_ok_and(|on| !on.trim().is_empty()) {
        // A group that hands out controllers takes no processes: an init inside has moved itself to a child.
        let proc = fs::read_to_string(format!("/proc/{}/cgroup", target.pid)).unwrap_or_default();
        if let Some(tree) = Host::detect().tree() {
            path = tree.join(cgroup::own_path(&proc).trim_start_matches('/'));
        }
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, &path, flags, Mode::empty())
        .map(Some)
        .map_err(|e| Error::file("open cgroup", path, e))
}
