//! runtime.md: states, transitions, what is left behind.

use std::fs;

use serde_json::{Value, json};

use crate::harness::bundle;

#[test]
fn root_exit_codes_are_the_programs() {
    let Some(b) = bundle("exit codes", &["sh", "-c", "exit 7"]) else { return };
    assert_eq!(b.orun(&["run", "box"]).status.code(), Some(7));
    assert!(b.nothing_left());
    let b = b.with(|c| c["process"]["args"] = json!(["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]));
    assert_eq!(b.orun(&["run", "box"]).status.code(), Some(137));
}

#[test]
fn root_a_signal_ends_the_foreground() {
    let Some(b) = bundle("foreground signal", &["sleep", "100"]) else { return };
    let mut child = b.command(&["run", "box"]).spawn().unwrap();
    while !b.root().join("box/state.json").exists() || b.status("box") != "running" {}
    b.ok(&["kill", "box", "KILL"]);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(b.nothing_left());
}

#[test]
fn root_every_transition() {
    let Some(b) = bundle("transitions", &["sleep", "100"]) else { return };
    for verb in [&["start", "box"][..], &["state", "box"], &["kill", "box"], &["delete", "box"]] {
        assert!(b.fails(verb).contains("container box does not exist"), "{verb:?}");
    }
    b.ok(&["create", "--pid-file", "pid", "box"]);
    assert_eq!(b.status("box"), "created");
    assert_eq!(fs::read_to_string(b.path().join("pid")).unwrap(), b.pid("box").to_string());
    assert!(b.fails(&["create", "box"]).contains("already exists"));
    assert!(b.fails(&["delete", "box"]).contains("cannot delete container box: it is created"));

    b.ok(&["start", "box"]);
    assert_eq!(b.status("box"), "running");
    assert!(b.fails(&["start", "box"]).contains("cannot start container box: it is running"));
    assert!(b.fails(&["delete", "box"]).contains("it is running"));
    assert!(b.ok(&["list"]).contains("running"));
    assert_eq!(b.ok(&["list", "-q"]), "box\n");
    assert!(b.ok(&["ps", "box"]).contains(&b.pid("box").to_string()));

    b.ok(&["kill", "box", "9"]);
    b.wait_status("box", "stopped");
    for verb in [&["start", "box"][..], &["kill", "box"], &["exec", "box", "true"]] {
        assert!(b.fails(verb).contains("it is stopped"), "{verb:?}");
    }
    b.ok(&["delete", "box"]);
    assert!(b.nothing_left());
    assert!(b.fails(&["delete", "box"]).contains("does not exist"));
    b.ok(&["delete", "--force", "box"]);
}

#[test]
fn root_state_is_the_specs() {
    let Some(b) = bundle("state", &["sleep", "100"]) else { return };
    let b = b.with(|c| c["annotations"] = json!({"io.orlop.test": "yes"}));
    b.ok(&["create", "box"]);
    let state: Value = serde_json::from_str(&b.ok(&["state", "box"])).unwrap();
    assert_eq!(state["ociVersion"], "1.2.1");
    assert_eq!(state["id"], "box");
    assert_eq!(state["bundle"], b.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(state["annotations"]["io.orlop.test"], "yes");
    assert!(state["pid"].as_i64().unwrap() > 1);
    b.ok(&["delete", "-f", "box"]);
}

#[test]
fn root_later_edits_of_the_bundle_have_no_effect() {
    let Some(b) = bundle("later edits", &["sh", "-c", "echo first > /tmp/word; sleep 100"]) else { return };
    let b = b.with(|c| c["root"]["readonly"] = false.into());
    b.ok(&["create", "box"]);
    fs::write(b.path().join("config.json"), "{}").unwrap();
    b.ok(&["start", "box"]);
    assert_eq!(b.ok(&["exec", "box", "cat", "/tmp/word"]), "first\n");
}

#[test]
fn root_failed_creates_leave_nothing() {
    let Some(b) = bundle("failed creates", &["no-such-program"]) else { return };
    let text = b.fails(&["create", "box"]);
    assert!(
        text.contains("process.args[0]: find program: no-such-program: executable file not found"),
        "{text}"
    );
    assert!(b.nothing_left());
    let b = b.with(|c| c["process"]["args"] = json!(["true"]));
    let b = b.with(|c| {
        let bad = json!({"destination": "/x", "type": "tmpfs", "source": "t", "options": ["size=banana"]});
        c["mounts"].as_array_mut().unwrap().push(bad);
    });
    let text = b.fails(&["run", "box"]);
    assert!(text.contains("mounts[7]: mount /x: option size=banana: Invalid argument"), "{text}");
    assert!(b.nothing_left());
}

#[test]
fn root_a_program_that_cannot_run_is_told_by_start() {
    let Some(b) = bundle("bad program", &["/bin/bad"]) else { return };
    let bad = b.rootfs().join("bin/bad");
    fs::write(&bad, "\x7fELF but not really").unwrap();
    fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    b.ok(&["create", "box"]);
    let text = b.fails(&["start", "box"]);
    assert!(text.contains("process.args: start: exec /bin/bad: Exec format error"), "{text}");
    b.wait_status("box", "stopped");
    let text = b.fails(&["run", "other"]);
    assert!(text.contains("Exec format error"), "{text}");
    b.ok(&["delete", "box"]);
    assert!(b.nothing_left());
}

#[test]
fn root_detached_containers_outlive_orun() {
    let Some(b) = bundle("detach", &["sleep", "100"]) else { return };
    b.ok(&["run", "--detach", "box"]);
    assert_eq!(b.status("box"), "running");
    b.ok(&["kill", "--all", "box", "KILL"]);
    b.wait_status("box", "stopped");
}

#[test]
fn root_errors_reach_the_callers_log() {
    let Some(b) = bundle("log", &["no-such-program"]) else { return };
    b.fails(&["--log", "log.json", "--log-format", "json", "create", "box"]);
    let line: Value = serde_json::from_str(&fs::read_to_string(b.path().join("log.json")).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("no-such-program"));
    b.fails(&["create", "box", "--log=log.txt"]);
    assert!(fs::read_to_string(b.path().join("log.txt")).unwrap().contains("level=error msg="));
}
