//! VirtualBox: a guest property, removed when the machine has it.

use super::{Deleted, Env, NOTHING, Needs, PlatformError, Provider, UserData};

const CONFIG: &str = "/Ignition/Config";
/// Reserved by upstream; set to anything, the config is not plain and is refused.
const ENCODING: &str = "/Ignition/Config/Encoding";

#[derive(Debug)]
pub(super) struct VirtualBox;

fn open(env: &Env<'_, '_, '_>) -> Result<linux::vbox::Properties, PlatformError> {
    let path = env.machine.devices.dev.join("vboxguest");
    linux::vbox::Properties::open(&path).map_err(|source| PlatformError::Read { path, source })
}

fn answer(error: &std::io::Error) -> PlatformError {
    PlatformError::Answer { from: "VirtualBox's guest properties".into(), what: error.to_string() }
}

impl Provider for VirtualBox {
    fn name(&self) -> &'static str {
        "virtualbox"
    }

    fn needs(&self) -> Needs {
        Needs { modules: &["vboxguest"], ..NOTHING }
    }

    fn source(&self) -> String {
        format!("guest property {CONFIG} (deleted afterwards)")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let properties = open(env)?;
        let get = |name| properties.get(name).map_err(|error| answer(&error));
        if let Some(encoding) = get(ENCODING)?.filter(|encoding| !encoding.is_empty()) {
            let what =
                format!("{ENCODING} is {:?}, and no encoding is known", String::from_utf8_lossy(&encoding));
            return Err(PlatformError::Answer { from: "VirtualBox's guest properties".into(), what });
        }
        match get(CONFIG)? {
            Some(bytes) => env.user_data(format!("guest property {CONFIG}"), bytes),
            None => Ok(None),
        }
    }

    fn delete(&self, env: &mut Env<'_, '_, '_>) -> Result<Deleted, PlatformError> {
        let properties = open(env)?;
        let mut deleted = Deleted::Nothing;
        for name in [ENCODING, CONFIG] {
            if properties.get(name).map_err(|error| answer(&error))?.is_some() {
                properties.delete(name).map_err(|error| answer(&error))?;
                deleted = Deleted::Yes;
            }
        }
        Ok(deleted)
    }
}
