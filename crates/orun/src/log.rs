//! Errors and warnings: to people on stderr, to callers (containerd, conmon, podman) in the file they name.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Failure;
use crate::args::Parsed;

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    json: bool,
}

impl Log {
    /// To stderr alone.
    pub(crate) fn stderr() -> Self {
        Self { file: None, json: false }
    }

    /// As `--log` and `--log-format` say.
    pub(crate) fn from_options(parsed: &Parsed) -> Result<Self, Failure> {
        let json = match parsed.value("log-format") {
            None | Some("text" | "") => false,
            Some("json") => true,
            Some(other) => {
                return Err(Failure::Value(format!("--log-format: {other:?} is neither text nor json")));
            }
        };
        let open = |path: &str| {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.map_err(|e| Failure::Value(format!("--log {path}: {e}")))
        };
        let file = parsed.value("log").filter(|p| !p.is_empty()).map(open).transpose()?;
        Ok(Self { file, json })
    }

    /// A warning.
    pub(crate) fn warning(&mut self, text: &str) {
        self.write("warning", text, None);
    }

    /// What ended the run.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        self.write("error", &failure.text(), failure.hint());
    }

    fn write(&mut self, level: &str, text: &str, hint: Option<&str>) {
        let mut err = std::io::stderr().lock();
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(err, "{level}: {text}");
        // Callers take the last line as the message; a hint is for people.
        if let Some(hint) = hint.filter(|_| std::io::stderr().is_terminal()) {
            let _ = writeln!(err, "hint: {hint}");
        }
        let Some(file) = &mut self.file else { return };
        let time = rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
        let line = if self.json {
            serde_json::json!({"level": level, "msg": text, "time": time}).to_string()
        } else {
            format!("time={time:?} level={level} msg={text:?}")
        };
        let _ = writeln!(file, "{line}");
    }
}

/// Seconds since 1970 as `2026-01-02T03:04:05Z`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that the leap day is the last of its year; eras have 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let year = era * 400 + year;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_263_056, "2026-11-21T12:10:56Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
