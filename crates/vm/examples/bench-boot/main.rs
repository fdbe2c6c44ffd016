//! A first boot of our image beside a stock Debian trixie of the same day: the same QEMU, processors and kernel words.
//!
//! `bench-boot [--rounds N] [--peer DIR]`; prints one JSON object: seconds from the start of QEMU to multi-user, medians
//! of the rounds, taken in turns, and their ratio. Ours is the dearer boot: it verifies `/usr`, provisions, grows its
//! root. The peer is made once, by `mmdebstrap` as root, in DIR (default: `peer-debian` in the cache of the SDK tree):
//! variant `important`, the cloud kernel, networkd, resolved and sshd, Debian's own initramfs.

mod peer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use vm::{Boot, Disks, ImageDir, Lifetime, Machine, Qemu, Spec};

type Failure = Box<dyn std::error::Error>;

/// What both say last; status lines are asked for.
const UP: &str = "Reached target multi-user.target";
const LIMIT: Duration = Duration::from_secs(300);
const DISK_MIB: u64 = 8192;

struct Options {
    rounds: usize,
    peer: Option<PathBuf>,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { rounds: 3, peer: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--peer" => options.peer = Some(value()?.into()),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    Ok(options)
}

/// Boots once from nothing; seconds until it is up.
fn boot(qemu: &Qemu, boot: &Boot, disk: &Path) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let disks = Disks { qemu, folder: folder.path() };
    let spec = Spec {
        boot: boot.clone(),
        disks: vec![disks.overlay("system", disk, "raw", DISK_MIB)?],
        kernel_args: vec!["systemd.show_status=1".into(), "systemd.log_color=0".into()],
        ..Spec::default()
    };
    let mut machine = Machine::start(qemu, folder.path(), &spec, Lifetime::Owned, None)?;
    let began = machine.began();
    let end = Instant::now() + LIMIT;
    while Instant::now() < end && machine.runs() {
        let said = std::fs::read(machine.console_log()).unwrap_or_default();
        if String::from_utf8_lossy(&said).contains(UP) {
            let took = began.elapsed().as_secs_f64();
            machine.kill()?;
            return Ok(took);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = std::fs::read(machine.console_log()).unwrap_or_default();
    let _ = machine.kill();
    Err(format!("it did not come up:\n{}", String::from_utf8_lossy(&said)).into())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its result, and where it is")]
fn bench() -> Result<(), Failure> {
    let options = options()?;
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
    let sdk = sdk::Sdk::open(&folder("ORLOP_SDK")?)?;
    let image = ImageDir::open(&folder("ORLOP_IMAGE_DIR")?)?;
    let qemu = Qemu::find(&sdk)?;
    let place = options.peer.unwrap_or(sdk::cache_dir()?.join("peer-debian"));
    let peer = peer::ensure(&sdk, &place)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds.max(1) {
        ours.push(boot(&qemu, &image.direct_boot(), &image.disk())?);
        theirs.push(boot(&qemu, &peer.boot, &peer.disk)?);
        eprintln!("round {round}: orlop {:.1} s, Debian {:.1} s", ours[round - 1], theirs[round - 1]);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let result = json!({
        "accelerator": qemu.accelerator, "rounds": options.rounds, "ratio": ours / theirs,
        "seconds": {"orlop": ours, "debian": theirs},
    });
    println!("{result}");
    Ok(())
}

#[expect(clippy::print_stderr, reason = "why it failed")]
fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
