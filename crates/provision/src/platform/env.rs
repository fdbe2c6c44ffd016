//! What a provider may touch.

use std::path::PathBuf;
use std::time::Duration;

use block::devices::{Device, Devices};

use super::{PlatformError, USER_DATA_BYTES_MAX, UserData, decode};
use crate::drive::Volume;
use crate::event::{Event, Phase};
use crate::fetch::resource::Net;
use crate::net::dial::Dial;
use crate::net::http::{Client, HttpSettings, Request, read_limited};

/// A drive that is not there yet is looked for this often.
const LOOK: Duration = Duration::from_secs(1);
/// A wait is told this often.
const TELL_LOOKS: u32 = 10;

/// Loads a kernel module by its name.
pub type LoadModule<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// The machine beside the network: where the kernel shows it, and what has to be done for that.
pub struct Machine<'a> {
    /// `/dev` and `/sys`.
    pub devices: Devices,
    /// `/run`, where networkd keeps its leases.
    pub run: PathBuf,
    /// `/proc`, which lists the links with IPv6.
    pub proc: PathBuf,
    /// The file of platform `file`; upstream's is `IGNITION_CONFIG_FILE` or `config.ign`.
    pub config_file: PathBuf,
    /// Loads a kernel module by its name, with what it depends on. Without it, modules are taken to be there.
    pub load_module: Option<LoadModule<'a>>,
    /// Lets the drivers of disks be loaded; called once. Without it, devices are taken to be there.
    pub wake_devices: Option<&'a mut dyn FnMut() -> Result<(), String>>,
    /// VMware's channel to the host; `None` asks the processor for it.
    pub vmware: Option<&'a mut dyn super::vmware::Backdoor>,
    /// Whether `wake_devices` has been called.
    pub awake: bool,
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("devices", &self.devices)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl Default for Machine<'_> {
    fn default() -> Self {
        Self {
            devices: Devices::default(),
            run: "/run".into(),
            proc: "/proc".into(),
            config_file: "config.ign".into(),
            load_module: None,
            wake_devices: None,
            vmware: None,
            awake: false,
        }
    }
}

/// What a provider is given.
#[derive(Debug)]
pub struct Env<'e, 'n, 'm> {
    /// The network.
    pub net: &'e mut Net<'n>,
    /// The machine.
    pub machine: &'e mut Machine<'m>,
    /// Where sysfs is mounted.
    pub sysfs: PathBuf,
    pub(super) events: EventsDebug<'e>,
}

/// A listener, which has no form of its own.
pub(super) struct EventsDebug<'e>(&'e mut dyn FnMut(Event));

impl std::fmt::Debug for EventsDebug<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("events")
    }
}

impl<'e, 'n, 'm> Env<'e, 'n, 'm> {
    /// For one fetch.
    pub fn new(
        net: &'e mut Net<'n>,
        machine: &'e mut Machine<'m>,
        sysfs: PathBuf,
        events: &'e mut dyn FnMut(Event),
    ) -> Self {
        Self { net, machine, sysfs, events: EventsDebug(events) }
    }

    /// Tells people something.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        (self.events.0)(Event::Step(Phase::Fetch, text.into()));
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        (self.events.0)(Event::Warning(Phase::Fetch, text.into()));
    }

    pub(super) fn event(&mut self, event: Event) {
        (self.events.0)(event);
    }

    pub(super) fn client(&self) -> &Client {
        &self.net.client
    }

    /// A module that cannot be loaded may be built in: whoever needs it will see.
    pub(super) fn load_module(&mut self, name: &str) {
        if let Some(load) = &mut self.machine.load_module
            && let Err(why) = load(name)
        {
            self.warn(format!("kernel module {name}: {why}"));
        }
    }

    pub(super) fn wake_devices(&mut self) -> Result<(), PlatformError> {
        if std::mem::replace(&mut self.machine.awake, true) {
            return Ok(());
        }
        match &mut self.machine.wake_devices {
            Some(wake) => wake().map_err(|why| PlatformError::Devices { why }),
            None => Ok(()),
        }
    }

    pub(super) fn bring_up(&mut self, url: &str) -> Result<(), PlatformError> {
        self.net.up(url).map_err(|why| PlatformError::Network { url: url.to_owned(), why })
    }

    /// Asks until there is an answer. `None` when it is 404.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Option<Vec<u8>>, PlatformError> {
        self.ask_with(request, &HttpSettings::default())
    }

    pub(super) fn ask_with(
        &mut self,
        request: &Request,
        settings: &HttpSettings,
    ) -> Result<Option<Vec<u8>>, PlatformError> {
        if !matches!(request.dial, Dial::Vsock { .. }) {
            self.bring_up(&request.url)?;
        }
        let events = &mut *self.events.0;
        let mut retrying = |retry| events(Event::Retry(Phase::Fetch, retry));
        let answer = self.net.client.get(request, settings, self.net.clock, &mut retrying, |body| {
            read_limited(body, USER_DATA_BYTES_MAX)
        });
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The block devices of the machine.
    pub(super) fn devices(&self) -> Result<Vec<Device>, PlatformError> {
        let devices = self.machine.devices.list();
        devices.map_err(|error| PlatformError::Devices { why: crate::Problem::of(&error).line() })
    }

    /// The volumes on the machine's devices that are read here and that `wanted` accepts. A device that cannot be read
    /// is passed over: an empty CD drive is one.
    pub(super) fn drives(&self, wanted: &dyn Fn(&Volume) -> bool) -> Result<Vec<Drive>, PlatformError> {
        let mut found = Vec::new();
        for device in self.devices()? {
            let Ok(file) = std::fs::File::open(&device.node) else { continue };
            let Ok(volumes) = Volume::on(&file, device.size_bytes) else { continue };
            let fitting = volumes.into_iter().filter(|volume| wanted(volume));
            found.extend(fitting.map(|volume| Drive { device: device.clone(), volume }));
        }
        Ok(found)
    }

    /// Looks every second until `look` finds something, `limit` has passed, or for ever, and says so.
    pub(super) fn await_some<T>(
        &mut self,
        what: &str,
        limit: Option<Duration>,
        mut look: impl FnMut(&Self) -> Result<Option<T>, PlatformError>,
    ) -> Result<Option<T>, PlatformError> {
        let started = self.net.clock.elapsed();
        for looks in 0.. {
            if let Some(found) = look(self)? {
                return Ok(Some(found));
            }
            let waited = self.net.clock.elapsed() - started;
            if limit.is_some_and(|limit| waited >= limit) {
                return Ok(None);
            }
            if looks % TELL_LOOKS == 0 {
                let of = limit.map(|limit| format!(" of {}", limit.as_secs())).unwrap_or_default();
                self.say(format!("waiting for {what} ({}{of} s)", waited.as_secs()));
            }
            self.net.clock.sleep(LOOK);
        }
        unreachable!("looks are counted without end")
    }

    /// User data in their final form; `None` when there is nothing in them.
    pub(super) fn user_data(
        &self,
        from: impl Into<String>,
        bytes: Vec<u8>,
    ) -> Result<Option<UserData>, PlatformError> {
        let from = from.into();
        let bytes = decode::maybe_gunzip(&from, bytes)?;
        if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Ok(None);
        }
        Ok(Some(UserData { bytes, from, files: Vec::new() }))
    }
}

/// A volume on a device.
#[derive(Debug)]
pub(super) struct Drive {
    pub(super) device: Device,
    pub(super) volume: Volume,
}

impl Drive {
    /// A file of the volume.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PlatformError> {
        let device = self.device.node.display().to_string();
        let file = std::fs::File::open(&self.device.node)
            .map_err(|source| PlatformError::Read { path: self.device.node.clone(), source })?;
        self.volume.read(&file, path).map_err(|source| PlatformError::Volume { device, source })
    }

    /// For people: `/dev/sr0 (iso9660), /user-data`.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{} ({}), {path}", self.device.node.display(), self.volume.format().name())
    }
}
