//! Lines that no healthy machine prints: any of them fails a test, whatever the test looked at.

use serde::{Deserialize, Serialize};

/// A line that tells of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What sort of fault it is, as `oops`.
    pub kind: String,
    /// The line, without terminal escapes.
    pub line: String,
}

/// Kind, and words that must all be in the line.
const SIGNS: &[(&str, &[&str])] = &[
    ("panic", &["Kernel panic - not syncing"]),
    ("oops", &["Oops: "]),
    ("oops", &["general protection fault"]),
    ("oops", &["unable to handle kernel"]),
    ("oops", &["BUG: "]),
    ("oops", &["kernel BUG at"]),
    ("warning", &["WARNING: CPU:"]),
    ("hang", &["watchdog: BUG: soft lockup"]),
    ("hang", &["blocked for more than", "seconds"]),
    ("hang", &["rcu", "self-detected stall"]),
    ("oom", &["invoked oom-killer"]),
    ("oom", &["Out of memory: Killed process"]),
    ("audit-denial", &["avc:", "denied"]),
    ("audit-denial", &["apparmor=\"DENIED\""]),
    ("audit-denial", &["Lockdown:", "restricted"]),
    ("io-error", &["I/O error, dev "]),
    ("io-error", &["EXT4-fs error"]),
    ("io-error", &["Buffer I/O error"]),
    ("verity", &["device-mapper: verity:", "corrupted"]),
    ("emergency", &["Reached target", "mergency"]),
    ("emergency", &["You are in emergency mode"]),
    ("emergency", &["Give root password for maintenance"]),
    ("failed-unit", &["[FAILED] Failed to"]),
    ("failed-unit", &["Failed with result"]),
    ("ordering-cycle", &["ordering cycle"]),
    ("generator", &["generators", "failed with exit status"]),
    ("crash", &["segfault at"]),
    ("crash", &["traps:", "trap invalid opcode"]),
    ("crash", &["dumped core"]),
    ("rust-panic", &["panicked at"]),
];

/// What fault the line tells of, if any.
#[must_use]
pub fn judge(line: &str) -> Option<Trouble> {
    let (kind, _) = SIGNS.iter().find(|(_, words)| words.iter().all(|word| line.contains(word)))?;
    Some(Trouble { kind: (*kind).to_owned(), line: line.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_seen() {
        let cases = [
            ("[    3.2] Kernel panic - not syncing: Attempted to kill init!", "panic"),
            ("[   10.0] BUG: kernel NULL pointer dereference, address: 0000000000000000", "oops"),
            ("[   10.0] Oops: Oops: 0002 [#1] PREEMPT SMP", "oops"),
            ("[   10.0] sh invoked oom-killer: gfp_mask=0x0, order=0", "oom"),
            ("audit: type=1400 avc:  denied  { read } for  pid=1", "audit-denial"),
            ("[FAILED] Failed to start pod@web.service - Pod web.", "failed-unit"),
            ("[  OK  ] Reached target emergency.target - Emergency Mode.", "emergency"),
            ("thread 'main' (1) panicked at src/main.rs:1:1:", "rust-panic"),
            ("[   10.0] I/O error, dev vdb, sector 0 op 0x1:(WRITE)", "io-error"),
        ];
        for (line, kind) in cases {
            assert_eq!(judge(line).map(|trouble| trouble.kind).as_deref(), Some(kind), "{line}");
        }
    }

    #[test]
    fn usual_lines_are_not_faults() {
        let lines = [
            "[    0.0] Command line: console=ttyS0 panic=1 oops=panic",
            "[  OK  ] Started systemd-oomd.service - Userspace Out-Of-Memory (OOM) Killer.",
            "[    1.0] audit: initializing netlink subsys (disabled)",
            "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled",
            "[    0.9] Lockdown: swapper/0: Hibernation is not available",
        ];
        for line in lines {
            assert_eq!(judge(line), None, "{line}");
        }
    }
}
