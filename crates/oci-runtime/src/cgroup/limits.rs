//! From `linux.resources` to files of cgroup v2: a pure table of writes.

use crate::spec::resources::Resources;

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Controller that has the file; empty if unknown.
    pub controller: &'static str,
    /// File in the cgroup's directory.
    pub file: String,
    /// What to write.
    pub value: String,
    /// JSON path that asks for it.
    pub field: String,
    /// No error if the kernel does not have the file (it would hold the default anyway).
    pub optional: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "callers give numbers and borrowed text alike")]
fn write(controller: &'static str, file: &str, value: impl ToString, field: &str) -> Write {
    let field = format!("linux.resources.{field}");
    Write { controller, file: file.to_owned(), value: value.to_string(), field, optional: false }
}

/// `max` for -1.
fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// cpu.weight for cpu.shares: 2 → 1, 1024 → 100, 262144 → 10000, a parabola in the logarithms between (the
/// conversion that runc and crun agreed on in 2025, so that both defaults meet).
#[must_use]
pub fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

/// io.weight (1 to 10000, 100 the default) for blkio weight (10 to 1000).
#[must_use]
pub fn io_weight(weight: u32) -> u32 {
    1 + weight.clamp(10, 1000).saturating_sub(10) * 9999 / 990
}

fn memory(resources: &Resources, writes: &mut Vec<Write>) {
    let memory = resources.memory;
    if let Some(limit) = memory.limit {
        writes.push(Write {
            optional: limit < 0,
            ..write("memory", "memory.max", or_max(limit), "memory.limit")
        });
    }
    if let Some(swap) = memory.swap {
        // v1 counts memory and swap together, v2 the swap alone.
        let alone = match memory.limit {
            Some(limit) if swap >= 0 && limit >= 0 => (swap - limit).max(0).to_string(),
            _ => or_max(swap),
        };
        writes.push(Write { optional: swap < 0, ..write("memory", "memory.swap.max", alone, "memory.swap") });
    }
    if let Some(reservation) = memory.reservation {
        let value = or_max(reservation);
        writes.push(Write {
            optional: reservation <= 0,
            ..write("memory", "memory.low", value, "memory.reservation")
        });
    }
}

fn cpu(resources: &Resources, writes: &mut Vec<Write>) {
    let cpu = &resources.cpu;
    if let Some(idle) = cpu.idle {
        writes.push(write("cpu", "cpu.idle", idle, "cpu.idle"));
    }
    if let Some(shares) = cpu.shares.filter(|_| cpu.idle.unwrap_or(0) == 0) {
        writes.push(write("cpu", "cpu.weight", cpu_weight(shares), "cpu.shares"));
    }
    // A burst may not exceed the quota, so that goes first.
    if cpu.quota.is_some() || cpu.period.is_some() {
        let value = format!("{} {}", or_max(cpu.quota.unwrap_or(-1)), cpu.period.unwrap_or(100_000));
        let field = if cpu.quota.is_some() { "cpu.quota" } else { "cpu.period" };
        writes.push(write("cpu", "cpu.max", value, field));
    }
    if let Some(burst) = cpu.burst {
        writes.push(write("cpu", "cpu.max.burst", burst, "cpu.burst"));
    }
    if let Some(cpus) = &cpu.cpus {
        writes.push(write("cpuset", "cpuset.cpus", cpus, "cpu.cpus"));
    }
    if let Some(mems) = &cpu.mems {
        writes.push(write("cpuset", "cpuset.mems", mems, "cpu.mems"));
    }
}

fn block_io(resources: &Resources, writes: &mut Vec<Write>) {
    let io = &resources.block_io;
    if let Some(weight) = io.weight {
        writes.push(write("io", "io.weight", io_weight(weight), "blockIO.weight"));
    }
    for (i, (major, minor, weight)) in io.weight_devices.iter().enumerate() {
        let value = format!("{major}:{minor} {}", io_weight(*weight));
        writes.push(write("io", "io.weight", value, &format!("blockIO.weightDevice[{i}]")));
    }
    for (major, minor, key, rate) in &io.throttle {
        let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
        writes.push(write("io", "io.max", format!("{major}:{minor} {key}={rate}"), "blockIO.throttle"));
    }
}

fn unified_controller(file: &str) -> &'static str {
    const KNOWN: [&str; 8] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma", "misc"];
    KNOWN.into_iter().find(|name| file.split('.').next() == Some(name)).unwrap_or("")
}

/// Every file to write, in order, the device rules apart.
#[must_use]
pub fn writes(resources: &Resources) -> Vec<Write> {
    let mut writes = Vec::new();
    memory(resources, &mut writes);
    cpu(resources, &mut writes);
    if let Some(limit) = resources.pids_limit {
        writes.push(Write { optional: limit < 0, ..write("pids", "pids.max", or_max(limit), "pids.limit") });
    }
    block_io(resources, &mut writes);
    for (i, (size, bytes)) in resources.hugepages.iter().enumerate() {
        let field = format!("hugepageLimits[{i}]");
        writes.push(write("hugetlb", &format!("hugetlb.{size}.max"), bytes, &field));
        // Kernels before 5.7 count reservations nowhere.
        writes.push(Write {
            optional: true,
            ..write("hugetlb", &format!("hugetlb.{size}.rsvd.max"), bytes, &field)
        });
    }
    for (device, handles, objects) in &resources.rdma {
        let count = |key: &str, n: &Option<u32>| n.map(|n| format!(" {key}={n}")).unwrap_or_default();
        let value = format!("{device}{}{}", count("hca_handle", handles), count("hca_object", objects));
        writes.push(write("rdma", "rdma.max", value, &format!("rdma.{device}")));
    }
    for (file, value) in &resources.unified {
        let field = format!("unified.{file}");
        writes.push(write(unified_controller(file), file, value, &field));
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_meet_at_the_defaults() {
        for (shares, weight) in [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(cpu_weight(shares), weight, "{shares} shares");
        }
        for (blkio, weight) in [(10, 1), (1000, 10_000), (500, 4950)] {
            assert_eq!(io_weight(blkio), weight, "weight {blkio}");
        }
    }

    #[test]
    fn writes_by_field() {
        let json = br#"{"ociVersion":"1.0.2","root":{"path":"r"},"linux":{"namespaces":[{"type":"mount"}],"resources":{
            "memory":{"limit":1000,"swap":1500,"reservation":200},"pids":{"limit":0},
            "cpu":{"quota":50000,"period":100000,"cpus":"0-1"},
            "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":10}]},
            "unified":{"memory.high":"900"}}}}"#;
        let spec = crate::spec::parse(json).unwrap();
        let got: Vec<_> =
            writes(&spec.linux.resources).into_iter().map(|w| (w.file, w.value, w.field)).collect();
        let expected = [
            ("memory.max", "1000", "memory.limit"),
            ("memory.swap.max", "500", "memory.swap"),
            ("memory.low", "200", "memory.reservation"),
            ("cpu.max", "50000 100000", "cpu.quota"),
            ("cpuset.cpus", "0-1", "cpu.cpus"),
            ("pids.max", "0", "pids.limit"),
            ("io.max", "8:0 rbps=10", "blockIO.throttle"),
            ("memory.high", "900", "unified.memory.high"),
        ];
        let expected: Vec<_> = expected
            .map(|(f, v, p)| (f.to_owned(), v.to_owned(), format!("linux.resources.{p}")))
            .into_iter()
            .collect();
        assert_eq!(got, expected);
    }
}
