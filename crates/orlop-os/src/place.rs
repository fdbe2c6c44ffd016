//! Where images, tools and machines are, and which machine is meant.

use std::path::{Path, PathBuf};

use cli::{Error, Kind, ResultExt as _};
use sdk::Sdk;
use vm::machine::{Machine, MachineError};
use vm::state::{self, StateError};
use vm::{ImageDir, Qemu};

/// Where `orlop build` puts an image unless told otherwise.
pub(crate) const IMAGE_DIR: &str = "target/orlop/image";

/// The image directory: the option, else `ORLOP_IMAGE_DIR` (clap reads it), else [`IMAGE_DIR`].
pub(crate) fn image(option: Option<&Path>) -> Result<ImageDir, Error> {
    ImageDir::open(option.unwrap_or(Path::new(IMAGE_DIR)))
        .map_err(|error| Error::new(Kind::NotFound, error).hint("build one with `orlop build`"))
}

/// The tools: `ORLOP_SDK` where a caller has made the tree, else the cache's, made when missing.
pub(crate) fn sdk(say: &mut dyn FnMut(&str)) -> Result<Sdk, Error> {
    if let Some(path) = std::env::var_os("ORLOP_SDK").filter(|path| !path.is_empty()) {
        return Sdk::open(Path::new(&path)).kind(Kind::System);
    }
    let cache = sdk::cache_dir().kind(Kind::System)?;
    sdk::ensure(&cache, &mut |event| match event {
        sdk::Event::Waiting => say("waiting for another process that makes the SDK tree"),
        sdk::Event::Started { packages, .. } => say(&format!("making the SDK tree: {packages} packages")),
        sdk::Event::Step(step) => say(&step),
        sdk::Event::Done { .. } => {}
    })
    .kind(Kind::System)
}

/// QEMU from the tools.
pub(crate) fn qemu(sdk: &Sdk) -> Result<Qemu, Error> {
    Qemu::find(sdk).map_err(|error| {
        let kind = match error {
            vm::qemu::QemuError::TooOld { .. } => Kind::Unsupported,
            _ => Kind::System,
        };
        Error::new(kind, error)
    })
}

/// The folder of all machines.
pub(crate) fn machines() -> Result<PathBuf, Error> {
    state::machines_folder(|name| std::env::var(name).ok()).kind(Kind::System)
}

/// The machine that is meant: by name, or the only one that runs.
pub(crate) fn machine(name: Option<&str>) -> Result<Machine, Error> {
    let machines = machines()?;
    let records = state::list(&machines).kind(Kind::System)?;
    let running: Vec<&str> =
        records.iter().filter(|record| record.process.runs()).map(|record| record.name.as_str()).collect();
    let name = match (name, running.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, []) => {
            return Err(Error::message(Kind::NotFound, "no machine runs").hint("start one with `orlop up`"));
        }
        (None, several) => {
            let names = several.join(", ");
            return Err(
                Error::message(Kind::Usage, format!("several machines run: {names}")).hint("name one")
            );
        }
    };
    Machine::open(&machines, name).map_err(|error| match &error {
        MachineError::State(StateError::NotFound { .. }) => {
            let known: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
            Error::new(Kind::NotFound, error).hint(format!("known machines: {}", known.join(", ")))
        }
        MachineError::State(StateError::Name { .. }) => Error::new(Kind::Usage, error),
        _ => Error::new(Kind::System, error),
    })
}

/// The same, but it must run.
pub(crate) fn running_machine(name: Option<&str>) -> Result<Machine, Error> {
    let machine = machine(name)?;
    if machine.runs() {
        return Ok(machine);
    }
    let name = machine.record().name.clone();
    Err(Error::new(Kind::NotFound, MachineError::Stopped { name }).hint("start it again with `orlop up`"))
}
