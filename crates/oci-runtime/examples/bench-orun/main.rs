//! `orun` beside Debian's crun: the same bundle, the same cgroup layout, turns taken, a gap between runs.
//!
//! `bench [--runs N] [--orun PATH] [--peer PATH] [--layout a|b]`; prints one JSON object. Layouts are made in a mount
//! namespace of its own: `a` (the default, which every crun accepts) hides the controllers of a hybrid machine's v2
//! tree, `b` mounts cgroup v2 alone. On a machine with cgroup v2 alone nothing is changed.
//!
//! Back to back, a run also pays for the teardown of the one before it, hence the gap (reference: 60 ms).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Long enough for a dead container's namespaces and cgroup to be gone.
const GAP: Duration = Duration::from_millis(60);

struct Options {
    runs: usize,
    orun: Option<PathBuf>,
    peer: PathBuf,
    layout: String,
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 60, orun: None, peer: "crun".into(), layout: "a".into() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--runs" => options.runs = value()?.parse().map_err(|e| format!("--runs: {e}"))?,
            "--orun" => options.orun = Some(value()?.into()),
            "--peer" => options.peer = value()?.into(),
            "--layout" => options.layout = value()?,
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(options)
}

/// Builds `orun` as it is in the image.
fn build() -> Result<PathBuf, String> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--profile", "os", "--target", TARGET, "--package", "orun"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("building orun failed".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    Path::new(&target).join(TARGET).join("os/orun").canonicalize().map_err(|e| format!("orun: {e}"))
}

fn shell(script: &str) -> Result<(), String> {
    let done = Command::new("sh").args(["-ec", script]).status().map_err(|e| e.to_string())?;
    if done.success() { Ok(()) } else { Err(format!("failed: {script}")) }
}

/// Makes the layout in a mount namespace of this process's own.
fn arrange(layout: &str) -> Result<(), String> {
    linux::clone::unshare(linux::clone::Namespaces::MOUNT)
        .map_err(|e| format!("unshare (root is needed): {e}"))?;
    shell("mount --make-rprivate /")?;
    if !Path::new("/sys/fs/cgroup/unified").exists() {
        return Ok(());
    }
    match layout {
        "a" => shell("mount --bind /dev/null /sys/fs/cgroup/unified/cgroup.controllers"),
        "b" => shell("umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        other => Err(format!("no layout {other}")),
    }
}

/// A bundle that every runtime accepts in every layout.
fn bundle(dir: &Path) -> Result<(), String> {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
    let busybox = busybox.ok_or("no busybox (Debian package busybox-static)")?;
    let bin = dir.join("rootfs/bin");
    fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
    fs::copy(busybox, bin.join("busybox")).map_err(|e| e.to_string())?;
    std::os::unix::fs::symlink("busybox", bin.join("true")).map_err(|e| e.to_string())?;
    let mut config = oci_runtime::template::config();
    config["ociVersion"] = "1.0.2".into();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/true"]);
    config["root"]["readonly"] = false.into();
    config["linux"]["namespaces"] =
        json!([{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]);
    fs::write(dir.join("config.json"), config.to_string()).map_err(|e| e.to_string())
}

/// Wall and CPU time of one sequence of commands.
fn once(runtime: &Path, dir: &Path, sequence: &[&[&str]]) -> Result<(Duration, Duration), String> {
    let (cpu, wall) = (linux::usage::children_cpu(), Instant::now());
    for words in sequence {
        let done = Command::new(runtime)
            .args(["--root", "state"])
            .args(*words)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|e| format!("{}: {e}", runtime.display()))?;
        if !done.success() {
            return Err(format!("{} {words:?}: {done}", runtime.display()));
        }
    }
    Ok((wall.elapsed(), linux::usage::children_cpu() - cpu))
}

fn milliseconds(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |percent: usize| (times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e5).round() / 100.0;
    json!({"min": at(0), "median": at(50), "p95": at(95)})
}

fn compare(options: &Options, orun: &Path, dir: &Path, sequence: &[&[&str]]) -> Result<Value, String> {
    let programs = [("orun", orun), ("peer", options.peer.as_path())];
    let mut samples = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for round in 0..=options.runs {
        for turn in 0..programs.len() {
            // Turns change places, so that neither always follows the other.
            let which = (turn + round) % programs.len();
            std::thread::sleep(GAP);
            let (wall, cpu) = once(programs[which].1, dir, sequence)?;
            // The first round only warms the caches.
            if round > 0 {
                samples[which].0.push(wall);
                samples[which].1.push(cpu);
            }
        }
    }
    let mut result = json!({});
    for ((name, _), (wall, cpu)) in programs.iter().zip(samples) {
        result[*name] = json!({"wall_ms": milliseconds(wall), "cpu_ms": milliseconds(cpu)});
    }
    for kind in ["wall", "cpu"] {
        let median = |name: &str| result[name][format!("{kind}_ms")]["median"].as_f64().unwrap_or(0.0);
        result["ratio"][kind] = ((median("orun") / median("peer") * 1000.0).round() / 1000.0).into();
    }
    Ok(result)
}

fn bench() -> Result<Value, String> {
    let options = options()?;
    let orun = match &options.orun {
        Some(path) => path.clone(),
        None => build()?,
    };
    arrange(&options.layout)?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    bundle(dir.path())?;
    let version = Command::new(&options.peer).arg("--version").output().map_err(|e| format!("crun: {e}"))?;
    let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default().to_owned();
    Ok(json!({
        "bench": "orun",
        "peer": version,
        "layout": options.layout,
        "runs": options.runs,
        "orun_bytes": fs::metadata(&orun).map_or(0, |m| m.len()),
        "run": compare(&options, &orun, dir.path(), &[&["run", "box"]])?,
        "create_start_delete": compare(
            &options,
            &orun,
            dir.path(),
            &[&["create", "box"], &["start", "box"], &["delete", "--force", "box"]],
        )?,
    }))
}

fn main() -> ExitCode {
    match bench() {
        Ok(result) => {
            let _ = writeln!(std::io::stdout(), "{result:#}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            let _ = writeln!(std::io::stderr(), "bench: {text}");
            ExitCode::FAILURE
        }
    }
}
