//! The machine that an offline plan is for: one that was written down, an image, or an empty one.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::{fs, io};

use block::devices::Devices;
use cli::{Error, Kind};
use ignition_spec::Config;
use provision::day2::{Declaration, observe};
use provision::execute::{ProgramError, Programs};
use provision::observe::state::State;
use provision::observe::{Device, PROGRAMS};
use provision::skeleton::{DIRECTORIES, LINKS};
use provision::{Durability, Observed, Root};

/// Size of the blank disk that is assumed where none is known.
const ASSUMED_GIB: u64 = 64;

/// What a plan starts from.
pub(super) struct Machine {
    pub(super) observed: Observed,
    pub(super) declared: Option<Declaration>,
    /// What was assumed.
    pub(super) notes: Vec<String>,
}

/// Programs of a tree by name: nothing is run.
#[derive(Debug)]
struct Present(Option<PathBuf>);

impl Programs for Present {
    fn has(&self, program: &str) -> bool {
        self.0.as_ref().is_none_or(|tree| {
            ["usr/sbin", "usr/bin"].iter().any(|dir| tree.join(dir).join(program).exists())
        })
    }

    fn run(&self, program: &str, _: &[String]) -> Result<(), ProgramError> {
        Err(ProgramError::Missing { program: program.to_owned() })
    }
}

/// Looks at what the command line names.
pub(super) fn look(
    image: Option<&Path>,
    state: Option<&Path>,
    configs: &[&Config],
) -> Result<Machine, Error> {
    if let Some(path) = state {
        let failed = |error: anyhow::Error| {
            Error::new(Kind::Config, error.context(format!("cannot use {}", path.display())))
        };
        let bytes = fs::read(path).map_err(|error| failed(error.into()))?;
        let State { observed, declared, .. } = State::parse(&bytes).map_err(|error| failed(error.into()))?;
        return Ok(Machine { observed, declared, notes: Vec::new() });
    }
    let system = |error: anyhow::Error| Error::new(Kind::System, error);
    let mut notes = Vec::new();
    let fresh = tempfile::tempdir().map_err(|error| system(error.into()))?;
    let tree = match image {
        Some(tree) if tree.join("etc").is_dir() => tree,
        _ => {
            furnish(image, fresh.path()).map_err(|error| {
                let shown = image.map_or("a temporary folder".into(), |image| image.display().to_string());
                system(anyhow::Error::new(error).context(format!("cannot read {shown}")))
            })?;
            if image.is_none() {
                notes.push("no --image and no --state: an empty machine without any unit is assumed".into());
            }
            fresh.path()
        }
    };
    let root = Root::open(tree, Durability::AtEnd).map_err(|error| system(error.into()))?;
    let nowhere = Devices { dev: tree.join("nonexistent"), sys: tree.join("nonexistent") };
    let programs = Present(image.map(Path::to_owned));
    let mut observed = Observed::default();
    for config in configs {
        // Only the tree is looked at: this computer's disks are not the machine's.
        let mut of_tree = (*config).clone();
        of_tree.storage.disks.clear();
        for fs in &mut of_tree.storage.filesystems {
            fs.device = String::new();
        }
        let found = observe::observe(&of_tree, None, &root, &nowhere, &programs);
        observed.merge(found.map_err(|error| system(error.into()))?);
        assume_disks(config, &mut observed, &mut notes);
    }
    if image.is_none() {
        observed.programs = PROGRAMS.iter().map(|name| (*name).to_owned()).collect();
    }
    own_to_root(&mut observed);
    Ok(Machine { observed, declared: None, notes })
}

/// Makes what a first boot finds: the image's `/usr/etc` as `/etc`, its units, the links at the top.
fn furnish(image: Option<&Path>, to: &Path) -> io::Result<()> {
    for (dir, mode) in DIRECTORIES {
        fs::create_dir_all(to.join(dir))?;
        fs::set_permissions(to.join(dir), fs::Permissions::from_mode(mode))?;
    }
    for (name, target) in LINKS {
        fs::create_dir_all(to.join(target))?;
        symlink(target, to.join(name))?;
    }
    let Some(image) = image else { return Ok(()) };
    for (from, place) in
        [("usr/etc", "etc"), ("usr/etc", "usr/etc"), ("usr/lib/systemd/system", "usr/lib/systemd/system")]
    {
        copy(&image.join(from), &to.join(place))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &place)?;
            fs::set_permissions(&place, entry.metadata()?.permissions())?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &place)?;
        } else if kind.is_file() {
            fs::copy(&source, &place)?;
        }
    }
    Ok(())
}

/// Each disk that the config names and nobody knows is taken for a blank one.
fn assume_disks(config: &Config, observed: &mut Observed, notes: &mut Vec<String>) {
    let disks = config.storage.disks.iter().map(|disk| &disk.device);
    for name in disks.chain(config.storage.filesystems.iter().map(|fs| &fs.device)) {
        let made = config.storage.disks.iter().any(|disk| {
            name.starts_with(disk.device.as_str()) && *name != disk.device || name.contains("/by-partlabel/")
        });
        if made || name.is_empty() || observed.devices.contains_key(name) {
            continue;
        }
        notes.push(format!("{name} is assumed to be blank, of {ASSUMED_GIB} GiB; --state has the real one"));
        let device = Device {
            node: name.clone(),
            size_bytes: ASSUMED_GIB << 30,
            sector_bytes: 512,
            ..Device::default()
        };
        observed.devices.insert(name.clone(), device);
    }
}

/// Who unpacks an image without being root owns its files; on the machine root does.
fn own_to_root(observed: &mut Observed) {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    for node in observed.nodes.values_mut().chain(observed.defaults.values_mut()) {
        if node.uid == uid {
            node.uid = 0;
        }
        if node.gid == gid {
            node.gid = 0;
        }
    }
}
