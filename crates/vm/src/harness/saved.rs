//! Machines that were booted once and saved, and their clones.
//!
//! A saved machine is a folder named by the hash of image, setup and QEMU: its disks, and `ram` with the state
//! of everything else. It is complete or absent: made under another name, renamed at the end, one maker at a
//! time. A clone has disks of its own over the saved ones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::Failure;
use super::lab::{Lab, LabError};
use super::session::Session;
use super::setup::Setup;
use crate::machine::{Disks, Lifetime, Machine};
use crate::spec::{Boot, Spec, file};

/// Saved machines kept; each takes 100 to 300 MB.
const KEPT_MAX: usize = 6;

/// Writing a few hundred MB to a busy disk.
const SAVE_TIMEOUT: Duration = Duration::from_secs(120);

const SPEC: &str = "spec.json";
const RAM: &str = "ram";

impl Lab {
    /// A clone of the machine that this setup makes; the first one boots and saves it.
    ///
    /// # Errors
    /// When it cannot be booted, saved or restored.
    pub fn clone_of(&self, setup: &Setup) -> Result<Session<'_>, Failure> {
        let key = self.key(setup);
        let saved = self.cache.join(&key);
        fs::create_dir_all(&self.cache).map_err(LabError::file("make", &self.cache))?;
        let lock_path = self.cache.join(format!("{key}.lock"));
        let lock = File::create(&lock_path).map_err(LabError::file("write", &lock_path))?;
        lock.lock().map_err(LabError::file("lock", &lock_path))?;
        if !saved.join(SPEC).exists() {
            self.save(setup, &saved)?;
            prune(&self.cache, &key);
        }
        // From here on others may clone it too, and nobody throws it away.
        lock.lock_shared().map_err(LabError::file("lock", &lock_path))?;
        Ok(self.restore(setup, &saved)?.keep_saved(lock))
    }

    fn key(&self, setup: &Setup) -> String {
        let mut hash = Sha256::new();
        for part in [
            self.image.identity(),
            self.image.folder().display().to_string(),
            setup.identity(),
            self.qemu.version.to_string(),
            self.qemu.accelerator.argument().to_owned(),
            self.qemu.accelerator.cpu().to_owned(),
            self.qemu.accelerator.kernel_args().join(" "),
            crate::spec::Spec::default().cpus.to_string(),
            format!("{:?}", env!("CARGO_PKG_VERSION")),
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }

    fn save(&self, setup: &Setup, saved: &Path) -> Result<(), Failure> {
        let partial = saved.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(LabError::file("make", &partial))?;
        let mut session = self.boot(setup)?;
        // What the boot left to be written is written once, not by each clone.
        session.sh("sync")?;
        let troubles = session.troubles()?;
        let folder = session.machine().folder().to_owned();
        session.machine().qmp()?.save(&partial.join(RAM), SAVE_TIMEOUT)?;
        session.power_cut()?;
        let spec = session.machine().record().spec.clone();
        let mut files: Vec<PathBuf> = spec.disks.iter().map(|disk| disk.path.clone()).collect();
        files.extend(spec.fw_cfg.iter().map(|item| item.file.clone()));
        files.push(file::CONSOLE_LOG.into());
        if spec.boot == Boot::Uefi {
            files.push(file::VARS.into());
        }
        for name in files {
            fs::copy(folder.join(&name), partial.join(&name)).map_err(LabError::file("copy", &name))?;
        }
        if !troubles.is_empty() {
            // A clone has a console of its own: what the boot told would be lost.
            let lines: Vec<&str> = troubles.iter().map(|trouble| trouble.line.as_str()).collect();
            return Err(format!("the machine to be saved has troubles:\n{}", lines.join("\n")).into());
        }
        fs::write(partial.join(SPEC), serde_json::to_vec_pretty(&spec)?)?;
        let _ = fs::remove_dir_all(saved);
        fs::rename(&partial, saved).map_err(LabError::file("rename", &partial))?;
        Ok(())
    }

    fn restore(&self, setup: &Setup, saved: &Path) -> Result<Session<'_>, Failure> {
        let folder =
            tempfile::tempdir().map_err(LabError::file("make a folder in", &std::env::temp_dir()))?;
        let mut spec: Spec = serde_json::from_slice(&fs::read(saved.join(SPEC))?)?;
        let disks = Disks { qemu: &self.qemu, folder: folder.path() };
        for disk in &mut spec.disks {
            let overlay = disks.overlay(&disk.serial, &saved.join(&disk.path), "qcow2", 0)?;
            disk.path = overlay.path;
        }
        for item in &mut spec.fw_cfg {
            item.file = saved.join(&item.file);
        }
        if spec.boot == Boot::Uefi {
            fs::copy(saved.join(file::VARS), folder.path().join(file::VARS))?;
        }
        spec.forwards = self.forwards(setup)?;
        let state = saved.join(RAM);
        let machine = Machine::start(&self.qemu, folder.path(), &spec, Lifetime::Owned, Some(&state))?;
        let mut session = Session::new(self, machine, folder);
        session.set_clock(SystemTime::now())?;
        Ok(session)
    }
}

/// Throws the oldest saved machines away, but never one that is in use.
fn prune(cache: &Path, newest: &str) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut saved: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            (metadata.is_dir() && entry.file_name() != newest)
                .then_some((metadata.modified().ok()?, entry.path()))
        })
        .collect();
    saved.sort();
    let surplus = (saved.len() + 1).saturating_sub(KEPT_MAX);
    for (_, folder) in saved.into_iter().take(surplus) {
        let lock_path = folder.with_extension("lock");
        let Ok(lock) = File::create(&lock_path) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_nobody_uses_go() {
        let cache = tempfile::tempdir().unwrap();
        for index in 0..KEPT_MAX + 2 {
            let folder = cache.path().join(format!("{index:02}"));
            fs::create_dir(&folder).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(index as u64 + 1);
            File::open(&folder).unwrap().set_modified(time).unwrap();
        }
        let used = File::create(cache.path().join("00.lock")).unwrap();
        used.lock_shared().unwrap();
        prune(cache.path(), "07");
        assert!(cache.path().join("00").exists(), "in use");
        assert!(!cache.path().join("01").exists(), "old");
        assert!(cache.path().join("02").exists(), "kept");
    }
}
