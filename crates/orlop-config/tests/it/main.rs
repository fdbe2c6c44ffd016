//! The programs as users run them.

mod lsp;
mod schema;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

/// Runs the program under `name` with `input` on standard input.
fn run(name: &str, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orlop-config"));
    command.arg0(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that refuses its command line does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const GOOD: &str = "variant: fcos\nversion: 1.5.0\npasswd:\n  users:\n    - name: core\n";
const BAD: &str = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: motd\n      mod: 0644\n";

#[test]
fn transpile_gives_json_on_standard_output() {
    let output = run("orlop-config", &["transpile"], GOOD);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(
        out(&output),
        "{\"ignition\":{\"version\":\"3.4.0\"},\"passwd\":{\"users\":[{\"name\":\"core\"}]}}\n"
    );
}

#[test]
fn errors_have_file_line_column_excerpt_and_hint() {
    let output = run("orlop-config", &["transpile"], BAD);
    assert_eq!(output.status.code(), Some(3));
    let expected = "\
error: <stdin> is refused: 1 error, 1 warning
<stdin>:6:7: warning: unused key mod
  4 |   files:
  5 |     - path: motd
  6 |       mod: 0644
    |       ^
  at $.storage.files.0.mod [unused-key]
  hint: did you mean `mode`?
<stdin>:5:13: error: path not absolute
  3 | storage:
  4 |   files:
  5 |     - path: motd
    |             ^
  at $.storage.files.0.path [path-relative]
  allowed: an absolute path
";
    assert_eq!(err(&output), expected);
}

#[test]
fn validate_takes_both_formats() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, bad) = (folder.path().join("good.bu"), folder.path().join("bad.ign"));
    std::fs::write(&good, GOOD).expect("a file");
    std::fs::write(&bad, "{\"ignition\": {\"version\": \"3.9.0\"}}").expect("a file");
    let paths = [good.to_str().expect("UTF-8"), bad.to_str().expect("UTF-8")];
    let output = run("orlop-config", &["validate", "--format", "json", paths[0], paths[1]], "");
    assert_eq!(output.status.code(), Some(3));
    let verdicts: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!((&verdicts[0]["valid"], &verdicts[0]["kind"]), (&true.into(), &"butane".into()));
    assert_eq!((&verdicts[1]["valid"], &verdicts[1]["findings"][0]["line"]), (&false.into(), &1.into()));
    assert_eq!(verdicts[1]["findings"][0]["code"], "version-unsupported");
}

#[test]
fn local_files_need_their_folder_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a"), "x").expect("a file");
    let text =
        "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /a\n      contents: {local: a}\n";
    let refused = run("orlop-config", &["transpile"], text);
    assert_eq!(refused.status.code(), Some(3));
    assert!(err(&refused).contains("hint: name the folder"), "{}", err(&refused));
    let map = folder.path().join("map.json");
    let args = [
        "transpile",
        "-d",
        folder.path().to_str().expect("UTF-8"),
        "--source-map",
        map.to_str().expect("UTF-8"),
    ];
    let output = run("orlop-config", &args, text);
    assert!(out(&output).contains("data:,x"), "{}", err(&output));
    let sources = butane::map::decode(&std::fs::read(&map).expect("a map")).expect("decodes");
    assert_eq!(sources[0].map.position("$.storage.files.0.contents.source"), Some((6, 25)));
}

#[test]
fn butane_has_upstreams_flags_and_codes() {
    let output = run("butane", &["--strict", "--pretty"], GOOD);
    assert!(output.status.success());
    assert!(
        out(&output).starts_with("{\n  \"ignition\": {\n    \"version\": \"3.4.0\"\n  },\n"),
        "{}",
        out(&output)
    );
    let refused = run("/usr/bin/butane", &["--raw-errors", "-c"], BAD);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("\nerror at $.storage.files.0.path, line 5 col 13: path not absolute\n"));
    assert_eq!(run("butane", &["a", "b"], "").status.code(), Some(2));
}

#[test]
fn ignition_validate_has_upstreams_output_and_codes() {
    let good = run("ignition-validate", &["-"], "{\"ignition\": {\"version\": \"3.4.0\"}, \"x\": 1}");
    assert!(good.status.success());
    assert_eq!(out(&good), "warning at $.x, line 1 col 36: unused key x\n");
    let old = run("ignition-validate", &["-"], "{\"ignition\": {\"version\": \"2.2.0\"}}");
    assert_eq!(
        (old.status.code(), err(&old).as_str()),
        (Some(1), "couldn't parse config: unsupported config version\n")
    );
    assert_eq!(run("ignition-validate", &[], "").status.code(), Some(1));
}

/// Every form of one refusal: JSON and SARIF say what the human form says.
#[test]
fn findings_have_all_parts_in_json_and_sarif() {
    let text = "{\"ignition\": {\"version\": \"3.6.0\"},\n \"storage\": {\"filesystems\":\n  [{\"device\": \"/dev/vdb\", \"format\": \"etx4\"}]}}";
    let output = run("orlop-config", &["validate", "--format", "json", "-"], text);
    assert_eq!(output.status.code(), Some(3));
    let verdicts: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
    let finding = &verdicts[0]["findings"][0];
    let expected = serde_json::json!({
        "severity": "error", "code": "filesystem-format", "file": "<stdin>",
        "path": "$.storage.filesystems.0.format", "line": 3, "column": 37,
        "message": "invalid filesystem format", "found": "the string \"etx4\"",
        "allowed": "ext4, btrfs, xfs, vfat, swap, none", "hint": "did you mean `ext4`?",
        "excerpt": finding["excerpt"].clone(),
    });
    assert_eq!(*finding, expected);
    assert!(
        finding["excerpt"].as_str().expect("text").ends_with("    |                                     ^\n")
    );

    let output = run("orlop-config", &["validate", "--format", "sarif", "-"], text);
    assert_eq!(output.status.code(), Some(3));
    let sarif: serde_json::Value = serde_json::from_str(&out(&output)).expect("JSON");
    let run = &sarif["runs"][0];
    assert_eq!((&sarif["version"], &run["columnKind"]), (&"2.1.0".into(), &"unicodeCodePoints".into()));
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "filesystem-format");
    let result = &run["results"][0];
    assert_eq!((&result["ruleIndex"], &result["level"]), (&0.into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["region"], serde_json::json!({"startLine": 3, "startColumn": 37}));
    assert_eq!(place["artifactLocation"]["uri"], "%3Cstdin%3E");
}

#[test]
fn sarif_is_of_validate_alone() {
    let output = run("orlop-config", &["transpile", "--format", "sarif"], GOOD);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
}

#[test]
fn codes_are_explained() {
    let list = out(&run("orlop-config", &["explain"], ""));
    assert!(list.lines().count() > 80 && list.contains("\nlabel-ext4  "), "{list}");
    let page = out(&run("orlop-config", &["explain", "path-relative"], ""));
    assert!(
        page.starts_with("# path-relative\n") && page.contains("## Wrong") && page.contains("## Mended"),
        "{page}"
    );
    assert_eq!(run("orlop-config", &["explain", "nonsense"], "").status.code(), Some(4));
}

#[test]
fn schemas_are_of_the_version_that_was_asked_for() {
    let schema = |args: &[&str]| -> serde_json::Value {
        let output = run("orlop-config", &[&["schema"], args].concat(), "");
        serde_json::from_str(&out(&output)).expect("JSON")
    };
    assert_eq!(schema(&[])["$defs"]["Ignition"]["properties"]["version"]["const"], "3.6.0");
    let old = schema(&["--version", "3.2.0"]);
    assert!(old["$defs"]["Config"]["properties"]["kernelArguments"].is_null());
    assert_eq!(run("orlop-config", &["schema", "--version", "2.2.0"], "").status.code(), Some(4));
}

#[test]
fn upstreams_tables_are_answered_line_by_line() {
    let rows = [
        ("{\"ignition\": {\"version\": \"3.6.0\"}}", 0, "", ""),
        ("", 1, "", "couldn't parse config: not a config (empty)\n"),
        ("{\"ignition\": null}", 1, "", "couldn't parse config: invalid config version (couldn't parse)\n"),
        (
            "{\"ignition\": {\"version\": \"3.6.0\"}, \"storage\": {\"files\": [{\"path\": \"a\"}]}}",
            1,
            "error at $.storage.files.0.path, line 1 col 67: path not absolute\n",
            "",
        ),
    ];
    for (text, code, stdout, stderr) in rows {
        let output = run("ignition-validate", &["-"], text);
        assert_eq!(
            (output.status.code(), out(&output).as_str(), err(&output).as_str()),
            (Some(code), stdout, stderr)
        );
    }
}
