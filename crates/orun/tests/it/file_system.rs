//! Mounts, devices, hidden and read-only paths.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::harness::bundle;

#[test]
fn root_the_usual_mounts() {
    let Some(b) = bundle("usual mounts", &["cat", "/proc/mounts"]) else { return };
    let mounts = b.run();
    for line in [
        "proc /proc proc rw",
        "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755",
        "devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
        "shm /dev/shm tmpfs rw,nosuid,nodev,noexec",
        "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec",
        "proc /proc/sys proc ro",
    ] {
        assert!(mounts.lines().any(|l| l.starts_with(line)), "{line}\n{mounts}");
    }
    let root = mounts.lines().find(|l| l.split(' ').nth(1) == Some("/")).unwrap();
    assert!(root.contains(" ro,"), "{root}");
}

#[test]
fn root_devices_and_links() {
    let script = "stat -c '%n %t,%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; \
                  ls -l /dev/fd /dev/stdin /dev/ptmx /dev/fuse /dev/pipe; echo word > /dev/null && head -c 2 /dev/zero | wc -c";
    let Some(b) = bundle("devices", &["sh", "-c", script]) else { return };
    let b = b.with(|c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 1, "gid": 2},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o640},
        ]);
    });
    let out = b.run();
    for line in ["/dev/null 1,3 666", "/dev/urandom 1,9 666", "/dev/tty 5,0 666"] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(out.contains("/dev/fd -> /proc/self/fd") && out.contains("/dev/ptmx -> pts/ptmx"), "{out}");
    assert!(
        out.lines().any(|l| l.starts_with("crw-------") && l.contains("1        2          10, 229")),
        "{out}"
    );
    assert!(out.lines().any(|l| l.starts_with("prw-r-----")), "{out}");
    assert!(out.ends_with("2\n"));
}

#[test]
fn root_devices_outside_the_rules_are_refused() {
    let script = "mknod /tmp/disk b 254 0 && dd if=/tmp/disk of=/dev/null count=1";
    let Some(b) = bundle("device rules", &["sh", "-c", script]) else { return };
    if oci_runtime::cgroup::Host::detect().tree().is_none() {
        println!("SKIP device rules: no cgroup v2");
        return;
    }
    let caps = json!(["CAP_MKNOD"]);
    let b = b.with(|c| {
        c["root"]["readonly"] = false.into();
        c["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    });
    let text = b.fails(&["run", "box"]);
    assert!(text.contains("can't open '/tmp/disk': Operation not permitted"), "{text}");
}

#[test]
fn root_binds_and_options() {
    let script =
        "cat /data/file; touch /data/x; touch /ro/x; touch /file/x; cat /one; mount | grep -E '/(ro|deep) '";
    let Some(b) = bundle("binds", &["sh", "-c", script]) else { return };
    fs::create_dir_all(b.path().join("src/sub")).unwrap();
    fs::write(b.path().join("src/file"), "hello\n").unwrap();
    let b = b.with(|c| {
        let mounts = c["mounts"].as_array_mut().unwrap();
        let mut add = |to: &str, from: &str, options: &[&str]| {
            mounts.push(json!({"destination": to, "source": from, "type": "none", "options": options}));
        };
        add("/data", "src", &["rbind", "rw"]);
        add("/ro", "src", &["bind", "ro", "nosuid", "noexec", "noatime"]);
        add("/one", "src/file", &["bind", "ro"]);
        add("/deep/er/still", "src", &["rbind", "rro", "rprivate"]);
    });
    let output = b.orun(&["run", "box"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with("hello\n") && out.contains("hello\n"), "{out}{err}");
    assert!(out.contains(" (ro,nosuid,noexec,noatime,"), "{out}");
    assert!(err.contains("/ro/x: Read-only file system"), "{err}");
    assert!(b.path().join("src/x").exists(), "writes through a bind arrive");
}

#[test]
fn root_hidden_and_read_only_paths() {
    let script = "cat /etc/secret; ls /hidden; touch /etc/shown; touch /ro/x; touch /rw/x && echo done";
    let Some(b) = bundle("hidden paths", &["sh", "-c", script]) else { return };
    for dir in ["hidden", "ro", "rw"] {
        fs::create_dir(b.rootfs().join(dir)).unwrap();
        fs::write(b.rootfs().join(dir).join("content"), "x").unwrap();
    }
    fs::write(b.rootfs().join("etc/secret"), "secret").unwrap();
    let b = b.with(|c| {
        c["root"]["readonly"] = false.into();
        c["linux"]["maskedPaths"] = json!(["/etc/secret", "/hidden", "/no/such"]);
        c["linux"]["readonlyPaths"] = json!(["/ro", "/no/such"]);
    });
    let output = b.orun(&["run", "box"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("/ro/x: Read-only file system"), "{err}");
    assert!(!b.rootfs().join("ro/x").exists());
}

#[test]
fn root_links_in_the_image_lead_nowhere_outside() {
    let Some(b) = bundle("hostile links", &["sh", "-c", "cat /escape/file /up/file"]) else { return };
    fs::create_dir(b.path().join("src")).unwrap();
    fs::write(b.path().join("src/file"), "inside\n").unwrap();
    let outside = b.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, b.rootfs().join("escape")).unwrap();
    symlink("../../../../../../outside", b.rootfs().join("up")).unwrap();
    let b = b.with(|c| {
        c["root"]["readonly"] = false.into();
        let mounts = c["mounts"].as_array_mut().unwrap();
        for to in ["/escape", "/up"] {
            mounts.push(json!({"destination": to, "source": "src", "type": "bind", "options": ["bind"]}));
        }
    });
    // A link to a path that does not exist inside is refused; one that exists is followed inside.
    let text = b.fails(&["run", "box"]);
    assert!(text.contains("mounts[7]: mount /escape: destination: No such file"), "{text}");
    let inside = b.rootfs().join(outside.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir(b.rootfs().join("outside")).unwrap();
    assert_eq!(b.run(), "inside\ninside\n");
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn root_proc_behind_a_link_is_refused() {
    let Some(b) = bundle("linked proc", &["true"]) else { return };
    fs::remove_dir(b.rootfs().join("proc")).unwrap();
    symlink("tmp", b.rootfs().join("proc")).unwrap();
    let text = b.fails(&["run", "box"]);
    assert!(
        text.contains("mounts[0]: mount /proc: destination: Too many levels of symbolic links"),
        "{text}"
    );
}

#[test]
fn root_cgroups_are_shown_read_only() {
    let Some(b) = bundle("cgroup mount", &["sh", "-c", "cat /proc/mounts; mkdir /sys/fs/cgroup/x"]) else {
        return;
    };
    let output = b.orun(&["run", "box"]);
    let out = String::from_utf8_lossy(&output.stdout);
    let mut cgroups = out.lines().filter(|l| l.contains(" /sys/fs/cgroup"));
    assert!(cgroups.all(|l| l.contains(" ro,nosuid,nodev,noexec")), "{out}");
    assert!(!output.status.success());
}

#[test]
fn root_a_dev_from_elsewhere_is_left_alone() {
    let Some(b) = bundle("bound dev", &["ls", "/dev"]) else { return };
    let b = b.with(|c| {
        c["mounts"] = json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind", "rslave"]},
        ]);
    });
    let host: Vec<String> =
        fs::read_dir("/dev").unwrap().flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    let out = b.run();
    assert!(
        host.iter().filter(|name| !name.starts_with('.')).all(|name| out.lines().any(|l| l == name)),
        "{out}"
    );
}

#[test]
fn root_the_working_directory_is_made() {
    let Some(b) = bundle("cwd", &["pwd"]) else { return };
    let b = b.with(|c| c["process"]["cwd"] = "/var/new/place".into());
    assert_eq!(b.run(), "/var/new/place\n");
}

#[test]
fn root_a_shared_root_stays_apart_from_the_host() {
    let script =
        "grep ' / / ' /proc/self/mountinfo; mkdir -p /tmp/m && mount -t tmpfs inner /tmp/m && echo mounted";
    let Some(b) = bundle("shared root", &["sh", "-c", script]) else { return };
    let caps = json!(["CAP_SYS_ADMIN"]);
    let b = b.with(|c| {
        c["root"]["readonly"] = false.into();
        c["linux"]["rootfsPropagation"] = "shared".into();
        c["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    });
    let out = b.run();
    assert!(out.contains("shared:") || out.contains("mounted"), "{out}");
    assert!(
        !fs::read_to_string("/proc/mounts").unwrap().contains(b.path().to_str().unwrap()),
        "nothing reaches the host"
    );
}
