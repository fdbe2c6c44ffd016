//! What a container must not get at.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{Mode, OFlags};

use serde_json::json;

use crate::harness::bundle;

#[test]
fn root_the_runtimes_binary_cannot_be_written_through_proc() {
    let Some(b) = bundle("binary", &["true"]) else { return };
    b.ok(&["create", "box"]);
    // The attack: get hold of the binary while it runs, wait until it can be written (no ETXTBSY), write.
    let exe = format!("/proc/{}/exe", b.pid("box"));
    let held = rustix::fs::open(exe, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    b.ok(&["delete", "-f", "box"]);
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let error = OpenOptions::new().write(true).open(path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::ROFS.raw_os_error()), "{error}");
}

#[test]
fn root_an_image_that_makes_us_run_ourselves_gains_nothing() {
    let Some(b) = bundle("self exec", &["/evil"]) else { return };
    fs::write(b.rootfs().join("evil"), "#!/proc/self/exe --version\n").unwrap();
    fs::set_permissions(b.rootfs().join("evil"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::read(env!("CARGO_BIN_EXE_orun")).unwrap();
    b.orun(&["run", "box"]);
    assert!(before == fs::read(env!("CARGO_BIN_EXE_orun")).unwrap());
}

#[test]
fn root_descriptors_do_not_leak() {
    let Some(b) = bundle("descriptors", &["ls", "-l", "/proc/self/fd"]) else { return };
    let out = b.run();
    // The total line, the three streams, and the directory that ls itself reads.
    assert_eq!(out.lines().count(), 5, "{out}");
    let b = b.with(|c| c["process"]["args"] = json!(["sh", "-c", "cat <&3"]));
    fs::write(b.path().join("handed"), "over\n").unwrap();
    let run = |extra: &str| {
        let script =
            format!("exec 3<handed; exec {} --root state run {extra} box", env!("CARGO_BIN_EXE_orun"));
        std::process::Command::new("sh").args(["-c", &script]).current_dir(b.path()).output().unwrap()
    };
    assert_eq!(run("--preserve-fds 1").stdout, b"over\n");
    assert!(!run("").status.success(), "only what is asked for is passed on");
}

#[test]
fn root_a_working_directory_outside_is_refused() {
    let Some(b) = bundle("leaked cwd", &["pwd"]) else { return };
    for fd in 3..12 {
        let b = bundle("leaked cwd", &["pwd"])
            .unwrap()
            .with(|c| c["process"]["cwd"] = format!("/proc/self/fd/{fd}").into());
        let output = b.orun(&["run", "box"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() || !text.contains(b.path().to_str().unwrap()), "{fd}: {text}");
    }
    drop(b);
}

#[test]
fn root_masks_need_the_real_null_device() {
    let Some(b) = bundle("mask", &["sh", "-c", "cat /etc/secret; echo end"]) else { return };
    fs::write(b.rootfs().join("etc/secret"), "secret\n").unwrap();
    // An image's own /dev/null, a link to something worth writing (CVE-2025-31133), is never used.
    std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", b.rootfs().join("dev/null")).unwrap();
    let b = b.with(|c| c["linux"]["maskedPaths"] = json!(["/etc/secret"]));
    assert_eq!(b.run(), "end\n");
}
