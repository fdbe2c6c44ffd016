//! The user's file: read, transpiled, judged, with mistakes shown at their own lines.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use butane::{Folder, Options, Source};
use cli::{Error, Kind, ResultExt as _};
use ignition_spec::excerpt::{Columns, excerpt};
use ignition_spec::{Config, Report};
use sha2::{Digest as _, Sha256};

/// A config that a machine may be given.
#[derive(Debug)]
pub(super) struct User {
    /// The Ignition JSON.
    pub(super) json: Vec<u8>,
    /// The source map that goes with it: errors on the machine name the user's own lines.
    pub(super) source_map: Vec<u8>,
    /// What it says.
    pub(super) config: Config,
    /// What is odd about it, for people.
    pub(super) warnings: Option<String>,
    /// The file's name without its ending; a machine is called so.
    pub(super) stem: String,
}

/// Reads a Butane or Ignition file. Files that it names are looked for beside it.
pub(super) fn read(path: &Path) -> Result<User, Error> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .kind(Kind::NotFound)?;
    let name = path.display().to_string();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let columns = if butane::is_butane(&bytes) { Columns::Characters } else { Columns::Bytes };
    let folder = Folder::new(path.parent().unwrap_or(Path::new("")));
    let options = Options { files: Some(&folder), name: &name, ..Options::default() };
    let document =
        butane::read(&bytes, &options).map_err(|report| refusal(&report, &name, &text, columns))?;
    let mut warnings = document.parsed.report.clone();
    let (json, source_map) = match document.transpiled {
        None => (bytes, None),
        Some(output) => {
            warnings = output.report;
            (output.json, Some(output.map))
        }
    };
    let sources = source_map.map(|map| Source {
        config_sha256: Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect(),
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        text: text.clone(),
        map,
    });
    Ok(User {
        source_map: butane::map::encode(sources.as_slice()),
        json,
        config: document.parsed.config,
        warnings: (!warnings.is_empty()).then(|| shown(&warnings, &name, &text, columns)),
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    })
}

fn refusal(report: &Report, name: &str, text: &str, columns: Columns) -> Error {
    let errors =
        report.entries.iter().filter(|entry| entry.severity == ignition_spec::Severity::Error).count();
    let many = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Error::message(Kind::Config, format!("{name} has {many}")).details(shown(report, name, text, columns))
}

/// Each finding as `FILE:LINE:COL: severity: message`, with the lines around it; of a merged file, that file's.
fn shown(report: &Report, name: &str, text: &str, columns: Columns) -> String {
    let mut out = String::new();
    for entry in &report.entries {
        let (severity, message) = (entry.severity, &entry.message);
        let (name, text) = match &entry.fragment {
            Some(fragment) => (fragment.name.as_str(), fragment.text.as_str()),
            None => (name, text),
        };
        match entry.position {
            Some(position) => {
                let _ = writeln!(out, "{name}:{}:{}: {severity}: {message}", position.0, position.1);
                out.push_str(&excerpt(text, position, columns));
            }
            None => {
                let _ = writeln!(out, "{name}: {severity}: {message}");
            }
        }
        for (merger, line) in entry.fragment.iter().flat_map(|fragment| &fragment.merged_by) {
            let _ = writeln!(out, "  merged by {merger} line {line}");
        }
        if let Some(hint) = &entry.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<User, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_mistake_is_shown_at_its_line() {
        let text =
            "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: etc/motd\n      mode: 0644\n";
        let error = read_text("web.bu", text).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let shown = error.to_human();
        assert!(
            shown.contains("web.bu:5:13: error: ") && shown.contains("  5 |     - path: etc/motd\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_mistake_in_a_merged_file_is_shown_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.bu");
        let base = "variant: fcos\nversion: 1.5.0\nstorage:\n  files: [{path: a}]\n";
        std::fs::write(folder.path().join("base.bu"), base).unwrap();
        std::fs::write(&path, "variant: orlop\nversion: 1.0.0\nconfig: {merge: [{local: base.bu}]}\n")
            .unwrap();
        let shown = read(&path).unwrap_err().to_human();
        assert!(shown.contains("base.bu:4:18: error: ") && shown.contains("web.bu line 3\n"), "{shown}");
    }

    #[test]
    fn butane_and_ignition_are_both_read() {
        let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: hi\n";
        let user = read_text("web.bu", text).unwrap();
        assert_eq!((user.stem.as_str(), user.config.storage.files.len()), ("web", 1));
        let sources = butane::map::decode(&user.source_map).unwrap();
        assert_eq!((sources[0].file.as_str(), sources[0].text.as_str()), ("web.bu", text));

        let user = read_text("a.ign", r#"{"ignition":{"version":"3.2.0"}}"#).unwrap();
        assert_eq!(user.json, br#"{"ignition":{"version":"3.2.0"}}"#);
        assert_eq!(butane::map::decode(&user.source_map).unwrap(), []);
    }
}
