//! A machine's folder: disks, key, config items, registry; then the machine itself.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cli::{Error, Kind, Progress, ResultExt as _};
use vm::config::{Additions, CONFIG_ITEM, KERNEL_ARGS, SOURCE_MAP_ITEM};
use vm::machine::{Disks, Lifetime, Machine};
use vm::process::Process;
use vm::{Boot, Forward, FwCfg, ImageDir, Qemu, Spec, state};

use super::config::User;
use super::{Args, key, ports};
use crate::{place, serve};

/// The system disk's size: sparse, so that it costs what is written.
const DISK_MIB: u64 = 8 * 1024;

/// sshd's port.
const SSH: u16 = 22;

/// The registry writes its port as soon as it listens.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(20);

/// A machine's folder with everything in it, before the start.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    qemu: &'a Qemu,
    folder: PathBuf,
    spec: Spec,
    registry: Option<Process>,
    ssh_port: u16,
    addresses: Vec<String>,
    pods: bool,
}

/// A machine that was started.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) machine: Machine,
    /// Whether something in it should answer.
    pub(super) pods: bool,
}

impl<'a> Prepared<'a> {
    /// Makes the folder anew; a machine of that name must not run.
    pub(super) fn new(
        args: &Args,
        qemu: &'a Qemu,
        image: &ImageDir,
        user: Option<&User>,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let name = args.name.clone().or_else(|| user.map(|user| user.stem.clone())).unwrap_or("orlop".into());
        let folder = fresh_folder(&name, progress)?;
        let pod_ports = user.map(|user| ports::of_pods(&user.config)).unwrap_or_default();
        let published = ports::forwards(&args.publish, &pod_ports)?;
        let ssh_port = ports::free()?;
        let registry = args
            .images
            .as_deref()
            .map(|images| start_registry(images, &folder))
            .transpose()
            .kind(Kind::System)?;
        let additions = Additions {
            ssh_key: Some(key::make(qemu.sdk(), &folder, &name).kind(Kind::System)?),
            registry_port: registry.as_ref().map(|(_, port)| *port),
            hostname: Some(name),
        };
        let disks = Disks { qemu, folder: &folder };
        let disk = disks.overlay("system", &image.disk(), "raw", DISK_MIB).kind(Kind::System)?;
        let addresses =
            published.iter().map(|forward| format!("http://127.0.0.1:{}/", forward.host_port)).collect();
        let mut forwards = published;
        forwards.push(Forward { host_port: ssh_port, guest_port: SSH });
        let spec = Spec {
            memory_mib: args.memory,
            boot: if args.direct { image.direct_boot() } else { Boot::Uefi },
            disks: vec![disk],
            forwards,
            fw_cfg: write_items(&folder, &additions, user).kind(Kind::System)?,
            kernel_args: KERNEL_ARGS.iter().map(ToString::to_string).collect(),
            ..Spec::default()
        };
        let registry = registry.map(|(process, _)| process);
        Ok(Self { qemu, folder, spec, registry, ssh_port, addresses, pods: !pod_ports.is_empty() })
    }

    /// Starts it: for `--check` as a child that ends with us, else on its own.
    pub(super) fn start(self, check: bool) -> Result<Up, Error> {
        let lifetime = if check { Lifetime::Owned } else { Lifetime::Detached };
        let mut machine =
            Machine::start(self.qemu, &self.folder, &self.spec, lifetime, None).kind(Kind::System)?;
        machine
            .update_record(|record| {
                record.companions.extend(self.registry);
                record.ssh_port = Some(self.ssh_port);
                record.addresses = self.addresses;
            })
            .kind(Kind::System)?;
        Ok(Up { machine, pods: self.pods })
    }
}

/// An empty folder for the machine. One that was stopped gives way: its disk began as the image's, and
/// `up` means a machine made from the config.
fn fresh_folder(name: &str, progress: &Progress) -> Result<PathBuf, Error> {
    let machines = place::machines()?;
    let folder = machines.join(state::check_name(name).kind(Kind::Usage)?);
    match state::read(&folder) {
        Ok(record) if record.process.runs() => {
            return Err(Error::message(Kind::Conflict, format!("machine {name} runs already"))
                .hint(format!("stop it with `orlop stop {name}`, or choose another --name")));
        }
        Ok(_) => progress.line(&format!("{name}: the stopped machine of this name is made anew")),
        Err(_) => {}
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))
            .kind(Kind::System)?;
    }
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))
        .kind(Kind::System)?;
    Ok(folder)
}

fn write_items(folder: &Path, additions: &Additions, user: Option<&User>) -> anyhow::Result<Vec<FwCfg>> {
    let config = additions.merged(user.map(|user| user.json.as_slice()));
    let mut items = vec![(CONFIG_ITEM, "config.ign", config)];
    if let Some(user) = user {
        items.push((SOURCE_MAP_ITEM, "source-map.json", user.source_map.clone()));
    }
    let mut written = Vec::new();
    for (name, file, contents) in items {
        let path = folder.join(file);
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(FwCfg { name: name.into(), file: file.into() });
    }
    Ok(written)
}

/// Starts the registry on its own; it ends by itself when the machine does.
fn start_registry(images: &Path, folder: &Path) -> anyhow::Result<(Process, u16)> {
    let images =
        images.canonicalize().with_context(|| format!("cannot serve images from {}", images.display()))?;
    let log_path = folder.join("registry.log");
    let log = fs::File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let child = Command::new(program)
        .args(["-v", "__serve"])
        .arg(images)
        .arg("--machine")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the registry")?;
    let process =
        i32::try_from(child.id()).ok().and_then(Process::of).context("the registry ended at once")?;
    let deadline = Instant::now() + REGISTRY_TIMEOUT;
    while process.runs() && Instant::now() < deadline {
        let written = fs::read_to_string(folder.join(serve::PORT_FILE)).ok();
        if let Some(port) = written.and_then(|text| text.parse().ok()) {
            return Ok((process, port));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = fs::read_to_string(&log_path).unwrap_or_default();
    anyhow::bail!("the registry did not start: {}", said.trim())
}
