//! `orun` killed at any moment, and damaged state: nothing is left that `delete --force` does not clear.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::bundle;

#[test]
fn root_killed_at_any_moment() {
    let Some(b) = bundle("kill -9", &["sleep", "1000"]) else { return };
    let marker = format!("/orun-crash-{}", std::process::id());
    let b = b.with(|c| c["linux"]["cgroupsPath"] = format!("{marker}/box").into());
    let host = oci_runtime::cgroup::Host::detect();
    let group = host.tree().map(|tree| tree.join(&marker[1..]));
    for i in 0..40_u64 {
        let mut child =
            b.command(&["create", "box"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(i * 500));
        let _ = child.kill();
        let _ = child.wait();
        // Either nothing, or something that a new create refuses or clears, and delete --force removes.
        let again = b.orun(&["create", "box"]);
        let text = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success() || text.contains("already exists"), "{i}: {text}");
        b.ok(&["delete", "--force", "box"]);
        assert!(b.nothing_left(), "{i}");
        if let Some(group) = &group {
            assert!(!group.join("box").exists(), "{i}: the cgroup is left");
        }
    }
    if let Some(group) = &group {
        fs::remove_dir(group).unwrap();
    }
    assert!(!processes().iter().any(|line| line.contains(b.path().to_str().unwrap())), "{:?}", processes());
}

/// Command lines of all processes.
fn processes() -> Vec<String> {
    let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().into_string().ok());
    ids.filter_map(|id| fs::read_to_string(format!("/proc/{id}/cmdline")).ok()).collect()
}

#[test]
fn root_damaged_state() {
    let Some(b) = bundle("damaged state", &["sleep", "100"]) else { return };
    let damages: [&[u8]; 5] =
        [b"", b"{", b"{\"format\":9}", b"\xff\xfe", b"{\"format\":1,\"process\":{\"pid\":-1}}"];
    for damage in damages {
        b.ok(&["create", "box"]);
        let pid = b.pid("box");
        let file = b.root().join("box/state.json");
        let good = fs::read(&file).unwrap();
        fs::write(&file, damage).unwrap();
        let text = b.fails(&["state", "box"]);
        assert!(text.contains("state.json: not a state file of orun"), "{text}");
        assert!(b.fails(&["delete", "box"]).contains("not a state file"));
        assert!(b.fails(&["create", "box"]).contains("already exists"));
        b.ok(&["list"]);
        fs::write(&file, good).unwrap();
        assert_eq!(b.pid("box"), pid);
        b.ok(&["delete", "-f", "box"]);
    }
}

#[test]
fn root_a_reused_process_id_is_not_ours() {
    let Some(b) = bundle("reused id", &["sleep", "100"]) else { return };
    b.ok(&["run", "-d", "box"]);
    let file = b.root().join("box/state.json");
    let text = fs::read_to_string(&file).unwrap();
    b.ok(&["kill", "box", "KILL"]);
    b.wait_status("box", "stopped");
    // The same id with another start time: this very test.
    let old = text.split("\"pid\":").nth(1).unwrap().split(',').next().unwrap();
    fs::write(&file, text.replace(&format!("\"pid\":{old}"), &format!("\"pid\":{}", std::process::id())))
        .unwrap();
    assert_eq!(b.status("box"), "stopped");
    assert!(b.fails(&["kill", "box", "KILL"]).contains("it is stopped"));
    b.ok(&["delete", "box"]);
}
