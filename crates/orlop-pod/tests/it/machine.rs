//! A machine for one test: its own mounts, network and host name, its own directories, an image to run.
//!
//! The test's binary runs itself again under `unshare`, so that nothing of the host is touched: /run is a tmpfs,
//! /sys/fs/cgroup the unified hierarchy, the network empty.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use oci_image::build::{Entry, ImageSpec, build_layout};
use oci_image::manifest::RunConfig;
use oci_image::serve::Server;

/// Set in the second run of the test's binary.
const INSIDE: &str = "ORLOP_TEST_INSIDE";

/// A container's whole userland.
const BUSYBOX: &str = "/bin/busybox";

/// Prints why a test does nothing, in the form that all tiers use.
#[expect(clippy::print_stderr, reason = "the reason of a skipped test is for the person who runs it")]
pub(crate) fn skip(name: &str, reason: &str) {
    eprintln!("SKIP {name}: {reason}");
}

/// Runs `test` on a machine of its own. `name` is the test's full name (`pods::root_…`).
pub(crate) fn on_machine(name: &str, test: impl FnOnce(&Machine)) {
    if std::env::var_os(INSIDE).is_some() {
        let machine = Machine::new();
        test(&machine);
        return;
    }
    if let Some(reason) = missing() {
        return skip(name, reason);
    }
    build_runtime();
    let this = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its namespaces: {status}");
}

fn missing() -> Option<&'static str> {
    let have = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .any(|dir| dir.join(program).is_file())
    };
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !Path::new(BUSYBOX).is_file() {
        return Some("busybox-static is not installed");
    }
    if !have("nft") {
        return Some("nftables is not installed");
    }
    let possible =
        Command::new("unshare").args(["--mount", "--net", "true"]).status().is_ok_and(|s| s.success());
    if possible { None } else { Some("namespaces cannot be made here") }
}

/// The runtime beside the program under test; built if nothing else has built it yet.
fn runtime() -> PathBuf {
    std::env::var_os("ORLOP_RUNTIME")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_orlop-pod")).with_file_name("orun"), PathBuf::from)
}

fn build_runtime() {
    if !runtime().is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).args(["build", "--quiet", "--package", "orun"]).status().unwrap();
        assert!(status.success(), "orun cannot be built");
    }
}

pub(crate) struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        sh("mount --make-rprivate / && mount -t tmpfs tmpfs /run && ip link set lo up && hostname test");
        // The host may have the old hierarchies here; a test sees only the unified one.
        sh(
            "umount -R /sys/fs/cgroup 2>/dev/null; mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        );
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        Self { root }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Puts the image `localhost/busybox:1` into the machine's store.
    pub(crate) fn install_image(&self) {
        let layout = self.path("layouts/busybox");
        build_layout(&layout, &image_spec()).unwrap();
        self.ok(&["fetch", "--layout", layout.to_str().unwrap(), "localhost/busybox:1"]);
    }

    /// A registry of this machine's layouts on 127.0.0.1, told to it as `localhost`; it lives as long as the test.
    pub(crate) fn serve_images(&self) {
        let layouts = self.path("layouts");
        build_layout(&layouts.join("busybox"), &image_spec()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        self.write(
            "etc/containers/registries.conf.d/50-test.conf",
            &format!("[[registry]]\nprefix = \"localhost\"\nlocation = \"{address}\"\ninsecure = true\n"),
        );
        std::thread::spawn(move || Server::new(&layouts).run(&listener, |_| {}));
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program on this machine.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orlop-pod"));
        command.args(args).env("ORLOP_POD_ROOT", self.root.path()).env("ORLOP_RUNTIME", runtime());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    /// Runs the program; gives exit code, standard output, standard error.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    /// Runs the program, which must succeed; gives its standard output.
    pub(crate) fn ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {stderr}");
        stdout
    }

    /// The state of a pod as JSON.
    pub(crate) fn status(&self, pod: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["status", pod, "--format", "json"])).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Detached pods of a failed test.
        let _ = self.run(&["gc", "--grace-period", "0"]);
        let pods = self.run(&["list", "--quiet"]).1;
        for id in pods.lines() {
            let _ = self.run(&["rm", "--force", id]);
        }
    }
}

fn image_spec() -> ImageSpec {
    let mut files = vec![
        Entry::file("bin/busybox", 0o755, BUSYBOX),
        Entry::bytes("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n"),
        Entry::bytes("etc/group", 0o644, "root:x:0:\nwww:x:34:\n"),
        Entry::bytes("www/index.html", 0o644, "hello from the pod\n"),
        Entry::directory("tmp", 0o1777),
        Entry::directory("root", 0o700),
    ];
    let applets = [
        "sh", "cat", "echo", "sleep", "httpd", "wget", "id", "env", "hostname", "ip", "ls", "touch", "kill",
        "nc", "stat", "mount", "unshare", "seq", "true", "false", "grep", "test", "dd", "sync", "nslookup",
        "mkdir", "chmod",
    ];
    files.extend(applets.map(|name| Entry::symlink(format!("bin/{name}"), "busybox")));
    ImageSpec {
        tag: "1".to_owned(),
        files,
        config: RunConfig {
            entrypoint: vec!["/bin/sh".into(), "-c".into()],
            cmd: vec!["echo nothing to do".into()],
            env: vec!["PATH=/bin".into(), "FROM_IMAGE=yes".into()],
            ..RunConfig::default()
        },
        ..ImageSpec::default()
    }
}

/// Runs a line of shell, which must succeed; gives its output.
pub(crate) fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for something that comes by itself.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "this did not come: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
