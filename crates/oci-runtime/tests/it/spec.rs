//! `config.json`: whatever is changed in it, the answer is a spec or an error with a path.

use oci_runtime::spec::{Problem, parse, parse_process};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A config with something of everything.
fn full() -> Value {
    let mut config = oci_runtime::template::config();
    config["annotations"] = json!({"a": "b"});
    config["domainname"] = "d".into();
    config["hooks"] = json!({"prestart": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 3}]});
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
    config["process"]["scheduler"] =
        json!({"policy": "SCHED_BATCH", "nice": 3, "flags": ["SCHED_FLAG_RECLAIM"]});
    config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
    config["process"]["consoleSize"] = json!({"height": 1, "width": 2});
    config["linux"]["devices"] = json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 2}]);
    config["linux"]["sysctl"] = json!({"net.core.somaxconn": "1"});
    config["linux"]["personality"] = json!({"domain": "LINUX32"});
    config["linux"]["rootfsPropagation"] = "rslave".into();
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]
    });
    config["linux"]["resources"] = json!({
        "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}],
        "memory": {"limit": 1, "swap": 2, "reservation": 1}, "pids": {"limit": 5},
        "cpu": {"shares": 10, "quota": 5, "period": 6, "cpus": "0"},
        "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 1, "minor": 2, "rate": 3}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4}], "rdma": {"mlx": {"hcaHandles": 3}},
        "unified": {"memory.high": "5"}
    });
    config
}

/// JSON pointers of all values.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, v)| pointers(v, &format!("{at}/{key}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), all));
        }
        _ => {}
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"path": "x", "type": "y", "names": ["read"], "action": "SCMP_ACT_ALLOW"}])),
    ]
}

#[test]
fn the_full_config_is_read() {
    let spec = parse(full().to_string().as_bytes()).unwrap();
    assert_eq!(spec.linux.resources.rdma, [("mlx".to_owned(), Some(3), None)]);
    assert_eq!(spec.process.unwrap().io_priority, Some((2, 4)));
    assert_eq!(spec.linux.personality, Some(8));
}

#[test]
fn every_value_of_a_wrong_type_is_named_by_its_path() {
    let config = full();
    let mut all = Vec::new();
    pointers(&config, "", &mut all);
    for pointer in all.iter().filter(|p| !p.is_empty()) {
        let mut changed = config.clone();
        // No field takes a list of numbers that large.
        *changed.pointer_mut(pointer).unwrap() = json!([1e300]);
        let Err(error) = parse(changed.to_string().as_bytes()) else { panic!("{pointer} is not looked at") };
        let path = error.path.replace('[', "/").replace(']', "").replace('.', "/");
        assert!(path.starts_with(pointer[1..].replace('.', "/").as_str()), "{pointer}: {error}");
        assert!(matches!(error.problem, Problem::Expected { .. }), "{pointer}: {error}");
    }
}

proptest! {
    #[test]
    fn any_change_is_answered(which in any::<prop::sample::Index>(), value in any_value()) {
        let mut config = full();
        let mut all = Vec::new();
        pointers(&config, "", &mut all);
        let pointer: &String = which.get(&all);
        *config.pointer_mut(pointer).unwrap() = value;
        if let Ok(spec) = parse(config.to_string().as_bytes()) {
            let _ = spec.linux.seccomp.as_ref().map(oci_runtime::seccomp::compile);
            let _ = oci_runtime::cgroup::limits::writes(&spec.linux.resources);
        }
        let _ = parse_process(config["process"].to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse_process(&bytes);
    }
}
