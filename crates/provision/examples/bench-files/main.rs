//! The files stage of 5,000 tiny files, beside Debian's `ignition`: wall time and peak memory, each in a process of its
//! own, in turn, over fresh trees.
//!
//! `bench-files [--ignition PROGRAM] [--runs N] [--files N]`. The peer is unpacked, not installed, since its dracut
//! module would join the initramfs: `apt-get download ignition && dpkg-deb -x ignition_*.deb DIR`; the program is
//! `DIR/usr/lib/dracut/modules.d/30ignition/ignition`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use provision::execute::Options;
use provision::fetch::resource::Net;
use provision::net::SystemClock;
use provision::net::http::Client;
use provision::{Durability, Env, FinalConfig, Root, SystemPrograms};

/// The goals (docs/explanation/budgets.md).
const WALL_MAX: f64 = 0.4;
const MEMORY_MAX: f64 = 1.0;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Figures {
    wall: Duration,
    peak_kib: u64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, root, config] = &args[..]
        && word == "stage"
    {
        return stage(Path::new(root), Path::new(config));
    }
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number =
        |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (runs, files) = (number("--runs", 5), number("--files", 5000));
    let peer =
        value("--ignition").map(PathBuf::from).or_else(|| std::env::var_os("ORLOP_IGNITION").map(Into::into));
    let own = std::env::current_exe()?;
    let work = tempfile::tempdir()?;
    let config = work.path().join("config.ign");
    std::fs::write(&config, text(files))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let root = tree(work.path(), &format!("ours-{run}"))?;
        let mut command = Command::new(&own);
        ours.push(measure(command.arg("stage").arg(&root).arg(&config))?);
        check(&root, files)?;
        std::fs::remove_dir_all(&root)?;
        if let Some(peer) = &peer {
            let root = tree(work.path(), &format!("theirs-{run}"))?;
            let cache = work.path().join("cache.json");
            std::fs::copy(&config, &cache)?;
            let mut command = Command::new(peer);
            command.args(["-platform", "file", "-stage", "files", "-log-to-stdout", "-root"]).arg(&root);
            command.arg("-config-cache").arg(&cache).current_dir(work.path());
            theirs.push(measure(&mut command)?);
            check(&root, files)?;
            std::fs::remove_dir_all(&root)?;
        }
    }
    let mine = tell("orlop", &ours);
    if theirs.is_empty() {
        println!("SKIP the peer: name Debian's ignition with --ignition PROGRAM or ORLOP_IGNITION");
        return Ok(());
    }
    let peers = tell("ignition", &theirs);
    let wall = mine.wall.as_secs_f64() / peers.wall.as_secs_f64();
    let memory = mine.peak_kib as f64 / peers.peak_kib as f64;
    println!("ratio     wall {wall:.2} (goal {WALL_MAX}), peak memory {memory:.2} (goal {MEMORY_MAX})");
    if wall > WALL_MAX || memory > MEMORY_MAX {
        return Err("the goal is missed".into());
    }
    Ok(())
}

/// The child: reads the merged config and runs the files stage.
fn stage(root: &Path, config: &Path) -> Result<()> {
    let parsed = ignition_spec::parse(&std::fs::read(config)?).map_err(|report| report.to_string())?;
    let clock = SystemClock::new();
    let programs = SystemPrograms::default();
    let mut bring_up = |_: &str| Err("no network here".to_owned());
    let mut env = Env {
        root: Root::open(root, Durability::AtEnd)?,
        devices: block::devices::Devices::default(),
        programs: &programs,
        net: Net::new(Client::default(), &clock, &mut bring_up),
        device_timeout: Duration::ZERO,
        boot_id: "bench".into(),
        options: Options::default(),
        keys: std::collections::BTreeMap::new(),
        mount_points_made: Vec::new(),
    };
    provision::provision(&FinalConfig::of(parsed.config), &mut env, &mut |_| {})?;
    Ok(())
}

fn text(files: usize) -> String {
    let entries: Vec<String> = (0..files)
        .map(|n| {
            format!(
                r#"{{"path":"/etc/bench/{}/file-{n}","mode":420,"contents":{{"source":"data:,content%20of%20file%20{n}%0A"}}}}"#,
                n % 50
            )
        })
        .collect();
    format!(r#"{{"ignition":{{"version":"3.3.0"}},"storage":{{"files":[{}]}}}}"#, entries.join(","))
}

fn tree(work: &Path, name: &str) -> Result<PathBuf> {
    let root = work.join(name);
    std::fs::create_dir_all(root.join("etc"))?;
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    std::fs::write(root.join("etc/group"), "root:x:0:\n")?;
    Ok(root)
}

fn check(root: &Path, files: usize) -> Result<()> {
    let last = files - 1;
    let found = std::fs::read_to_string(root.join(format!("etc/bench/{}/file-{last}", last % 50)))?;
    if found == format!("content of file {last}\n") { Ok(()) } else { Err("the last file is wrong".into()) }
}

/// Runs a program to its end; its peak memory is the kernel's high-water mark, read until it is gone.
fn measure(command: &mut Command) -> Result<Figures> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status_path = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let status = loop {
        let status = std::fs::read_to_string(&status_path).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        peak_kib = peak_kib.max(mark.unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if !status.success() {
        return Err(format!("{command:?} failed: {status}").into());
    }
    Ok(Figures { wall: started.elapsed(), peak_kib })
}

/// Prints the median of the runs.
fn tell(name: &str, runs: &[Figures]) -> Figures {
    let mut walls: Vec<Duration> = runs.iter().map(|run| run.wall).collect();
    let mut peaks: Vec<u64> = runs.iter().map(|run| run.peak_kib).collect();
    walls.sort();
    peaks.sort_unstable();
    let (wall, peak_kib) = (walls[walls.len() / 2], peaks[peaks.len() / 2]);
    println!("{name:9} {:.3} s, {peak_kib} KiB (median of {})", wall.as_secs_f64(), runs.len());
    Figures { wall, peak_kib }
}
