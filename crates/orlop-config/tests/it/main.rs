//! The programs as users run them.
#![allow(clippy::print_stderr, reason = "tests say what they skip and measure")]

mod lsp;
mod pack;
mod pages;
mod plan;
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
fn butane_closes_as_upstream_does() {
    let close = |args: &[&str], text: &str| {
        err(&run("butane", args, text)).lines().last().map(str::to_owned).unwrap_or_default()
    };
    let relative = "variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: a}]}\n";
    assert_eq!(close(&["--raw-errors"], relative), "Error translating config: config generated was invalid");
    let grub = "variant: fcos\nversion: 1.5.0\ngrub: {users: [{name: a}]}\n";
    assert_eq!(close(&["--color", "-c"], grub), "Error translating config: source config is invalid");
    let old = "variant: fcos\nversion: 1.9.0\n";
    assert_eq!(
        close(&["-c"], old),
        "Error translating config: No translator exists for variant fcos with version 1.9.0"
    );
    let unused = "variant: fcos\nversion: 1.5.0\nx: 1\n";
    assert_eq!(close(&["-s"], unused), "Config produced warnings and --strict was specified");
    assert_eq!(run("butane", &["-s"], unused).status.code(), Some(1));
}

#[test]
fn a_machine_config_is_yaml_unless_raw() {
    let text = "variant: openshift\nversion: 4.20.0\nmetadata:\n  name: 50-x\n  labels: {machineconfiguration.openshift.io/role: worker}\n";
    let wrapped = out(&run("butane", &[], text));
    assert!(wrapped.starts_with("# Generated by Butane; do not edit\napiVersion: machineconfiguration"));
    assert_eq!(out(&run("butane", &["-r"], text)), "{\"ignition\":{\"version\":\"3.5.0\"}}\n");
}

const WEB: &str = "variant: orlop
version: 1.0.0
config:
  merge:
    - local: base.bu
variables:
  - {name: image, required: true}
  - {name: key}
passwd:
  users:
    - {name: core, ssh_authorized_keys: ['${key}']}
pods:
  - name: web
    image: ${image}
    ports: ['80:8080']
    volumes: ['/srv:/www:ro', 'tmp:/tmp']
    env: {A: b}
    command: [/bin/httpd]
    restart: never
";

#[test]
fn variables_are_given_and_files_are_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(path("web.bu"), WEB).expect("a file");
    std::fs::write(path("key.pub"), "ssh-ed25519 AAAA").expect("a file");
    std::fs::write(
        path("base.bu"),
        "variant: fcos\nversion: 1.4.0\nstorage: {links: [{path: /l, target: /t}]}\n",
    )
    .expect("a file");
    let (folder, key, map) = (path(""), format!("key={}", path("key.pub")), path("map.json"));
    let all = ["transpile", "-d", &folder, "--set", "image=localhost/web:1", "--set-file", &key];
    let web = path("web.bu");
    let mapped = [&all[..], &["--source-map", &map, &web]].concat();
    let output = run("orlop-config", &mapped, "");
    let config =
        ignition_spec::parse(output.stdout.trim_ascii_end()).unwrap_or_else(|_| panic!("{}", err(&output)));
    let config = config.config;
    assert_eq!(config.storage.links[0].path, "/l");
    assert_eq!(config.passwd.users[0].ssh_authorized_keys, ["ssh-ed25519 AAAA"]);
    let pod = ignition_spec::dataurl::decode(config.storage.files[0].contents.source.as_deref().expect("it"));
    let mut text = String::new();
    let pod = pod.expect("a data URL");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&pod[..]), &mut text).expect("gzip");
    let pod = pod::spec::parse(&text).unwrap_or_else(|error| panic!("{}", error.render("web.yaml", &text)));
    assert_eq!((pod.name.as_str(), pod.volumes.len(), pod.containers[0].ports.len()), ("web", 2, 1));
    let sources = butane::map::decode(&std::fs::read(&map).expect("a map")).expect("decodes");
    assert_eq!(sources[0].map.fragment("$.storage.links.0.path").expect("a fragment").name, "base.bu");

    let judged = ["validate", "-d", &folder, "--set", "image=x", "--set", "key=k", &web];
    assert!(run("orlop-config", &judged, "").status.success());
    let unset = run("orlop-config", &["transpile", "-d", &folder, &web], "");
    assert_eq!(unset.status.code(), Some(3));
    assert!(err(&unset).contains("web.bu:7:5: error: the variable image must be given: --set image=VALUE"));
    assert_eq!(run("orlop-config", &["transpile", "--set", "image"], WEB).status.code(), Some(2));
}

#[test]
fn faults_of_merged_files_are_shown_in_their_own_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n    - path: etc/motd\n";
    std::fs::write(folder.path().join("base.bu"), wrong).expect("a file");
    let args = ["transpile", "-d", folder.path().to_str().expect("UTF-8")];
    let refused =
        run("orlop-config", &args, "variant: orlop\nversion: 1.0.0\nconfig: {merge: [{local: base.bu}]}\n");
    let expected = "\
base.bu:5:13: error: path not absolute
  3 | storage:
  4 |   files:
  5 |     - path: etc/motd
    |             ^
  at $.storage.files.0.path [path-relative]
  merged by <stdin> line 3
";
    assert!(err(&refused).contains(expected), "{}", err(&refused));
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

/// A MachineConfig is judged as one, though a machine would read its Ignition part alone.
#[test]
fn validate_knows_the_rules_of_machineconfigs() {
    let text = "variant: openshift\nversion: 4.19.0\nmetadata:\n  name: a\n";
    let output = run("orlop-config", &["validate", "-"], text);
    assert_eq!(output.status.code(), Some(3));
    assert!(out(&output).contains("[machineconfig-role]"), "{}", out(&output));
}
