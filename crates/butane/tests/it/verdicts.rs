//! Upstream's verdicts and outputs, read in place from the corpus.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use butane::{Folder, Options};
use serde_json::Value;

/// The corpus: `$ORLOP_CORPUS`, else `shared/corpus` beside the project or above.
fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

/// The part of the verdicts that this crate is for: no other variant, no version that is not there yet.
fn in_scope(row: &Value) -> bool {
    let text = row["input"].as_str().unwrap_or_default();
    let other = ["flatcar", "openshift", "r4e", "fiot", "rhcos", "1.8.0-experimental"];
    !other.iter().any(|word| text.contains(word)) && row.get("output_yaml").is_none()
}

fn data(url: &str) -> Option<Vec<u8>> {
    ignition_spec::dataurl::decode(url).ok()
}

/// Replaces gzipped data URLs by what they unpack to: two compressors are never equal.
fn unpack(value: &mut Value) {
    if value.get("compression").and_then(Value::as_str) == Some("gzip") {
        let packed = value.get("source").and_then(Value::as_str).and_then(data);
        let mut text = Vec::new();
        let unpacked =
            packed.map(|packed| flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).is_ok());
        if unpacked == Some(true) {
            value["source"] = Value::String(format!("unpacked:{}", String::from_utf8_lossy(&text)));
        }
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(unpack),
        Value::Object(members) => {
            // Upstream's 3.0 types write a missing source as null.
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(unpack);
        }
        _ => {}
    }
}

/// Rows on which this crate differs on purpose: (id, why).
const KNOWN: &[(&str, &str)] = &[
    ("52acc3f909628d90", "a %YAML 1.2 directive is what this text is; upstream's parser knows 1.1 only"),
    ("bu-yaml-directive12-fcos-1.7.0", "the same"),
    ("87d9f401d1329834", "an anchor that contains itself has no value, used or not"),
];

/// Whether a row differs because upstream warns, and with --strict refuses, where nothing is wrong: a merge key is no
/// unused key, and a section that is empty or an alias does not confuse this crate.
fn is_argued(row: &Value) -> bool {
    let reports = row["reports"].as_array().expect("reports");
    let wrong = |line: &str| {
        line.contains("unused key <<") || line.contains("context tree") || line.starts_with("Config produced")
    };
    reports.iter().filter_map(Value::as_str).all(wrong)
}

/// Whether the corpus lost its symbolic links on the way here.
fn links_are_lost(folder: &Path) -> bool {
    !folder.join("files/tree/usr/local/link-one").is_symlink()
}

struct Tally {
    rows: usize,
    verdicts: Vec<String>,
    outputs: Vec<String>,
    lines: Vec<String>,
    comparable: usize,
}

fn judge(row: &Value, folder: &Path, tally: &mut Tally) {
    let id = row["id"].as_str().expect("id");
    let args: Vec<&str> = row["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
    let files = args
        .iter()
        .position(|arg| *arg == "--files-dir" || *arg == "-d")
        .map(|at| Folder::new(folder.join(args[at + 1])));
    let options = Options {
        files: files.as_ref().map(|folder| folder as &dyn butane::Files),
        strict: args.contains(&"--strict") || args.contains(&"-s"),
        ..Options::default()
    };
    let bytes = match row.get("input_base64").and_then(Value::as_str) {
        Some(text) => data(&format!("data:;base64,{text}")).expect("base64"),
        None => row["input"].as_str().expect("input").as_bytes().to_vec(),
    };
    let ours = butane::transpile(&bytes, &options);
    tally.rows += 1;
    let lost =
        row["input"].as_str().is_some_and(|text| text.contains("local: tree")) && links_are_lost(folder);
    let known = KNOWN.iter().any(|(known, _)| *known == id) || is_argued(row) || lost;
    if ours.is_err() != (row["verdict"] == "rejected") {
        if !known {
            let said = ours.err().map(|report| report.to_string());
            tally.verdicts.push(format!(
                "{id}: upstream {} {} ours {said:?}\n{}",
                row["verdict"], row["reports"], row["input"]
            ));
        }
        return;
    }
    if let (Ok(output), Some(expected)) = (&ours, row.get("output")) {
        let mut got: Value = serde_json::from_slice(&output.json).expect("the output is JSON");
        let mut expected = expected.clone();
        unpack(&mut got);
        unpack(&mut expected);
        if got != expected && !known {
            tally.outputs.push(format!("{id}:\n  upstream {expected}\n  ours     {got}"));
        }
    }
    let theirs: Vec<&str> =
        row["reports"].as_array().expect("reports").iter().filter_map(Value::as_str).collect();
    let closing = |line: &str| line.starts_with("Error translating") || line.starts_with("Config produced");
    let mut theirs: Vec<String> = theirs.into_iter().filter(|line| !closing(line)).map(Into::into).collect();
    if theirs.is_empty() || !theirs.iter().any(|line| line.contains("at $")) {
        return;
    }
    tally.comparable += 1;
    let report = ours.map_or_else(|report| report, |output| output.report);
    let entries = report.entries.iter().filter(|entry| entry.code != "strict");
    let here = format!("{}/", folder.display());
    let mut lines: Vec<String> = entries.map(|entry| entry.to_string().replace(&here, "")).collect();
    lines.sort();
    theirs.sort();
    if lines != theirs {
        tally.lines.push(format!("{id}\n  theirs {theirs:#?}\n  ours   {lines:#?}"));
    }
}

fn compare(file: &str) {
    let Some(folder) = corpus().map(|corpus| corpus.join("verdicts")) else {
        eprintln!("SKIP {file}: no corpus (set ORLOP_CORPUS)");
        return;
    };
    let text = std::fs::read_to_string(folder.join(file)).expect("the table");
    let mut tally =
        Tally { rows: 0, verdicts: Vec::new(), outputs: Vec::new(), lines: Vec::new(), comparable: 0 };
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        if in_scope(&row) {
            judge(&row, &folder, &mut tally);
        }
    }
    eprintln!(
        "{file}: of {} rows {} verdicts and {} outputs differ; of {} reports {} do",
        tally.rows,
        tally.verdicts.len(),
        tally.outputs.len(),
        tally.comparable,
        tally.lines.len()
    );
    if std::env::var_os("ORLOP_VERDICTS").is_some() {
        for part in [&tally.verdicts, &tally.outputs, &tally.lines] {
            eprintln!("{}", part.join("\n"));
        }
    }
    assert!(
        tally.verdicts.is_empty() && tally.outputs.is_empty(),
        "{} {}",
        tally.verdicts.join("\n"),
        tally.outputs.join("\n")
    );
}

#[test]
fn small_configs_come_out_as_upstreams() {
    compare("butane.jsonl");
}

#[test]
fn products_come_out_as_upstreams() {
    compare("butane-products.jsonl");
}

#[test]
fn real_configs_come_out_as_upstreams() {
    let Some(folder) = corpus().map(|corpus| corpus.join("ignition")) else {
        eprintln!("SKIP real configs: no corpus (set ORLOP_CORPUS)");
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder").flatten() {
        let path = entry.path();
        let expected = PathBuf::from(format!("{}.expected.json", path.display()));
        let text = std::fs::read(&path).expect("a config");
        if !expected.is_file() || String::from_utf8_lossy(&text).contains("flatcar") {
            continue;
        }
        let output = butane::transpile(&text, &Options::default())
            .unwrap_or_else(|report| panic!("{}: {report}", path.display()));
        let mut got: Value = serde_json::from_slice(&output.json).expect("JSON");
        let mut expected: Value =
            serde_json::from_slice(&std::fs::read(expected).expect("a file")).expect("JSON");
        unpack(&mut got);
        unpack(&mut expected);
        assert_eq!(got, expected, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 10, "{seen} configs");
}
