//! The same bundle under crun, in a cgroup layout that both accept, must look the same from inside.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::bundle;

/// Layout A of the reference: crun refuses a hybrid machine, but not one whose v2 tree has no controllers at all.
const LAYOUT: &str = "mount --make-rprivate / && \
    if test -e /sys/fs/cgroup/unified/cgroup.controllers; then \
    mount --bind /dev/null /sys/fs/cgroup/unified/cgroup.controllers; fi && exec \"$@\"";

#[test]
fn root_inside_looks_as_under_crun() {
    let script = "id; pwd; umask; hostname; env | sort; ulimit -n; cat /proc/self/oom_score_adj; ls /; \
                  grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid|Gid)' /proc/self/status; ls -l /proc/self/ns | wc -l; \
                  cat /proc/mounts | grep -v cgroup | cut -d' ' -f2,3,4 | grep -v '^/ ' | sort; \
                  stat -c '%n %F %a %t %T' /dev/* | grep -v console; ls /proc/self/fd | wc -l";
    let Some(b) = bundle("crun", &["sh", "-c", script]) else { return };
    if !Command::new("crun").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        println!("SKIP crun: not installed (Debian package crun)");
        return;
    }
    let b = b.with(|c| {
        c["process"]["args"] = json!(["sh", "-c", script.replace("cut -d' ' -f2,3,4", "cat")]);
        c["process"]["user"] = json!({"uid": 33, "gid": 33, "additionalGids": [7], "umask": 0o077});
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
        c["ociVersion"] = "1.0.2".into();
        c["linux"]["namespaces"] = json!([
            {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
        ]);
    });
    let run = |runtime: &str, state: &str| {
        let out = Command::new("unshare")
            .args(["-m", "sh", "-c", LAYOUT, "sh", runtime, "--root", state, "run", "box"])
            .current_dir(b.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(out.status.success(), "{runtime}: {}", String::from_utf8_lossy(&out.stderr));
        normal(&String::from_utf8(out.stdout).unwrap())
    };
    let ours = run(env!("CARGO_BIN_EXE_orun"), "ours");
    let theirs = run("crun", "theirs");
    let only = |a: &[String], b: &[String]| a.iter().filter(|l| !b.contains(l)).cloned().collect::<Vec<_>>();
    assert_eq!(only(&ours, &theirs), only(&theirs, &ours), "only here; only there");
    assert_eq!(ours, theirs);
}

/// Without what may differ: how a mask is made, the order of equal options, and crun's link to `/proc/kcore`, which no
/// spec has.
fn normal(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            [_, path, kind, options, "0", "0"] if path.starts_with('/') => {
                let masked = kind == "devtmpfs" || path.starts_with("/proc/") || path.starts_with("/sys/");
                (path != "/").then(|| {
                    if masked {
                        format!("{path} masked")
                    } else {
                        format!("{path} {kind} {}", sorted(options))
                    }
                })
            }
            _ => Some(line.to_owned()),
        }
    };
    let mut lines: Vec<String> =
        text.lines().filter(|l| !l.starts_with("/dev/core ")).filter_map(line).collect();
    lines.sort_unstable();
    lines
}

fn sorted(options: &str) -> String {
    let mut words: Vec<&str> = options.split(',').filter(|w| !w.starts_with("inode")).collect();
    words.sort_unstable();
    words.join(",")
}
