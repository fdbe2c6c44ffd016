//! `cargo xtask bench config`: `orlop-config validate` of 2,000 files (5 MB) beside Debian's `ignition-validate`, and
//! the size of the program as the image has it.
//!
//! The peer is named by `ORLOP_PEER_IGNITION_VALIDATE`; without it only our own figures are printed.
//! `ORLOP_CONFIG_PROGRAM` names a program that is built already.

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Of the config, as the issue states it.
const FILES: usize = 2_000;

/// Bytes of content of each file: 5 MB in all.
const CONTENT_BYTES: usize = 2_400;

/// Both programs run this often in turn; the fastest run counts, since other load only adds time.
const RUNS: usize = 15;

/// Largest time beside the peer's.
const RATIO_MAX: f64 = 0.3;

/// Largest size of the program, in bytes.
const SIZE_MAX_BYTES: u64 = 8_000_000;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let program = build();
    let size = std::fs::metadata(&program).expect("the program").len();
    println!("orlop-config, profile os, static: {size} bytes (at most {SIZE_MAX_BYTES})");
    let folder = std::env::temp_dir().join(format!("orlop-bench-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = folder.join("config.ign");
    let text = config_text();
    std::fs::write(&config, &text).expect("a file");
    println!("config: {FILES} files, {} bytes, spec 3.3.0", text.len());
    let peer = std::env::var_os("ORLOP_PEER_IGNITION_VALIDATE").map(PathBuf::from);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(time(Command::new(&program).arg("validate").arg(&config)));
        if let Some(peer) = &peer {
            theirs.push(time(Command::new(peer).arg(&config)));
        }
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
    let fastest = |times: &[Duration]| times.iter().min().map_or(0.0, Duration::as_secs_f64);
    println!("orlop-config validate: {:.4} s, the fastest of {RUNS}", fastest(&ours));
    let mut held = size <= SIZE_MAX_BYTES;
    match theirs.is_empty() {
        true => println!("SKIP peer: ORLOP_PEER_IGNITION_VALIDATE does not name Debian's ignition-validate"),
        false => {
            let ratio = fastest(&ours) / fastest(&theirs);
            println!(
                "ignition-validate:     {:.4} s; ratio {ratio:.3} (at most {RATIO_MAX})",
                fastest(&theirs)
            );
            held &= ratio <= RATIO_MAX;
        }
    }
    assert!(held, "a figure is beyond its limit");
}

/// Builds the program as the image has it.
fn build() -> PathBuf {
    if let Some(built) = std::env::var_os("ORLOP_CONFIG_PROGRAM") {
        return built.into();
    }
    let target = std::env::current_exe().expect("an own path");
    let target = target.ancestors().nth(3).expect("the target folder").to_owned();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "os", "--package", "orlop-config", "--bin", "orlop-config"])
        .args(["--target", TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .expect("cargo");
    assert!(status.success(), "the program does not build");
    target.join(TARGET).join("os/orlop-config")
}

/// How long `command` runs; it must succeed.
fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it starts");
    let time = start.elapsed();
    assert!(status.success(), "{command:?}");
    time
}

/// A config with embedded contents, half of them text, half base64.
fn config_text() -> String {
    let mut out = String::from("{\"ignition\": {\"version\": \"3.3.0\"}, \"storage\": {\"files\": [\n");
    for file in 0..FILES {
        let source = match file % 2 {
            0 => format!("data:,{}", "setting%20%3D%20value%0A".repeat(CONTENT_BYTES / 24)),
            _ => format!(
                "data:;base64,{}",
                "c2V0dGluZyA9IHZhbHVlCg==".replace("==", "Y2").repeat(CONTENT_BYTES / 24)
            ),
        };
        let comma = if file + 1 < FILES { "," } else { "" };
        let _ = writeln!(
            out,
            "  {{\"path\": \"/etc/app/d{}/{file}.conf\", \"mode\": 420, \"contents\": {{\"source\": \"{source}\"}}}}{comma}",
            file % 50
        );
    }
    out.push_str("]}}\n");
    out
}
