//! `up --check`: the page fetched and compared, the machine measured, all of it as one JSON object.

use std::time::{Duration, Instant};

use cli::{Error, Kind, Progress, ResultExt as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use vm::{ImageDir, Program};

use super::machine::Up;
use super::page::{self, Page};
use super::watch::{self, Boot, Marks, Phase};

/// From services up to the page on an idle machine, the image's download included.
const PAGE_IDLE: Duration = Duration::from_secs(45);

/// What `--check` prints. Names are stable: scripts and the budgets page read them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    name: String,
    accelerator: vm::Accelerator,
    boot_by: &'static str,
    memory_mib: u32,
    /// Seconds by the workstation's clock, and the machine's phases.
    phases: Vec<Phase>,
    /// Seconds from power to each mark.
    boot: Marks,
    image_bytes: ImageBytes,
    /// RAM in use with services and the config's containers running.
    idle_ram_used_mib: Option<f64>,
    page: Option<PageReport>,
    /// Units that failed.
    failed_units: Vec<String>,
    /// From the command's start to the page; nothing for a config without pods.
    answered_seconds: Option<f64>,
    stopped_cleanly: bool,
    /// From the command's start to its end.
    seconds: f64,
}

/// Sizes of the image's files; none for one that is not there.
#[derive(Debug, Serialize)]
struct ImageBytes {
    usr_erofs: Option<u64>,
    initramfs: Option<u64>,
    kernel: Option<u64>,
    uki: Option<u64>,
    disk_qcow2: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PageReport {
    url: String,
    status: u16,
    bytes: usize,
    sha256: String,
    /// Status 200, and equal to what was expected if something was.
    right: bool,
}

pub(super) fn run(
    up: &mut Up,
    image: &ImageDir,
    boot: &Boot,
    expected: Option<&[u8]>,
    (began, ready_secs): (Instant, f64),
    progress: &mut Progress,
) -> Result<Report, Error> {
    let record = up.machine.record().clone();
    let mut phases = vec![Phase { name: "prepare".into(), seconds: rounded(ready_secs) }];
    phases.extend(boot.phases.iter().cloned());
    let waited = Instant::now();
    let page = match record.addresses.first() {
        Some(url) if up.pods || expected.is_some() => Some(fetch(up, url, expected, progress)?),
        _ => None,
    };
    phases.push(Phase { name: "page".into(), seconds: rounded(waited.elapsed().as_secs_f64()) });
    let answered_seconds = page.is_some().then(|| rounded(began.elapsed().as_secs_f64()));
    let (idle_ram_used_mib, failed_units) = measure(up)?;
    let direct = matches!(record.spec.boot, vm::Boot::Direct { .. });
    Ok(Report {
        name: record.name,
        accelerator: record.accelerator,
        boot_by: if direct { "direct" } else { "uefi" },
        memory_mib: record.spec.memory_mib,
        phases,
        boot: boot.marks.clone(),
        image_bytes: image_bytes(image),
        idle_ram_used_mib,
        page,
        failed_units,
        answered_seconds,
        stopped_cleanly: false,
        seconds: 0.0,
    })
}

impl Report {
    /// Adds what is known at the end.
    pub(super) fn finish(&mut self, began: Instant, stopped_cleanly: bool) {
        self.stopped_cleanly = stopped_cleanly;
        self.seconds = rounded(began.elapsed().as_secs_f64());
    }

    /// Whether the page was right; a config without pods has none. Failed units are told, and judged by tests.
    pub(super) fn right(&self) -> bool {
        self.page.as_ref().is_none_or(|page| page.right)
    }
}

fn fetch(up: &Up, url: &str, expected: Option<&[u8]>, progress: &mut Progress) -> Result<PageReport, Error> {
    let limit = PAGE_IDLE * up.machine.record().accelerator.patience();
    progress.start("page");
    let Page { status, body } =
        page::wait(url, limit, &mut |text| progress.update(text)).map_err(|error| {
            let context = error.context(format!("{url} does not answer"));
            Error::new(Kind::System, context).details(watch::explain(&up.machine))
        })?;
    progress.done();
    let right = status == 200 && expected.is_none_or(|expected| expected == body);
    if !right {
        progress
            .line(&format!("{url} answered with status {status} and {} bytes, not as expected", body.len()));
    }
    let sha256 = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(PageReport { url: url.to_owned(), status, bytes: body.len(), sha256, right })
}

/// RAM in use and failed units, from the machine itself.
fn measure(up: &Up) -> Result<(Option<f64>, Vec<String>), Error> {
    let patience = up.machine.record().accelerator.patience();
    let mut agent = up.machine.agent(Duration::from_secs(20) * patience).kind(Kind::System)?;
    let meminfo = agent.read("/proc/meminfo").kind(Kind::System)?;
    let listing = Program::new(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]);
    let failed = agent.exec(&listing).kind(Kind::System)?.stdout();
    let names =
        failed.lines().filter_map(|line| line.split_ascii_whitespace().next()).map(Into::into).collect();
    Ok((ram_used_mib(&String::from_utf8_lossy(&meminfo)), names))
}

/// RAM that processes and the kernel hold and would not give back, in MiB: all that is neither free nor cache
/// (proc_meminfo(5)). `MemAvailable` will not do: it also leaves out the kernel's reserve, which nobody uses.
fn ram_used_mib(meminfo: &str) -> Option<f64> {
    let kib = |key: &str| -> Option<f64> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse().ok()
    };
    // Shared memory counts as cache there, but nobody can drop it.
    let cache = kib("Buffers")? + kib("Cached")? + kib("SReclaimable")? - kib("Shmem")?;
    Some(((kib("MemTotal")? - kib("MemFree")? - cache) / 1024.0 * 10.0).round() / 10.0)
}

fn image_bytes(image: &ImageDir) -> ImageBytes {
    let size = |name: &str| std::fs::metadata(image.folder().join(name)).ok().map(|metadata| metadata.len());
    ImageBytes {
        usr_erofs: size("usr.erofs"),
        initramfs: size("initramfs.cpio.zst"),
        kernel: size("vmlinuz"),
        uki: size("uki.efi"),
        disk_qcow2: size("disk.qcow2"),
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_in_use_is_neither_free_nor_cache() {
        let text = "MemTotal:  204800 kB\nMemFree: 102400 kB\nMemAvailable: 81920 kB\nBuffers: 1024 kB\n\
                    Cached: 20480 kB\nSwapCached: 0 kB\nShmem: 2048 kB\nSReclaimable: 1024 kB\n";
        assert_eq!(ram_used_mib(text), Some(80.0));
        assert_eq!(ram_used_mib("MemTotal: 1 kB\n"), None);
    }
}
