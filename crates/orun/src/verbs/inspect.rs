//! `state`, `list`, `ps`.

use oci_runtime::State;
use oci_runtime::state::{Root, Status};
use serde_json::{Value, json};

use crate::Failure;
use crate::args::{Parsed, UsageError};
use crate::log::rfc3339;

/// runtime.md's state with what runc adds and callers read.
fn state_json(state: &State) -> Value {
    let record = &state.record;
    let mut json = record.to_oci(state.status, Some(state.pid().unwrap_or(0)));
    json["rootfs"] = record.rootfs.to_string_lossy().into();
    json["created"] = rfc3339(record.created).into();
    json["owner"] = "".into();
    json
}

pub(super) fn state(root: &Root, parsed: &Parsed) -> Result<u8, Failure> {
    let state = oci_runtime::state(root, parsed.id()?)?;
    crate::print(&format!("{:#}\n", state_json(&state)));
    Ok(0)
}

fn json_wanted(parsed: &Parsed) -> Result<bool, Failure> {
    match parsed.value("format") {
        None | Some("table") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(UsageError(format!("--format: {other:?} is neither table nor json")).into()),
    }
}

pub(super) fn list(root: &Root, parsed: &Parsed) -> Result<u8, Failure> {
    let json = json_wanted(parsed)?;
    let ids = root.list()?;
    if parsed.has("quiet") {
        crate::print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>());
        return Ok(0);
    }
    // One that goes away meanwhile, or whose record is damaged, does not hide the others.
    let states: Vec<State> = ids.iter().filter_map(|id| oci_runtime::state(root, id).ok()).collect();
    if json {
        let all: Vec<Value> = states.iter().map(state_json).collect();
        crate::print(&format!("{}\n", Value::from(all)));
        return Ok(0);
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED"].map(str::to_owned)];
    rows.extend(states.iter().map(|s| {
        let record = &s.record;
        [
            record.id.clone(),
            s.pid().unwrap_or(0).to_string(),
            s.status.to_string(),
            record.bundle.display().to_string(),
            rfc3339(record.created),
        ]
    }));
    crate::print(&table(&rows));
    Ok(0)
}

/// Columns as wide as their widest cell, two spaces between.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

pub(super) fn ps(root: &Root, parsed: &Parsed) -> Result<u8, Failure> {
    let json = json_wanted(parsed)?;
    let state = oci_runtime::state(root, parsed.id()?)?;
    let group = state.record.cgroup.as_ref().filter(|_| state.status != Status::Stopped);
    let text = match group {
        Some((path, _)) => {
            let file = path.join("cgroup.procs");
            std::fs::read_to_string(&file)
                .map_err(|e| Failure::Value(format!("read {}: {e}", file.display())))?
        }
        // Without a cgroup only the first process is known.
        None => state.pid().map_or(String::new(), |pid| pid.to_string()),
    };
    let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if json {
        crate::print(&format!("{}\n", json!(pids)));
    } else {
        crate::print(&pids.iter().fold("PID\n".to_owned(), |all, pid| format!("{all}{pid}\n")));
    }
    Ok(0)
}
