//! `process`: what runs in the container, and as whom.

use rustix::process::Resource;
use rustix::thread::CapabilitySet;
use serde_json::Value;

use super::error::{Problem, SpecError};
use super::json;

/// `process` of config.json, and the whole of a process.json.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// The program gets a terminal.
    pub terminal: bool,
    /// Height and width of the terminal, characters.
    pub console_size: Option<(u16, u16)>,
    /// Directory it starts in, absolute.
    pub cwd: String,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// Argument vector.
    pub args: Vec<String>,
    /// `user`.
    pub user: User,
    /// `capabilities`; `None` leaves the runtime's own.
    pub capabilities: Option<Capabilities>,
    /// `rlimits`.
    pub rlimits: Vec<Rlimit>,
    /// `noNewPrivileges`.
    pub no_new_privileges: bool,
    /// `oomScoreAdj`, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// `apparmorProfile`.
    pub apparmor_profile: Option<String>,
    /// `selinuxLabel`.
    pub selinux_label: Option<String>,
    /// `ioPriority`: class (1 RT, 2 BE, 3 idle) and priority 0 to 7.
    pub io_priority: Option<(u32, u32)>,
    /// `scheduler`.
    pub scheduler: Option<Scheduler>,
}

/// `process.user`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
    /// File creation mask.
    pub umask: Option<u32>,
}

/// The five sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Upper bound over `execve`.
    pub bounding: CapabilitySet,
    /// In force.
    pub effective: CapabilitySet,
    /// Kept over `execve` together with the file's.
    pub inheritable: CapabilitySet,
    /// May be made effective.
    pub permitted: CapabilitySet,
    /// Kept over `execve` of plain programs.
    pub ambient: CapabilitySet,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// Which.
    pub resource: Resource,
    /// Its `RLIMIT_*` name.
    pub name: &'static str,
    /// Limit in force; `u64::MAX` is none.
    pub soft: u64,
    /// Bound of `soft`; `u64::MAX` is none.
    pub hard: u64,
}

/// `process.scheduler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*` number.
    pub policy: u32,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// Runtime, deadline and period, nanoseconds.
    pub deadline: [u64; 3],
}

/// Names in the order of their numbers (`linux/capability.h`), without `CAP_`.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const RLIMITS: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// The capability of this name (`CAP_KILL`; the prefix and case do not matter).
///
/// # Errors
/// An unknown name.
pub fn capability(name: &str) -> Result<CapabilitySet, SpecError> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let index = CAPABILITIES.iter().position(|c| *c == bare);
    let index = index.ok_or_else(|| SpecError::unknown("capability", name))?;
    Ok(CapabilitySet::from_bits_retain(1 << index))
}

fn capability_list(value: &Value) -> json::Result<CapabilitySet> {
    let each = json::list(value, |v| capability(&json::string(v)?))?;
    Ok(each.into_iter().fold(CapabilitySet::empty(), |all, one| all | one))
}

fn capabilities(value: &Value) -> json::Result<Capabilities> {
    let set = |key| json::optional(value, key, capability_list).map(|s| s.unwrap_or(CapabilitySet::empty()));
    Ok(Capabilities {
        bounding: set("bounding")?,
        effective: set("effective")?,
        inheritable: set("inheritable")?,
        permitted: set("permitted")?,
        ambient: set("ambient")?,
    })
}

fn rlimit(value: &Value) -> json::Result<Rlimit> {
    let (name, resource) = json::required(value, "type", |v| {
        let name = json::string(v)?;
        let found = RLIMITS.iter().find(|(known, _)| *known == name).copied();
        found.ok_or_else(|| SpecError::unknown("resource limit", &name))
    })?;
    let soft = json::required(value, "soft", json::unsigned)?;
    let hard = json::required(value, "hard", json::unsigned)?;
    if soft > hard {
        return Err(SpecError::invalid(soft, "more than the hard limit").under("soft"));
    }
    Ok(Rlimit { resource, name, soft, hard })
}

fn user(value: &Value) -> json::Result<User> {
    Ok(User {
        uid: json::or_default(value, "uid", json::unsigned32)?,
        gid: json::or_default(value, "gid", json::unsigned32)?,
        additional_gids: json::or_default(value, "additionalGids", |v| json::list(v, json::unsigned32))?,
        umask: json::optional(value, "umask", |v| match json::unsigned32(v)? {
            mask if mask <= 0o777 => Ok(mask),
            mask => Err(SpecError::invalid(mask, "not a file mode")),
        })?,
    })
}

fn io_priority(value: &Value) -> json::Result<(u32, u32)> {
    let class = json::required(value, "class", |v| match json::string(v)?.as_str() {
        "IOPRIO_CLASS_RT" => Ok(1),
        "IOPRIO_CLASS_BE" => Ok(2),
        "IOPRIO_CLASS_IDLE" => Ok(3),
        other => Err(SpecError::unknown("I/O class", other)),
    })?;
    let priority = json::or_default(value, "priority", |v| match json::unsigned32(v)? {
        priority @ 0..=7 => Ok(priority),
        other => Err(SpecError::invalid(other, "must be 0 to 7")),
    })?;
    Ok((class, priority))
}

fn scheduler(value: &Value) -> json::Result<Scheduler> {
    const POLICIES: [&str; 7] =
        ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];
    const FLAGS: [(&str, u64); 7] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01),
        ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ];
    let policy = json::required(value, "policy", |v| {
        let name = json::string(v)?;
        let index = POLICIES.iter().position(|p| *p == name);
        index.ok_or_else(|| SpecError::unknown("scheduling policy", &name))
    })?;
    let flags = json::or_default(value, "flags", |v| {
        json::list(v, |v| {
            let name = json::string(v)?;
            let found = FLAGS.iter().find(|(known, _)| *known == name);
            found.map(|(_, bit)| *bit).ok_or_else(|| SpecError::unknown("scheduling flag", &name))
        })
    })?;
    let time = |key| json::or_default(value, key, json::unsigned);
    Ok(Scheduler {
        policy: u32::try_from(policy).unwrap_or(0),
        nice: json::or_default(value, "nice", |v| match json::signed(v)? {
            nice @ -20..=19 => Ok(i32::try_from(nice).unwrap_or(0)),
            other => Err(SpecError::invalid(other, "must be -20 to 19")),
        })?,
        priority: json::or_default(value, "priority", json::unsigned32)?,
        flags: flags.into_iter().fold(0, |all, one| all | one),
        deadline: [time("runtime")?, time("deadline")?, time("period")?],
    })
}

pub(super) fn read(value: &Value) -> json::Result<Process> {
    json::refuse(value, "execCPUAffinity", "pin the CPUs by linux.resources.cpu.cpus")?;
    json::refuse(value, "commandLine", "it is for Windows; give process.args")?;
    let size = |v: &Value, key| {
        json::required(v, key, |v| {
            u16::try_from(json::unsigned(v)?)
                .map_err(|_| SpecError::new(Problem::Invalid { value: v.to_string(), why: "too large" }))
        })
    };
    Ok(Process {
        terminal: json::or_default(value, "terminal", json::boolean)?,
        console_size: json::optional(value, "consoleSize", |v| Ok((size(v, "height")?, size(v, "width")?)))?,
        cwd: json::required(value, "cwd", json::string)?,
        env: json::or_default(value, "env", json::strings)?,
        args: json::or_default(value, "args", json::strings)?,
        user: json::or_default(value, "user", user)?,
        capabilities: json::optional(value, "capabilities", capabilities)?,
        rlimits: json::or_default(value, "rlimits", |v| json::list(v, rlimit))?,
        no_new_privileges: json::or_default(value, "noNewPrivileges", json::boolean)?,
        oom_score_adj: json::optional(value, "oomScoreAdj", |v| match json::signed(v)? {
            score @ -1000..=1000 => Ok(i32::try_from(score).unwrap_or(0)),
            other => Err(SpecError::invalid(other, "must be -1000 to 1000")),
        })?,
        apparmor_profile: json::optional(value, "apparmorProfile", json::string)?.filter(|s| !s.is_empty()),
        selinux_label: json::optional(value, "selinuxLabel", json::string)?.filter(|s| !s.is_empty()),
        io_priority: json::optional(value, "ioPriority", io_priority)?,
        scheduler: json::optional(value, "scheduler", scheduler)?,
    })
}
