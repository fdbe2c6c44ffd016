//! New namespaces, namespaces by path, user namespaces.

use serde_json::{Value, json};

use crate::harness::{Bundle, bundle};

fn namespaces(c: &mut Value, list: &[(&str, Option<String>)]) {
    c["linux"]["namespaces"] = list
        .iter()
        .map(|(kind, path)| match path {
            Some(path) => json!({"type": kind, "path": path}),
            None => json!({"type": kind}),
        })
        .collect();
}

fn user_namespace(b: Bundle) -> Bundle {
    let b = b.with(|c| {
        namespaces(c, &["user", "pid", "network", "ipc", "uts", "mount", "cgroup"].map(|k| (k, None)));
        c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        c["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    });
    // The image belongs to the container's root.
    let own = std::process::Command::new("chown").args(["-hR", "100000:100000"]).arg(b.rootfs()).status();
    assert!(own.unwrap().success());
    b
}

#[test]
fn root_all_new() {
    let script = "ls -l /proc/self/ns | sort; hostname; ip link | wc -l; ip link | grep -c UP; echo $$";
    let Some(b) = bundle("new namespaces", &["sh", "-c", script]) else { return };
    let b = b.with(|c| {
        namespaces(c, &["pid", "network", "ipc", "uts", "mount", "cgroup", "time"].map(|k| (k, None)));
        c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}});
        c["hostname"] = "some-name".into();
    });
    let out = b.run();
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "time"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert!(!out.contains(own.to_str().unwrap()), "{kind} is the host's\n{out}");
    }
    let user = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert!(out.contains(user.to_str().unwrap()), "no user namespace was asked for\n{out}");
    assert!(out.contains("\nsome-name\n2\n1\n"), "loopback alone, and up\n{out}");
    assert!(out.ends_with("\n1\n"));
}

#[test]
fn root_time_offsets() {
    let Some(b) = bundle("time offsets", &["cat", "/proc/uptime"]) else { return };
    let b = b.with(|c| {
        namespaces(c, &["pid", "mount", "uts", "time"].map(|k| (k, None)));
        c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] == "proc" || m["destination"] == "/dev");
        c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000}});
    });
    let up: f64 = b.run().split(' ').next().unwrap().parse().unwrap();
    assert!(up > 1e9, "{up}");
}

#[test]
fn root_joined_by_path() {
    let Some(first) = bundle("joined namespaces", &["sleep", "100"]) else { return };
    let first = first.with(|c| c["hostname"] = "first".into());
    first.ok(&["run", "-d", "first"]);
    let pid = first.pid("first");
    let script = "ls -l /proc/self/ns; hostname; ps | wc -l; grep -c . /proc/net/dev";
    let second = bundle("joined namespaces", &["sh", "-c", script]).unwrap().with(|c| {
        let path = |file: &str| Some(format!("/proc/{pid}/ns/{file}"));
        let list = [
            ("pid", path("pid")),
            ("network", path("net")),
            ("ipc", path("ipc")),
            ("uts", path("uts")),
            ("mount", None),
        ];
        namespaces(c, &list);
        c.as_object_mut().unwrap().remove("hostname");
    });
    let out = second.run();
    for kind in ["pid", "net", "ipc", "uts"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert!(out.contains(theirs.to_str().unwrap()), "{kind}\n{out}");
    }
    assert!(out.contains("\nfirst\n"), "{out}");
}

#[test]
fn root_wrong_paths_are_named() {
    let Some(b) = bundle("wrong namespace", &["true"]) else { return };
    let b = b.with(|c| {
        let uts = Some("/proc/self/ns/uts".to_owned());
        namespaces(c, &[("mount", None), ("network", uts)]);
        c.as_object_mut().unwrap().remove("hostname");
    });
    let text = b.fails(&["run", "box"]);
    assert!(text.contains("linux.namespaces[1].path: join namespace: not a network namespace"), "{text}");
    let b = b.with(|c| c["linux"]["namespaces"][1]["path"] = "/no/such".into());
    assert!(b.fails(&["run", "box"]).contains("linux.namespaces[1].path: open /no/such"));
    assert!(b.nothing_left());
}

#[test]
fn root_user_namespace() {
    let script = "id -u; cat /proc/self/uid_map; touch /tmp/mine && stat -c %u /tmp/mine; echo x > /dev/null && echo wrote; \
                  hostname; cat /proc/self/oom_score_adj";
    let Some(b) = bundle("user namespace", &["sh", "-c", script]) else { return };
    let b = user_namespace(b).with(|c| {
        c["root"]["readonly"] = false.into();
        c["process"]["oomScoreAdj"] = 100.into();
    });
    let out = b.run();
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "0", "wrote", "orun", "100"], "{out}");
    let made = std::fs::metadata(b.rootfs().join("tmp/mine")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 100_000);
}

#[test]
fn root_exec_and_join_in_a_user_namespace() {
    let Some(b) = bundle("exec in user namespace", &["sleep", "100"]) else { return };
    let b = user_namespace(b);
    b.ok(&["run", "-d", "box"]);
    assert_eq!(
        b.ok(&["exec", "box", "sh", "-c", "id -u; readlink /proc/self/ns/user || echo $$"]).lines().next(),
        Some("0")
    );
    assert_eq!(b.ok(&["exec", "--user", "33:33", "box", "id", "-u"]), "33\n");
    // A second container in the first one's user and network namespaces, as pods do it.
    let pid = b.pid("box");
    let second = bundle("second", &["sh", "-c", "id -u; cat /proc/self/uid_map"]).unwrap();
    let second = user_namespace(second).with(|c| {
        let path = |file: &str| Some(format!("/proc/{pid}/ns/{file}"));
        let list = [
            ("user", path("user")),
            ("network", path("net")),
            ("pid", None),
            ("mount", None),
            ("ipc", None),
            ("uts", None),
        ];
        namespaces(c, &list);
    });
    let out = second.run();
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "0", "100000", "65536"], "{out}");
}

#[test]
fn root_sysctls() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname";
    let Some(b) = bundle("sysctl", &["sh", "-c", script]) else { return };
    let b = b.with(|c| {
        c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4000"});
        c["domainname"] = "example".into();
    });
    assert_eq!(b.run(), "1\n4000\norun\n");
}

#[test]
fn root_host_namespaces_are_kept() {
    let Some(b) = bundle("host namespaces", &["sh", "-c", "ls -l /proc/self/ns"]) else { return };
    let b = b.with(|c| {
        namespaces(c, &[("mount", None), ("pid", None)]);
        c.as_object_mut().unwrap().remove("hostname");
        c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs" && m["type"] != "mqueue");
    });
    let out = b.run();
    for kind in ["net", "ipc", "uts", "cgroup"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert!(out.contains(own.to_str().unwrap()), "{kind}\n{out}");
    }
}
