//! Upstream's verdicts, report lines and outputs, read in place from the corpus: every row, with no difference but those
//! of [`differences`](crate::differences).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use butane::files::TreeEntry;
use butane::{FileError, Folder, Options, Output, Refusal, Stage};
use serde_json::Value;

use crate::differences::{self, Table};

/// The corpus: `$ORLOP_CORPUS`, else `shared/corpus` beside the project or above.
fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

/// A row of a table, with what this crate makes of its input.
pub(crate) struct Judged {
    pub(crate) id: String,
    pub(crate) input: String,
    pub(crate) verdict: String,
    /// Upstream's report lines without the closing one.
    pub(crate) theirs: Vec<String>,
    pub(crate) their_closing: Option<String>,
    pub(crate) their_output: Option<Value>,
    pub(crate) their_yaml: Option<String>,
    pub(crate) ours: Result<Output, Refusal>,
    strict: bool,
    folder: PathBuf,
}

/// In what a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Verdict,
    Output,
    /// The bytes of the YAML of a MachineConfig.
    Yaml,
    Lines,
}

fn decode(url: &str) -> Option<Vec<u8>> {
    ignition_spec::dataurl::decode(url).ok()
}

/// Replaces gzipped data URLs by what they unpack to: two compressors are never equal.
fn unpack(value: &mut Value) {
    if value.get("compression").and_then(Value::as_str) == Some("gzip") {
        let packed = value.get("source").and_then(Value::as_str).and_then(decode);
        let mut text = Vec::new();
        let unpacked =
            packed.map(|packed| flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).is_ok());
        if unpacked == Some(true) {
            value["source"] = Value::String(format!("unpacked:{}", String::from_utf8_lossy(&text)));
        }
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(unpack),
        Value::Object(members) => members.values_mut().for_each(unpack),
        _ => {}
    }
}

/// The corpus' files as its README describes them: links and an empty folder may be lost on the way here.
struct Relinked(Folder);

impl butane::Files for Relinked {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.0.read(&path.replace("tool-alias", "tool"))
    }

    fn tree(&self, path: &str) -> Result<Vec<(String, TreeEntry)>, FileError> {
        let mut entries = self.0.tree(path)?;
        for (name, entry) in &mut entries {
            let target = match name.rsplit('/').next() {
                Some("tool-alias") => "tool",
                Some("link-one") => "../../etc/conf.d/one.conf",
                _ => continue,
            };
            *entry = TreeEntry::Link(target.into());
        }
        let of_products = entries.iter().any(|(name, _)| name == "etc/sub/run.sh");
        if of_products && !entries.iter().any(|(name, _)| name == "usr") {
            entries.push(("usr".into(), TreeEntry::Directory));
        }
        Ok(entries)
    }
}

impl Judged {
    fn of(row: &Value, folder: &Path) -> Self {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let args: Vec<&str> =
            row["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
        let has = |names: [&str; 2]| args.iter().position(|arg| names.contains(arg));
        let files = has(["--files-dir", "-d"]).map(|at| Relinked(Folder::new(folder.join(args[at + 1]))));
        let options = Options {
            files: files.as_ref().map(|folder| folder as &dyn butane::Files),
            pretty: has(["--pretty", "-p"]).is_some(),
            raw: has(["--raw", "-r"]).is_some(),
            ..Options::default()
        };
        let bytes = match row.get("input_base64").and_then(Value::as_str) {
            Some(text) => decode(&format!("data:;base64,{text}")).expect("base64"),
            None => text("input").into_bytes(),
        };
        let closes =
            |line: &String| line.starts_with("Error translating") || line.starts_with("Config produced");
        let lines = row["reports"].as_array().expect("reports").iter().filter_map(Value::as_str);
        let (closing, theirs): (Vec<_>, Vec<_>) = lines.map(str::to_owned).partition(closes);
        Self {
            id: text("id"),
            input: String::from_utf8_lossy(&bytes).into_owned(),
            verdict: text("verdict"),
            theirs,
            their_closing: closing.into_iter().next(),
            their_output: row.get("output").cloned(),
            their_yaml: row.get("output_yaml").and_then(Value::as_str).map(str::to_owned),
            ours: butane::transpile_staged(&bytes, &options),
            strict: has(["--strict", "-s"]).is_some(),
            folder: folder.to_owned(),
        }
    }

    /// This crate's report lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let report = match &self.ours {
            Ok(output) => &output.report,
            Err(refusal) => &refusal.report,
        };
        let here = format!("{}/", self.folder.display());
        report.entries.iter().map(|entry| entry.to_string().replace(&here, "")).collect()
    }

    /// Upstream's lines that are not ours.
    pub(crate) fn their_extra(&self) -> Vec<String> {
        without(&self.theirs, &self.lines())
    }

    /// Our lines that are not upstream's.
    pub(crate) fn our_extra(&self) -> Vec<String> {
        without(&self.lines(), &self.theirs)
    }

    /// The line that upstream's program closes with.
    fn closing(&self) -> Option<String> {
        match &self.ours {
            Err(refusal) => Some(format!("Error translating config: {}", refusal.closing())),
            Ok(output) if self.strict && !output.report.is_empty() => Some(butane::STRICT.text.to_owned()),
            Ok(_) => None,
        }
    }

    /// Upstream stopped at what its YAML reader said of Go's types: only the verdict can be compared.
    pub(crate) fn is_unread(&self) -> bool {
        self.their_closing.as_deref().is_some_and(|line| {
            ["yaml: ", "Error unmarshaling yaml", "EOF"].iter().any(|said| line.contains(said))
        })
    }

    fn differences(&self) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        let rejected = self.ours.is_err() || (self.strict && !self.lines().is_empty());
        if rejected != (self.verdict == "rejected") {
            let said = self.lines().join("\n    ");
            found.push((Kind::Verdict, format!("upstream {}, ours\n    {said}", self.verdict)));
        }
        if let Ok(output) = &self.ours
            && !rejected
        {
            found.extend(self.output(output));
        }
        let (mut ours, mut theirs) = (self.lines(), self.theirs.clone());
        ours.sort_by_key(|line| order(line));
        theirs.sort_by_key(|line| order(line));
        let unread = matches!(&self.ours, Err(refusal) if refusal.stage == Stage::Read);
        // What could not be read has a line with a position here, and none there.
        let lines_differ = ours != theirs && !(unread && theirs.is_empty());
        if !self.is_unread() && (lines_differ || self.closing() != self.their_closing) {
            let text =
                format!("theirs {theirs:#?} {:?}\nours {ours:#?} {:?}", self.their_closing, self.closing());
            found.push((Kind::Lines, text));
        }
        found
    }

    fn output(&self, output: &Output) -> Option<(Kind, String)> {
        if let Some(theirs) = &self.their_yaml
            && let Some(ours) = &output.machine_config
        {
            let ours = String::from_utf8_lossy(ours);
            let mut differs = ours.trim_end() != theirs.trim_end();
            if differs && theirs.contains("compression: gzip") {
                let [mut ours, mut theirs] = [yaml_value(&ours), yaml_value(theirs)];
                unpack(&mut ours);
                unpack(&mut theirs);
                differs = ours != theirs;
            }
            return differs.then(|| (Kind::Yaml, format!("theirs\n{theirs}\nours\n{ours}")));
        }
        let mut expected = self.their_output.clone()?;
        let mut got = match &output.machine_config {
            None => serde_json::from_slice(&output.json).expect("the output is JSON"),
            Some(yaml) => yaml_value(&String::from_utf8_lossy(yaml)),
        };
        unpack(&mut got);
        unpack(&mut expected);
        (got != expected).then(|| (Kind::Output, format!("theirs {expected}\nours   {got}")))
    }
}

/// Lines about unused keys come first, upstream in the random order of Go's maps, here in that of the text; all others
/// keep their order.
fn order(line: &str) -> Option<String> {
    let unused = line.contains(": unused key ");
    unused.then(|| line.to_owned())
}

fn without(lines: &[String], others: &[String]) -> Vec<String> {
    lines.iter().filter(|line| !others.contains(line)).cloned().collect()
}

/// A YAML document as JSON.
fn yaml_value(text: &str) -> Value {
    use ignition_spec::tree::{Node, Plain, Value as Tree};
    fn value(node: &Node<'_>) -> Value {
        match &node.value {
            Tree::Null | Tree::Plain(_, Plain::Null) => Value::Null,
            Tree::Bool(value) | Tree::Plain(_, Plain::Bool(value)) => Value::Bool(*value),
            Tree::Plain(_, Plain::Int(number)) => (*number).into(),
            Tree::Plain(_, Plain::Float(number)) if number.fract() == 0.0 => (*number as i64).into(),
            Tree::Plain(_, Plain::Float(number)) => (*number).into(),
            Tree::Number(text) => text.parse().expect("a number"),
            Tree::Text(text) | Tree::Plain(text, _) => Value::String(text.to_string()),
            Tree::Seq(items) => items.iter().map(value).collect(),
            Tree::Map(members) => {
                members.iter().map(|member| (member.key.to_string(), value(&member.value))).collect()
            }
        }
    }
    value(&butane::yaml::document(text).expect("YAML").expect("a document"))
}

fn compare(file: &str, table: Table) {
    let Some(folder) = corpus().map(|corpus| corpus.join("verdicts")) else {
        eprintln!("SKIP {file}: no corpus (set ORLOP_CORPUS)");
        return;
    };
    let text = std::fs::read_to_string(folder.join(file)).expect("the table");
    let mut argued: BTreeMap<String, usize> = BTreeMap::new();
    let mut unargued: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    let (mut rows, mut unread, mut yaml) = (0, 0, 0);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        let judged = Judged::of(&row, &folder);
        rows += 1;
        unread += usize::from(judged.is_unread());
        yaml += usize::from(judged.their_yaml.is_some());
        for (kind, text) in judged.differences() {
            match differences::argument(&judged, kind) {
                Some(name) => *argued.entry(name).or_default() += 1,
                None => {
                    let text = format!("{} {kind:?}\n{}\n{text}", judged.id, judged.input);
                    unargued.entry(kind).or_default().push(text);
                }
            }
        }
    }
    eprintln!("{file}: {rows} rows, {unread} of them unread upstream, {yaml} compared as YAML text");
    eprintln!("argued: {argued:#?}");
    for (kind, texts) in &unargued {
        eprintln!("unargued {kind:?}: {}", texts.len());
    }
    assert!(unargued.is_empty(), "{}", unargued.into_values().flatten().collect::<Vec<_>>().join("\n\n"));
    let expected: BTreeMap<String, usize> = differences::expected(table).collect();
    assert_eq!(argued, expected, "the argued differences are exactly these");
}

#[test]
fn small_configs_come_out_as_upstreams() {
    compare("butane.jsonl", Table::Small);
}

#[test]
fn products_come_out_as_upstreams() {
    compare("butane-products.jsonl", Table::Products);
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
        if !expected.is_file() {
            continue;
        }
        let text = std::fs::read(&path).expect("a config");
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
    assert!(seen >= 14, "{seen} configs");
}
