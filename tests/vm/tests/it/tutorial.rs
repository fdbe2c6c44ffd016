//! The tutorial's commands, run as a newcomer would.

use std::path::{Path, PathBuf};
use std::process::Command;

use vm::machine::Machine;
use vm::state;

/// Commands of a page: lines that begin with `$ ` in blocks of kind `console`.
fn commands(page: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line.trim_end() {
            "```console" => inside = true,
            "```" => inside = false,
            line if inside => found.extend(line.strip_prefix("$ ")),
            _ => {}
        }
    }
    found
}

#[test]
fn commands_are_found_in_console_blocks_alone() {
    let page = "```console\n$ one 1\nits output\n$ two\n```\n\n```rust\n$ three\n```\n$ four\n";
    assert_eq!(commands(page), ["one 1", "two"]);
}

/// Machines of the tutorial, gone at the end whatever happened.
struct Machines(PathBuf);

impl Drop for Machines {
    fn drop(&mut self) {
        for record in state::list(&self.0).unwrap_or_default() {
            if let Ok(mut machine) = Machine::open(&self.0, &record.name) {
                let _ = machine.kill();
            }
        }
    }
}

/// Needs what `cargo xtask test` has made: it builds nothing anew then.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so where nextest shows it")]
fn vm_tutorial() {
    if std::env::var_os("ORLOP_IMAGE_DIR").is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no image to test");
        eprintln!("SKIP vm_tutorial: no image to test (ORLOP_IMAGE_DIR is not set)");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/tutorial/first-machine.md")).unwrap();
    let state = tempfile::tempdir().unwrap();
    let machines = Machines(state.path().join("machines"));
    for command in commands(&page) {
        let output = Command::new("bash")
            .args(["-c", command])
            .current_dir(&root)
            .env("ORLOP_STATE", state.path())
            .output()
            .unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}`: {}\n{said}{told}", output.status);
    }
    drop(machines);
}
