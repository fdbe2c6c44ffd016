//! Further programs in a container.

use std::fs;

use serde_json::json;

use crate::harness::bundle;

#[test]
fn root_codes_environment_and_user() {
    let Some(b) = bundle("exec", &["sleep", "100"]) else { return };
    b.ok(&["run", "-d", "box"]);
    assert_eq!(b.orun(&["exec", "box", "sh", "-c", "exit 3"]).status.code(), Some(3));
    assert_eq!(b.orun(&["exec", "box", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(b.orun(&["exec", "box", "no-such-program"]).status.code(), Some(255));
    let out = b.ok(&[
        "exec",
        "--env",
        "WORD=hi",
        "--cwd",
        "/tmp",
        "-u",
        "33:34",
        "box",
        "sh",
        "-c",
        "echo $WORD; pwd; id",
    ]);
    assert_eq!(out, "hi\n/tmp\nuid=33(web) gid=34\n");
    let out = b.ok(&["exec", "box", "--cap", "CAP_CHOWN", "grep", "CapEff", "/proc/self/status"]);
    assert_eq!(out, "CapEff:\t0000000020000421\n");
    assert_eq!(b.ok(&["exec", "box", "cat", "/proc/1/cmdline"]), "sleep\x00100\x00");
}

#[test]
fn root_process_file_and_pid_file() {
    let Some(b) = bundle("exec files", &["sleep", "100"]) else { return };
    b.ok(&["run", "-d", "box"]);
    let process = json!({"args": ["/bin/sh", "-c", "echo $A; sleep 100"], "cwd": "/", "env": ["A=from file"], "user": {"uid": 0, "gid": 0}});
    fs::write(b.path().join("process.json"), process.to_string()).unwrap();
    b.ok(&["exec", "--process", "process.json", "--detach", "--pid-file", "pid", "box"]);
    let pid = fs::read_to_string(b.path().join("pid")).unwrap();
    assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains("sleep"));
    let text = b.fails(&["exec", "--process", "config.json", "box"]);
    assert!(text.contains("--process config.json: cwd: missing"), "{text}");
}

#[test]
fn root_an_exec_is_no_tracee_and_sees_no_descriptors() {
    let Some(b) = bundle("exec descriptors", &["sleep", "100"]) else { return };
    b.ok(&["run", "-d", "box"]);
    let out = b.ok(&["exec", "box", "sh", "-c", "ls /proc/self/fd"]);
    // 0, 1, 2 and the directory that ls itself reads.
    assert_eq!(out, "0\n1\n2\n3\n");
}

#[test]
fn root_in_a_created_container() {
    let Some(b) = bundle("exec before start", &["sleep", "100"]) else { return };
    b.ok(&["create", "box"]);
    assert_eq!(b.ok(&["exec", "box", "hostname"]), "orun\n");
    assert_eq!(b.status("box"), "created");
    b.ok(&["start", "box"]);
}
