//! The quickest speed: one program on the image's kernel, with nothing of the image around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Failure;
use super::lab::{Lab, LabError};
use crate::console::{Event, Parser, Trouble, follow::POLL};
use crate::initramfs::{Contents, EXIT_LINE};
use crate::machine::{Disks, Lifetime, Machine};
use crate::spec::{Boot, Fault, Spec};

/// A program to be run straight from an initramfs.
#[derive(Debug, Clone)]
pub struct Bare {
    /// What goes into the initramfs.
    pub contents: Contents,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Empty disks of so many MiB: `/dev/vda` …
    pub disks_mib: Vec<u64>,
    /// Faults of the last disk.
    pub faults: Vec<Fault>,
    /// How long it takes on an idle machine.
    pub idle: Duration,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct BareOutcome {
    /// The program's exit code; 128 and the signal's number if one killed it.
    pub code: i32,
    /// Everything on the console, the program's output among it.
    pub console: String,
    /// Faults on the console.
    pub troubles: Vec<Trouble>,
    /// From power to the end.
    pub seconds: f64,
}

impl Bare {
    /// A program with its arguments, with `init` to start it.
    #[must_use]
    pub fn new(init: &Path, program: &Path, arguments: &[&str]) -> Self {
        let contents = Contents {
            init: init.to_owned(),
            program: program.to_owned(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            ..Contents::default()
        };
        Self {
            contents,
            memory_mib: 256,
            disks_mib: Vec::new(),
            faults: Vec::new(),
            idle: Duration::from_secs(15),
        }
    }

    /// Adds kernel modules by name, in load order, from a folder with their files.
    ///
    /// # Errors
    /// When the folder has no such module.
    pub fn modules(mut self, folder: &Path, names: &[&str]) -> Result<Self, Failure> {
        let files = module_files(folder)?;
        for name in names {
            let wanted = name.replace('-', "_");
            let stem = |path: &Path| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some(name.strip_suffix(".ko")?.replace('-', "_"))
            };
            let file = files.iter().find(|path| stem(path).as_ref() == Some(&wanted));
            let file = file.ok_or_else(|| format!("no module {name} in {}", folder.display()))?;
            self.contents.modules.push(file.clone());
        }
        Ok(self)
    }
}

fn module_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(LabError::file("list", &folder))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

impl Lab {
    /// Runs a program straight from an initramfs.
    ///
    /// # Errors
    /// When the kernel does not come up, or the program does not end in time.
    pub fn run_bare(&self, bare: &Bare) -> Result<BareOutcome, Failure> {
        let folder =
            tempfile::tempdir().map_err(LabError::file("make a folder in", &std::env::temp_dir()))?;
        let initramfs = folder.path().join("initramfs.cpio");
        fs::write(&initramfs, bare.contents.build()?).map_err(LabError::file("write", &initramfs))?;
        let disks = Disks { qemu: &self.qemu, folder: folder.path() };
        let mut spec = Spec {
            memory_mib: bare.memory_mib,
            boot: Boot::Direct {
                kernel: self.image.kernel(),
                initramfs,
                cmdline: "console=ttyS0 quiet panic=-1".into(),
            },
            network: false,
            ..Spec::default()
        };
        for (index, size_mib) in bare.disks_mib.iter().enumerate() {
            spec.disks.push(disks.empty(&format!("disk{index}"), *size_mib)?);
        }
        if let Some(last) = spec.disks.last_mut() {
            last.faults.clone_from(&bare.faults);
        }
        let machine = Machine::start(&self.qemu, folder.path(), &spec, Lifetime::Owned, None)?;
        self.wait_bare(machine, bare.idle)
    }

    fn wait_bare(&self, mut machine: Machine, idle: Duration) -> Result<BareOutcome, Failure> {
        let limit = idle * self.patience();
        let began = Instant::now();
        let ended = loop {
            if !machine.runs() {
                break true;
            }
            if began.elapsed() >= limit {
                break false;
            }
            std::thread::sleep(POLL);
        };
        let seconds = began.elapsed().as_secs_f64();
        let bytes = fs::read(machine.console_log()).unwrap_or_default();
        machine.kill()?;
        let console = String::from_utf8_lossy(&bytes).into_owned();
        let Some(code) = exit_code(&console) else {
            let why = if ended { "ended without an exit code" } else { "did not end in time" };
            return Err(format!("the program {why} after {seconds:.0} s\n{console}").into());
        };
        let troubles = Parser::default()
            .push(&bytes)
            .into_iter()
            .filter_map(|event| if let Event::Trouble(trouble) = event { Some(trouble) } else { None })
            .collect();
        Ok(BareOutcome { code, console, troubles, seconds })
    }
}

fn exit_code(console: &str) -> Option<i32> {
    let rest = &console[console.rfind(EXIT_LINE)? + EXIT_LINE.len()..];
    rest.split(['\r', '\n']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_exit_line_counts() {
        assert_eq!(
            exit_code("orlop-test: exit 1\r\nx\r\norlop-test: exit 0\r\n[  3.1] reboot: Power down\r\n"),
            Some(0)
        );
        assert_eq!(exit_code("nothing"), None);
        assert_eq!(exit_code("orlop-test: exit \r\n"), None);
    }
}
