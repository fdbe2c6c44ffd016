//! Who the program is and what it may use.

use serde_json::json;

use crate::harness::bundle;

#[test]
fn root_identity() {
    let script = "id; pwd; grep -E '^(Cap|NoNew|Groups)' /proc/self/status; umask; echo $HOME; ls -l /proc/self/fd | wc -l";
    let Some(b) = bundle("identity", &["sh", "-c", script]) else { return };
    let b = b.with(|c| {
        let keep = json!(["CAP_KILL", "CAP_CHOWN"]);
        c["process"]["user"] = json!({"uid": 33, "gid": 34, "additionalGids": [5, 6], "umask": 0o027});
        c["process"]["capabilities"] =
            json!({"bounding": keep, "effective": keep, "permitted": keep, "inheritable": keep, "ambient": ["CAP_KILL"]});
        c["process"]["cwd"] = "/tmp".into();
    });
    let out = b.run();
    for part in ["uid=33(web) gid=34 groups=5,6", "\n/tmp\n", "\n0027\n", "\n/var/www\n"] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // CAP_KILL is bit 5, CAP_CHOWN bit 0; over execve only the ambient one is kept by an ordinary user.
    for line in ["CapInh:\t0000000000000021", "CapPrm:\t0000000000000020", "CapEff:\t0000000000000020"] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(out.contains("CapBnd:\t0000000000000021") && out.contains("CapAmb:\t0000000000000020"), "{out}");
    assert!(out.contains("NoNewPrivs:\t1"), "{out}");
}

#[test]
fn root_no_capabilities_means_none() {
    let Some(b) = bundle("no capabilities", &["grep", "Cap", "/proc/self/status"]) else { return };
    let b = b.with(|c| c["process"]["capabilities"] = json!(null));
    assert!(b.run().lines().all(|l| l.ends_with("0000000000000000")));
}

#[test]
fn root_capabilities_that_the_machine_lacks_are_named() {
    let Some(b) = bundle("lacking capabilities", &["true"]) else { return };
    let own = rustix::thread::capabilities(None).unwrap().permitted;
    if own.contains(rustix::thread::CapabilitySet::SYS_RESOURCE) {
        println!("SKIP lacking capabilities: this machine has CAP_SYS_RESOURCE");
        return;
    }
    let b = b.with(|c| {
        let all = json!(["CAP_KILL", "CAP_SYS_RESOURCE"]);
        c["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 4_000_000, "hard": 4_000_000}]);
    });
    let output = b.orun(&["run", "box"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(
        err.contains("warning: process.capabilities: this machine does not have CAP_SYS_RESOURCE"),
        "{err}"
    );
    assert!(err.contains("warning: process.rlimits[0]: this machine's hard limit is lower"), "{err}");
}

#[test]
fn root_rlimits_and_oom_score() {
    let script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj";
    let Some(b) = bundle("rlimits", &["sh", "-c", script]) else { return };
    let b = b.with(|c| {
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        c["process"]["oomScoreAdj"] = 500.into();
    });
    assert_eq!(b.run(), "100\n200\n500\n");
}

#[test]
fn root_seccomp_decides() {
    let script = "mkdir /tmp/a; grep Seccomp: /proc/self/status; hostname";
    let Some(b) = bundle("seccomp", &["sh", "-c", script]) else { return };
    for no_new_privileges in [true, false] {
        let b = bundle("seccomp", &["sh", "-c", script]).unwrap().with(|c| {
            c["process"]["noNewPrivileges"] = no_new_privileges.into();
            c["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
            });
        });
        let output = b.orun(&["run", "box"]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(err.contains("'/tmp/a': Operation not supported"), "{no_new_privileges} {err}");
        assert_eq!(out, "Seccomp:\t2\norun\n");
    }
    drop(b);
}

#[test]
fn root_a_limit_without_controller_is_refused_by_name() {
    let Some(b) = bundle("missing controller", &["true"]) else { return };
    let host = oci_runtime::cgroup::Host::detect();
    let controllers = host.tree().and_then(|t| std::fs::read_to_string(t.join("cgroup.controllers")).ok());
    if controllers.is_some_and(|c| c.contains("memory")) {
        println!("SKIP missing controller: memory is there");
        return;
    }
    let b = b.with(|c| c["linux"]["resources"]["memory"] = json!({"limit": 50_000_000}));
    let text = b.fails(&["run", "box"]);
    assert!(text.contains("linux.resources.memory.limit: the memory controller is not available"), "{text}");
    assert!(b.nothing_left());
    // Asking for no limit asks for nothing.
    let b = b.with(|c| c["linux"]["resources"]["memory"] = json!({"limit": -1}));
    b.run();
}

#[test]
fn root_the_cgroup_is_the_configs_and_goes_with_the_container() {
    let Some(b) = bundle("cgroup path", &["sleep", "100"]) else { return };
    let host = oci_runtime::cgroup::Host::detect();
    let Some(tree) = host.tree() else {
        println!("SKIP cgroup path: no cgroup v2");
        return;
    };
    let name = format!("orun-test-{}", std::process::id());
    let b = b.with(|c| c["linux"]["cgroupsPath"] = format!("/{name}/box").into());
    let path = tree.join(&name).join("box");
    b.ok(&["create", "box"]);
    let pid = b.pid("box").to_string();
    assert_eq!(std::fs::read_to_string(path.join("cgroup.procs")).unwrap().trim(), pid);
    b.ok(&["start", "box"]);
    b.ok(&["exec", "-d", "box", "sleep", "100"]);
    assert_eq!(std::fs::read_to_string(path.join("cgroup.procs")).unwrap().lines().count(), 2);
    b.ok(&["delete", "-f", "box"]);
    assert!(!path.exists());
    std::fs::remove_dir(tree.join(&name)).unwrap();
}
