//! What a machine is made of, and QEMU's arguments for it: a pure function.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::qemu::Accelerator;

/// A machine to be made. Sizes in the units of their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Processors.
    pub cpus: u32,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// How it starts.
    pub boot: Boot,
    /// Its disks, the first one booted from: `/dev/vda`, `/dev/vdb` …
    pub disks: Vec<Disk>,
    /// Ports of 127.0.0.1 that lead into the machine.
    pub forwards: Vec<Forward>,
    /// Items the guest finds in `/sys/firmware/qemu_fw_cfg/by_name`.
    pub fw_cfg: Vec<FwCfg>,
    /// More words for the kernel's command line. By UEFI they travel in SMBIOS type 11 to systemd-stub.
    pub kernel_args: Vec<String>,
    /// The clock at start, `YYYY-MM-DDThh:mm:ss` UTC; else the host's.
    pub clock: Option<String>,
    /// Whether the machine has a network card.
    pub network: bool,
}

impl Default for Spec {
    /// Two processors where the host has them: services start side by side.
    fn default() -> Self {
        let host = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cpus: if host > 1 { 2 } else { 1 },
            memory_mib: 1024,
            boot: Boot::Uefi,
            disks: Vec::new(),
            forwards: Vec::new(),
            fw_cfg: Vec::new(),
            kernel_args: Vec::new(),
            clock: None,
            network: true,
        }
    }
}

/// How a machine starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// By OVMF from the first disk's EFI system partition, with variables of its own.
    Uefi,
    /// By QEMU's own loader.
    Direct {
        /// The kernel.
        kernel: PathBuf,
        /// The initramfs.
        initramfs: PathBuf,
        /// The command line, without [`Spec::kernel_args`].
        cmdline: String,
    },
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// The image file; relative paths are in the machine's folder.
    pub path: PathBuf,
    /// `qcow2` or `raw`.
    pub format: String,
    /// Serial number that the guest sees in `/dev/disk/by-id/virtio-SERIAL` (20 characters at most).
    pub serial: String,
    /// Faults from the start; see [`Fault`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// An input/output error made by QEMU's blkdebug layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which requests.
    pub on: Request,
    /// What the guest's request ends with: 5 is EIO, 28 ENOSPC.
    pub errno: i32,
    /// Only the request that touches this 512-byte sector; else every one.
    pub sector: Option<u64>,
    /// Once, or for ever.
    pub once: bool,
}

/// A kind of disk request (`BlkdebugIOType` of qapi/block-core.json).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Bringing to the medium what was written.
    Flush,
    /// Giving blocks up.
    Discard,
}

/// One port of 127.0.0.1 that leads to a TCP port of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// On the workstation.
    pub host_port: u16,
    /// In the machine.
    pub guest_port: u16,
}

/// A named item for the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FwCfg {
    /// Its name, as `opt/com.coreos/config`.
    pub name: String,
    /// The file with its contents; relative paths are in the machine's folder.
    pub file: PathBuf,
}

/// What is not the machine's own: where its files are and what runs it.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// How instructions are run.
    pub accelerator: Accelerator,
    /// OVMF's code.
    pub firmware: &'a Path,
    /// Wait for saved state ([`crate::qmp::Qmp::restore`]) instead of booting.
    pub incoming: bool,
    /// Leave the terminal and outlive the caller.
    pub detached: bool,
}

/// Names of the files in a machine's folder.
pub mod file {
    /// Everything the serial console said.
    pub const CONSOLE_LOG: &str = "console.log";
    /// Socket of the serial console.
    pub const CONSOLE: &str = "console.sock";
    /// Socket of QEMU's monitor.
    pub const QMP: &str = "qmp.sock";
    /// Socket of the guest agent's port.
    pub const AGENT: &str = "agent.sock";
    /// QEMU's process id.
    pub const PID: &str = "qemu.pid";
    /// The firmware's variables.
    pub const VARS: &str = "efivars.fd";
    /// What QEMU itself had to say.
    pub const QEMU_LOG: &str = "qemu.log";
}

/// QEMU's arguments for a machine. Sockets are named relative to the machine's folder, in which QEMU runs:
/// a socket's path must be shorter than 108 bytes.
#[must_use]
pub fn arguments(spec: &Spec, around: &Surroundings<'_>) -> Vec<OsString> {
    let mut args = Arguments::default();
    args.words(&["-nodefaults", "-no-user-config", "-display", "none"]);
    args.pair("-cpu", around.accelerator.cpu());
    args.pair("-machine", "q35,usb=off,vmport=off,smbus=off,hpet=off,sata=off");
    args.pair("-accel", around.accelerator.argument());
    args.pair("-smp", spec.cpus.to_string());
    args.pair("-m", spec.memory_mib.to_string());
    args.pair("-pidfile", file::PID);
    args.pair("-qmp", format!("unix:{},server=on,wait=off", file::QMP));
    if let Some(clock) = &spec.clock {
        args.pair("-rtc", format!("base={clock}"));
    }
    // An end is an end: a test that powers off must see QEMU go.
    args.words(&["-device", "virtio-rng-pci"]);
    console_and_agent(&mut args);
    network(&mut args, spec);
    boot(&mut args, spec, around);
    for (index, disk) in spec.disks.iter().enumerate() {
        // QEMU's own loader of kernels has the first place in the boot order to itself.
        let first = index == 0 && spec.boot == Boot::Uefi;
        add_disk(&mut args, index, disk, first);
    }
    for item in &spec.fw_cfg {
        args.pair(
            "-fw_cfg",
            format!("name={},file={}", comma(&item.name), comma(&item.file.to_string_lossy())),
        );
    }
    if around.incoming {
        args.pair("-incoming", "defer");
    }
    if around.detached {
        args.words(&["-daemonize", "-D", file::QEMU_LOG]);
    }
    args.list
}

#[derive(Default)]
struct Arguments {
    list: Vec<OsString>,
}

impl Arguments {
    fn words(&mut self, words: &[&str]) {
        self.list.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, option: &str, value: impl AsRef<std::ffi::OsStr>) {
        self.list.push(option.into());
        self.list.push(value.as_ref().to_owned());
    }
}

/// QEMU's option parser reads `,,` as one comma of the value.
fn comma(value: &str) -> String {
    value.replace(',', ",,")
}

fn console_and_agent(args: &mut Arguments) {
    let (log, console, agent) = (file::CONSOLE_LOG, file::CONSOLE, file::AGENT);
    args.pair(
        "-chardev",
        format!("socket,id=console,path={console},server=on,wait=off,logfile={log},logappend=on"),
    );
    args.pair("-serial", "chardev:console");
    args.pair("-chardev", format!("socket,id=agent,path={agent},server=on,wait=off"));
    args.pair("-device", "virtio-serial-pci,max_ports=2");
    args.pair("-device", format!("virtserialport,chardev=agent,name={}", agent_spec::PORT));
}

fn network(args: &mut Arguments, spec: &Spec) {
    if !spec.network {
        args.pair("-nic", "none");
        return;
    }
    let forwards: String = spec
        .forwards
        .iter()
        .map(|forward| format!(",hostfwd=tcp:127.0.0.1:{}-:{}", forward.host_port, forward.guest_port))
        .collect();
    args.pair("-netdev", format!("user,id=net0,hostname=orlop{forwards}"));
    // No option ROM: nothing boots from this card.
    args.pair("-device", "virtio-net-pci,id=nic0,netdev=net0,romfile=");
}

fn boot(args: &mut Arguments, spec: &Spec, around: &Surroundings<'_>) {
    // The accelerator's words first: of two equal ones the kernel takes the later.
    let words: Vec<&str> = around
        .accelerator
        .kernel_args()
        .iter()
        .copied()
        .chain(spec.kernel_args.iter().map(String::as_str))
        .collect();
    let more = words.join(" ");
    match &spec.boot {
        Boot::Uefi => {
            let code = comma(&around.firmware.to_string_lossy());
            args.pair("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
            args.pair("-drive", format!("if=pflash,unit=1,format=raw,file={}", file::VARS));
            // The firmware has a screen, so that a test can keep a picture of it.
            args.words(&["-device", "VGA"]);
            // systemd-stub(7): appended to the UKI's own line where Secure Boot does not forbid it.
            if !more.is_empty() {
                args.pair(
                    "-smbios",
                    format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={}", comma(&more)),
                );
            }
        }
        Boot::Direct { kernel, initramfs, cmdline } => {
            args.pair("-kernel", kernel);
            args.pair("-initrd", initramfs);
            args.pair("-append", format!("{cmdline} {more}").trim());
        }
    }
}

fn add_disk(args: &mut Arguments, index: usize, disk: &Disk, first: bool) {
    // JSON form: file names need no quoting, and each layer has a name that the monitor can use.
    let file = serde_json::json!({
        "driver": "file", "node-name": format!("file{index}"), "filename": disk.path.to_string_lossy(),
        "discard": "unmap", "cache": {"no-flush": false, "direct": false},
    });
    let image = serde_json::json!({
        "driver": disk.format, "node-name": format!("image{index}"), "file": format!("file{index}"),
        "discard": "unmap",
    });
    args.pair("-blockdev", file.to_string());
    args.pair("-blockdev", image.to_string());
    let mut under = format!("image{index}");
    if !disk.faults.is_empty() {
        let faulty = serde_json::json!({
            "driver": "blkdebug", "node-name": format!("fault{index}"), "image": under,
            "inject-error": disk.faults.iter().map(Fault::rule).collect::<Vec<_>>(),
        });
        args.pair("-blockdev", faulty.to_string());
        under = format!("fault{index}");
    }
    // The guest's device hangs on a layer that does nothing, under which faults come and go (`Qmp::disk_faults`).
    let top = format!("disk{index}-guard");
    let guard = serde_json::json!({"driver": "raw", "node-name": top, "file": under});
    args.pair("-blockdev", guard.to_string());
    let boot = if first { ",bootindex=0" } else { "" };
    let serial = comma(&disk.serial);
    args.pair("-device", format!("virtio-blk-pci,id=disk{index},drive={top},serial={serial}{boot}"));
}

impl Fault {
    /// The rule in the monitor's words (BlkdebugInjectErrorOptions).
    pub(crate) fn rule(&self) -> serde_json::Value {
        // The event `none` stands for every request of the type.
        let mut rule =
            serde_json::json!({"event": "none", "iotype": self.on, "errno": self.errno, "once": self.once});
        if let Some(sector) = self.sector {
            rule["sector"] = sector.into();
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &Spec, incoming: bool) -> String {
        let around = Surroundings {
            accelerator: Accelerator::Tcg,
            firmware: Path::new("/sdk/a,b.fd"),
            incoming,
            detached: false,
        };
        let words: Vec<String> =
            arguments(spec, &around).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn uefi_machine() {
        let spec = Spec {
            cpus: 3,
            kernel_args: vec!["orlop.on_failure=poweroff".into()],
            forwards: vec![Forward { host_port: 8080, guest_port: 80 }],
            fw_cfg: vec![FwCfg { name: "opt/com.coreos/config".into(), file: "config.ign".into() }],
            ..Spec::default()
        };
        let line = line(&spec, false);
        for part in [
            "-cpu max,erms=off,fsrm=off,la57=off",
            "-smp 3 -m 1024",
            "if=pflash,unit=0,format=raw,readonly=on,file=/sdk/a,,b.fd",
            "-smbios type=11,value=io.systemd.stub.kernel-cmdline-extra=mitigations=off tsc=reliable",
            "apparmor,,ipe orlop.on_failure=poweroff",
            "hostfwd=tcp:127.0.0.1:8080-:80",
            "-fw_cfg name=opt/com.coreos/config,file=config.ign",
            "name=io.orlop.agent",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("-kernel") && !line.contains("-daemonize") && !line.contains("-incoming"));
    }

    #[test]
    fn direct_machine_with_a_faulty_disk() {
        let fault = Fault { on: Request::Write, errno: 5, sector: Some(9), once: true };
        let spec = Spec {
            boot: Boot::Direct { kernel: "/k".into(), initramfs: "/i".into(), cmdline: "usrhash=00".into() },
            kernel_args: vec!["a=b".into(), "c".into()],
            disks: vec![Disk {
                path: "disk.qcow2".into(),
                format: "qcow2".into(),
                serial: "os".into(),
                faults: vec![fault],
            }],
            network: false,
            ..Spec::default()
        };
        let line = line(&spec, true);
        for part in [
            "-kernel /k -initrd /i -append usrhash=00 mitigations=off tsc=reliable",
            "apparmor,ipe a=b c",
            "\"inject-error\":[{\"event\":\"none\",\"iotype\":\"write\",\"errno\":5,\"once\":true,\"sector\":9}]",
            "virtio-blk-pci,id=disk0,drive=disk0-guard,serial=os",
            "-nic none",
            "-incoming defer",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
