//! Upstream's verdicts and report lines on thousands of configs, read in place from the corpus.
//!
//! A row whose lines are not equal belongs to a class of differences, which `docs/reference/ignition-differences.md`
//! argues; the size of each class is asserted exactly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ignition_spec::Report;
use serde_json::Value;

/// The corpus: `$ORLOP_CORPUS`, else `shared/corpus` beside the project or above.
pub(crate) fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

/// The rows of a table; nothing without corpus.
pub(crate) fn rows(file: &str) -> Option<Vec<Value>> {
    let Some(folder) = corpus() else {
        eprintln!("SKIP {file}: no corpus (set ORLOP_CORPUS)");
        return None;
    };
    let text = std::fs::read_to_string(folder.join("verdicts").join(file)).expect("a table");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect())
}

/// The config of a row.
pub(crate) fn input(row: &Value) -> Vec<u8> {
    match row.get("input_base64").and_then(Value::as_str) {
        Some(text) => ignition_spec::dataurl::decode(&format!("data:;base64,{text}")).expect("base64"),
        None => row["input"].as_str().expect("input").as_bytes().to_vec(),
    }
}

/// Rows that differ on purpose, each by itself.
const KNOWN: &[&str] = &[
    // An empty `custom: {}` beside tpm2 asks for nothing; upstream refuses it in 3.2 only, by an accident of its types.
    "ign-3.2.0-luks-custom-empty-with-tpm2",
    // A number too large for a double in an unknown key: upstream's search for unknown keys gives up in silence.
    "ign-raw-unk-bignum",
];

/// How our lines stand to upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The same lines.
    Equal,
    /// The same faults in an order of their own (upstream walks maps of Go).
    Order,
    /// The same text; upstream's column is one behind the character that it names.
    SyntaxColumn,
    /// The same fault at the same place; upstream names the byte as if it were Latin-1, or spells its escape otherwise.
    SyntaxCharacter,
    /// The text ends too early; upstream says line 0, column 0, or the end.
    UnexpectedEnd,
    /// Wrong types: upstream names types of Go at the end of the value and stops at the first.
    WrongType,
    /// The version; upstream's line has no position and no path.
    Version,
    /// A null in place of a section: upstream warns that its own two readings differ. Null means not given.
    Null,
    /// A key given twice: we also look into the value that does not count, and warn.
    Repeated,
    /// The verdict or the lines of this very row differ, see [`KNOWN`].
    Known,
    /// None of these.
    Other,
}

fn lines(report: &Report) -> Vec<String> {
    report.entries.iter().map(|entry| entry.to_string().trim_end().to_owned()).collect()
}

/// The text of a line without its position.
fn text(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, text)| text)
}

fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

fn class(row: &Value, refused: bool, report: &Report) -> Class {
    if KNOWN.iter().any(|id| row["id"] == *id) {
        return Class::Known;
    }
    if refused != (row["verdict"] == "rejected") {
        return Class::Other;
    }
    let reports = row["reports"].as_array().expect("reports");
    let theirs: Vec<String> =
        reports.iter().filter_map(Value::as_str).map(|line| line.trim_end().to_owned()).collect();
    let ours = lines(report);
    let first = report.entries.first();
    if ours == theirs {
        return Class::Equal;
    }
    if sorted(&ours) == sorted(&theirs) {
        return Class::Order;
    }
    let told = theirs.first().map_or("", |line| text(line));
    let code = first.map_or("", |entry| entry.code);
    if told.starts_with("json: cannot unmarshal") && code == "wrong-type" {
        return Class::WrongType;
    }
    if code == "json-syntax" && told.starts_with("unexpected end") && told == text(&ours[0]) {
        return Class::UnexpectedEnd;
    }
    if code == "json-syntax"
        && told.replace('"', "'") == text(&ours[0]).replace("\\\"", "'").replace('"', "'")
    {
        return Class::SyntaxColumn;
    }
    let place = |line: &str| line.rsplit_once("' ").map(|(_, place)| place.to_owned());
    if code == "json-syntax" && place(told).is_some() && place(told) == place(&ours[0]) {
        return Class::SyntaxCharacter;
    }
    if matches!(code, "version-malformed" | "version-unsupported" | "config-empty")
        && first.is_some_and(|entry| theirs[0] == format!("couldn't parse config: {}", entry.message))
    {
        return Class::Version;
    }
    let of_config: Vec<String> =
        theirs.iter().filter(|line| !line.contains("context tree does not match")).cloned().collect();
    if of_config.len() < theirs.len() && sorted(&of_config) == sorted(&ours) {
        return Class::Null;
    }
    // What upstream says, we say too.
    if has_repeated_keys(&input(row)) && theirs.iter().all(|line| ours.contains(line)) {
        return Class::Repeated;
    }
    Class::Other
}

fn has_repeated_keys(text: &[u8]) -> bool {
    use ignition_spec::tree::{Node, Value};
    fn look(node: &Node<'_>) -> bool {
        match &node.value {
            Value::Seq(items) => items.iter().any(look),
            Value::Map(members) => members.iter().enumerate().any(|(at, member)| {
                look(&member.value)
                    || members[..at].iter().any(|other| other.key.eq_ignore_ascii_case(&member.key))
            }),
            _ => false,
        }
    }
    ignition_spec::json::parse(text).is_ok_and(|tree| look(&tree))
}

/// Every row of `file` by its class.
fn classes(file: &str) -> Option<BTreeMap<Class, usize>> {
    let mut counts = BTreeMap::new();
    let mut others = Vec::new();
    for row in rows(file)? {
        let bytes = input(&row);
        let ours = ignition_spec::parse(&bytes);
        let refused = ours.is_err();
        let report = ours.map_or_else(|report| report, |parsed| parsed.report);
        let class = class(&row, refused, &report);
        *counts.entry(class).or_insert(0) += 1;
        let shown = std::env::var("ORLOP_VERDICTS").is_ok_and(|wanted| wanted == format!("{class:?}"));
        if class == Class::Other || shown {
            others.push(format!(
                "{} {class:?}\n  theirs {} {:#?}\n  ours   {:#?}",
                row["id"],
                row["verdict"],
                row["reports"],
                lines(&report)
            ));
        }
    }
    if !others.is_empty() {
        eprintln!("{}", others[..others.len().min(40)].join("\n"));
    }
    eprintln!("{file}: {counts:?}");
    Some(counts)
}

#[test]
fn small_configs_get_upstreams_verdict_and_lines() {
    use Class::*;
    let Some(found) = classes("ignition.jsonl") else { return };
    let expected = [
        (Equal, 4194),
        (Order, 5),
        (SyntaxColumn, 17),
        (SyntaxCharacter, 6),
        (UnexpectedEnd, 53),
        (WrongType, 393),
        (Version, 86),
        (Null, 27),
        (Repeated, 63),
        (Known, 2),
    ];
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn products_get_upstreams_verdict_and_lines() {
    use Class::*;
    let Some(found) = classes("ignition-products.jsonl") else { return };
    let expected = [
        (Equal, 9209),
        (Order, 10),
        (SyntaxColumn, 3),
        (UnexpectedEnd, 2),
        (WrongType, 361),
        (Version, 7),
        (Null, 49),
    ];
    assert_eq!(found, BTreeMap::from(expected));
}

/// Configs that people wrote, and what upstream made of their Butane: all are accepted, as there.
#[test]
fn real_configs_are_accepted() {
    let Some(folder) = corpus().map(|folder| folder.join("ignition")) else {
        return eprintln!("SKIP real configs: no corpus (set ORLOP_CORPUS)");
    };
    let mut judged = 0;
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.ends_with(".ign") && !name.ends_with(".expected.json") {
            continue;
        }
        let parsed = ignition_spec::parse(&std::fs::read(&path).expect("a config"));
        let parsed = parsed.unwrap_or_else(|report| panic!("{name}: {report}"));
        let warned = name.contains("ignition-warnings");
        assert_eq!(parsed.report.is_empty(), !warned, "{name}: {}", parsed.report);
        judged += 1;
    }
    assert!(judged >= 20, "{judged} configs");
}
