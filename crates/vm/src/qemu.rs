//! The QEMU of the SDK tree: found, its version judged, its accelerator chosen.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sdk::Sdk;
use serde::{Deserialize, Serialize};

/// The system emulator's name in the SDK tree.
const PROGRAM: &str = "qemu-system-x86_64";

/// Oldest QEMU accepted. Before 8.1 its translator has a race that corrupts guests with two processors
/// (mptcp_net-next#471; Debian 12's 7.2 broke 2 boots of 6, 10.0 none of 27).
pub const VERSION_MIN: Version = Version { major: 8, minor: 1, micro: 0 };

/// A KVM that works starts a machine in well under a second; a broken one may also hang.
const KVM_PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// The SDK tree has no QEMU.
    #[error("the SDK tree has no usable {PROGRAM}")]
    Missing {
        /// The tree's reason.
        #[source]
        source: sdk::Error,
    },
    /// It does not start.
    #[error("cannot run {PROGRAM}")]
    Start {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// `--version` printed something else.
    #[error("cannot read a version in {text:?}")]
    Unreadable {
        /// What it printed.
        text: String,
    },
    /// Too old to be trusted.
    #[error("QEMU {found} corrupts guests with two processors under TCG; {} or later is needed", VERSION_MIN)]
    TooOld {
        /// The version found.
        found: Version,
    },
}

/// A QEMU version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// 10 of 10.0.13.
    pub major: u32,
    /// 0 of 10.0.13.
    pub minor: u32,
    /// 13 of 10.0.13.
    pub micro: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

impl Version {
    /// Reads the first line of `qemu-system-x86_64 --version`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.split("version ").nth(1)?.split([' ', '\n', '(']).next()?;
        let mut parts = number.split('.').map(str::parse);
        let mut next = || parts.next()?.ok();
        Some(Self { major: next()?, minor: next()?, micro: next().unwrap_or(0) })
    }
}

/// How the machine's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// Translated: 8 to 10 times slower, works everywhere.
    Tcg,
}

impl Accelerator {
    /// The value of `-accel`.
    #[must_use]
    pub fn argument(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg,thread=multi",
        }
    }

    /// The value of `-cpu`: all there is, without what translation makes dear. The strings of the enhanced `rep movsb` and
    /// `rep stosb` are copied byte by byte (a quarter of a kernel's time goes into clearing pages so), and a fifth level
    /// of page tables is one more step of each walk.
    #[must_use]
    pub fn cpu(self) -> &'static str {
        match self {
            Accelerator::Kvm => "max",
            Accelerator::Tcg => "max,erms=off,fsrm=off,la57=off",
        }
    }

    /// Words for the kernel's command line. Translated code has no speculation to guard against, its clock is the host's,
    /// the self-tests of the kernel's ciphers take a second, and so does the program that systemd loads into the BPF
    /// security module at each start (for `RestrictFileSystems=`, which then has no effect).
    #[must_use]
    pub fn kernel_args(self) -> &'static [&'static str] {
        match self {
            Accelerator::Kvm => &[],
            Accelerator::Tcg => &[
                "mitigations=off",
                "tsc=reliable",
                "cryptomgr.notests",
                "lsm=lockdown,landlock,yama,apparmor,ipe",
            ],
        }
    }

    /// What a time limit written for an idle machine under TCG is multiplied with.
    #[must_use]
    pub fn patience(self) -> u32 {
        match self {
            Accelerator::Kvm => 1,
            Accelerator::Tcg => 4,
        }
    }
}

/// A QEMU that can be used.
#[derive(Debug, Clone)]
pub struct Qemu {
    sdk: Sdk,
    /// Its version, at least [`VERSION_MIN`].
    pub version: Version,
    /// KVM where it really works.
    pub accelerator: Accelerator,
}

impl Qemu {
    /// Finds QEMU in the tree, judges its version and tries KVM.
    ///
    /// # Errors
    /// When it is missing, does not run, or is too old.
    pub fn find(sdk: &Sdk) -> Result<Self, QemuError> {
        let mut qemu = Self { sdk: sdk.clone(), version: VERSION_MIN, accelerator: Accelerator::Tcg };
        let output = qemu
            .command()?
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| QemuError::Start { source })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = Version::parse(&text).ok_or(QemuError::Unreadable { text })?;
        qemu.version = accept(found)?;
        if qemu.kvm_works()? {
            qemu.accelerator = Accelerator::Kvm;
        }
        tracing::debug!(version = %qemu.version, accelerator = qemu.accelerator.argument(), "QEMU found");
        Ok(qemu)
    }

    /// The tree it comes from.
    #[must_use]
    pub fn sdk(&self) -> &Sdk {
        &self.sdk
    }

    /// A command that runs it, told where its own data are.
    ///
    /// # Errors
    /// When the tree does not have it.
    pub fn command(&self) -> Result<Command, QemuError> {
        let mut command = self.sdk.command(PROGRAM).map_err(|source| QemuError::Missing { source })?;
        for data in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            command.arg("-L").arg(self.sdk.path(data));
        }
        Ok(command)
    }

    /// OVMF's code, and the template of its variables: 4 MiB builds without Secure Boot keys.
    #[must_use]
    pub fn firmware(&self) -> (PathBuf, PathBuf) {
        (self.sdk.path("usr/share/OVMF/OVMF_CODE_4M.fd"), self.sdk.path("usr/share/OVMF/OVMF_VARS_4M.fd"))
    }

    /// Starts an empty machine under KVM and asks it to quit: `/dev/kvm` may be there and still fail, at
    /// once or by hanging (nested machines without nesting). No failure here is worth a word to the user.
    fn kvm_works(&self) -> Result<bool, QemuError> {
        if std::fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(false);
        }
        let spawned = self
            .command()?
            .args(["-accel", "kvm", "-cpu", "max", "-machine", "q35", "-m", "64", "-nodefaults"])
            .args(["-display", "none", "-qmp", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else { return Ok(false) };
        // The processor runs for a moment before `quit`: a KVM that only survives set-up is of no use.
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(b"{\"execute\":\"qmp_capabilities\"}\n");
            std::thread::sleep(Duration::from_millis(150));
            let _ = input.write_all(b"{\"execute\":\"quit\"}\n");
        }
        let deadline = Instant::now() + KVM_PROBE_TIMEOUT;
        let status = loop {
            match child.try_wait() {
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) => break Some(status),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let mut said = String::new();
        if let Some(mut output) = child.stdout.take() {
            let _ = output.read_to_string(&mut said);
        }
        Ok(status.is_some_and(|status| status.success()) && !said.contains("\"error\""))
    }
}

/// The version, if it may be used.
fn accept(found: Version) -> Result<Version, QemuError> {
    if found < VERSION_MIN { Err(QemuError::TooOld { found }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let version = |major, minor, micro| Some(Version { major, minor, micro });
        let cases = [
            ("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)\n", version(10, 0, 13)),
            ("QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg)\n", version(7, 2, 19)),
            ("QEMU emulator version 9.1\n", version(9, 1, 0)),
            ("no such thing", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Version::parse(text), expected);
        }
    }

    #[test]
    fn bookworms_qemu_is_refused_with_the_reason() {
        let refused = accept(Version { major: 7, minor: 2, micro: 19 }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "QEMU 7.2.19 corrupts guests with two processors under TCG; 8.1.0 or later is needed"
        );
        assert!(accept(Version { major: 8, minor: 1, micro: 0 }).is_ok());
    }
}
