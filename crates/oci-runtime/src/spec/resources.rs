//! `linux.resources`: limits for the container's cgroup.

use serde_json::Value;

use super::error::{Problem, SpecError};
use super::json;

/// `linux.resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// `devices`.
    pub devices: Vec<DeviceRule>,
    /// `memory`.
    pub memory: Memory,
    /// `cpu`.
    pub cpu: Cpu,
    /// `pids.limit`; -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// `blockIO`.
    pub block_io: BlockIo,
    /// `hugepageLimits`: page size word (`2MB`) and bytes.
    pub hugepages: Vec<(String, u64)>,
    /// `rdma`: device, handles, objects.
    pub rdma: Vec<(String, Option<u32>, Option<u32>)>,
    /// `unified`: file name and value.
    pub unified: Vec<(String, String)>,
}

/// One device rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allowed or denied.
    pub allow: bool,
    /// `a`, `c` or `b`.
    pub kind: char,
    /// `None` is any.
    pub major: Option<u32>,
    /// `None` is any.
    pub minor: Option<u32>,
    /// Bits of [`DeviceRule::READ`], [`DeviceRule::WRITE`], [`DeviceRule::MKNOD`].
    pub access: u32,
}

impl DeviceRule {
    /// `BPF_DEVCG_ACC_MKNOD`
    pub const MKNOD: u32 = 1;
    /// `BPF_DEVCG_ACC_READ`
    pub const READ: u32 = 2;
    /// `BPF_DEVCG_ACC_WRITE`
    pub const WRITE: u32 = 4;
    /// All three.
    pub const ALL: u32 = 7;
}

/// `memory`; bytes, -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// Refuse a limit below what is used already.
    pub check_before_update: bool,
}

/// `cpu`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cpu {
    /// Relative weight, 2 to 262144.
    pub shares: Option<u64>,
    /// Microseconds per period; -1 is unlimited.
    pub quota: Option<i64>,
    /// Microseconds that may be saved up.
    pub burst: Option<u64>,
    /// Microseconds.
    pub period: Option<u64>,
    /// CPU list.
    pub cpus: Option<String>,
    /// Memory node list.
    pub mems: Option<String>,
    /// 1 for SCHED_IDLE treatment of the whole group.
    pub idle: Option<i64>,
}

/// `blockIO`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u32>,
    /// Per device: major, minor, weight.
    pub weight_devices: Vec<(u32, u32, u32)>,
    /// Per device: major, minor, key of `io.max` (`rbps wbps riops wiops`), rate per second.
    pub throttle: Vec<(u32, u32, &'static str, u64)>,
}

fn device_rule(value: &Value) -> json::Result<DeviceRule> {
    let number = |key| {
        json::optional(value, key, |v| match json::signed(v)? {
            -1 => Ok(None),
            n => Ok(Some(u32::try_from(n).map_err(|_| SpecError::invalid(n, "not a device number"))?)),
        })
        .map(Option::flatten)
    };
    Ok(DeviceRule {
        allow: json::required(value, "allow", json::boolean)?,
        kind: json::optional(value, "type", |v| match json::string(v)?.as_str() {
            "a" | "" => Ok('a'),
            "c" => Ok('c'),
            "b" => Ok('b'),
            other => Err(SpecError::unknown("device type", other)),
        })?
        .unwrap_or('a'),
        major: number("major")?,
        minor: number("minor")?,
        access: json::optional(value, "access", |v| {
            json::string(v)?.chars().try_fold(0, |bits, c| match c {
                'r' => Ok(bits | DeviceRule::READ),
                'w' => Ok(bits | DeviceRule::WRITE),
                'm' => Ok(bits | DeviceRule::MKNOD),
                other => Err(SpecError::unknown("device access", &other.to_string())),
            })
        })?
        .filter(|bits| *bits != 0)
        .unwrap_or(DeviceRule::ALL),
    })
}

fn memory(value: &Value) -> json::Result<Memory> {
    let v1_only = "a cgroup v1 setting without a v2 counterpart; remove it";
    for key in ["swappiness", "disableOOMKiller", "kernelTCP", "kernel"] {
        json::refuse(value, key, v1_only)?;
    }
    Ok(Memory {
        limit: json::optional(value, "limit", json::signed)?,
        reservation: json::optional(value, "reservation", json::signed)?,
        swap: json::optional(value, "swap", json::signed)?,
        check_before_update: json::or_default(value, "checkBeforeUpdate", json::boolean)?,
    })
}

fn cpu(value: &Value) -> json::Result<Cpu> {
    for key in ["realtimeRuntime", "realtimePeriod"] {
        if json::optional(value, key, json::signed)?.unwrap_or(0) != 0 {
            let hint = "a cgroup v1 setting without a v2 counterpart; remove it";
            return Err(SpecError::new(Problem::Unsupported { hint }).under(key));
        }
    }
    let text = |key| json::optional(value, key, json::string).map(|s| s.filter(|s| !s.is_empty()));
    Ok(Cpu {
        shares: json::optional(value, "shares", json::unsigned)?.filter(|s| *s != 0),
        quota: json::optional(value, "quota", json::signed)?.filter(|q| *q != 0),
        burst: json::optional(value, "burst", json::unsigned)?,
        period: json::optional(value, "period", json::unsigned)?.filter(|p| *p != 0),
        cpus: text("cpus")?,
        mems: text("mems")?,
        idle: json::optional(value, "idle", json::signed)?,
    })
}

fn block_io(value: &Value) -> json::Result<BlockIo> {
    json::refuse(value, "leafWeight", "a cgroup v1 setting without a v2 counterpart; remove it")?;
    let device = |v: &Value| {
        Ok((json::required(v, "major", json::unsigned32)?, json::required(v, "minor", json::unsigned32)?))
    };
    let mut throttle = Vec::new();
    for (key, word) in [
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ] {
        throttle.extend(json::or_default(value, key, |v| {
            json::list(v, |v| {
                let (major, minor) = device(v)?;
                Ok((major, minor, word, json::required(v, "rate", json::unsigned)?))
            })
        })?);
    }
    Ok(BlockIo {
        weight: json::optional(value, "weight", json::unsigned32)?.filter(|w| *w != 0),
        weight_devices: json::or_default(value, "weightDevice", |v| {
            json::list(v, |v| {
                json::refuse(v, "leafWeight", "a cgroup v1 setting without a v2 counterpart; remove it")?;
                let (major, minor) = device(v)?;
                Ok((major, minor, json::required(v, "weight", json::unsigned32)?))
            })
        })?,
        throttle,
    })
}

fn unified(value: &Value) -> json::Result<Vec<(String, String)>> {
    let pairs = json::pairs(value, json::string)?;
    match pairs.iter().find(|(name, _)| name.contains('/') || !name.contains('.') || name.starts_with('.')) {
        Some((name, _)) => Err(SpecError::invalid(name, "not the name of a cgroup file").under(name)),
        None => Ok(pairs),
    }
}

pub(super) fn read(value: &Value) -> json::Result<Resources> {
    json::refuse(value, "network", "net_cls and net_prio are cgroup v1 only; use nftables' cgroup match")?;
    let pids = |v: &Value| json::required(v, "limit", json::signed);
    Ok(Resources {
        devices: json::or_default(value, "devices", |v| json::list(v, device_rule))?,
        memory: json::or_default(value, "memory", memory)?,
        cpu: json::or_default(value, "cpu", cpu)?,
        pids_limit: json::optional(value, "pids", pids)?,
        block_io: json::or_default(value, "blockIO", block_io)?,
        hugepages: json::or_default(value, "hugepageLimits", |v| {
            json::list(v, |v| {
                Ok((
                    json::required(v, "pageSize", json::string)?,
                    json::required(v, "limit", json::unsigned)?,
                ))
            })
        })?,
        rdma: json::or_default(value, "rdma", |v| {
            let each = json::pairs(v, |v| {
                let limit = |key| json::optional(v, key, json::unsigned32);
                Ok((limit("hcaHandles")?, limit("hcaObjects")?))
            })?;
            Ok(each.into_iter().map(|(device, (handles, objects))| (device, handles, objects)).collect())
        })?,
        unified: json::or_default(value, "unified", unified)?,
    })
}
