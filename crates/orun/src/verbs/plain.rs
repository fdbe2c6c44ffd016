//! `start`, `kill`, `delete`, `spec`, `features`.

use std::io::Write;
use std::path::Path;

use oci_runtime::state::Root;
use oci_runtime::{features, template};
use rustix::process::Signal;

use super::events;
use crate::Failure;
use crate::args::{Parsed, UsageError};
use crate::log::Log;

pub(super) fn start(root: &Root, parsed: &Parsed) -> Result<u8, Failure> {
    oci_runtime::start(root, parsed.id()?)?;
    Ok(0)
}

/// Signals by the names of signal(7).
const SIGNALS: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// `9`, `KILL`, `SIGKILL`, `kill`.
fn signal(text: &str) -> Result<Signal, Failure> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let number = by_name.or_else(|| text.parse().ok());
    let unknown = || Failure::Value(format!("kill: unknown signal {text:?}"));
    number.and_then(Signal::from_named_raw).ok_or_else(unknown)
}

pub(super) fn kill(root: &Root, parsed: &Parsed) -> Result<u8, Failure> {
    let (id, name) = match &parsed.operands[..] {
        [id] => (id, "TERM"),
        [id, name] => (id, name.as_str()),
        _ => return Err(UsageError("kill takes ID [SIGNAL]".to_owned()).into()),
    };
    oci_runtime::kill(root, id, signal(name)?, parsed.has("all"))?;
    Ok(0)
}

pub(super) fn delete(root: &Root, parsed: &Parsed, log: &mut Log) -> Result<u8, Failure> {
    oci_runtime::delete(root, parsed.id()?, parsed.has("force"), &mut events(log))?;
    Ok(0)
}

pub(super) fn spec(parsed: &Parsed) -> Result<u8, Failure> {
    if parsed.value("rootless").is_some_and(|v| v.is_empty()) {
        let text =
            "--rootless: orun writes no such template yet; add the user namespace and its mappings by hand";
        return Err(Failure::Value(text.to_owned()));
    }
    let file = Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json");
    let failed = |e: std::io::Error| Failure::Value(format!("write {}: {e}", file.display()));
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(&file).map_err(failed)?;
    let text = format!("{:#}\n", template::config());
    out.write_all(text.as_bytes()).map_err(failed)?;
    Ok(0)
}

pub(super) fn features() -> Result<u8, Failure> {
    crate::print(&format!("{:#}\n", features::features()));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for text in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(signal(text).unwrap(), Signal::KILL);
        }
        assert!(signal("NOPE").is_err() && signal("0").is_err() && signal("99").is_err());
    }
}
