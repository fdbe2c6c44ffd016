//! Power cuts, disk faults, network cuts, clocks.

use std::time::{Duration, SystemTime};

use vm::harness::{Body, Session, Speed, Test, TestResult};
use vm::spec::Request;
use vm::{Fault, Program};

use crate::boot::plain;
use crate::configured::setup;
use crate::given::same;

/// EIO of errno-base.h.
const EIO: i32 = 5;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_power_cut_keeps_what_was_synced",
        about: "after a power cut the machine comes back by itself with everything that was synced",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &[],
        body: Body::Machine(plain, power_cut),
    },
    Test {
        name: "vm_disk_fault_reaches_the_program",
        about: "a disk that fails gives errors to programs, not silence, and works again when it is mended",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &["io-error"],
        body: Body::Machine(setup, disk_fault),
    },
    Test {
        name: "vm_network_cut_and_clock",
        about: "the network cable and the clock are the test's to move",
        speed: Speed::Clone,
        idle_secs: 60,
        provokes: &[],
        body: Body::Machine(plain, network_and_clock),
    },
];

fn power_cut(session: &mut Session<'_>) -> TestResult {
    session.sh("echo synced > /var/lib/synced && sync")?;
    session.sh("echo lost > /var/lib/may-be-lost")?;
    session.power_cut()?;
    session.power_on()?;
    same("what was synced", session.sh("cat /var/lib/synced")?, "synced")?;
    session.sh("test -f /orlop/provisioned.json").map(drop)
}

fn disk_fault(session: &mut Session<'_>) -> TestResult {
    let device = session.sh("readlink -f /dev/disk/by-id/virtio-data")?;
    // Straight to the device, past the filesystems, at a place that none of them uses.
    let write = format!("dd if=/dev/zero of={device} bs=4096 count=1 seek=130000 oflag=direct conv=notrunc");
    session.sh(&write)?;
    session.disk_faults(1, &[Fault { on: Request::Write, errno: EIO, sector: None, once: false }])?;
    let output = session.exec(&Program::shell(&write))?;
    if output.ok() || !output.stderr().contains("Input/output error") {
        return Err(format!("not an input/output error: {output:?}").into());
    }
    session.disk_faults(1, &[])?;
    session.sh(&write).map(drop)
}

fn network_and_clock(session: &mut Session<'_>) -> TestResult {
    let carrier = "cat /sys/class/net/en*/carrier";
    session.wait_until(
        "ip link set $(basename /sys/class/net/en*) up; test $(cat /sys/class/net/en*/carrier) = 1",
        Duration::from_secs(5),
    )?;
    session.network_cut()?;
    session.wait_until(&format!("test $({carrier}) = 0"), Duration::from_secs(5))?;
    session.network_restore()?;
    session.wait_until(&format!("test $({carrier}) = 1"), Duration::from_secs(5))?;
    let new_year_2030 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    session.set_clock(new_year_2030)?;
    same("year", session.sh("date -u +%Y")?, "2030")
}
