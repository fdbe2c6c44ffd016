//! What the planner of day 2 looks at: what the new config is about, and everything that was declared before.

use block::devices::Devices;
use ignition_spec::Config;

use super::declaration::Declaration;
use crate::execute::Programs;
use crate::observe::{ObserveError, Observed, more, texts, vendor};
use crate::plan::volumes;
use crate::root::Root;

/// Looks at the machine as far as `config` and what was declared before are about it.
///
/// # Errors
/// [`ObserveError`] when something exists and cannot be looked at.
pub fn observe(
    config: &Config,
    old: Option<&Declaration>,
    root: &Root,
    devices: &Devices,
    programs: &dyn Programs,
) -> Result<Observed, ObserveError> {
    let mut observed = crate::observe::observe(config, root, devices, programs)?;
    further(config, old, root, &mut observed)?;
    Ok(observed)
}

/// Adds to an observation what a change of a declaration needs.
///
/// # Errors
/// As of [`observe()`].
pub fn further(
    config: &Config,
    old: Option<&Declaration>,
    root: &Root,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let storage = &config.storage;
    let of_config = storage.directories.iter().map(|node| node.path.as_str());
    let of_config = of_config.chain(storage.files.iter().map(|node| node.path.as_str()));
    more(of_config.chain(storage.links.iter().map(|node| node.path.as_str())), root, observed)?;
    let mut saved = Vec::new();
    if let Some(old) = old {
        more(old.nodes.keys().map(String::as_str), root, observed)?;
        saved.extend(old.nodes.iter().filter_map(|(path, managed)| managed.before.content(path)));
        // Files that got another name: a change of the one must not change the other.
        let links = old.config().map(|config| config.storage.links).unwrap_or_default();
        let hard = links.iter().filter(|link| link.hard == Some(true));
        more(hard.filter_map(|link| link.target.as_deref()), root, observed)?;
        if old.config().is_ok_and(|config| !config.storage.luks.is_empty()) {
            more([volumes::CRYPTTAB, volumes::KEY_DIR], root, observed)?;
        }
        // The homes of users, for their keys.
        let homes: Vec<String> = observed.users.values().map(|user| user.home.clone()).collect();
        more(homes.iter().map(String::as_str), root, observed)?;
        let names = old.nodes.keys().filter_map(|path| path.strip_prefix("/etc/systemd/system/"));
        vendor(names.map(|name| name.split_once(".d/").map_or(name, |(unit, _)| unit)), root, observed)?;
    }
    texts(saved.iter().map(String::as_str), root, observed)
}
