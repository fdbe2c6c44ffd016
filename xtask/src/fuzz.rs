//! The fuzz targets, without cargo-fuzz and without a nightly compiler: libFuzzer over LLVM's own coverage pass.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, root, run_words, target};

/// Options of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these targets; all without one
    targets: Vec<String>,

    /// How long each target runs
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

/// Coverage instrumentation as libFuzzer reads it. `-C` flags of LLVM are stable; the sanitizers are not.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing";

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = root().join("fuzz");
    let names = if args.targets.is_empty() { all(&folder)? } else { args.targets.clone() };
    let build = target().join("fuzz");
    run_words(
        cargo(&["build", "--release", "--target", TARGET])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &build)
            .env("RUSTFLAGS", COVERAGE),
    )?;
    for name in &names {
        fuzz(&folder, &build.join(TARGET).join("release").join(name), name, args.seconds)?;
    }
    Ok(())
}

/// One target: committed seeds first, what it finds goes to the target folder, a crash is kept there and named.
fn fuzz(folder: &Path, program: &Path, name: &str, seconds: u32) -> Result<()> {
    let corpus = target().join("fuzz/corpus").join(name);
    let crashes = target().join("fuzz/crashes").join(name);
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&crashes)?;
    let mut command = Command::new(program);
    command
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=0", "-verbosity=0"])
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(&corpus);
    let seeds = folder.join("seeds").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    cli::say(&format!("fuzz {name}: {seconds} s"));
    run_words(&mut command)
        .with_context(|| format!("fuzz target {name} failed; its input is in {}", crashes.display()))
}

/// The names of the targets: one file each.
fn all(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets")).context("cannot list fuzz/fuzz_targets")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// As CI runs them: all, for some seconds each.
pub(crate) fn run_some() -> Result<()> {
    run(&Args { targets: Vec::new(), seconds: 5 })
}
