//! The container's process, from its birth to the user's program.
//!
//! It runs in a copy of the runtime's memory ([`linux::clone::spawn`]), so everything that could be prepared has been:
//! the config is parsed, the filter compiled, the steps laid out ([`plan::steps`]). Here they are only done, one
//! after another; the first that fails is reported with its name and the field that asked for it.

pub(crate) mod devices;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod inside;
pub(crate) mod mounts;
pub mod plan;
pub(crate) mod program;
pub(crate) mod terminal;

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use linux::clone::Namespaces;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::cgroup::Host;
use crate::hooks::{self, HookRun};
use crate::rlimits;
use crate::spec::linux::Kind;
use crate::spec::{Hook, Process, Spec};
use crate::sync::{Channel, FromChild, send_with_fd};
use error::{Fault, Result, What, fault};
use plan::{Action, Step};
use program::Program;

/// Where the master side of a terminal goes.
#[derive(Debug)]
pub(crate) enum Console<'a> {
    /// To the socket that the caller gave.
    Socket(&'a UnixStream),
    /// To the runtime, which relays it.
    Runtime,
}

/// What the user's program still waits for once everything is ready.
#[derive(Debug)]
pub(crate) enum Gate<'a> {
    /// The word of the runtime that made it (`run`, `exec`).
    Runtime,
    /// A later `start`, over this socket.
    Socket(&'a UnixListener),
}

/// Everything the process needs; all of it belongs to the runtime and was copied with its memory.
pub(crate) struct Child<'a> {
    pub(crate) process: &'a Process,
    pub(crate) seccomp: Option<&'a [linux::seccomp::Instruction]>,
    pub(crate) seccomp_flags: u32,
    pub(crate) channel: &'a Channel,
    pub(crate) console: Console<'a>,
    pub(crate) gate: Gate<'a>,
    /// Descriptors from 3 upwards that the program gets.
    pub(crate) preserve_fds: u32,
    /// Variables that the runtime adds.
    pub(crate) extra_env: &'a [String],
    /// False where a user namespace denies setgroups.
    pub(crate) groups_allowed: bool,
    /// The host's procfs (`O_PATH`): the container's own may be masked, missing or forged.
    pub(crate) proc: BorrowedFd<'a>,
    /// The helper entered a user namespace, in which this process must become root by itself: the helper had to stay
    /// the outside's root to make it in its cgroup.
    pub(crate) joined_user_namespace: bool,
    /// In a user namespace, joined or new, limits are set from outside.
    pub(crate) user_namespace: bool,
    /// Made by a helper: the runtime learns the process id before anything else happens.
    pub(crate) helped: bool,
    /// The whole config, for a new container; an `exec` has none.
    pub(crate) container: Option<Container<'a>>,
}

/// What only a container's first process needs.
pub(crate) struct Container<'a> {
    pub(crate) id: &'a str,
    pub(crate) spec: &'a Spec,
    pub(crate) steps: &'a [Step<'a>],
    pub(crate) bundle: &'a Path,
    pub(crate) rootfs: &'a Path,
    pub(crate) cgroups: &'a Host,
    pub(crate) cgroup: Option<&'a Path>,
    pub(crate) no_pivot: bool,
    /// The state that hooks get, by status.
    pub(crate) state: &'a dyn Fn(crate::state::Status, i32) -> String,
}

/// What later steps need of earlier ones.
#[derive(Default)]
struct Work {
    rootfs: Option<OwnedFd>,
    empty: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

impl Child<'_> {
    /// Lives the process's life; the value is its exit code if the program was not reached.
    pub(crate) fn run(&self) -> i32 {
        let failed = match self.prepare() {
            Ok(program) => self.hold(&program),
            Err(failed) => Some(failed),
        };
        if let Some((step, field, fault)) = failed {
            let _ = self.channel.send(&FromChild::Failed { step, field, message: fault.text });
        }
        1
    }

    fn prepare(&self) -> std::result::Result<Program, (String, String, Fault)> {
        if self.helped && !self.channel.wait() {
            linux::clone::exit_now(1);
        }
        if self.joined_user_namespace {
            let named = |e| ("take user and group ids".to_owned(), "linux.namespaces".to_owned(), e);
            become_root().map_err(named)?;
        }
        rustix::process::umask(Mode::empty());
        let mut work = Work::default();
        let steps = self.container.as_ref().map_or(&[][..], |c| c.steps);
        for step in steps {
            self.step(&mut work, &step.action)
                .map_err(|e| (step.action.to_string(), step.origin.to_string(), e))?;
        }
        if self.container.is_none() && self.process.terminal {
            let named = |e| ("open terminal".to_owned(), "process.terminal".to_owned(), e);
            rustix::process::setsid().what("setsid").map_err(named)?;
            let slash = mounts::open_slash().map_err(named)?;
            work.terminal = Some(self.open_terminal(slash.as_fd(), false).map_err(named)?);
        }
        self.finish()
    }

    fn container(&self) -> Result<&Container<'_>> {
        self.container.as_ref().ok_or_else(|| fault("step", "only a new container has it"))
    }

    fn step(&self, work: &mut Work, action: &Action<'_>) -> Result<()> {
        let container = self.container()?;
        match action {
            Action::TakeMappings => self.take_mappings(),
            Action::Session => rustix::process::setsid().what("setsid").map(drop),
            Action::Keyring => keyring(container.id),
            Action::CgroupNamespace => linux::clone::unshare(Namespaces::CGROUP).what("unshare"),
            Action::TimeNamespace(offsets) => self.time_namespace(offsets),
            Action::Loopback => linux::netdev::up(c"lo").what("lo"),
            Action::Hostname(name) => rustix::system::sethostname(name.as_bytes()).what("sethostname"),
            Action::Domainname(name) => rustix::system::setdomainname(name.as_bytes()).what("setdomainname"),
            Action::Propagation(kind, tree) => {
                mounts::set_propagation(mounts::open_slash()?.as_fd(), *kind, *tree)
            }
            Action::Rootfs => {
                let propagation = container.spec.linux.rootfs_propagation;
                let shared =
                    propagation.is_some_and(|(kind, _)| kind == linux::mount_attr::propagation::SHARED);
                work.rootfs = Some(mounts::rootfs(container.rootfs, shared)?);
                Ok(())
            }
            Action::RuntimeHooks => self.ask(&FromChild::NeedsHooks),
            Action::ContainerHooks(hooks) => {
                run_hooks(container, "createContainer", hooks, crate::state::Status::Creating)
            }
            Action::Sysctl(key, value) => self.write_proc(&sysctl_path(key), value),
            Action::Personality(domain) => linux::sched::set_personality(*domain).what("personality"),
            _ => self.root_step(work, container, action),
        }
    }

    /// The steps that work on the new root.
    fn root_step(&self, work: &mut Work, container: &Container<'_>, action: &Action<'_>) -> Result<()> {
        let linux = &container.spec.linux;
        let user_namespace = linux.namespace(Kind::User).is_some();
        let rootfs = work.rootfs.as_ref().ok_or_else(|| fault("root", "not mounted yet"))?.as_fd();
        match action {
            Action::Mount(mount) => {
                let context = mounts::Context {
                    rootfs,
                    bundle: container.bundle,
                    cgroups: container.cgroups,
                    cgroup: container.cgroup,
                    cgroup_namespace: linux.namespace(Kind::Cgroup).is_some(),
                };
                mounts::mount(&context, mount)
            }
            Action::DefaultDevices => devices::defaults(rootfs, user_namespace, &linux.devices),
            Action::Device(device) => devices::device(rootfs, device, user_namespace),
            Action::WorkingDirectory(path) => working_directory(rootfs, path),
            Action::Terminal => {
                let slave = self.open_terminal(rootfs, plan::makes_devices(container.spec))?;
                work.terminal = Some(slave);
                Ok(())
            }
            Action::Mask(path) => mounts::mask(rootfs, path, &mut work.empty),
            Action::ReadOnly(path) => mounts::read_only(rootfs, path),
            Action::RootReadOnly => mounts::root_read_only(rootfs),
            Action::Pivot if container.no_pivot => mounts::move_root(rootfs),
            Action::Pivot => mounts::pivot(rootfs),
            Action::RootPropagation(kind, tree) => mounts::set_propagation(rootfs, *kind, *tree),
            other => Err(fault(other, "not a step of the root")),
        }
    }

    /// Tells the runtime what is needed and waits for its word.
    fn ask(&self, need: &FromChild) -> Result<()> {
        self.channel.send(need).map_err(|e| fault("tell the runtime", e))?;
        // If the runtime died there is nobody left to report to.
        if self.channel.wait() { Ok(()) } else { linux::clone::exit_now(1) }
    }

    fn take_mappings(&self) -> Result<()> {
        self.ask(&FromChild::NeedsMappings)?;
        become_root()
    }

    /// Opens a terminal, sends its master away, and gives the slave.
    fn open_terminal(&self, rootfs: BorrowedFd<'_>, console_node: bool) -> Result<OwnedFd> {
        let terminal = terminal::open(rootfs, self.process.console_size)?;
        if console_node {
            terminal::show_as_console(rootfs, terminal.slave.as_fd())?;
        }
        match self.console {
            Console::Socket(socket) => {
                // The receiver gets the name of what it is sent, as runc does it.
                send_with_fd(socket.as_fd(), b"/dev/ptmx", Some(terminal.master.as_fd()))
                    .what("send terminal")?;
            }
            Console::Runtime => {
                let sent = self.channel.send(&FromChild::Console(terminal.master));
                sent.map_err(|e| fault("send terminal", e))?;
            }
        }
        terminal::take(&terminal.slave)?;
        Ok(terminal.slave)
    }

    /// From a finished environment to a program that only has to be run.
    fn finish(&self) -> std::result::Result<Program, (String, String, Fault)> {
        let at = |step: &str, field: &str| {
            let (step, field) = (step.to_owned(), field.to_owned());
            move |e: Fault| (step, field, e)
        };
        let process = self.process;
        self.labels().map_err(at("set label", "process.apparmorProfile"))?;
        // From here on this process has no more rights than the container: what runs there must not trace it.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .what("prctl")
            .map_err(at("hide from ptrace", ""))?;
        self.scheduling().map_err(at("set scheduling", "process.scheduler"))?;
        linux::exec::cloexec_from(3 + self.preserve_fds)
            .what("close_range")
            .map_err(at("close descriptors", ""))?;
        terminal::own_streams(process.user.uid);

        let own = identity::own().map_err(at("read capabilities", ""))?;
        let (sets, warning) = identity::attainable(process.capabilities, own);
        if let Some(text) = warning {
            let _ = self.channel.send(&FromChild::Warning(format!("process.capabilities: {text}")));
        }
        let capability = || at("set capabilities", "process.capabilities");
        identity::bound(sets.bounding).map_err(capability())?;
        // Without no_new_privs a filter needs CAP_SYS_ADMIN, which is about to go.
        if !process.no_new_privileges {
            self.load_seccomp().map_err(at("load filter", "linux.seccomp"))?;
        }
        let early = rustix::process::chdir(process.cwd.as_str());
        if !self.user_namespace {
            let warn = &mut |text| drop(self.channel.send(&FromChild::Warning(text)));
            rlimits::set(&process.rlimits, None, warn).map_err(|(field, name, e)| {
                (format!("set {name}"), field, fault("prlimit", error::words(e)))
            })?;
        }
        identity::become_user(&process.user, self.groups_allowed)
            .map_err(at("become user", "process.user"))?;
        enter(&process.cwd, early).map_err(at("enter directory", "process.cwd"))?;
        identity::assume(&sets).map_err(capability())?;
        rustix::process::umask(Mode::from(process.user.umask.unwrap_or(0o022)));
        let program =
            Program::prepare(process, self.extra_env).map_err(at("find program", "process.args[0]"))?;
        if process.no_new_privileges {
            rustix::thread::set_no_new_privs(true)
                .what("prctl")
                .map_err(at("set no_new_privs", "process.noNewPrivileges"))?;
            self.load_seccomp().map_err(at("load filter", "linux.seccomp"))?;
        }
        linux::signal::reset_for_exec();
        Ok(program)
    }

    fn labels(&self) -> Result<()> {
        match &self.process.apparmor_profile {
            Some(profile) => self.write_proc("self/attr/apparmor/exec", &format!("exec {profile}")),
            None => Ok(()),
        }
    }

    fn scheduling(&self) -> Result<()> {
        if let Some(s) = self.process.scheduler {
            let mut attr = linux::sched::SchedAttr::default();
            (attr.policy, attr.flags, attr.nice, attr.priority) = (s.policy, s.flags, s.nice, s.priority);
            [attr.runtime, attr.deadline, attr.period] = s.deadline;
            linux::sched::set(attr).what("sched_setattr")?;
        }
        match self.process.io_priority {
            Some((class, priority)) => linux::sched::set_io_priority(class, priority).what("ioprio_set"),
            None => Ok(()),
        }
    }

    fn load_seccomp(&self) -> Result<()> {
        match self.seccomp {
            Some(filter) => linux::seccomp::load(filter, self.seccomp_flags).what("seccomp"),
            None => Ok(()),
        }
    }

    /// Waits at the gate, then becomes the program. Returns only with a failure nobody was told yet.
    fn hold(&self, program: &Program) -> Option<(String, String, Fault)> {
        if self.channel.send(&FromChild::Ready).is_err() {
            return None;
        }
        let start = || ("start".to_owned(), "process.args".to_owned());
        match &self.gate {
            Gate::Runtime => {
                if !self.channel.wait() {
                    return None;
                }
                let fault = self.go(program);
                Some((start().0, start().1, fault))
            }
            Gate::Socket(listener) => {
                // Only a container that is on record may outlive its maker.
                if !self.channel.wait() {
                    return None;
                }
                let mut caller = wait_for_start(listener)?;
                let fault = self.go(program);
                let _ = caller.write_all(fault.text.as_bytes());
                None
            }
        }
    }

    fn go(&self, program: &Program) -> Fault {
        if let Some(container) = &self.container {
            let hooks = &container.spec.hooks.start_container;
            if let Err(fault) = run_hooks(container, "startContainer", hooks, crate::state::Status::Created) {
                return fault;
            }
        }
        program.run()
    }
}

impl Child<'_> {
    /// Writes a file of the host's procfs, over no link and no other mount.
    fn write_proc(&self, path: &str, value: &str) -> Result<()> {
        // `self` is a link of procfs itself; everything else on the way must be plain.
        let own;
        let (path, base) = match path.strip_prefix("self/") {
            Some(rest) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                own = rustix::fs::openat(self.proc, "self", flags, Mode::empty()).what("/proc/self")?;
                (rest, own.as_fd())
            }
            None => (path, self.proc),
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(base, path, flags, Mode::empty(), resolve)
            .what(format_args!("/proc/{path}"))?;
        rustix::io::write(&fd, value.as_bytes()).what(format_args!("write /proc/{path}")).map(drop)
    }

    fn time_namespace(&self, offsets: &[(String, i64, u32)]) -> Result<()> {
        linux::clone::unshare(Namespaces::TIME).what("unshare")?;
        for (clock, seconds, nanoseconds) in offsets {
            self.write_proc("self/timens_offsets", &format!("{clock} {seconds} {nanoseconds}\n"))?;
        }
        // unshare moves only children; this process has to enter by itself.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = "self/ns/time_for_children";
        let fd = rustix::fs::openat(self.proc, path, flags, Mode::empty()).what("time namespace")?;
        linux::clone::setns(fd.as_fd(), Namespaces::TIME).what("enter time namespace")
    }
}

/// `net.ipv4.ip_forward` or `net/ipv4/ip_forward`: as sysctl(8), the first separator decides, so that a device's
/// name may hold dots.
fn sysctl_path(key: &str) -> String {
    let slashes = key.find(['.', '/']).is_some_and(|i| key.as_bytes()[i] == b'/');
    let path = if slashes { key.to_owned() } else { key.replace('.', "/") };
    format!("sys/{path}")
}

fn become_root() -> Result<()> {
    let (uid, gid) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .what("become root of the user namespace (is 0 mapped?)")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).what("become root of the user namespace (is 0 mapped?)")
}

fn keyring(id: &str) -> Result<()> {
    let name = std::ffi::CString::new(format!("_ses.{id}")).map_err(|_| fault("name", "holds a nul byte"))?;
    match linux::keyring::join_session(&name) {
        // Kernels without keys, and sandboxes that forbid the call, have no keyring to leak either.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(()),
        other => other.what("keyctl"),
    }
}

fn working_directory(rootfs: BorrowedFd<'_>, path: &str) -> Result<()> {
    match inside::ensure(rootfs, path, inside::Make::Directory, inside::Links::Follow) {
        // A link into a file system that comes with the program's own view (/proc/self/…) is judged at chdir.
        Ok(_) | Err(rustix::io::Errno::LOOP | rustix::io::Errno::ROFS) => Ok(()),
        Err(e) => Err(e).what(path),
    }
}

/// The directory must be entered by root or by the user, whoever may; and it must be in the container.
fn enter(path: &str, early: rustix::io::Result<()>) -> Result<()> {
    if early.is_err() {
        rustix::process::chdir(path).what(path)?;
    }
    // The kernel says "(unreachable)" of a directory outside the root: a leaked descriptor (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new()).what("getcwd")?;
    if here.as_bytes().starts_with(b"/") { Ok(()) } else { Err(fault(path, "is outside the container")) }
}

fn run_hooks(
    container: &Container<'_>,
    kind: &'static str,
    list: &[Hook],
    status: crate::state::Status,
) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let state = (container.state)(status, rustix::process::getpid().as_raw_nonzero().get());
    hooks::run_all(&HookRun { kind, hooks: list, state: &state }).map_err(|e| Fault { text: e.to_string() })
}

/// Waits until somebody says that the program shall run; who only knocks (`state` does) is passed over.
fn wait_for_start(listener: &UnixListener) -> Option<UnixStream> {
    loop {
        let (mut caller, _) = listener.accept().ok()?;
        let mut word = [0_u8; 1];
        if caller.read_exact(&mut word).is_ok() && word == *b"S" && caller.write_all(b"A").is_ok() {
            return Some(caller);
        }
    }
}
