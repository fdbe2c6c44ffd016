//! Hooks: order, namespaces, state, failures.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::bundle;

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that writes its name, its mount namespace and its state down.
fn note(kind: &str, dir: &Path) -> Value {
    let script = format!(
        "(echo {kind}; readlink /proc/self/ns/mnt; cat; echo) >> {}/notes || (echo {kind}; cat /proc/self/status >/dev/null; cat; echo) >> /notes",
        dir.display()
    );
    // The shell of the host for those that run on its files, the image's for startContainer.
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]})
}

#[test]
fn root_order_and_state() {
    let Some(b) = bundle("hook order", &["sh", "-c", "sleep 100"]) else { return };
    let dir = b.path().to_owned();
    let b = b.with(|c| {
        c["root"]["readonly"] = false.into();
        c["hooks"] = KINDS.iter().map(|kind| ((*kind).to_owned(), json!([note(kind, &dir)]))).collect();
    });
    b.ok(&["create", "box"]);
    let notes = || fs::read_to_string(dir.join("notes")).unwrap_or_default();
    let names = |text: &str| -> Vec<String> {
        text.lines().filter(|l| KINDS.contains(l)).map(str::to_owned).collect()
    };
    assert_eq!(names(&notes()), KINDS[..3]);
    let state: Value = notes().lines().find_map(|l| serde_json::from_str(l).ok()).unwrap();
    assert_eq!((state["id"].as_str(), state["status"].as_str()), (Some("box"), Some("creating")));
    assert_eq!(state["pid"].as_i64().unwrap(), i64::from(b.pid("box")));
    b.ok(&["start", "box"]);
    let inside = fs::read_to_string(b.rootfs().join("notes")).unwrap();
    assert_eq!(names(&inside), ["startContainer"]);
    let state: Value = inside.lines().find_map(|l| serde_json::from_str(l).ok()).unwrap();
    assert_eq!((state["pid"].as_i64(), state["status"].as_str()), (Some(1), Some("created")));
    assert_eq!(names(&notes())[3..], ["poststart"]);
    b.ok(&["delete", "-f", "box"]);
    assert_eq!(names(&notes())[3..], ["poststart", "poststop"]);
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let spaces: Vec<bool> =
        notes().lines().filter(|l| l.starts_with("mnt:")).map(|l| l == own.to_str().unwrap()).collect();
    assert_eq!(spaces, [true, true, false, true, true], "createContainer alone runs in the container's");
}

#[test]
fn root_a_failing_hook_stops_the_create() {
    for kind in &KINDS[..3] {
        let Some(b) = bundle("failing hook", &["true"]) else { return };
        let b = b.with(|c| c["hooks"] = json!({*kind: [{"path": "/bin/false"}]}));
        let text = b.fails(&["create", "box"]);
        assert!(text.contains(&format!("hooks.{kind}[0] /bin/false: exit code 1")), "{text}");
        assert!(b.nothing_left());
    }
}

#[test]
fn root_a_failing_start_hook_stops_the_container() {
    for kind in ["startContainer", "poststart"] {
        let Some(b) = bundle("failing start hook", &["sleep", "100"]) else { return };
        let b = b.with(|c| c["hooks"] = json!({kind: [{"path": "/bin/false"}]}));
        b.ok(&["create", "box"]);
        let text = b.fails(&["start", "box"]);
        assert!(text.contains(&format!("hooks.{kind}[0]")), "{text}");
        b.wait_status("box", "stopped");
        assert!(b.fails(&["run", "other"]).contains(&format!("hooks.{kind}[0]")));
        assert!(!b.root().join("other").exists());
    }
}

#[test]
fn root_a_failing_poststop_hook_is_a_warning() {
    let Some(b) = bundle("failing poststop", &["true"]) else { return };
    let b = b.with(|c| {
        c["hooks"] = json!({"poststop": [
            {"path": "/bin/false"},
            {"path": "/bin/sh", "args": ["sh", "-c", "sleep 30"], "timeout": 1},
        ]});
    });
    let output = b.orun(&["run", "box"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(err.contains("warning: hooks.poststop[0]") && err.contains("still running after 1 s"), "{err}");
    assert!(b.nothing_left());
}
