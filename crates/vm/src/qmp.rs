//! QEMU's monitor: one JSON object a line over a unix socket (docs/interop/qmp-spec of QEMU).

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::spec::Fault;

/// A busy host may take a while to schedule QEMU; no command of ours takes seconds by itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the monitor did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// No QEMU listens there.
    #[error("cannot reach QEMU's monitor at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connection broke or stayed silent.
    #[error("QEMU's monitor did not answer {command}")]
    Broken {
        /// What was asked.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// QEMU refused.
    #[error("QEMU refused {command}: {reason}")]
    Refused {
        /// What was asked.
        command: String,
        /// QEMU's words.
        reason: String,
    },
    /// A saved state could not be written or read.
    #[error("QEMU's migration ended as {status}: {reason}")]
    Migration {
        /// `failed`, `cancelled` or `timeout`.
        status: String,
        /// QEMU's words.
        reason: String,
    },
}

/// A connection to the monitor of one QEMU.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Connects and leaves the greeting mode.
    ///
    /// # Errors
    /// When nobody listens, or the monitor does not answer.
    pub fn connect(path: &Path) -> Result<Self, QmpError> {
        let at = |source| QmpError::Connect { path: path.to_owned(), source };
        let writer = crate::socket::connect(path).map_err(at)?;
        writer.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(at)?;
        let reader = BufReader::new(writer.try_clone().map_err(at)?);
        let mut qmp = Self { reader, writer };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and gives its `return` value; events that come meanwhile are dropped.
    ///
    /// # Errors
    /// When QEMU refuses it or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, QmpError> {
        let broken = |source| QmpError::Broken { command: command.to_owned(), source };
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).map_err(broken)?;
        loop {
            let mut answer = String::new();
            if self.reader.read_line(&mut answer).map_err(broken)? == 0 {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            match judge(&answer) {
                Answer::Return(value) => return Ok(value),
                Answer::Error(reason) => {
                    return Err(QmpError::Refused { command: command.to_owned(), reason });
                }
                Answer::Other => {}
            }
        }
    }

    /// Ends QEMU at once, as a power cut does: nothing the guest had not flushed is written any more.
    ///
    /// # Errors
    /// When the monitor is not there.
    pub fn quit(&mut self) -> Result<(), QmpError> {
        match self.execute("quit", &json!({})) {
            Err(QmpError::Broken { .. }) | Ok(_) => Ok(()), // it may be gone before it answers
            Err(other) => Err(other),
        }
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When the monitor does not do it.
    pub fn power_button(&mut self) -> Result<(), QmpError> {
        self.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Plugs or pulls the network cable.
    ///
    /// # Errors
    /// When the machine has no card.
    pub fn set_link(&mut self, up: bool) -> Result<(), QmpError> {
        self.execute("set_link", &json!({"name": "nic0", "up": up})).map(drop)
    }

    /// Makes requests to disk number `disk` fail by these rules from now on; with none, mends it.
    ///
    /// A blkdebug layer is put between the disk's guard node and its image, or taken out again.
    ///
    /// # Errors
    /// When QEMU refuses the rules.
    pub fn disk_faults(&mut self, disk: usize, faults: &[Fault]) -> Result<(), QmpError> {
        let (image, fault) = (format!("image{disk}"), format!("fault{disk}"));
        self.guard(disk, &image)?;
        let _ = self.execute("blockdev-del", &json!({"node-name": fault})); // of an earlier call
        if faults.is_empty() {
            return Ok(());
        }
        let rules: Vec<Value> = faults.iter().map(Fault::rule).collect();
        let layer = json!({"driver": "blkdebug", "node-name": fault, "image": image, "inject-error": rules});
        self.execute("blockdev-add", &layer)?;
        self.guard(disk, &fault)
    }

    /// Hangs a disk's guard node over another node.
    fn guard(&mut self, disk: usize, over: &str) -> Result<(), QmpError> {
        let guard = json!({"driver": "raw", "node-name": format!("disk{disk}-guard"), "file": over});
        self.execute("blockdev-reopen", &json!({"options": [guard]})).map(drop)
    }

    /// A picture of the screen as PNG.
    ///
    /// # Errors
    /// When the machine has no screen.
    pub fn screenshot(&mut self, path: &Path) -> Result<(), QmpError> {
        self.execute("screendump", &json!({"filename": path, "format": "png"})).map(drop)
    }

    /// Writes the machine's state (RAM and devices, not disks) to a file; the machine stays stopped.
    ///
    /// # Errors
    /// When it cannot be written within `timeout`.
    pub fn save(&mut self, path: &Path, timeout: Duration) -> Result<(), QmpError> {
        self.execute("stop", &json!({}))?;
        let mapped_ram = json!({"capabilities": [{"capability": "mapped-ram", "state": true}]});
        self.execute("migrate-set-capabilities", &mapped_ram)?;
        self.execute("migrate", &json!({"uri": format!("file:{}", path.display())}))?;
        self.wait_for_migration(timeout)
    }

    /// Makes a machine that was started with `-incoming defer` read its state.
    ///
    /// # Errors
    /// When the file cannot be read as state.
    pub fn restore(&mut self, path: &Path, timeout: Duration) -> Result<(), QmpError> {
        let mapped_ram = json!({"capabilities": [{"capability": "mapped-ram", "state": true}]});
        self.execute("migrate-set-capabilities", &mapped_ram)?;
        self.execute("migrate-incoming", &json!({"uri": format!("file:{}", path.display())}))?;
        self.wait_for_migration(timeout)?;
        self.execute("cont", &json!({})).map(drop)
    }

    fn wait_for_migration(&mut self, timeout: Duration) -> Result<(), QmpError> {
        let deadline = Instant::now() + timeout;
        loop {
            let answer = self.execute("query-migrate", &json!({}))?;
            let status = answer["status"].as_str().unwrap_or("none");
            let reason = answer["error-desc"].as_str().unwrap_or("no reason given").to_owned();
            match status {
                "completed" => return Ok(()),
                "failed" | "cancelled" => {
                    return Err(QmpError::Migration { status: status.to_owned(), reason });
                }
                _ if Instant::now() >= deadline => {
                    let reason = format!("still {status} after {} s", timeout.as_secs());
                    return Err(QmpError::Migration { status: "timeout".into(), reason });
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Return(Value),
    Error(String),
    /// The greeting, an event, or noise.
    Other,
}

fn judge(line: &str) -> Answer {
    let Ok(Value::Object(mut object)) = serde_json::from_str(line) else { return Answer::Other };
    if let Some(value) = object.remove("return") {
        return Answer::Return(value);
    }
    match object.get("error") {
        Some(error) => Answer::Error(error["desc"].as_str().unwrap_or("no reason given").to_owned()),
        None => Answer::Other,
    }
}

/// Entry for the fuzzer: any bytes must be judged.
pub fn fuzz(bytes: &[u8]) {
    let _ = judge(&String::from_utf8_lossy(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_events() {
        assert_eq!(
            judge(r#"{"return": {"status": "running"}}"#),
            Answer::Return(json!({"status": "running"}))
        );
        assert_eq!(
            judge(r#"{"error": {"class": "GenericError", "desc": "no"}}"#),
            Answer::Error("no".into())
        );
        assert_eq!(judge(r#"{"timestamp": {}, "event": "STOP"}"#), Answer::Other);
        assert_eq!(judge(r#"{"QMP": {"version": {}}}"#), Answer::Other);
        assert_eq!(judge("noise"), Answer::Other);
    }

    #[test]
    fn a_monitor_is_spoken_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"QMP\":{}}\n").unwrap();
            let mut asked = Vec::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().take(2) {
                asked.push(line.unwrap());
                stream.write_all(b"{\"event\":\"STOP\"}\n{\"return\":{}}\n").unwrap();
            }
            asked
        });
        Qmp::connect(&path).unwrap().power_button().unwrap();
        assert_eq!(
            server.join().unwrap(),
            [
                r#"{"execute":"qmp_capabilities","arguments":{}}"#,
                r#"{"execute":"system_powerdown","arguments":{}}"#,
            ]
        );
    }
}
