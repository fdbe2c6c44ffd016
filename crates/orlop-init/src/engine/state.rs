//! What a stage leaves for the next: the config cache and the state file, both readable by root only. The state file has
//! upstream's names.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The state file.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Configs that were used: kind, source, whether another refers to it.
    pub(crate) configs: Vec<(String, String, bool)>,
    /// Directories that the mount stage made.
    pub(crate) mount_points_made: Vec<String>,
    /// Keys of LUKS volumes that the files stage will keep.
    pub(crate) keys: BTreeMap<String, Vec<u8>>,
}

impl State {
    /// Reads the file; a missing one is the state before the first stage.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let configs = value["fetchedConfigs"].as_array().into_iter().flatten().map(|config| {
            let text = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("source"), config["referenced"].as_bool().unwrap_or(false))
        });
        let keys =
            value["luksPersistKeyFiles"].as_object().into_iter().flatten().filter_map(|(name, url)| {
                let encoded = url.as_str()?.split_once("base64,")?.1;
                Some((name.clone(), STANDARD.decode(encoded).ok()?))
            });
        let made = value["notatedDirectories"].as_array().into_iter().flatten();
        let made = made.filter_map(|path| path.as_str()).map(str::to_owned);
        Ok(Self { configs: configs.collect(), mount_points_made: made.collect(), keys: keys.collect() })
    }

    /// Writes the file.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let configs: Vec<Value> = self
            .configs
            .iter()
            .map(|(kind, source, referenced)| json!({"kind": kind, "source": source, "referenced": referenced}))
            .collect();
        let keys: serde_json::Map<String, Value> = self
            .keys
            .iter()
            .map(|(name, key)| (name.clone(), json!(format!("data:;base64,{}", STANDARD.encode(key)))))
            .collect();
        let value = json!({
            "fetchedConfigs": configs,
            "luksPersistKeyFiles": keys,
            "notatedDirectories": self.mount_points_made,
        });
        replace(path, 0o600, format!("{value}\n").as_bytes())
    }

    /// Whether a config of a user was among them.
    pub(crate) fn user_config(&self) -> bool {
        self.configs.iter().any(|(kind, ..)| kind == "user")
    }
}

/// Writes a file whole, beside its place, then renames it.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let beside = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/state");
        assert!(!State::load(&path).unwrap().user_config());
        let state = State {
            configs: vec![("user".into(), "cmdline".into(), false)],
            mount_points_made: vec!["/home/a".into()],
            keys: BTreeMap::from([("v".into(), vec![0, 255, 7])]),
        };
        state.save(&path).unwrap();
        let loaded = State::load(&path).unwrap();
        assert_eq!((loaded.configs.clone(), loaded.keys.clone()), (state.configs, state.keys));
        assert_eq!(loaded.mount_points_made, state.mount_points_made);
        assert!(loaded.user_config());
        std::fs::write(&path, "{").unwrap();
        assert!(State::load(&path).is_err());
    }
}
