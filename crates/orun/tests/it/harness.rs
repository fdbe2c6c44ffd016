//! A bundle in a temporary directory, and `orun` run on it with a state directory of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Where the static busybox of Debian's `busybox-static` may be.
const BUSYBOX: [&str; 2] = ["/usr/bin/busybox", "/bin/busybox"];

/// Applets that the tests' containers have.
const APPLETS: [&str; 28] = [
    "sh", "true", "false", "ls", "cat", "id", "mount", "sleep", "hostname", "touch", "mkdir", "mknod", "env",
    "pwd", "tty", "stty", "grep", "stat", "echo", "kill", "ps", "head", "ip", "wc", "rm", "test", "sort",
    "dd",
];

pub(crate) struct Bundle {
    pub(crate) dir: TempDir,
    pub(crate) config: Value,
}

/// Why root tests cannot run here, if they cannot.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    if busybox().is_none() {
        return Some("no static busybox (Debian package busybox-static)".to_owned());
    }
    // A sandbox may be root and yet forbid namespaces.
    let unshare = Command::new("unshare").args(["-m", "-p", "-f", "true"]).output();
    (!unshare.is_ok_and(|o| o.status.success())).then(|| "namespaces are not allowed".to_owned())
}

pub(crate) fn busybox() -> Option<PathBuf> {
    let is_static = |path: &&&str| fs::read(path).is_ok_and(|bytes| !has_interpreter(&bytes));
    BUSYBOX.iter().find(is_static).map(PathBuf::from)
}

/// True if an ELF file names a loader (a program header of type PT_INTERP).
fn has_interpreter(elf: &[u8]) -> bool {
    let word = |at: usize| elf.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap()));
    let (start, count) = (word(32), word(56) & 0xffff);
    (0..count).any(|i| word(usize::try_from(start + i * 56).unwrap()) & 0xffff_ffff == 3)
}

/// A bundle, or `None` after saying why the test is skipped.
pub(crate) fn bundle(test: &str, args: &[&str]) -> Option<Bundle> {
    if let Some(why) = missing() {
        println!("SKIP {test}: {why}");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    // Other users' programs (user namespaces) must get through.
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let rootfs = dir.path().join("rootfs");
    for path in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        fs::create_dir_all(rootfs.join(path)).unwrap();
    }
    fs::copy(busybox().unwrap(), rootfs.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n")
        .unwrap();
    let bundle = Bundle { config: config(args), dir };
    bundle.write();
    Some(bundle)
}

fn config(args: &[&str]) -> Value {
    let mut config = oci_runtime::template::config();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(args);
    config
}

impl Bundle {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// The state directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn write(&self) {
        fs::write(self.path().join("config.json"), self.config.to_string()).unwrap();
    }

    /// Changes the config.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self.write();
        self
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orun"));
        command.arg("--root").arg(self.root()).args(words).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs `orun` and waits. Output goes to files: a container that lives on would keep a pipe open.
    pub(crate) fn orun(&self, words: &[&str]) -> Output {
        let (out, err) = (self.path().join("out"), self.path().join("err"));
        let mut command = self.command(words);
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let status = command.status().unwrap();
        Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }

    /// Runs `orun`, which must succeed, and gives its output.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.orun(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "orun {words:?}: {:?}\n{text}\n{errors}", output.status);
        text
    }

    /// Runs `orun`, which must fail, and gives its error text.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let output = self.orun(words);
        assert!(!output.status.success(), "orun {words:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs the container in the foreground; its program must succeed.
    #[track_caller]
    pub(crate) fn run(&self) -> String {
        self.ok(&["run", "box"])
    }

    pub(crate) fn status(&self, id: &str) -> String {
        let state: Value = serde_json::from_str(&self.ok(&["state", id])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self, id: &str) -> i32 {
        let state: Value = serde_json::from_str(&self.ok(&["state", id])).unwrap();
        state["pid"].as_i64().unwrap().try_into().unwrap()
    }

    /// Waits for a status; a killed process is not gone at once.
    #[track_caller]
    pub(crate) fn wait_status(&self, id: &str, wanted: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.status(id) != wanted {
            assert!(Instant::now() < end, "{id} never became {wanted}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// True if no container is on record.
    pub(crate) fn nothing_left(&self) -> bool {
        fs::read_dir(self.root()).map_or(true, |mut entries| entries.next().is_none())
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.root()).into_iter().flatten().flatten() {
            let id = entry.file_name().into_string().unwrap();
            let _ = self.command(&["delete", "--force", &id]).stderr(Stdio::null()).status();
        }
    }
}
