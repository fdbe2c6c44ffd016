//! Boots, and what holds on every machine.

use vm::Program;
use vm::harness::{Body, Failure, Lab, Session, Setup, Speed, Test, TestResult};

use crate::given::{holds, same};

/// Budget of DESIGN.md, section 9: RAM in use with no container.
const IDLE_RAM_MAX_MIB: u64 = 80;

/// Budget of DESIGN.md, section 9: least RAM that boots.
const LEAST_RAM_MIB: u32 = 192;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_boots_by_uefi",
        about: "firmware, systemd-boot and UKI lead to a machine that is up, and it powers off when asked",
        speed: Speed::Full,
        idle_secs: 60,
        provokes: &[],
        body: Body::Machine(uefi_setup, boots_by_uefi),
    },
    Test {
        name: "vm_boots_directly_in_least_ram",
        about: "the kernel started directly leads to a machine that is up, in 192 MiB of RAM",
        speed: Speed::Full,
        idle_secs: 40,
        provokes: &[],
        body: Body::Machine(least_setup, boots_directly),
    },
    Test {
        name: "vm_usr_cannot_be_written",
        about: "/usr is verified, read-only and stays so, even for root",
        speed: Speed::Clone,
        idle_secs: 60,
        provokes: &[],
        body: Body::Machine(plain, usr_cannot_be_written),
    },
    Test {
        name: "vm_idle_ram",
        about: "no more than 80 MiB of RAM are in use when nothing runs",
        speed: Speed::Clone,
        idle_secs: 60,
        provokes: &[],
        body: Body::Machine(plain, idle_ram),
    },
    Test {
        name: "vm_reboot_keeps_state",
        about: "a reboot keeps what was written and does not provision again",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &[],
        body: Body::Machine(plain, reboot_keeps_state),
    },
    Test {
        name: "vm_saved_machines_stand_apart",
        about: "what one clone of a saved machine writes, the next does not see; its clock is right",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &[],
        body: Body::Lab(clones_stand_apart),
    },
];

/// The machine that most tests share: no config at all.
pub(crate) fn plain() -> Result<Setup, Failure> {
    Ok(Setup::default())
}

fn uefi_setup() -> Result<Setup, Failure> {
    Ok(Setup { uefi: true, ..Setup::default() })
}

fn least_setup() -> Result<Setup, Failure> {
    Ok(Setup { memory_mib: LEAST_RAM_MIB, ..Setup::default() })
}

fn boots_by_uefi(session: &mut Session<'_>) -> TestResult {
    session.sh("test -d /sys/firmware/efi")?;
    is_orlop(session)?;
    if !session.power_off()? {
        return Err("it was asked to power off and did not".into());
    }
    holds("console", &session.console(), "Power down")
}

fn boots_directly(session: &mut Session<'_>) -> TestResult {
    session.sh("test ! -d /sys/firmware/efi")?;
    is_orlop(session)
}

fn is_orlop(session: &mut Session<'_>) -> TestResult {
    same("os-release", session.sh(". /etc/os-release; echo $ID")?, "orlop")?;
    holds("command line", &session.sh("cat /proc/cmdline")?, "usrhash=")?;
    same("failed units", session.sh("systemctl list-units --failed --plain --no-legend")?, "")?;
    // A machine of its own: made at first boot, not shipped.
    session.sh("test $(wc -c < /etc/machine-id) = 33")?;
    session.sh("orlop-host status").map(drop)
}

fn usr_cannot_be_written(session: &mut Session<'_>) -> TestResult {
    let refused = |session: &mut Session<'_>, line: &str| -> TestResult {
        match session.exec(&Program::shell(line))?.ok() {
            true => Err(format!("`{line}` succeeded").into()),
            false => Ok(()),
        }
    };
    holds("mount", &session.sh("grep ' /usr ' /proc/mounts")?, " /usr erofs ro,")?;
    refused(session, "touch /usr/x")?;
    refused(session, "echo x >> /usr/lib/os-release")?;
    refused(session, "mount -o remount,rw /usr")?;
    let device = session.sh("grep ' /usr ' /proc/mounts | cut -d' ' -f1")?;
    holds("the device under /usr", &device, "/dev/")?;
    refused(session, &format!("dd if=/dev/zero of=$(readlink -f {device}) bs=4096 count=1 conv=notrunc"))?;
    session.sh("test -z \"$(find /usr -newer /proc/1 -type f 2>/dev/null | head -1)\"").map(drop)
}

fn idle_ram(session: &mut Session<'_>) -> TestResult {
    // Neither free nor cache, as `orlop up --check` counts it.
    let line = "while read -r key value unit; do case $key in MemTotal:) t=$value;; MemFree:) f=$value;; \
                Buffers:) b=$value;; Cached:) c=$value;; Shmem:) s=$value;; SReclaimable:) r=$value;; \
                esac; done < /proc/meminfo; echo $(((t - f - b - c - r + s) / 1024))";
    let used_mib: u64 = session.sh(line)?.parse()?;
    if used_mib > IDLE_RAM_MAX_MIB {
        return Err(format!("{used_mib} MiB are in use, more than {IDLE_RAM_MAX_MIB}").into());
    }
    Ok(())
}

fn reboot_keeps_state(session: &mut Session<'_>) -> TestResult {
    session.sh(
        "echo kept > /etc/kept && echo kept > /var/lib/kept && mkdir -p /root/x && echo kept > /root/x/kept",
    )?;
    let stamp = session.sh("stat -c %Y /orlop/provisioned.json")?;
    let machine_id = session.sh("cat /etc/machine-id")?;
    let before = session.console().len();
    session.reboot()?;
    for path in ["/etc/kept", "/var/lib/kept", "/root/x/kept"] {
        same(path, session.sh(&format!("cat {path}"))?, "kept")?;
    }
    same("the stamp of provisioning", session.sh("stat -c %Y /orlop/provisioned.json")?, &stamp)?;
    same("machine id", session.sh("cat /etc/machine-id")?, &machine_id)?;
    let console = session.console();
    let second = console.get(before..).unwrap_or_default();
    holds("console of the second boot", second, "orlop: switch: ")?;
    if second.contains("orlop: files: ") {
        return Err(format!("the second boot provisions again:\n{second}").into());
    }
    Ok(())
}

fn clones_stand_apart(lab: &Lab) -> TestResult {
    let setup = plain()?;
    let mut first = lab.clone_of(&setup)?;
    first.sh("echo first > /var/lib/mark && sync")?;
    drop(first);
    let mut second = lab.clone_of(&setup)?;
    second.sh("test ! -e /var/lib/mark")?;
    let theirs: u64 = second.sh("date +%s")?.parse()?;
    let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    if ours.abs_diff(theirs) > 30 {
        return Err(format!("the clone's clock is {} s off", ours.abs_diff(theirs)).into());
    }
    Ok(())
}
