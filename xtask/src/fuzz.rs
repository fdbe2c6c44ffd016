//! The fuzz targets, without cargo-fuzz and without a nightly compiler: libFuzzer over LLVM's own coverage pass.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    let programs = build.join(TARGET).join("release");
    side_by_side(&names, |name| fuzz(&folder, &programs.join(name), name, args.seconds))
}

/// Runs `work` over the names on as many threads as the host has processors; the first failure counts, and no further
/// name is begun after it.
fn side_by_side(names: &[String], work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let run = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(name).inspect_err(|_| next.store(names.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a fuzz thread does not panic"))
    })
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
    run(&Args { targets: Vec::new(), seconds: 3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_worked_on_once_and_a_failure_counts() {
        let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let seen = std::sync::Mutex::new(Vec::new());
        side_by_side(&names, |name| {
            seen.lock().unwrap().push(name.to_owned());
            Ok(())
        })
        .unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|name| name.parse::<u32>().unwrap());
        assert_eq!(seen, names);
        let failed = side_by_side(&names, |name| if name == "7" { anyhow::bail!("seven") } else { Ok(()) });
        assert_eq!(failed.unwrap_err().to_string(), "seven");
    }
}
