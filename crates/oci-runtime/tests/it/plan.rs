//! The order of the child's steps.

use oci_runtime::child::plan::{Action, Options, steps};
use oci_runtime::spec::{Spec, parse};
use serde_json::json;

fn spec(change: impl FnOnce(&mut serde_json::Value)) -> Spec {
    let mut config = oci_runtime::template::config();
    change(&mut config);
    parse(config.to_string().as_bytes()).unwrap()
}

fn names(spec: &Spec, options: Options) -> Vec<String> {
    let process = spec.process.as_ref().unwrap();
    steps(spec, process, options).iter().map(|s| format!("{} ({})", s.action, s.origin)).collect()
}

#[test]
fn the_templates_steps() {
    let spec = spec(|c| c["linux"]["maskedPaths"] = json!(["/proc/kcore"]));
    let got = names(&spec, Options::default());
    let expected = [
        "make session (process)",
        "join session keyring (process)",
        "make cgroup namespace (linux.namespaces)",
        "bring up loopback device (linux.namespaces)",
        "set host name orun (hostname)",
        "change mount propagation (linux.rootfsPropagation)",
        "mount root file system (root.path)",
        "mount /proc (mounts[0])",
        "mount /dev (mounts[1])",
        "mount /dev/pts (mounts[2])",
        "mount /dev/shm (mounts[3])",
        "mount /dev/mqueue (mounts[4])",
        "mount /sys (mounts[5])",
        "mount /sys/fs/cgroup (mounts[6])",
        "make default devices (linux.devices)",
        "make directory / (process.cwd)",
        "open terminal (process.terminal)",
        "make /proc/bus read-only (linux.readonlyPaths[0])",
        "make /proc/fs read-only (linux.readonlyPaths[1])",
        "make /proc/irq read-only (linux.readonlyPaths[2])",
        "make /proc/sys read-only (linux.readonlyPaths[3])",
        "make /proc/sysrq-trigger read-only (linux.readonlyPaths[4])",
        "mask /proc/kcore (linux.maskedPaths[0])",
        "make root read-only (root.readonly)",
        "change root (root.path)",
    ];
    assert_eq!(got, expected);
}

#[test]
fn ids_come_first_and_hooks_before_the_root_is_sealed() {
    let spec = spec(|c| {
        c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        c["linux"]["uidMappings"] = map.clone();
        c["linux"]["gidMappings"] = map;
        let hook = json!([{"path": "/h"}]);
        c["hooks"] =
            json!({"prestart": hook, "createContainer": hook, "startContainer": hook, "poststop": hook});
        c["linux"]["sysctl"] = json!({"net.core.somaxconn": "9"});
    });
    let process = spec.process.as_ref().unwrap();
    let steps = steps(&spec, process, Options { no_new_keyring: true });
    let at = |wanted: fn(&Action<'_>) -> bool| steps.iter().position(|s| wanted(&s.action)).unwrap();
    assert_eq!(at(|a| matches!(a, Action::TakeMappings)), 0);
    let mounts = steps.iter().rposition(|s| matches!(s.action, Action::Mount(_))).unwrap();
    let order = [
        mounts,
        at(|a| matches!(a, Action::RuntimeHooks)),
        at(|a| matches!(a, Action::ContainerHooks(_))),
        at(|a| matches!(a, Action::Mask(_))),
        at(|a| matches!(a, Action::Pivot)),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(!steps.iter().any(|s| matches!(s.action, Action::Keyring)));
    let sysctl = steps.iter().find(|s| matches!(s.action, Action::Sysctl(..))).unwrap();
    assert_eq!(sysctl.origin.to_string(), "linux.sysctl.net.core.somaxconn");
}

#[test]
fn a_bound_dev_gets_no_nodes() {
    let spec = spec(|c| {
        c["mounts"] =
            json!([{"destination": "/dev/", "type": "bind", "source": "/dev", "options": ["rbind"]}]);
    });
    assert!(!names(&spec, Options::default()).iter().any(|n| n.contains("devices")));
}
