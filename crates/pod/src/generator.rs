//! From declarations to units (systemd.generator(7)): a pure function, and a thin executor.
//!
//! Each `/etc/pods.d/NAME.yaml` becomes `pod@NAME.service`, an instance of the template that the image ships,
//! wanted by `multi-user.target`, with a drop-in for what the declaration says about restarts and stopping.
//!
//! A declaration that cannot be read becomes a unit too: starting it fails, and says where the mistake is. Nothing
//! that a user wrote goes unnoticed.

use std::io;
use std::path::{Path, PathBuf};

use crate::spec::{self, RestartPolicy};

/// The template, as the image ships it.
const TEMPLATE: &str = "/usr/lib/systemd/system/pod@.service";

/// What a unit may take to stop beyond the pod's own grace, in seconds: the kill, the clean-up.
const STOP_MARGIN_SECS: u32 = 15;

/// Something to be made in systemd's directory for generated units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A file.
    File {
        /// Below the directory.
        path: PathBuf,
        /// What is in it.
        text: String,
    },
    /// A symbolic link.
    Link {
        /// Below the directory.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
}

/// What is to be made for the declaration `name` (a file's name without `.yaml`) with the given text.
#[must_use]
pub fn unit(declared: &Path, name: &str, text: &str) -> Vec<Output> {
    let instance = format!("pod@{}.service", escape(name));
    let source = declared.join(format!("{name}.yaml"));
    let service = match spec::parse(text) {
        Ok(pod) => {
            let restart = match pod.restart_policy {
                RestartPolicy::Always => "always",
                RestartPolicy::OnFailure => "on-failure",
                RestartPolicy::Never => "no",
            };
            format!("Restart={restart}\nTimeoutStopSec={}\n", pod.grace_secs + STOP_MARGIN_SECS)
        }
        // Trying again does not mend a mistake.
        Err(_) => "Restart=no\n".to_owned(),
    };
    let source = source.display().to_string().replace('%', "%%");
    vec![
        Output::Link { path: format!("multi-user.target.wants/{instance}").into(), target: TEMPLATE.into() },
        Output::File {
            path: format!("{instance}.d/50-declaration.conf").into(),
            text: format!(
                "# Made by orlop-pod-generator.\n[Unit]\nSourcePath={source}\n\n[Service]\n{service}"
            ),
        },
    ]
}

/// An instance name, by the rule of systemd.unit(5), "String Escaping for Inclusion in Unit Names".
fn escape(name: &str) -> String {
    let mut out = String::new();
    for (i, byte) in name.bytes().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if i == 0 => out.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

/// Reads all declarations in `declared` and makes their units in `normal_dir`; gives files that were passed over.
///
/// # Errors
/// The first file that cannot be read or made.
pub fn generate(declared: &Path, normal_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut passed_over = Vec::new();
    let entries = match std::fs::read_dir(declared) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(passed_over),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.extension().is_none_or(|extension| extension != "yaml") || name.starts_with('.') {
            passed_over.push(path);
            continue;
        }
        // What is not UTF-8 is no YAML either, and told so when the unit starts.
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        for output in unit(declared, &name, &text) {
            make(normal_dir, &output)?;
        }
    }
    Ok(passed_over)
}

fn make(dir: &Path, output: &Output) -> io::Result<()> {
    let (Output::File { path, .. } | Output::Link { path, .. }) = output;
    let full = dir.join(path);
    if let Some(parent) = full.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match output {
        Output::File { text, .. } => std::fs::write(full, text),
        Output::Link { target, .. } => std::os::unix::fs::symlink(target, full),
    }
}
