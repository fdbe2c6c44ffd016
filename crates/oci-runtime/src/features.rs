//! What this runtime can do, as the spec's features.md has it.

use serde_json::{Value, json};

use crate::spec::linux::Kind;
use crate::spec::{VERSION_MAX, mount, process, seccomp};

/// The features document.
#[must_use]
pub fn features() -> Value {
    let capabilities: Vec<String> = process::CAPABILITIES.iter().map(|c| format!("CAP_{c}")).collect();
    let actions: Vec<&str> = seccomp::ACTIONS.into_iter().filter(|a| *a != "SCMP_ACT_NOTIFY").collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION_MAX,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": mount::option_words(),
        "linux": {
            "namespaces": Kind::ALL.map(|(_, name, ..)| name),
            "capabilities": capabilities,
            "cgroup": {"v1": false, "v2": true, "systemd": false, "systemdUser": false, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": actions,
                "operators": seccomp::OPS.map(|(name, _)| name),
                "archs": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"],
                "knownFlags": seccomp::FLAGS.map(|(name, _)| name),
                "supportedFlags": seccomp::FLAGS.map(|(name, _)| name),
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": false},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": false}},
            "netDevices": {"enabled": false},
        },
        "annotations": {"io.orlop.orun.version": env!("CARGO_PKG_VERSION")},
    })
}
