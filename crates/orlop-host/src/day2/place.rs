//! The machine that the verbs of day 2 work on, and the files by which asker and helper speak.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use block::devices::Devices;
use cli::{Error, Kind};
use provision::day2::Declaration;
use provision::execute::{KernelOptions, Options, SystemPrograms};
use provision::fetch::resource::Net;
use provision::fetch::source::{Raw, Sources};
use provision::net::http::Client;
use provision::net::{Names, SystemClock};
use provision::{Durability, Env, Root};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// Where the ESP is mounted while kernel arguments are changed.
const ESP: &str = "/run/orlop/esp";
/// Left by systemd-boot and systemd-stub (the boot loader interface): the ESP's partition, in UTF-16.
const ESP_VARIABLE: &str =
    "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// UEFI 3.3: four bytes of attributes, then 1 when only signed programs are started.
const SECURE_VARIABLE: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Which tree; another than `/` is for tests and images.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Work on this tree instead of the running machine
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(crate) root: PathBuf,
}

/// What the helper tells whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum State {
    /// It works.
    Applying,
    /// It waits for `orlop-host confirm`.
    Waiting {
        /// Seconds that are left.
        seconds: u64,
    },
    /// The change is there to stay.
    Committed,
    /// The change was taken back.
    TakenBack {
        /// Why.
        why: String,
    },
    /// It could neither be made nor taken back; the next boot takes it back.
    Failed {
        /// Why.
        why: String,
    },
}

impl Place {
    pub(crate) fn is_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(crate) fn open(&self) -> Result<Root, Error> {
        Root::open(&self.root, Durability::AtEnd).map_err(|error| Error::new(Kind::System, error))
    }

    /// A file of `/run/orlop`.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.root.join("run/orlop").join(name)
    }

    /// Opens a file of `/run/orlop` for its lock.
    fn lock_file(&self, name: &str) -> io::Result<File> {
        let path = self.run(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        File::options().create(true).truncate(false).write(true).open(path)
    }

    /// Takes a lock if nobody has it; it goes with the file or the process.
    pub(crate) fn lock(&self, name: &str) -> Result<Option<File>, Error> {
        let failed = |error: io::Error| {
            Error::new(Kind::System, anyhow::Error::new(error).context(format!("cannot lock {name}")))
        };
        let file = self.lock_file(name).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    pub(crate) fn programs(&self) -> SystemPrograms {
        if self.is_machine() {
            return SystemPrograms::default();
        }
        SystemPrograms { dirs: vec![self.root.join("usr/sbin"), self.root.join("usr/bin")] }
    }

    pub(crate) fn declaration(&self, root: &Root) -> Result<Option<Declaration>, Error> {
        Declaration::load(root).map_err(|error| {
            Error::new(Kind::System, error)
                .hint("a newer Orlop may have written it: run that one's orlop-host")
        })
    }

    /// The image's base configs, which lie under every config.
    pub(crate) fn base(&self) -> Result<Vec<Raw>, Error> {
        let sources = Sources {
            sysfs: "/sys".into(),
            cmdline: String::new(),
            system_dirs: vec![self.root.join("usr/lib/ignition")],
            platform: std::fs::read_to_string("/proc/cmdline")
                .ok()
                .and_then(|line| {
                    let words = line.split_ascii_whitespace();
                    words
                        .filter_map(|word| word.strip_prefix("ignition.platform.id="))
                        .next()
                        .map(str::to_owned)
                })
                .unwrap_or_else(|| "qemu".into()),
        };
        sources.base().map_err(|error| Error::new(Kind::System, error))
    }

    /// Runs `work` with everything that a step may touch.
    pub(crate) fn with<T>(
        &self,
        kernel: bool,
        work: impl FnOnce(&mut Env<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let clock = SystemClock::new();
        let programs = self.programs();
        let mut bring_up = |_: &str| Ok(());
        let mut options = Options::default();
        if kernel && self.is_machine() {
            options.kernel = kernel_options();
        }
        let esp = options.kernel.esp.clone();
        let mut env = Env {
            root: self.open()?,
            devices: Devices::default(),
            programs: &programs,
            net: Net::new(client(), &clock, &mut bring_up),
            device_timeout: Duration::from_secs(10),
            boot_id: String::new(),
            options,
            keys: std::collections::BTreeMap::new(),
            mount_points_made: Default::default(),
        };
        let done = work(&mut env);
        if let Some(esp) = esp {
            let _ = rustix::mount::unmount(esp, rustix::mount::UnmountFlags::empty());
        }
        done
    }

    /// Tells whoever asked; who is not there any more misses nothing.
    pub(crate) fn tell(&self, state: &State) {
        let (path, beside) = (self.run("apply.json"), self.run("apply.json.new"));
        let text = serde_json::to_vec(state).expect("records of strings and numbers always serialise");
        let _ = std::fs::write(&beside, text).and_then(|()| std::fs::rename(beside, path));
    }

    /// What the helper told last.
    pub(crate) fn told(&self) -> Option<State> {
        serde_json::from_slice(&std::fs::read(self.run("apply.json")).ok()?).ok()
    }
}

/// The machine's own certificates and name servers.
pub(crate) fn client() -> Client {
    Client {
        bundle: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        names: Names {
            servers: vec!["/run/systemd/resolve/resolv.conf".into(), "/etc/resolv.conf".into()],
            hosts: vec!["/etc/hosts".into()],
        },
        ..Client::default()
    }
}

/// How kernel arguments can be changed here: beside the unified kernel image in the ESP, when we came from one.
fn kernel_options() -> KernelOptions {
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let mut options = KernelOptions { command_line, ..KernelOptions::default() };
    let Some(uuid) = std::fs::read(ESP_VARIABLE).ok().and_then(|bytes| utf16(bytes.get(4..)?)) else {
        return options;
    };
    options.secure_boot = std::fs::read(SECURE_VARIABLE).is_ok_and(|bytes| bytes.last() == Some(&1));
    let name = format!("/dev/disk/by-partuuid/{}", uuid.to_ascii_lowercase());
    let Ok(Some(device)) = Devices::default().find(&name) else { return options };
    let flags = rustix::mount::MountFlags::NOSUID
        | rustix::mount::MountFlags::NODEV
        | rustix::mount::MountFlags::NOEXEC;
    let mounted = std::fs::create_dir_all(ESP)
        .is_ok_and(|()| rustix::mount::mount(&device.node, ESP, "vfat", flags, Some(c"umask=0022")).is_ok());
    options.esp = mounted.then(|| ESP.into());
    options
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let words: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let text = String::from_utf16(&words).ok()?;
    Some(text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_firmware_are_utf_16() {
        let bytes: Vec<u8> = "ab-1\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(utf16(&bytes).as_deref(), Some("ab-1"));
        assert_eq!(utf16(&[]), None);
    }
}
