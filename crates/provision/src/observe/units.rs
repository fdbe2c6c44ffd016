//! Unit files and the links that enable them.

use ignition_spec::Config;
use rustix::fs::FileType;

use super::{ObserveError, Observed, UnitFile, more};
use crate::plan::install::{Install, template_of};
use crate::plan::units::{PRESET_PATH, UNIT_DIR};
use crate::root::Root;

/// Where systemd looks for unit files, highest first (systemd.unit(5), system unit search path).
const UNIT_PATH: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

pub(super) fn observe(config: &Config, root: &Root, observed: &mut Observed) -> Result<(), ObserveError> {
    let units = &config.systemd.units;
    if units.is_empty() {
        return Ok(());
    }
    let mut wanted: Vec<String> = Vec::new();
    for unit in units.iter().filter(|unit| unit.enabled.is_some()) {
        wanted.push(unit.name.clone());
        wanted.extend(unit.contents.iter().flat_map(|text| Install::parse(text).also));
    }
    while let Some(name) = wanted.pop() {
        if observed.units.contains_key(&name) {
            continue;
        }
        if let Some(file) = find(&name, &UNIT_PATH[1..], root)? {
            observed.vendor_units.insert(name.clone(), file);
        }
        let Some(file) = find(&name, &UNIT_PATH, root)? else { continue };
        wanted.extend(Install::parse(&file.text).also);
        observed.units.insert(name, file);
    }
    links(root, UNIT_DIR, true, observed)?;
    observed.preset = match root.read(PRESET_PATH) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_not_found() => String::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(())
}

/// Looks for units of the OS by name, whatever `/etc` has in their place.
pub(crate) fn vendor<'n>(
    names: impl IntoIterator<Item = &'n str>,
    root: &Root,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    for name in names {
        if !observed.vendor_units.contains_key(name)
            && let Some(file) = find(name, &UNIT_PATH[1..], root)?
        {
            observed.vendor_units.insert(name.to_owned(), file);
        }
    }
    Ok(())
}

fn find(name: &str, dirs: &[&str], root: &Root) -> Result<Option<UnitFile>, ObserveError> {
    for name in [Some(name.to_owned()), template_of(name)].into_iter().flatten() {
        for dir in dirs {
            let path = format!("{dir}/{name}");
            if root.stat(&path)?.is_none() {
                continue;
            }
            // A mask or a broken alias is no unit to install from.
            if let Ok(bytes) = root.read(&path) {
                return Ok(Some(UnitFile { path, text: String::from_utf8_lossy(&bytes).into_owned() }));
            }
        }
    }
    Ok(None)
}

fn links(root: &Root, dir: &str, top: bool, observed: &mut Observed) -> Result<(), ObserveError> {
    for name in root.list(dir)? {
        let path = format!("{dir}/{name}");
        match root.stat(&path)?.map(|stat| stat.kind) {
            Some(FileType::Symlink) => {
                let target = root.read_link(&path)?;
                more([path.as_str()], root, observed)?;
                observed.unit_links.insert(path, target);
            }
            Some(FileType::Directory) if top && is_link_dir(&name) => links(root, &path, false, observed)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_link_dir(name: &str) -> bool {
    [".wants", ".requires", ".upholds"].iter().any(|suffix| name.ends_with(suffix))
}
