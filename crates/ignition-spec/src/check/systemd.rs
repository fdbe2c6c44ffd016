//! Rules of units and drop-ins.

use std::collections::{HashMap, HashSet};

use super::{Checker, is_true, non_empty};
use crate::config::{Config, Dropin, Systemd, Unit};
use crate::explain::UNIT_TYPES;
use crate::gopath;
use crate::report::Entry;
pub use crate::rules::systemd::*;
use crate::unitfile;

/// Nodes must not be where units are written.
pub fn conflicts(config: &Config, checker: &mut Checker<'_>) {
    let mut units = HashSet::new();
    for unit in &config.systemd.units {
        if non_empty(&unit.contents).is_some() {
            units.insert(format!("/etc/systemd/system/{}", unit.name));
        }
        for dropin in unit.dropins.iter().filter(|dropin| non_empty(&dropin.contents).is_some()) {
            units.insert(format!("/etc/systemd/system/{}.d/{}", unit.name, dropin.name));
        }
    }
    if units.is_empty() {
        return;
    }
    let storage = &config.storage;
    let files =
        storage.files.iter().map(|file| &file.path).enumerate().map(|(index, path)| ("files", index, path));
    let directories = storage.directories.iter().map(|directory| &directory.path).enumerate();
    let directories = directories.map(|(index, path)| ("directories", index, path));
    let links =
        storage.links.iter().map(|link| &link.path).enumerate().map(|(index, path)| ("links", index, path));
    for (list, index, _) in files.chain(directories).chain(links).filter(|(.., path)| units.contains(*path)) {
        checker.error(&[&"storage", &list, &index, &"path"], PATH_CONFLICT);
    }
}

/// Enabled instances of templates that have no `[Install]`.
pub fn instances(systemd: &Systemd, checker: &mut Checker<'_>) {
    let units: HashMap<&str, &Unit> = systemd.units.iter().map(|unit| (unit.name.as_str(), unit)).collect();
    for (index, unit) in systemd.units.iter().enumerate().filter(|(_, unit)| is_true(unit.enabled)) {
        let Some(template) = template_of(&unit.name) else { continue };
        let Some(contents) = units.get(template.as_str()).and_then(|unit| non_empty(&unit.contents)) else {
            continue;
        };
        if unitfile::sections_with_options(contents).is_ok_and(|sections| !sections.contains("Install")) {
            let text = format!("template unit {template:?} for {:?} doesn't have Install section", unit.name);
            let path = checker.path.join(&[&"units", &index, &"contents"]);
            checker.push(Entry::warning(TEMPLATE_NO_INSTALL, path).message(text));
        }
    }
}

/// `foo@.service` for `foo@bar.service`.
fn template_of(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".service")?;
    // The first @ that leaves something on both sides.
    let at = stem.char_indices().skip(1).find(|(at, char)| *char == '@' && at + 1 < stem.len())?.0;
    (!stem.contains('\n')).then(|| format!("{}@.service", &stem[..at]))
}

/// Rules of a unit.
pub fn unit(unit: &Unit, checker: &mut Checker<'_>) {
    let extension = gopath::extension(&unit.name).strip_prefix('.').unwrap_or_default();
    if !UNIT_TYPES.contains(&extension) {
        checker.error(&[&"name"], UNIT_EXTENSION);
    }
    let Some(contents) = non_empty(&unit.contents) else { return };
    match unitfile::sections_with_options(contents) {
        Err(fault) => content_fault(&fault, checker),
        Ok(sections) if is_true(unit.enabled) && !sections.contains("Install") => {
            let text =
                format!("unit {:?} is enabled, but has no install section so enable does nothing", unit.name);
            let path = checker.path.join(&[&"contents"]);
            checker.push(Entry::warning(NO_INSTALL, path).message(text));
        }
        Ok(_) => {}
    }
}

/// Rules of a drop-in.
pub fn dropin(dropin: &Dropin, checker: &mut Checker<'_>) {
    if let Some(Err(fault)) = non_empty(&dropin.contents).map(unitfile::sections_with_options) {
        content_fault(&fault, checker);
    }
    if gopath::extension(&dropin.name) != ".conf" {
        checker.error(&[&"name"], DROPIN_EXTENSION);
    }
}

fn content_fault(fault: &unitfile::Fault, checker: &mut Checker<'_>) {
    let path = checker.path.join(&[&"contents"]);
    checker.push(Entry::error(UNIT_CONTENT, path).message(format!("invalid unit content: {fault}")));
}
