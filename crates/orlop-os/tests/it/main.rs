//! The program as people and scripts meet it, as far as no machine is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_orlop-os"))
            .args(args)
            .current_dir(self.path())
            .env("ORLOP_STATE", self.path().join("state"))
            .env_remove("ORLOP_IMAGE_DIR")
            .output()
            .unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const MISTAKE: &str = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: etc/motd\n";

#[test]
fn a_mistake_in_butane_is_shown_at_its_line_before_anything_boots() {
    let place = Place::new();
    fs::write(place.path().join("bad.bu"), MISTAKE).unwrap();
    let output = place.run(&["up", "bad.bu"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        "error: bad.bu has 1 error\n\
         bad.bu:5:13: error: path not absolute\n  3 | storage:\n  4 |   files:\n  5 |     - path: etc/motd\n    \
         |             ^\n"
    );
    assert_eq!(stdout(&output), "");
    assert!(!place.path().join("state").exists(), "nothing was made");
}

#[test]
fn a_script_gets_the_mistake_as_json() {
    let place = Place::new();
    fs::write(place.path().join("bad.bu"), MISTAKE).unwrap();
    let output = place.run(&["up", "bad.bu", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let object: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(object["kind"], "config");
}

#[test]
fn what_is_not_there_is_named_with_a_way_out() {
    let place = Place::new();
    let output = place.run(&["up", "nowhere.bu"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("cannot read nowhere.bu"), "{}", stderr(&output));

    let output = place.run(&["up", "--image-dir", "nowhere"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("hint: build one with `orlop build`"), "{}", stderr(&output));

    for verb in ["ssh", "console", "stop"] {
        assert_eq!(place.run(&[verb, "nobody"]).status.code(), Some(4), "{verb}");
        assert_eq!(place.run(&[verb]).status.code(), Some(4), "{verb}");
    }
}

#[test]
fn wrong_words_are_usage_errors() {
    let place = Place::new();
    for args in [&["up", "--publish", "80"][..], &["up", "--expect", "x"], &["stop", "../x"], &["fly"]] {
        assert_eq!(place.run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn tests_are_listed() {
    let place = Place::new();
    let output = place.run(&["test", "list", "uefi"]);
    assert!(stdout(&output).starts_with("vm_boots_by_uefi"), "{}", stdout(&output));
    let output = place.run(&["test", "list", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(rows.as_array().is_some_and(|rows| rows.len() > 10));
    assert_eq!(place.run(&["test", "run", "no-such-test"]).status.code(), Some(4));
}
