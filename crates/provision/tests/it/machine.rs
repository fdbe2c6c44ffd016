//! A machine made of temporary directories.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use provision::execute::{ProgramError, Programs};
use provision::fetch::resource::Net;
use provision::fetch::source::Sources;
use provision::net::http::Client;
use provision::net::{Clock, Names};
use provision::{Durability, Env, Error, Event, FetchEnv, FinalConfig, Outcome, Root};

/// A clock on which waiting takes no time.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    slept: Cell<Duration>,
}

impl Clock for TestClock {
    fn elapsed(&self) -> Duration {
        self.slept.get()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    fn sleep(&self, time: Duration) {
        self.slept.set(self.slept.get() + time);
    }
}

/// Programs that only remember their calls.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) calls: RefCell<Vec<String>>,
}

impl Programs for Recorder {
    fn has(&self, _: &str) -> bool {
        true
    }

    fn run(&self, program: &str, args: &[String]) -> Result<(), ProgramError> {
        self.calls.borrow_mut().push(format!("{program} {}", args.join(" ")));
        Ok(())
    }
}

pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cmdline: String,
    pub(crate) clock: TestClock,
    pub(crate) recorder: Recorder,
    pub(crate) events: Vec<String>,
    pub(crate) options: provision::Options,
    pub(crate) devices: block::devices::Devices,
    /// Origins that servers of the test stand in for.
    pub(crate) endpoints: BTreeMap<String, String>,
    /// PEM bundle of the machine.
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) mount_points_made: Vec<String>,
    /// Names of its system directories.
    pub(crate) system_dirs: Vec<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        be_root();
        let dir = tempfile::tempdir().unwrap();
        for sub in ["root/etc/systemd/system", "root/usr/lib/systemd/system", "root/var/home", "sys", "base"]
        {
            std::fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        std::os::unix::fs::symlink("var/home", dir.path().join("root/home")).unwrap();
        let machine = Self {
            dir,
            cmdline: String::new(),
            clock: TestClock::default(),
            recorder: Recorder::default(),
            events: Vec::new(),
            options: provision::Options::default(),
            devices: block::devices::Devices::default(),
            endpoints: BTreeMap::new(),
            bundle: None,
            mount_points_made: Vec::new(),
            system_dirs: vec!["base".into()],
        };
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        machine
            .put("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\nme:x:{uid}:{gid}::/home/me:/bin/sh\n"));
        machine.put("etc/group", &format!("root:x:0:\nme:x:{gid}:\n"));
        machine
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A disk of zeros as the kernel would show it: a file with an entry in a sysfs of its own.
    pub(crate) fn disk(&mut self, name: &str, mib: u64) -> PathBuf {
        let (dev, sys) = (self.dir.path().join("dev"), self.dir.path().join("devices"));
        let entry = sys.join("class/block").join(name);
        std::fs::create_dir_all(&entry).unwrap();
        std::fs::create_dir_all(&dev).unwrap();
        std::fs::write(entry.join("size"), (mib * 2048).to_string()).unwrap();
        let file = std::fs::File::create(dev.join(name)).unwrap();
        file.set_len(mib << 20).unwrap();
        let node = dev.join(name);
        self.devices = block::devices::Devices { dev, sys };
        node
    }

    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    pub(crate) fn link(&self, path: &str) -> String {
        std::fs::read_link(self.root().join(path)).unwrap().display().to_string()
    }

    pub(crate) fn fw_cfg(&self, key: &str, bytes: &[u8]) {
        let dir = self.dir.path().join("sys/firmware/qemu_fw_cfg/by_name").join(key);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("raw"), bytes).unwrap();
    }

    pub(crate) fn base(&self, name: &str, text: &str) {
        let path = self.dir.path().join("base").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn sources(&self) -> Sources {
        Sources {
            sysfs: self.dir.path().join("sys"),
            cmdline: self.cmdline.clone(),
            system_dirs: self.system_dirs.iter().map(|name| self.dir.path().join(name)).collect(),
            platform: "qemu".into(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let endpoints = self.endpoints.clone();
        Client { bundle: self.bundle.clone(), names: Names::default(), endpoints }
    }

    /// The machine's directories as a platform's provider sees them.
    pub(crate) fn hardware<'a>(&self) -> provision::platform::Machine<'a> {
        let path = |name: &str| self.dir.path().join(name);
        provision::platform::Machine {
            devices: block::devices::Devices { dev: path("dev"), sys: path("sys") },
            run: path("run"),
            proc: path("proc"),
            config_file: path("config.ign"),
            ..Default::default()
        }
    }

    /// A file of the machine outside of its root.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A block device with this content.
    pub(crate) fn drive(&self, name: &str, image: &[u8]) {
        self.write(&format!("dev/{name}"), image);
        self.write(&format!("sys/class/block/{name}/size"), format!("{}\n", image.len() / 512).as_bytes());
    }

    pub(crate) fn fetch(&mut self) -> Result<FinalConfig, Error> {
        let mut up = |_: &str| Ok(());
        let mut env = FetchEnv {
            sources: self.sources(),
            net: Net::new(self.client(), &self.clock, &mut up),
            machine: self.hardware(),
        };
        let mut events = Vec::new();
        let fetched = provision::fetch_config(&mut env, &mut |event| events.push(line(&event)));
        self.events.extend(events);
        fetched
    }

    pub(crate) fn apply(&mut self, wanted: &FinalConfig) -> Result<Outcome, Error> {
        let recorder = std::mem::take(&mut self.recorder);
        let outcome = self.apply_with(wanted, &recorder);
        self.recorder = recorder;
        outcome
    }

    pub(crate) fn apply_with(
        &mut self,
        wanted: &FinalConfig,
        programs: &dyn Programs,
    ) -> Result<Outcome, Error> {
        let mut up = |_: &str| Ok(());
        let mut env = Env {
            root: Root::open(&self.root(), Durability::AtEnd).unwrap(),
            devices: self.devices.clone(),
            programs,
            net: Net::new(self.client(), &self.clock, &mut up),
            device_timeout: Duration::ZERO,
            boot_id: "boot".into(),
            options: self.options.clone(),
            keys: std::collections::BTreeMap::new(),
            mount_points_made: self.mount_points_made.clone(),
        };
        let mut events = Vec::new();
        let outcome = provision::provision(wanted, &mut env, &mut |event| events.push(line(&event)));
        self.events.extend(events);
        outcome
    }

    /// Gives the machine a config by fw_cfg and boots it, so to say.
    pub(crate) fn boot(&mut self, config: &str) -> Result<Outcome, Error> {
        self.fw_cfg("opt/com.coreos/config", config.as_bytes());
        let wanted = self.fetch()?;
        self.apply(&wanted)
    }

    pub(crate) fn boot_with(&mut self, config: &str, programs: &dyn Programs) -> Result<Outcome, Error> {
        self.fw_cfg("opt/com.coreos/config", config.as_bytes());
        let wanted = self.fetch()?;
        self.apply_with(&wanted, programs)
    }
}

fn line(event: &Event) -> String {
    format!("{}: {}", event.phase().name(), event.text())
}

/// Permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// Trees have files of root. Who is not root starts the test again as root of a user namespace.
pub(crate) fn be_root() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::getuid().is_root() {
        let mut again = std::process::Command::new("unshare");
        again.arg("--map-root-user").arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1));
        panic!("unshare --map-root-user: {}", again.exec());
    }
}

/// Says why a test does nothing here.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skip(name: &str, reason: &str) {
    eprintln!("SKIP {name}: {reason}");
}
