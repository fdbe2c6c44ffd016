//! From a config to a process that waits to become the user's program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use linux::clone::{self, Namespaces};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::child::{Child, Console, Container, Gate};
use crate::error::{Doing, Error, Event, Events, Result};
use crate::rlimits;
use crate::spec::Process;
use crate::spec::linux::{Kind, Linux};
use crate::sync::{self, Channel, FromChild};

/// A process that is ready; it runs the program at [`Launched::go`].
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
    /// Master side of its terminal, if the runtime relays it.
    pub(crate) terminal: Option<OwnedFd>,
}

/// A namespace to enter: an open file of it, or a whole process's.
#[derive(Debug)]
pub(crate) enum Join {
    /// A namespace file, the kind it must be, and the JSON path that names it.
    File(OwnedFd, Kind, String),
    /// Namespaces of the process that the pidfd stands for.
    Process(OwnedFd, Namespaces),
}

/// What the new process is given; see [`Child`].
pub(crate) struct Launch<'a> {
    pub(crate) process: &'a Process,
    pub(crate) seccomp: Option<&'a [linux::seccomp::Instruction]>,
    pub(crate) seccomp_flags: u32,
    pub(crate) console: Option<&'a UnixStream>,
    pub(crate) gate: Option<&'a UnixListener>,
    pub(crate) preserve_fds: u32,
    pub(crate) extra_env: &'a [String],
    pub(crate) groups_allowed: bool,
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    pub(crate) joins: Vec<Join>,
    pub(crate) new: Namespaces,
    pub(crate) linux: Option<&'a Linux>,
    /// True if the process lives in a user namespace that is not ours.
    pub(crate) user_namespace: bool,
    pub(crate) container: Option<Container<'a>>,
}

/// Namespaces that clone3 makes. A cgroup namespace takes the caller's cgroup as its root and a time namespace must
/// be empty while its clocks are set, so both are made by the child itself.
pub(crate) fn new_namespaces(linux: &Linux) -> Namespaces {
    let later = Namespaces::CGROUP.union(Namespaces::TIME);
    let new = linux.namespaces.iter().filter(|n| n.path.is_none());
    new.fold(Namespaces::empty(), |all, n| all.union(n.kind.bit())).without(later)
}

/// Opens the namespaces that the config gives by path.
pub(crate) fn joins(linux: &Linux) -> Result<Vec<Join>> {
    let mut joins = Vec::new();
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        let Some(path) = &namespace.path else { continue };
        let field = format!("linux.namespaces[{i}].path");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
            .map_err(|source| Error::Field { field: field.clone(), doing: format!("open {path}"), source })?;
        joins.push(Join::File(fd, namespace.kind, field));
    }
    Ok(joins)
}

impl<'a> Launch<'a> {
    /// Makes the process and goes with it through its preparations; `hooks` runs those of the runtime's namespaces.
    pub(crate) fn start(
        self,
        hooks: &mut dyn FnMut(Pid) -> Result<()>,
        events: Events<'_>,
    ) -> Result<Launched> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).doing("open /proc")?;
        let (ours, theirs) = sync::pair()?;
        let child = Child {
            process: self.process,
            seccomp: self.seccomp,
            seccomp_flags: self.seccomp_flags,
            channel: &theirs,
            console: self.console.map_or(Console::Runtime, Console::Socket),
            gate: self.gate.map_or(Gate::Runtime, Gate::Socket),
            preserve_fds: self.preserve_fds,
            extra_env: self.extra_env,
            groups_allowed: self.groups_allowed,
            proc: proc.as_fd(),
            helped: !self.joins.is_empty(),
            joined_user_namespace: joins_user(&self.joins),
            user_namespace: self.user_namespace,
            container: self.container,
        };
        let options = clone::Options { namespaces: self.new, cgroup: self.cgroup, sibling: false };
        let (pid, pidfd) = if self.joins.is_empty() {
            let born = clone::spawn(options, || child.run()).doing("clone3")?;
            drop(theirs);
            (born.pid, born.pidfd)
        } else {
            // From inside of a delegated cgroup namespace the way to the container's group is closed (ENOENT, mount
            // option nsdelegate): the helper then goes there first, and the process is born beside it.
            let first = if joins_cgroup(&self.joins) { options.cgroup } else { None };
            let options =
                clone::Options { cgroup: if first.is_some() { None } else { options.cgroup }, ..options };
            let outside = clone::Options { cgroup: first, ..clone::Options::default() };
            let helper = clone::spawn(outside, || help(&self.joins, options, &child));
            let helper = helper.doing("clone3")?;
            drop(theirs);
            let born = await_birth(&ours);
            // The helper ends by itself; a pidfd wait cannot take another child's status.
            let _ = rustix::process::waitid(
                rustix::process::WaitId::PidFd(helper.pidfd.as_fd()),
                rustix::process::WaitIdOptions::EXITED,
            );
            let pid = born?;
            ours.go()?;
            (pid, rustix::process::pidfd_open(pid, PidfdFlags::empty()).doing("open pidfd")?)
        };
        let mut launched = Launched { pid, pidfd, channel: ours, terminal: None };
        let made = launched
            .converse(self.linux, hooks, events)
            .and_then(|()| outside(self.process, launched.pid, self.user_namespace, events));
        made.inspect_err(|_| launched.abandon())?;
        Ok(launched)
    }
}

/// The helper: enters the namespaces given, makes the container's process as its sibling, and ends.
fn help(joins: &[Join], options: clone::Options<'_>, child: &Child<'_>) -> i32 {
    let failed = |field: &str, what: &str, e: Errno| {
        let message = format!("{what}: {}", crate::child::error::words(e));
        let (step, field) = ("join namespace".to_owned(), field.to_owned());
        let _ = child.channel.send(&FromChild::Failed { step, field, message });
        1
    };
    if let Err((field, what, e)) = join_all(joins) {
        return failed(&field, &what, e);
    }
    match clone::spawn(clone::Options { sibling: true, ..options }, || child.run()) {
        Ok(born) => {
            let sent = child.channel.send(&FromChild::Born(born.pid.as_raw_nonzero().get()));
            i32::from(sent.is_err())
        }
        Err(e) => failed("", "clone3", e),
    }
}

/// Enters all. A namespace that belongs to a user namespace on the list can be entered only after that one, others
/// only before it; so those that refuse at first are tried again at the end.
fn join_all(joins: &[Join]) -> std::result::Result<(), (String, String, Errno)> {
    let mut later = Vec::new();
    let is_user = |j: &&Join| matches!(j, Join::File(_, Kind::User, _));
    for join in joins.iter().filter(|j| !is_user(j)) {
        match enter(join) {
            Err(Errno::PERM) => later.push(join),
            other => other.map_err(|e| described(join, e))?,
        }
    }
    for join in joins.iter().filter(is_user).chain(later) {
        enter(join).map_err(|e| described(join, e))?;
    }
    Ok(())
}

/// True if a user namespace is among those to enter.
fn joins_user(joins: &[Join]) -> bool {
    joins.iter().any(|j| match j {
        Join::File(_, kind, _) => *kind == Kind::User,
        Join::Process(_, namespaces) => namespaces.contains(Namespaces::USER),
    })
}

/// True if a cgroup namespace is among those to enter.
fn joins_cgroup(joins: &[Join]) -> bool {
    joins.iter().any(|j| match j {
        Join::File(_, kind, _) => *kind == Kind::Cgroup,
        Join::Process(_, namespaces) => namespaces.contains(Namespaces::CGROUP),
    })
}

fn enter(join: &Join) -> rustix::io::Result<()> {
    match join {
        Join::File(fd, kind, _) => clone::setns(fd.as_fd(), kind.bit()),
        Join::Process(pidfd, namespaces) => clone::setns(pidfd.as_fd(), *namespaces),
    }
}

fn described(join: &Join, e: Errno) -> (String, String, Errno) {
    match join {
        Join::File(_, kind, field) if e == Errno::INVAL => {
            (field.clone(), format!("not a {} namespace that can be entered", kind.name()), e)
        }
        Join::File(_, kind, field) => (field.clone(), format!("enter {} namespace", kind.name()), e),
        Join::Process(..) => (String::new(), "enter the container's namespaces".to_owned(), e),
    }
}

fn await_birth(channel: &Channel) -> Result<Pid> {
    match channel.receive()? {
        Some(FromChild::Born(pid)) => {
            Pid::from_raw(pid).ok_or(Error::ChildGone { how: "no process id".to_owned() })
        }
        Some(FromChild::Failed { step, field, message }) => Err(Error::Child { step, field, message }),
        _ => Err(Error::ChildGone { how: "no word from the helper".to_owned() }),
    }
}

impl Launched {
    fn converse(
        &mut self,
        linux: Option<&Linux>,
        hooks: &mut dyn FnMut(Pid) -> Result<()>,
        events: Events<'_>,
    ) -> Result<()> {
        loop {
            match self.channel.receive()? {
                Some(FromChild::Warning(text)) => events(Event::Warning(text)),
                Some(FromChild::NeedsMappings) => {
                    if let Some(linux) = linux {
                        write_mappings(self.pid, linux)?;
                    }
                    self.channel.go()?;
                }
                Some(FromChild::NeedsHooks) => {
                    hooks(self.pid)?;
                    self.channel.go()?;
                }
                Some(FromChild::Console(fd)) => self.terminal = Some(fd),
                Some(FromChild::Ready) => return Ok(()),
                Some(FromChild::Failed { step, field, message }) => {
                    return Err(Error::Child { step, field, message });
                }
                Some(FromChild::Born(_)) => {}
                None => return Err(Error::ChildGone { how: self.ending() }),
            }
        }
    }

    /// Lets the program run; an error if it could not be.
    pub(crate) fn go(&self) -> Result<()> {
        self.channel.go()?;
        match self.channel.receive()? {
            Some(FromChild::Failed { step, field, message }) => Err(Error::Child { step, field, message }),
            _ => Ok(()),
        }
    }

    /// Kills and reaps, after a failure.
    pub(crate) fn abandon(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = self.ending();
    }

    fn ending(&self) -> String {
        match rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "stopped".to_owned(),
            },
            _ => "its status is lost".to_owned(),
        }
    }
}

/// Writes the id maps of a new user namespace (user_namespaces(7)).
fn write_mappings(pid: Pid, linux: &Linux) -> Result<()> {
    let pid = pid.as_raw_nonzero();
    let text = |mappings: &[crate::spec::linux::IdMapping]| {
        mappings.iter().map(|m| format!("{} {} {}\n", m.container, m.host, m.size)).collect::<String>()
    };
    let write = |file: &str, field: &str, value: String| {
        std::fs::write(format!("/proc/{pid}/{file}"), &value).map_err(|e| Error::Field {
            field: format!("linux.{field}"),
            doing: format!("write {file} {:?}", value.trim_end()),
            source: Errno::from_io_error(&e).unwrap_or(Errno::IO),
        })
    };
    if !groups_allowed(linux) {
        write("setgroups", "gidMappings", "deny".to_owned())?;
    }
    write("gid_map", "gidMappings", text(&linux.gid_mappings))?;
    write("uid_map", "uidMappings", text(&linux.uid_mappings))
}

/// An unprivileged user may map only the own group, and only where setgroups is denied.
pub(crate) fn groups_allowed(linux: &Linux) -> bool {
    !linux.makes(Kind::User) || rustix::process::geteuid().is_root()
}

/// Sets what only the outside may set. A user namespace's root has no say over the machine's hard limits; elsewhere
/// the process sets its limits itself, since those of another user's process are not ours to change either.
fn outside(process: &Process, pid: Pid, user_namespace: bool, events: Events<'_>) -> Result<()> {
    if user_namespace {
        let set = rlimits::set(&process.rlimits, Some(pid), &mut |text| events(Event::Warning(text)));
        set.map_err(|(field, name, source)| Error::Field { field, doing: format!("set {name}"), source })?;
    }
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    match std::fs::write(&path, score.to_string()) {
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::ACCESS | Errno::PERM)) => {
            let text = format!(
                "process.oomScoreAdj: {score} needs CAP_SYS_RESOURCE, which is missing: left as it is"
            );
            events(Event::Warning(text));
            Ok(())
        }
        Err(e) => Err(Error::file("write", path, e)),
        Ok(()) => Ok(()),
    }
}
