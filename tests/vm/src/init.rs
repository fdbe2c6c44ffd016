//! The way from the kernel to systemd: what `orlop-init` refuses, and what it starts over.

use std::io::Write as _;
use std::time::Duration;

use vm::console::Event;
use vm::harness::{Body, Lab, Session, Setup, Speed, Test, TestResult};

use crate::boot::plain;
use crate::given::{butane, holds, same};

/// From power to the failure screen on an idle machine.
const GIVES_UP: Duration = Duration::from_secs(30);

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_wrong_root_hash_refused",
        about: "a root hash that names no slot ends in the failure screen with the slots that are there",
        speed: Speed::Full,
        idle_secs: 30,
        provokes: &[],
        body: Body::Lab(wrong_root_hash),
    },
    Test {
        name: "vm_cut_first_boot_starts_again",
        about: "a power cut in the middle of a first boot leads to a whole one from an empty root",
        speed: Speed::Full,
        idle_secs: 60,
        provokes: &[],
        body: Body::Lab(cut_first_boot),
    },
    Test {
        name: "vm_failure_screen_has_a_shell",
        about: "Enter on the failure screen starts a shell of the verified /usr, p powers off",
        speed: Speed::Full,
        idle_secs: 40,
        provokes: &[],
        body: Body::Lab(failure_shell),
    },
    Test {
        name: "vm_root_grows_and_boot_is_recorded",
        about: "the root file system has the disk, and journal and record tell how the boot went",
        speed: Speed::Clone,
        idle_secs: 30,
        provokes: &[],
        body: Body::Machine(plain, root_and_record),
    },
];

/// Runs a test's body on a started machine and keeps what is needed to understand its failure.
fn watched(
    lab: &Lab,
    name: &str,
    setup: &Setup,
    body: impl FnOnce(&mut Session<'_>) -> TestResult,
) -> TestResult {
    let mut session = lab.start(setup)?;
    let result = body(&mut session);
    if result.is_err() {
        session.keep(&lab.results.join(name));
    }
    result
}

fn wrong_root_hash(lab: &Lab) -> TestResult {
    let mut setup = Setup::default();
    setup.kernel_args.push(format!("usrhash={}", "ab".repeat(32)));
    watched(lab, "vm_wrong_root_hash_refused", &setup, |session| {
        let words = session.wait_for_failure(GIVES_UP)?.to_string();
        holds("cause", &words, "no /usr slot matches usrhash=abab")?;
        holds("slots seen", &words, "PARTUUID")?;
        session.wait_for_end(Duration::from_secs(10))
    })
}

fn cut_first_boot(lab: &Lab) -> TestResult {
    let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/declared\n      contents:\n        \
                inline: hello\n";
    watched(lab, "vm_cut_first_boot_starts_again", &butane(text)?, |session| {
        session.wait_for(
            "plan phase",
            GIVES_UP,
            |event| matches!(event, Event::PhaseStart { phase } if phase == "plan"),
        )?;
        session.power_cut()?;
        session.power_on()?;
        // Whatever the first attempt had written by then, the second starts anew. (The console is the second boot's.)
        holds("console of the second boot", &session.console(), "orlop: root: first boot")?;
        same("declared file", session.sh("cat /etc/declared")?, "hello")?;
        session.sh("test -e /orlop/provisioned.json && test ! -e /orlop/provisioning.json").map(drop)
    })
}

fn failure_shell(lab: &Lab) -> TestResult {
    // No such program: the config is refused by the planner after /usr and root are there.
    let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  filesystems:\n    - device: /dev/disk/by-partlabel/nothing\n      \
                format: ext4\n      path: /var/x\n";
    let mut setup = butane(text)?;
    setup.kernel_args = vec!["orlop.on_failure=shell".into(), "orlop.device_timeout=1".into()];
    watched(lab, "vm_failure_screen_has_a_shell", &setup, |session| {
        session.wait_for_failure(GIVES_UP)?;
        let mut console = session.machine().console()?;
        // QEMU waits for a client that does not read, and the machine with it.
        let mut unread = console.try_clone()?;
        std::thread::spawn(move || std::io::copy(&mut unread, &mut std::io::sink()));
        console.write_all(b"\r")?;
        wait_for_text(session, "orlop: shell of the verified /usr")?;
        // The sum shows that it ran, and is not the echo of what was typed.
        console.write_all(b"test -d /sysroot/etc && echo in-the-shell-$((40 + 2))\r")?;
        wait_for_text(session, "in-the-shell-42")?;
        console.write_all(b"exit\r")?;
        wait_for_text(session, "orlop: the shell ended")?;
        console.write_all(b"p")?;
        session.wait_for_end(Duration::from_secs(10))
    })
}

fn wait_for_text(session: &mut Session<'_>, text: &str) -> TestResult {
    for _ in 0..600 {
        if session.console().contains(text) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    holds("console", &session.console(), text)
}

fn root_and_record(session: &mut Session<'_>) -> TestResult {
    let blocks: u64 = session.sh("stat -f -c %b /")?.parse()?;
    let block_bytes: u64 = session.sh("stat -f -c %S /")?.parse()?;
    // Of the 8 GiB disk, ESP and two slots take 4.6.
    if blocks * block_bytes < 3 << 30 {
        return Err(format!("/ has {} MiB", (blocks * block_bytes) >> 20).into());
    }
    holds("journal", &session.sh("journalctl --no-pager -t orlop")?, "root: grown to 3.")?;
    let record = session.sh("cat /run/orlop/boot.json")?;
    holds("record", &record, "\"first_boot\": true")?;
    holds("record", &record, "\"name\": \"usr\"")?;
    same("leftovers of the initramfs", session.sh("ls -d /init /sysroot 2>/dev/null; true")?, "")
}
