//! Machines: made, started, found again, stopped.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::agent::{Agent, AgentError};
use crate::console::Follower;
use crate::process::Process;
use crate::qemu::{Qemu, QemuError};
use crate::qmp::{Qmp, QmpError};
use crate::spec::{self, Boot, Disk, Spec, Surroundings, file};
use crate::state::{self, Record, StateError};

/// QEMU opens its monitor before anything slow; beyond this it hangs.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A service manager that got the word goes down within a few seconds, ten times that under TCG.
const CLEAN_STOP: Duration = Duration::from_secs(40);

/// Why a machine could not be made, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU is of no use.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The monitor is of no use.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// The guest agent is of no use.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The machine's folder is of no use.
    #[error(transparent)]
    State(#[from] StateError),
    /// QEMU ended at once.
    #[error("QEMU did not start the machine: {reason}")]
    NotStarted {
        /// Its words.
        reason: String,
    },
    /// A program of the SDK failed.
    #[error("{program} failed: {reason}")]
    Tool {
        /// The program.
        program: &'static str,
        /// Its words.
        reason: String,
    },
    /// The SDK lacks a program.
    #[error("cannot run {program}")]
    NoTool {
        /// The program.
        program: &'static str,
        /// The tree's reason.
        #[source]
        source: sdk::Error,
    },
    /// A file cannot be made.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The machine does not run.
    #[error("machine {name} does not run")]
    Stopped {
        /// Its name.
        name: String,
    },
}

/// How long QEMU lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is stopped, whatever becomes of the caller.
    Detached,
    /// As a child in the caller's process group: gone when the value is dropped.
    Owned,
}

/// A machine that was started.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    record: Record,
    child: Option<Child>,
    began: Instant,
}

impl Machine {
    /// Starts a machine whose files are in `folder` (which must exist); with `saved`, from that saved state.
    ///
    /// # Errors
    /// When QEMU does not start or refuses the machine.
    pub fn start(
        qemu: &Qemu,
        folder: &Path,
        spec: &Spec,
        lifetime: Lifetime,
        saved: Option<&Path>,
    ) -> Result<Self, MachineError> {
        let folder = folder.canonicalize().map_err(failed("open", folder))?;
        let (code, vars) = qemu.firmware();
        if spec.boot == Boot::Uefi {
            let own = folder.join(file::VARS);
            if !own.exists() {
                fs::copy(&vars, &own).map_err(failed("write", &own))?;
            }
        }
        let _ = fs::remove_file(folder.join(file::PID)); // of an earlier life
        let around = Surroundings {
            accelerator: qemu.accelerator,
            firmware: &code,
            incoming: saved.is_some(),
            detached: lifetime == Lifetime::Detached,
        };
        let mut command = qemu.command()?;
        command.args(spec::arguments(spec, &around)).current_dir(&folder).stdin(Stdio::null());
        let began = Instant::now();
        let (process, child) = match lifetime {
            Lifetime::Detached => (launch_detached(command, &folder)?, None),
            Lifetime::Owned => {
                let (process, child) = launch_owned(command, &folder)?;
                (process, Some(child))
            }
        };
        let record = Record {
            version: state::VERSION,
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            spec: spec.clone(),
            qemu: qemu.version,
            accelerator: qemu.accelerator,
            process,
            started_unix_secs: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            companions: Vec::new(),
            ssh_port: None,
            addresses: Vec::new(),
        };
        let machine = Self { folder, record, child, began };
        if let Some(saved) = saved {
            machine.qmp()?.restore(saved, START_TIMEOUT)?;
        }
        machine.save_record()?;
        Ok(machine)
    }

    /// Finds a machine that was started earlier, running or not.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn open(machines: &Path, name: &str) -> Result<Self, MachineError> {
        let folder = machines.join(state::check_name(name)?);
        let record = state::read(&folder)?;
        Ok(Self { folder, record, child: None, began: Instant::now() })
    }

    /// The machine's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is known of it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Changes the record and writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn update_record(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), MachineError> {
        change(&mut self.record);
        self.save_record()
    }

    fn save_record(&self) -> Result<(), MachineError> {
        Ok(state::write(&self.folder, &self.record)?)
    }

    /// When QEMU was started (or, for a machine found again, when it was found).
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Whether QEMU still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.record.process.runs()
    }

    /// The console's log from its beginning.
    #[must_use]
    pub fn follower(&self) -> Follower {
        Follower::new(&self.console_log(), self.began)
    }

    /// The file with everything that the console said.
    #[must_use]
    pub fn console_log(&self) -> PathBuf {
        self.folder.join(file::CONSOLE_LOG)
    }

    /// A connection to QEMU's monitor.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn qmp(&self) -> Result<Qmp, MachineError> {
        Ok(Qmp::connect(&self.folder.join(file::QMP))?)
    }

    /// A connection to the guest agent, which is waited for.
    ///
    /// # Errors
    /// When the agent does not answer within `timeout`.
    pub fn agent(&self, timeout: Duration) -> Result<Agent, MachineError> {
        Ok(Agent::connect(&self.folder.join(file::AGENT), timeout)?)
    }

    /// A connection to the serial console. QEMU serves one at a time.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn console(&self) -> Result<UnixStream, MachineError> {
        let path = self.folder.join(file::CONSOLE);
        crate::socket::connect(&path).map_err(failed("connect to", &path))
    }

    /// Powers off cleanly: by the agent if it answers, else by the power button. What has not gone down by
    /// then is killed. Companions end too. Returns whether the end was clean.
    ///
    /// # Errors
    /// When the process survives a kill.
    pub fn stop(&mut self) -> Result<bool, MachineError> {
        let mut clean = true;
        if self.runs() {
            let asked = self.agent(Duration::from_secs(3)).and_then(|mut agent| Ok(agent.power(false)?));
            if asked.is_err()
                && let Ok(mut qmp) = self.qmp()
            {
                let _ = qmp.power_button(); // judged by whether it goes down
            }
            clean = self.wait_for_end(CLEAN_STOP);
        }
        self.kill()?;
        Ok(clean)
    }

    /// Ends QEMU at once, as a power cut would, and its companions.
    ///
    /// # Errors
    /// When the process survives.
    pub fn kill(&mut self) -> Result<(), MachineError> {
        self.record.process.signal(Signal::KILL);
        for companion in &self.record.companions {
            companion.signal(Signal::TERM);
        }
        if self.wait_for_end(Duration::from_secs(10)) {
            return Ok(());
        }
        Err(MachineError::NotStarted { reason: format!("process {} survives", self.record.process.pid) })
    }

    /// Waits until QEMU is gone; false if it is still there after `timeout`.
    pub fn wait_for_end(&mut self, timeout: Duration) -> bool {
        let ended = self.record.process.wait(timeout);
        if ended && let Some(mut child) = self.child.take() {
            let _ = child.wait(); // reap it
        }
        ended
    }
}

impl Drop for Machine {
    /// An owned machine does not outlive its value.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MachineError {
    let path = path.to_owned();
    move |source| MachineError::File { action, path, source }
}

/// With `-daemonize` QEMU returns once the machine is set up, or says why it is not.
fn launch_detached(mut command: Command, folder: &Path) -> Result<Process, MachineError> {
    let stderr = folder.join("qemu.stderr");
    // A file, not a pipe: the daemon keeps what it inherits, and a pipe would never end.
    let errors = fs::File::create(&stderr).map_err(failed("write", &stderr))?;
    let status = command
        .stdout(Stdio::null())
        .stderr(errors)
        .status()
        .map_err(|source| MachineError::Qemu(QemuError::Start { source }))?;
    let pid_file = folder.join(file::PID);
    let pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
    match pid.and_then(Process::of) {
        Some(process) if status.success() => Ok(process),
        _ => Err(MachineError::NotStarted { reason: last_words(&stderr) }),
    }
}

fn launch_owned(mut command: Command, folder: &Path) -> Result<(Process, Child), MachineError> {
    let stderr = folder.join("qemu.stderr");
    let errors = fs::File::create(&stderr).map_err(failed("write", &stderr))?;
    let _ = fs::remove_file(folder.join(file::QMP));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .map_err(|source| MachineError::Qemu(QemuError::Start { source }))?;
    let process = i32::try_from(child.id()).ok().and_then(Process::of);
    let deadline = Instant::now() + START_TIMEOUT;
    while crate::socket::connect(&folder.join(file::QMP)).is_err() {
        let ended = child.try_wait().ok().flatten().is_some();
        if ended || Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(MachineError::NotStarted { reason: last_words(&stderr) });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    match process {
        Some(process) => Ok((process, child)),
        None => Err(MachineError::NotStarted { reason: last_words(&stderr) }),
    }
}

fn last_words(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    if lines.is_empty() {
        "no reason given".into()
    } else {
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }
}

/// Makes disk files by the SDK's `qemu-img`.
#[derive(Debug, Clone, Copy)]
pub struct Disks<'a> {
    /// Where QEMU comes from.
    pub qemu: &'a Qemu,
    /// The machine's folder.
    pub folder: &'a Path,
}

impl Disks<'_> {
    /// A disk of `size_mib` that begins as the contents of `base` and keeps its own changes; nothing is copied.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn overlay(
        &self,
        name: &str,
        base: &Path,
        base_format: &str,
        size_mib: u64,
    ) -> Result<Disk, MachineError> {
        let file = format!("{name}.qcow2");
        let base = base.to_string_lossy();
        let backing = ["-b", &base, "-F", base_format];
        self.create(&file, &backing, (size_mib > 0).then_some(size_mib))?;
        Ok(Disk { path: file.into(), format: "qcow2".into(), serial: name.to_owned(), faults: Vec::new() })
    }

    /// An empty disk of `size_mib`.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn empty(&self, name: &str, size_mib: u64) -> Result<Disk, MachineError> {
        let file = format!("{name}.qcow2");
        self.create(&file, &[], Some(size_mib))?;
        Ok(Disk { path: file.into(), format: "qcow2".into(), serial: name.to_owned(), faults: Vec::new() })
    }

    fn create(&self, file: &str, options: &[&str], size_mib: Option<u64>) -> Result<(), MachineError> {
        const PROGRAM: &str = "qemu-img";
        let no_tool = |source| MachineError::NoTool { program: PROGRAM, source };
        let mut command = self.qemu.sdk().command(PROGRAM).map_err(no_tool)?;
        command.args(["create", "-q", "-f", "qcow2"]).args(options).arg(self.folder.join(file));
        if let Some(size) = size_mib {
            command.arg(format!("{size}M"));
        }
        let output = command
            .output()
            .map_err(|error| MachineError::Tool { program: PROGRAM, reason: error.to_string() })?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(MachineError::Tool { program: PROGRAM, reason })
    }
}
