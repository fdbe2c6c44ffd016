//! Faults in config.json are named with their path, before anything is made.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::bundle;

#[test]
fn faults_are_named() {
    let base = oci_runtime::template::config();
    type Change = fn(&mut Value);
    let cases: &[(Change, &str)] = &[
        (
            |c| c["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_FOO"]),
            "process.capabilities.bounding[1]: unknown capability CAP_FOO",
        ),
        (|c| c["ociVersion"] = "x".into(), "ociVersion: x: not a version"),
        (|c| c["ociVersion"] = "2.0.0".into(), "ociVersion: 2.0.0: only version 1"),
        (|c| c["process"]["cwd"] = "tmp".into(), "process.cwd: tmp: must be absolute"),
        (|c| c["process"]["args"] = json!([]), "process.args: missing"),
        (
            |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type: unknown resource limit RLIMIT_NOPE",
        ),
        (
            |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
            "process.rlimits[0].soft: 2: more than the hard limit",
        ),
        (
            |c| c["process"]["user"]["uid"] = (-1).into(),
            "process.user.uid: expected an unsigned integer, found -1",
        ),
        (
            |c| c["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "mount"}]),
            "linux.namespaces[1].type: mount: named twice",
        ),
        (
            |c| c["linux"]["namespaces"] = json!([{"type": "mount"}]),
            "hostname: needs an entry of type uts in linux.namespaces",
        ),
        (
            |c| c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]),
            "linux.uidMappings: needs a namespace of type user",
        ),
        (
            |c| c["linux"]["sysctl"] = json!({"vm.swappiness": "1"}),
            "linux.sysctl.vm.swappiness: vm.swappiness: belongs to the whole machine",
        ),
        (
            |c| c["hooks"] = json!({"poststop": [{"path": "x"}]}),
            "hooks.poststop[0].path: x: must be absolute",
        ),
        (
            |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "linux.seccomp.defaultAction: not supported by orun",
        ),
        (
            |c| c["mounts"][0]["options"] = json!(["ro", "idmap"]),
            "mounts[0].options[1]: not supported by orun: id-mapped mounts",
        ),
        (
            |c| c["linux"]["resources"]["memory"] = json!({"swappiness": 3}),
            "linux.resources.memory.swappiness: not supported by orun: a cgroup v1 setting",
        ),
        (|c| c["vm"] = json!({"kernel": {"path": "/k"}}), "vm: not supported by orun: only Linux containers"),
        (|c| c["process"]["args"] = json!(["a\0b"]), "process.args[0]: \"a\\0b\": it holds a nul byte"),
        (
            |c| c["linux"]["intelRdt"] = json!({"closID": "x"}),
            "linux.intelRdt: not supported by orun: resctrl",
        ),
    ];
    for (change, expected) in cases {
        let mut config = base.clone();
        change(&mut config);
        let error = oci_runtime::spec::parse(config.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} is not {expected:?}");
    }
}

#[test]
fn json_faults_have_a_position() {
    let error =
        oci_runtime::spec::parse(b"{\n  \"ociVersion\": \"1.0.2\",\n  oops\n}").unwrap_err().to_string();
    assert!(error.starts_with("not JSON: ") && error.ends_with("(line 3, column 3)"), "{error}");
}

#[test]
fn unknown_members_are_ignored() {
    let mut config = oci_runtime::template::config();
    config["futureField"] = json!({"a": 1});
    config["process"]["futureField"] = json!([1]);
    oci_runtime::spec::parse(config.to_string().as_bytes()).unwrap();
}

#[test]
fn root_the_command_line_names_the_file() {
    let Some(b) = bundle("file named", &["true"]) else { return };
    let b = b.with(|c| c["process"]["cwd"] = "tmp".into());
    let text = b.fails(&["create", "box"]);
    assert!(text.contains("config.json: process.cwd: tmp: must be absolute"), "{text}");
    assert!(b.nothing_left());
    let b = b.with(|c| c["process"]["cwd"] = "/".into());
    assert!(b.fails(&["create", "../box"]).contains("container id \"../box\""));
    assert!(b.fails(&["--systemd-cgroup", "create", "box"]).contains("no systemd driver"));
}

#[test]
fn spec_and_features_print_json() {
    let dir = tempfile::tempdir().unwrap();
    let orun = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_orun")).args(words).current_dir(dir.path()).output().unwrap()
    };
    assert!(orun(&["spec"]).status.success());
    let config = std::fs::read(dir.path().join("config.json")).unwrap();
    oci_runtime::spec::parse(&config).unwrap();
    assert!(!orun(&["spec"]).status.success(), "an existing file is kept");
    let features: Value = serde_json::from_slice(&orun(&["features"]).stdout).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
}
