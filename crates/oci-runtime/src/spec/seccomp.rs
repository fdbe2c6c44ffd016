//! `linux.seccomp`: the profile as written; `crate::seccomp` makes a program of it.

use serde_json::Value;

use super::error::{Problem, SpecError};
use super::json;

/// `linux.seccomp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seccomp {
    /// For calls that no rule names.
    pub default_action: Action,
    /// `SCMP_ARCH_*` names; the native one is always meant.
    pub architectures: Vec<Arch>,
    /// `SECCOMP_FILTER_FLAG_*` bits.
    pub flags: u32,
    /// Rules, in order.
    pub syscalls: Vec<Rule>,
}

/// Architectures with tables here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// `SCMP_ARCH_X86_64`
    X86_64,
    /// `SCMP_ARCH_X86`
    X86,
    /// `SCMP_ARCH_X32`
    X32,
    /// Any other: its programs cannot run on this machine.
    Foreign,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `SCMP_ACT_KILL`, `SCMP_ACT_KILL_THREAD`
    KillThread,
    /// `SCMP_ACT_KILL_PROCESS`
    KillProcess,
    /// `SCMP_ACT_TRAP`
    Trap,
    /// `SCMP_ACT_ERRNO` with the number
    Errno(u16),
    /// `SCMP_ACT_TRACE` with the data
    Trace(u16),
    /// `SCMP_ACT_LOG`
    Log,
    /// `SCMP_ACT_ALLOW`
    Allow,
}

/// One entry of `syscalls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names; those the tables do not have are passed over, as every runtime does.
    pub names: Vec<String>,
    /// What to do.
    pub action: Action,
    /// All must hold.
    pub args: Vec<Arg>,
}

/// A comparison of one argument, unsigned 64 bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arg {
    /// 0 to 5.
    pub index: u8,
    /// The operand.
    pub value: u64,
    /// The second operand: for `MaskedEqual`, what `arg & value` must be.
    pub value_two: u64,
    /// The comparison.
    pub op: Op,
}

/// `SCMP_CMP_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `NE`
    NotEqual,
    /// `LT`
    Less,
    /// `LE`
    LessEqual,
    /// `EQ`
    Equal,
    /// `GE`
    GreaterEqual,
    /// `GT`
    Greater,
    /// `MASKED_EQ`
    MaskedEqual,
}

/// Every action by name, for parsing and for `features`.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_NOTIFY",
];

/// Every comparison by name.
pub const OPS: [(&str, Op); 7] = [
    ("SCMP_CMP_NE", Op::NotEqual),
    ("SCMP_CMP_LT", Op::Less),
    ("SCMP_CMP_LE", Op::LessEqual),
    ("SCMP_CMP_EQ", Op::Equal),
    ("SCMP_CMP_GE", Op::GreaterEqual),
    ("SCMP_CMP_GT", Op::Greater),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEqual),
];

/// Filter flags by name.
pub const FLAGS: [(&str, u32); 3] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", linux::seccomp::FLAG_TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", linux::seccomp::FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", linux::seccomp::FLAG_SPEC_ALLOW),
];

/// Architectures of the spec that this machine cannot run.
const FOREIGN: [&str; 19] = [
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
];

fn action(name: &str, errno: Option<u32>) -> json::Result<Action> {
    // EPERM is what libseccomp's callers use when the profile names no number.
    let number = u16::try_from(errno.unwrap_or(1)).ok().filter(|n| *n < 4096);
    let number = number.ok_or_else(|| SpecError::invalid(errno.unwrap_or(1), "not an errno"))?;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Action::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(Action::KillProcess),
        "SCMP_ACT_TRAP" => Ok(Action::Trap),
        "SCMP_ACT_ERRNO" => Ok(Action::Errno(number)),
        "SCMP_ACT_TRACE" => Ok(Action::Trace(number)),
        "SCMP_ACT_LOG" => Ok(Action::Log),
        "SCMP_ACT_ALLOW" => Ok(Action::Allow),
        "SCMP_ACT_NOTIFY" => {
            Err(SpecError::new(Problem::Unsupported { hint: "seccomp notification comes later" }))
        }
        other => Err(SpecError::unknown("seccomp action", other)),
    }
}

fn arch(value: &Value) -> json::Result<Arch> {
    match json::string(value)?.as_str() {
        "SCMP_ARCH_X86_64" => Ok(Arch::X86_64),
        "SCMP_ARCH_X86" => Ok(Arch::X86),
        "SCMP_ARCH_X32" => Ok(Arch::X32),
        name if FOREIGN.contains(&name) => Ok(Arch::Foreign),
        other => Err(SpecError::unknown("architecture", other)),
    }
}

fn arg(value: &Value) -> json::Result<Arg> {
    Ok(Arg {
        index: json::required(value, "index", |v| match json::unsigned(v)? {
            index @ 0..=5 => Ok(u8::try_from(index).unwrap_or(0)),
            other => Err(SpecError::invalid(other, "a system call has arguments 0 to 5")),
        })?,
        value: json::required(value, "value", json::unsigned)?,
        value_two: json::or_default(value, "valueTwo", json::unsigned)?,
        op: json::required(value, "op", |v| {
            let name = json::string(v)?;
            let found = OPS.iter().find(|(known, _)| *known == name);
            found.map(|(_, op)| *op).ok_or_else(|| SpecError::unknown("comparison", &name))
        })?,
    })
}

fn rule(value: &Value) -> json::Result<Rule> {
    let errno = json::optional(value, "errnoRet", json::unsigned32)?;
    let names = json::required(value, "names", json::strings)?;
    if names.is_empty() {
        return Err(SpecError::new(Problem::Missing).under("names"));
    }
    Ok(Rule {
        names,
        action: json::required(value, "action", |v| action(&json::string(v)?, errno))?,
        args: json::or_default(value, "args", |v| json::list(v, arg))?,
    })
}

pub(super) fn read(value: &Value) -> json::Result<Seccomp> {
    json::refuse(value, "listenerPath", "seccomp notification comes later")?;
    let errno = json::optional(value, "defaultErrnoRet", json::unsigned32)?;
    let flags = json::or_default(value, "flags", |v| {
        json::list(v, |v| {
            let name = json::string(v)?;
            let found = FLAGS.iter().find(|(known, _)| *known == name);
            found.map(|(_, bit)| *bit).ok_or_else(|| SpecError::unknown("seccomp flag", &name))
        })
    })?;
    Ok(Seccomp {
        default_action: json::required(value, "defaultAction", |v| action(&json::string(v)?, errno))?,
        architectures: json::or_default(value, "architectures", |v| json::list(v, arch))?,
        flags: flags.into_iter().fold(0, |all, one| all | one),
        syscalls: json::or_default(value, "syscalls", |v| json::list(v, rule))?,
    })
}
