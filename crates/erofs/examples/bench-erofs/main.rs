//! Size and CPU time of an image beside `mkfs.erofs -zlz4hc -C65536`, of the same directory, in the same run.
//!
//! `bench [DIR]`; without one, the programs of the SDK tree. Prints JSON; fails when a ratio is beyond its budget.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use erofs::{Compression, Options};

#[path = "../../tests/it/scan.rs"]
mod scan;
#[path = "../../tests/it/tools.rs"]
mod tools;

/// Budgets (`docs/explanation/budgets.md`).
const SIZE_RATIO_MAX: f64 = 1.05;
const CPU_RATIO_MAX: f64 = 1.0;

/// Runs of each; the least CPU time counts, since other work on the machine only adds.
const RUNS: usize = 3;

struct Measure {
    bytes: u64,
    cpu_secs: f64,
    wall_secs: f64,
}

fn measure(
    image: &Path,
    run: &mut dyn FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Measure, Box<dyn Error>> {
    let (before, started) = (tools::cpu_ticks(), Instant::now());
    run()?;
    let after = tools::cpu_ticks();
    let ticks = (after.0 - before.0) + (after.1 - before.1);
    let wall_secs = started.elapsed().as_secs_f64();
    Ok(Measure { bytes: fs::metadata(image)?.len(), cpu_secs: ticks as f64 / 100.0, wall_secs })
}

fn ours(dir: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let (tree, files) = scan::scan(dir)?;
    let options = Options { compression: Compression::DEFAULT, ..Options::default() };
    erofs::write(&tree, &files, &options, &mut File::create(image)?, &mut |_| {})?;
    Ok(())
}

fn theirs(dir: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let mut mkfs = tools::command("mkfs.erofs").ok_or("no SDK tree: set ORLOP_SDK")?;
    mkfs.args(["--quiet", "-zlz4hc", "-C65536", "-T0", "-x-1", "--all-root", "--workers=1"])
        .arg(image)
        .arg(dir);
    if mkfs.status()?.success() { Ok(()) } else { Err("mkfs.erofs failed".into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let sdk = tools::sdk().ok_or("no SDK tree: set ORLOP_SDK")?;
    let dir = std::env::args_os().nth(1).map_or_else(|| sdk.path("usr/bin"), PathBuf::from);
    let work = tempfile::tempdir()?;
    let (image, peer_image) = (work.path().join("ours"), work.path().join("theirs"));
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        peer.push(measure(&peer_image, &mut || theirs(&dir, &peer_image))?);
        own.push(measure(&image, &mut || ours(&dir, &image))?);
    }
    let least = |runs: Vec<Measure>| runs.into_iter().min_by(|a, b| a.cpu_secs.total_cmp(&b.cpu_secs));
    let (Some(own), Some(peer)) = (least(own), least(peer)) else { return Err("no runs".into()) };
    let (size_ratio, cpu_ratio) = (own.bytes as f64 / peer.bytes as f64, own.cpu_secs / peer.cpu_secs);
    let one = |m: &Measure| {
        format!(r#"{{"bytes":{},"cpu_secs":{:.2},"wall_secs":{:.2}}}"#, m.bytes, m.cpu_secs, m.wall_secs)
    };
    writeln!(
        io::stdout().lock(),
        r#"{{"bench":"erofs","dir":"{}","peer":"mkfs.erofs -zlz4hc -C65536","ours":{},"theirs":{},"size_ratio":{size_ratio:.3},"cpu_ratio":{cpu_ratio:.3}}}"#,
        dir.display(),
        one(&own),
        one(&peer),
    )?;
    if size_ratio > SIZE_RATIO_MAX || cpu_ratio > CPU_RATIO_MAX {
        return Err(format!("beyond the budget: size {SIZE_RATIO_MAX}, CPU time {CPU_RATIO_MAX}").into());
    }
    Ok(())
}
