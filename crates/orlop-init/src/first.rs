//! The first boot: the config is fetched, planned and carried out; then the stamp says so.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use block::devices::Devices;
use ignition_spec::Config;
use provision::fetch::needs_disks;
use provision::fetch::resource::Net;
use provision::fetch::source::Sources;
use provision::first_boot::{self, Recorder, Target};
use provision::net::http::{Client, HttpSettings};
use provision::net::{Names, SystemClock};
use provision::platform::{Machine, Status};
use provision::{Durability, Env, Event, FetchEnv, FinalConfig, Options, Root, SystemPrograms};
use serde_json::json;

use crate::arguments;
use crate::cmdline::CommandLine;
use crate::console;
use crate::modules;
use crate::network::{Daemons, NetworkError, RESOLV_CONF};
use crate::phase::{Phase, Times};
use crate::process;
use crate::root::{self, SYSROOT};
use crate::screen::{self, Failure};
use crate::slot::Slot;
use crate::stamp::{self, Begun};

/// Base configs: for this boot, the initramfs's own, then the image's. A name in one shadows it in those behind.
const SYSTEM_DIRS: [&str; 3] = ["/run/ignition", "/etc/ignition", "/usr/lib/ignition"];
/// Certificate authorities of the image.
const BUNDLE: &str = "/usr/etc/ssl/certs/ca-certificates.crt";
/// The platform of images that are started without `ignition.platform.id=`: what `orlop up` makes.
const PLATFORM: &str = "qemu";
/// QEMU's configuration device by its ACPI id, what its driver shows, and the driver.
const FW_CFG_DEVICE: &str = "/sys/bus/acpi/devices/QEMU0002:00";
const FW_CFG_SYSFS: &str = "/sys/firmware/qemu_fw_cfg";
const FW_CFG_MODULE: &str = "kernel/drivers/firmware/qemu_fw_cfg.ko";
const MODPROBE: &str = "/usr/sbin/modprobe";
/// A driver whose device is slow to answer.
const MODPROBE_LIMIT: Duration = Duration::from_secs(60);
const HOSTS: &str = "/usr/etc/hosts";
/// For contents that are fetched before disks are changed and are too large for memory.
const SPOOL: &str = "/run/orlop/spool";
/// The report of a first boot, for the machine's own programs.
const REPORT: &str = "/run/orlop/first-boot.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Links that only udev makes; others are found by looking at the devices themselves.
const UDEV_LINKS: [&str; 4] =
    ["/dev/disk/by-id/", "/dev/disk/by-path/", "/dev/mapper/", "/dev/virtio-ports/"];

/// What a first boot is about.
#[derive(Debug)]
pub(crate) struct First<'a> {
    /// The kernel's arguments, read.
    pub(crate) line: &'a CommandLine,
    /// The same, as they are.
    pub(crate) arguments: &'a str,
    /// Where `/usr` came from.
    pub(crate) slot: &'a Slot,
    /// The release that runs.
    pub(crate) release: &'a str,
    /// The stamp.
    pub(crate) begun: Begun,
}

impl First<'_> {
    /// Provisions the machine and stamps it. After a failure the daemons go on, for the screen's shell.
    pub(crate) fn provision(&self, times: &mut Times) -> Result<(), Failure> {
        let daemons = RefCell::new(Daemons::default());
        let log = RefCell::new(Log::default());
        let mut events = |event: Event| {
            let phase = Phase::Provision(event.phase());
            console::say(phase, event.text());
            log.borrow_mut().recorder.see(&event);
            if let Event::Done(_, took) = event {
                times.add(phase, took);
            }
        };
        let done = self.run(&daemons, &log, &mut events).and_then(|facts| {
            let files = Phase::Provision(provision::Phase::Umount);
            stamp::finish(Path::new(SYSROOT), self.begun, self.release, &facts)
                .map_err(|error| Failure::new(files, &error))
        });
        // User data are removed behind the stamp only: a boot that is cut short before it needs them again.
        let error = done.as_ref().err().map(|failure| failure.cause.clone());
        self.farewell(&daemons, error.as_deref(), &mut events);
        if let Err(failure) = &done {
            log.borrow_mut().recorder.failed_otherwise(&failure.phase.to_string(), &failure.cause);
        }
        self.report(&daemons, &log.borrow().clone());
        done?;
        daemons.borrow_mut().stop(Phase::Switch);
        Ok(())
    }

    fn run(
        &self,
        daemons: &RefCell<Daemons>,
        log: &RefCell<Log>,
        events: &mut dyn FnMut(Event),
    ) -> Result<serde_json::Value, Failure> {
        let failure = |error: &provision::Error| {
            log.borrow_mut().recorder.failed(error);
            failure(error)
        };
        load_fw_cfg();
        let clock = SystemClock::new();
        let mut bring_up = |_url: &str| self.bring_up(daemons);
        let mut wake = || wake_devices(daemons);
        let machine = Machine {
            load_module: Some(&mut load_module),
            wake_devices: Some(&mut wake),
            ..Machine::default()
        };
        let net = Net::new(client(), &clock, &mut bring_up);
        let mut env = FetchEnv { sources: sources(self.arguments), net, machine };
        let wanted = provision::fetch_config(&mut env, events).map_err(|error| failure(&error))?;
        drop(env);
        log.borrow_mut().take(self.arguments, &wanted);

        let devices = Devices::default();
        if needs_udev(&wanted.config, &devices) {
            let phase = Phase::Provision(provision::Phase::Disks);
            daemons.borrow_mut().disks(phase).map_err(|error| Failure::new(phase, &error))?;
        }
        let ours = touches(&wanted.config, &self.slot.disk, &devices);
        if !ours {
            root::grow(self.slot, true);
        }
        let mut bring_up = |_url: &str| self.bring_up(daemons);
        let programs = SystemPrograms::default();
        let mut env = Env {
            root: Root::open(Path::new(SYSROOT), Durability::AtEnd)
                .map_err(|error| Failure::new(Phase::Root, &error))?,
            devices,
            programs: &programs,
            net: Net::new(client(), &clock, &mut bring_up),
            device_timeout: self.line.device_wait,
            boot_id: std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned(),
            options: self.options(&wanted, &programs),
            keys: std::collections::BTreeMap::new(),
            mount_points_made: Vec::new(),
        };
        let outcome = provision::provision(&wanted, &mut env, events).map_err(|error| failure(&error))?;
        arguments::done(&env.options.kernel);
        if let Some(why) = outcome.reboot {
            console::say(Phase::Provision(provision::Phase::Kargs), format_args!("restarting: {why}"));
            daemons.borrow_mut().stop(Phase::Switch);
            screen::restart();
        }
        if ours {
            // The config may have put partitions behind root: what it left free is root's now.
            root::grow(self.slot, true);
        }
        Ok(facts(&wanted))
    }

    /// What the stages may use of this machine.
    fn options(&self, wanted: &FinalConfig, programs: &SystemPrograms) -> Options {
        let kernel = &wanted.config.kernel_arguments;
        let kernel = match kernel.should_exist.is_empty() && kernel.should_not_exist.is_empty() {
            true => provision::execute::KernelOptions::default(),
            false => arguments::look(self.arguments, &self.slot.disk, programs),
        };
        // A root that was empty is emptied when this boot is cut short: notes are for what lies elsewhere or was there.
        let noted = !self.begun.was_empty || needs_disks(&wanted.config);
        Options {
            notes: noted.then(|| format!("/{}", stamp::DIRECTORY)),
            spool: Some(SPOOL.into()),
            kernel,
            ..Options::default()
        }
    }

    /// Shows, keeps and sends the report for machines (docs/reference/first-boot-report.md).
    fn report(&self, daemons: &RefCell<Daemons>, log: &Log) {
        let phase = Phase::Provision(provision::Phase::Umount);
        let clock = SystemClock::new();
        let boot_id = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        let platform = sources(self.arguments).platform().to_owned();
        let report = log.recorder.report(std::time::SystemTime::now(), boot_id.trim(), &platform);
        console::line(&format!("orlop: report: {}", report.line()));
        let kept = std::fs::create_dir_all("/run/orlop").and_then(|()| std::fs::write(REPORT, report.text()));
        if let Err(error) = kept {
            console::say(phase, format_args!("warning: cannot write {REPORT}: {error}"));
        }
        let target = match &log.target {
            Some(target) => Ok(Some(target.clone())),
            None => first_boot::target(self.arguments, None),
        };
        let target = match target {
            Ok(Some(target)) => target,
            Ok(None) => return,
            Err(why) => return console::say(phase, format_args!("warning: the report is not sent: {why}")),
        };
        let mut bring_up = |_url: &str| self.bring_up(daemons);
        let mut net = Net::new(client(), &clock, &mut bring_up);
        let mut events = |event: Event| console::say(phase, event.text());
        match first_boot::post(&mut net, &target, &log.settings, &report, &mut events) {
            Ok(()) => console::say(phase, format_args!("report sent to {}", target.url)),
            Err(error) => console::say(phase, format_args!("warning: the report was not taken: {error}")),
        }
    }

    /// Tells the platform how it went and removes the user data there.
    fn farewell(&self, daemons: &RefCell<Daemons>, error: Option<&str>, events: &mut dyn FnMut(Event)) {
        let clock = SystemClock::new();
        let mut bring_up = |_url: &str| self.bring_up(daemons);
        let machine = Machine { load_module: Some(&mut load_module), ..Machine::default() };
        let net = Net::new(client(), &clock, &mut bring_up);
        let mut env = FetchEnv { sources: sources(self.arguments), net, machine };
        let status = Status { stage: "files", error };
        provision::fetch::farewell(&mut env, status, events);
    }

    /// Gets an address, as a phase of its own within the one that needs it.
    fn bring_up(&self, daemons: &RefCell<Daemons>) -> Result<(), String> {
        let mut times = Times::default();
        let network = || daemons.borrow_mut().network(self.arguments, self.line.network_wait);
        times.run(Phase::Network, network).map_err(|error: NetworkError| {
            let failure = Failure::new(Phase::Network, &error);
            failure.cause
        })
    }
}

/// What is kept for the report.
#[derive(Debug, Clone, Default)]
struct Log {
    recorder: Recorder,
    target: Option<Target>,
    settings: HttpSettings,
}

impl Log {
    fn take(&mut self, arguments: &str, wanted: &FinalConfig) {
        self.recorder.config(wanted.user_config_provided, wanted.documents.names());
        self.settings = wanted.settings.clone();
        match first_boot::target(arguments, Some(&wanted.config)) {
            Ok(target) => self.target = target,
            Err(why) => {
                let phase = Phase::Provision(provision::Phase::Fetch);
                console::say(phase, format_args!("warning: the report will not be sent: {why}"));
            }
        }
    }
}

fn sources(arguments: &str) -> Sources {
    Sources {
        sysfs: "/sys".into(),
        cmdline: arguments.to_owned(),
        system_dirs: SYSTEM_DIRS.iter().map(Into::into).collect(),
        platform: PLATFORM.into(),
    }
}

fn client() -> Client {
    Client {
        bundle: Some(BUNDLE.into()),
        names: Names { servers: vec![RESOLV_CONF.into()], hosts: vec![HOSTS.into()] },
        ..Client::default()
    }
}

/// The names of devices that a config uses.
fn device_names(config: &Config) -> impl Iterator<Item = &str> {
    provision::plan::device_names(config).into_iter().map(|(name, _)| name)
}

/// Whether a config names a device by a link that only udev makes, or one that is not there: its controller may want
/// a driver that did not have to be loaded for `/usr`.
fn needs_udev(config: &Config, devices: &Devices) -> bool {
    let known = |name: &str| devices.find(name).is_ok_and(|found| found.is_some());
    device_names(config).any(|name| UDEV_LINKS.iter().any(|links| name.starts_with(links)) || !known(name))
}

/// Lets the drivers of disks and CD drives be loaded, for a config that is on one.
fn wake_devices(daemons: &RefCell<Daemons>) -> Result<(), String> {
    let phase = Phase::Provision(provision::Phase::Fetch);
    daemons.borrow_mut().disks(phase).map_err(|error| Failure::new(phase, &error).cause)
}

/// Loads a module of the verified `/usr` for the platform. QEMU's configuration device has been seen to already.
fn load_module(name: &str) -> Result<(), String> {
    if name == "qemu_fw_cfg" {
        return Ok(());
    }
    let phase = Phase::Provision(provision::Phase::Fetch);
    let mut modprobe = process::command(MODPROBE);
    modprobe.args(["--quiet", name]);
    process::run(phase, modprobe, MODPROBE_LIMIT).map(drop).map_err(|error| Failure::new(phase, &error).cause)
}

/// QEMU's configuration device has a driver in the verified `/usr`, which only a first boot wants.
fn load_fw_cfg() {
    if !Path::new(FW_CFG_DEVICE).exists() || Path::new(FW_CFG_SYSFS).exists() {
        return;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let path = format!("/usr/lib/modules/{release}/{FW_CFG_MODULE}");
    if let Err(error) = modules::load(Path::new(&path)) {
        let phase = Phase::Provision(provision::Phase::Fetch);
        console::say(phase, format_args!("warning: QEMU's configuration cannot be read: {path}: {error}"));
    }
}

/// Whether a config partitions the disk that the OS is on.
fn touches(config: &Config, disk: &str, devices: &Devices) -> bool {
    config.storage.disks.iter().any(|wanted| {
        let found = devices.find(&wanted.device);
        found.is_ok_and(|found| found.is_some_and(|device| device.name == disk))
    })
}

/// What the stamp tells of the config.
fn facts(wanted: &FinalConfig) -> serde_json::Value {
    json!({"user_config": wanted.user_config_provided, "documents": wanted.documents.names()})
}

/// The first problem is the headline; the whole text with places and hints follows.
fn failure(error: &provision::Error) -> Failure {
    Failure { phase: Phase::Provision(error.phase), cause: error.line(), details: Vec::new() }
        .with(&error.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        ignition_spec::parse(json.as_bytes()).unwrap().config
    }

    #[test]
    fn udev_runs_only_for_links_of_its_own_and_devices_that_are_missing() {
        let temp = tempfile::tempdir().unwrap();
        let devices = Devices { dev: temp.path().join("dev"), sys: temp.path().join("sys") };
        let block = devices.sys.join("class/block/vdb");
        for directory in [&devices.dev, &block] {
            std::fs::create_dir_all(directory).unwrap();
        }
        std::fs::write(block.join("size"), "2048\n").unwrap();
        std::fs::write(devices.dev.join("vdb"), "").unwrap();
        for (device, expected) in [
            ("/dev/vdb", false),
            ("/dev/sdb", true),
            ("/dev/disk/by-id/virtio-data", true),
            ("/dev/disk/by-path/pci-0000:00:03.0", true),
        ] {
            let config = config(&format!(
                r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"disks": [{{"device": "{device}"}}]}}}}"#
            ));
            assert_eq!(needs_udev(&config, &devices), expected, "{device}");
        }
        assert!(!needs_udev(&Config::default(), &devices));
    }

    #[test]
    fn a_refused_config_shows_line_place_and_hint() {
        let problem = provision::Problem::new("`luks` is not supported yet").hint(Some("remove it"));
        let failure = failure(&provision::Error::new(provision::Phase::Plan, problem));
        assert_eq!(failure.cause, "`luks` is not supported yet");
        assert_eq!(failure.details, ["error: `luks` is not supported yet", "hint: remove it"]);
        assert_eq!(failure.phase.to_string(), "plan");
    }
}
