//! Rules between fields; those of one field are checked where it is read.

use super::Spec;
use super::error::{Problem, SpecError};
use super::linux::{Kind, Linux};
use super::process::Process;

/// Characters of `sysctl` keys per namespace that owns them.
const SYSCTL_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn spec(spec: &Spec) -> Result<(), SpecError> {
    version(&spec.oci_version).map_err(|e| e.under("ociVersion"))?;
    if spec.root_path.is_empty() {
        return Err(SpecError::new(Problem::Missing).under("root.path"));
    }
    if let Some(found) = &spec.process {
        process(found).map_err(|e| e.under("process"))?;
    }
    linux(&spec.linux).map_err(|e| e.under("linux"))?;
    let needs_uts = "needs an entry of type uts in linux.namespaces";
    for (key, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        if value.is_some() && spec.linux.namespace(Kind::Uts).is_none() {
            return Err(SpecError::conflict(needs_uts).under(key));
        }
    }
    Ok(())
}

/// A semantic version of the major that is known.
fn version(text: &str) -> Result<(), SpecError> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(SpecError::invalid(text, "only version 1 of the spec is read")),
        _ => Err(SpecError::invalid(text, "not a version (1.2.0)")),
    }
}

pub(super) fn process(process: &Process) -> Result<(), SpecError> {
    if process.args.is_empty() {
        return Err(SpecError::new(Problem::Missing).under("args"));
    }
    if process.args[0].is_empty() {
        return Err(SpecError::invalid("\"\"", "no program").under_index(0).under("args"));
    }
    if !process.cwd.starts_with('/') {
        return Err(SpecError::invalid(&process.cwd, "must be absolute").under("cwd"));
    }
    let mut seen = Vec::new();
    for (i, limit) in process.rlimits.iter().enumerate() {
        if seen.contains(&limit.name) {
            return Err(SpecError::invalid(limit.name, "named twice")
                .under("type")
                .under_index(i)
                .under("rlimits"));
        }
        seen.push(limit.name);
    }
    Ok(())
}

fn linux(linux: &Linux) -> Result<(), SpecError> {
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        if linux.namespaces[..i].iter().any(|n| n.kind == namespace.kind) {
            let twice = SpecError::invalid(namespace.kind.name(), "named twice");
            return Err(twice.under("type").under_index(i).under("namespaces"));
        }
    }
    if linux.namespace(Kind::Mount).is_none() {
        return Err(SpecError::conflict("an entry of type mount is needed").under("namespaces"));
    }
    user_namespace(linux)?;
    if !linux.time_offsets.is_empty() && !linux.makes(Kind::Time) {
        return Err(SpecError::conflict("needs a new namespace of type time").under("timeOffsets"));
    }
    for (clock, ..) in &linux.time_offsets {
        if clock != "monotonic" && clock != "boottime" {
            return Err(SpecError::unknown("clock", clock).under("timeOffsets"));
        }
    }
    for (key, _) in &linux.sysctl {
        sysctl(linux, key).map_err(|e| e.under(key).under("sysctl"))?;
    }
    Ok(())
}

fn user_namespace(linux: &Linux) -> Result<(), SpecError> {
    let mapped = [("uidMappings", &linux.uid_mappings), ("gidMappings", &linux.gid_mappings)];
    for (key, mappings) in mapped {
        if linux.makes(Kind::User) && mappings.is_empty() {
            return Err(SpecError::conflict("needed by a new user namespace").under(key));
        }
        if !mappings.is_empty() && linux.namespace(Kind::User).is_none() {
            return Err(SpecError::conflict("needs a namespace of type user").under(key));
        }
        if let Some(i) = mappings.iter().position(|m| m.size == 0) {
            return Err(SpecError::invalid(0, "an empty range").under("size").under_index(i).under(key));
        }
    }
    Ok(())
}

/// A sysctl may only be set if a namespace of the container's own holds it; the rest belong to the host.
fn sysctl(linux: &Linux, key: &str) -> Result<(), SpecError> {
    if key.is_empty() || key.split(['.', '/']).any(|part| part.is_empty() || part == "..") {
        return Err(SpecError::invalid(format!("{key:?}"), "not the name of a sysctl"));
    }
    let key = key.replace('/', ".");
    let (kind, why) = if SYSCTL_IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
        (Kind::Ipc, "needs a namespace of type ipc")
    } else if key.starts_with("net.") {
        (Kind::Network, "needs a namespace of type network")
    } else if key == "kernel.hostname" || key == "kernel.domainname" {
        (Kind::Uts, "needs a namespace of type uts")
    } else if key.starts_with("user.") {
        (Kind::User, "needs a namespace of type user")
    } else {
        return Err(SpecError::invalid(key, "belongs to the whole machine, not to a namespace"));
    };
    if linux.namespace(kind).is_some() { Ok(()) } else { Err(SpecError::conflict(why)) }
}
