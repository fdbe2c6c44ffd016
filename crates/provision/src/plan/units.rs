//! systemd units: files, drop-ins, masks, presets, and the links that enable.
//!
//! Upstream writes a preset and leaves the links to PID 1's first boot. Here the links are planned too: the plan then
//! shows what will run, it works on a machine that is up, and it does not hinge on how the image starts.

use ignition_spec::Config;
use ignition_spec::config::Unit;

use super::action::{Access, Base, Id};
use super::install::{Install, instance_of};
use super::nodes::{add, place_of};
use super::{Action, Draft};
use crate::event::Phase;
use crate::fetch::verify::sha256_hex;
use crate::observe::UnitFile;
use crate::resolve::{Kind, Nodes};

/// Where the machine's own units are.
pub const UNIT_DIR: &str = "/etc/systemd/system";
/// The preset file that Ignition writes; the name is upstream's, so that tools find it.
pub const PRESET_PATH: &str = "/etc/systemd/system-preset/20-ignition.preset";

const ROOT: Access = Access { mode: 0o644, user: Id::Number(0), group: Id::Number(0) };

/// The paths that the units of a config are about, for the observer.
pub fn paths(config: &Config) -> Vec<String> {
    let mut paths = Vec::new();
    for unit in &config.systemd.units {
        paths.push(unit_path(unit));
        paths.extend(unit.dropins.iter().map(|dropin| dropin_path(unit, &dropin.name)));
    }
    if !paths.is_empty() {
        paths.push(PRESET_PATH.to_owned());
    }
    paths
}

fn unit_path(unit: &Unit) -> String {
    format!("{UNIT_DIR}/{}", unit.name)
}

fn dropin_path(unit: &Unit, dropin: &str) -> String {
    format!("{UNIT_DIR}/{}.d/{dropin}", unit.name)
}

pub(super) fn plan(draft: &mut Draft<'_>, world: &mut Nodes) {
    let units = &draft.wanted.config.systemd.units;
    for (index, unit) in units.iter().enumerate() {
        let origin = format!("$.systemd.units.{index}");
        let masked = unit.mask == Some(true);
        if let Some(text) = unit.contents.as_deref().filter(|text| !text.is_empty()) {
            if masked {
                draft.warn(
                    &format!("{origin}.mask"),
                    format!("{} is masked, so its contents have no effect", unit.name),
                );
            } else {
                write(draft, world, &format!("{origin}.contents"), &unit_path(unit), text);
            }
        }
        for (n, dropin) in unit.dropins.iter().enumerate() {
            // An empty drop-in is one: it shadows that of the same name in a directory of lower priority.
            if let Some(text) = dropin.contents.as_deref() {
                write(draft, world, &format!("{origin}.dropins.{n}"), &dropin_path(unit, &dropin.name), text);
            }
        }
        if let Some(mask) = unit.mask {
            self::mask(draft, world, &format!("{origin}.mask"), &unit_path(unit), mask);
        }
        match unit.enabled {
            Some(true) => {
                enable(draft, world, &format!("{origin}.enabled"), &unit.name, unit.contents.as_deref());
            }
            Some(false) => disable(draft, world, &format!("{origin}.enabled"), &unit.name),
            None => {}
        }
    }
    preset(draft, world);
}

/// Writes a file of the unit directory over whatever is there.
fn write(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: &str, text: &str) {
    let Some(path) = place_of(draft, world, origin, path) else { return };
    let digest = Some(sha256_hex(text.as_bytes()));
    let exists = match world.get(&path).map(|node| &node.kind) {
        Some(Kind::File(found)) if *found == digest => {
            let why = "it has this content".to_owned();
            return draft.step(Phase::Files, origin, Action::KeepFile { path, access: ROOT, why });
        }
        Some(Kind::Directory) => {
            return draft.refuse(
                origin,
                format!("{path} is a directory"),
                "remove its entry from storage.directories",
            );
        }
        found => found.is_some(),
    };
    add(world, &path, Kind::File(digest), ROOT.mode);
    let base = Base::Text(text.to_owned());
    draft.step(Phase::Files, origin, Action::File { path, access: ROOT, base, append: Vec::new(), exists });
}

fn mask(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: &str, mask: bool) {
    let Some(path) = place_of(draft, world, origin, path) else { return };
    let found = world.get(&path).map(|node| node.kind.clone());
    let is_masked = found == Some(Kind::Symlink("/dev/null".into()));
    if mask == is_masked {
        return;
    }
    if let Some(kind) = found.filter(|_| mask || is_masked) {
        let why = match kind {
            Kind::Symlink(target) => format!("it links to {target}"),
            _ => "a mask takes its place".into(),
        };
        world.remove(&path);
        draft.step(Phase::Files, origin, Action::Remove { path: path.clone(), why });
    }
    if mask {
        link(draft, world, origin, path, "/dev/null");
    }
}

fn link(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, path: String, target: &str) {
    add(world, &path, Kind::Symlink(target.to_owned()), 0o777);
    let action = Action::Link { path, target: target.to_owned(), user: Id::Number(0), group: Id::Number(0) };
    draft.step(Phase::Files, origin, action);
}

/// The unit's file as it will be: of the config, else of the machine.
fn unit_file(draft: &Draft<'_>, name: &str, own: Option<&str>) -> Option<UnitFile> {
    let path = format!("{UNIT_DIR}/{name}");
    if let Some(text) = own.filter(|text| !text.is_empty()) {
        return Some(UnitFile { path, text: text.to_owned() });
    }
    let template = super::install::template_of(name);
    let of_config =
        draft.wanted.config.systemd.units.iter().find(|unit| {
            (unit.name == name || Some(&unit.name) == template.as_ref()) && unit.contents.is_some()
        });
    let of_config = of_config
        .map(|unit| UnitFile { path: unit_path(unit), text: unit.contents.clone().unwrap_or_default() });
    let of_files = draft.wanted.config.storage.files.iter().find(|file| {
        file.path == path
            || template.as_ref().is_some_and(|template| file.path == format!("{UNIT_DIR}/{template}"))
    });
    of_config.or_else(|| draft.observed.units.get(name).cloned()).or_else(|| {
        let resource = crate::fetch::resource::Resource::of(&of_files?.contents).ok()?;
        let text = String::from_utf8(resource.at_hand().ok()??).ok()?;
        Some(UnitFile { path: of_files?.path.clone(), text })
    })
}

fn enable(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, name: &str, own: Option<&str>) {
    let mut wanted = vec![(name.to_owned(), own)];
    let mut seen = Vec::new();
    while let Some((name, own)) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name.clone());
        let Some(file) = unit_file(draft, &name, own) else {
            let text =
                format!("{name} is to be enabled, but neither the config nor the image has such a unit");
            draft.warn(origin, text);
            continue;
        };
        let install = Install::parse(&file.text);
        if install.is_empty() {
            draft.warn(origin, format!("{name} has no [Install] section, so enabling it has no effect"));
        }
        for below in install.links(&name) {
            let path = format!("{UNIT_DIR}/{below}");
            if let Some(target) = draft.observed.unit_links.get(&path) {
                if target.rsplit('/').next() == file.path.rsplit('/').next() {
                    continue;
                }
                let why = format!("it links to {target}");
                draft.step(Phase::Files, origin, Action::Remove { path: path.clone(), why });
            }
            if !matches!(world.get(&path).map(|node| &node.kind), Some(Kind::Symlink(target)) if *target == file.path)
            {
                link(draft, world, origin, path, &file.path);
            }
        }
        wanted.extend(install.also.into_iter().map(|name| (name, None)));
    }
}

/// Removes the links that enable a unit.
fn disable(draft: &mut Draft<'_>, world: &mut Nodes, origin: &str, name: &str) {
    let template = instance_of(name) == Some("");
    let (prefix, suffix) = name.split_once('@').unwrap_or((name, ""));
    let names_it = |link: &str| {
        link == name || template && link.starts_with(&format!("{prefix}@")) && link.ends_with(suffix)
    };
    let links: Vec<(String, String)> = draft
        .observed
        .unit_links
        .iter()
        .filter(|(path, target)| {
            let below = path.strip_prefix(UNIT_DIR).unwrap_or(path).trim_start_matches('/');
            let alias = !below.contains('/') && target.rsplit('/').next().is_some_and(names_it);
            alias || below.split_once('/').is_some_and(|(_, link)| names_it(link))
        })
        .map(|(path, target)| (path.clone(), target.clone()))
        .collect();
    for (path, target) in links {
        world.remove(&path);
        let why = format!("{name} is disabled (it links to {target})");
        draft.step(Phase::Files, origin, Action::Remove { path, why });
    }
}

/// Adds to the preset file what it does not say yet: upstream's form, instances of one template in one line.
fn preset(draft: &mut Draft<'_>, world: &mut Nodes) {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut origin = None;
    for (index, unit) in draft.wanted.config.systemd.units.iter().enumerate() {
        let Some(enabled) = unit.enabled else { continue };
        origin.get_or_insert(format!("$.systemd.units.{index}.enabled"));
        let verb = if enabled { "enable" } else { "disable" };
        match (super::install::template_of(&unit.name), instance_of(&unit.name)) {
            (Some(template), Some(instance)) => {
                let head = format!("{verb} {template}");
                match lines.iter_mut().find(|(known, _)| *known == head) {
                    Some((_, instances)) => instances.push_str(&format!(" {instance}")),
                    None => lines.push((head, format!(" {instance}"))),
                }
            }
            _ => lines.push((format!("{verb} {}", unit.name), String::new())),
        }
    }
    let Some(origin) = origin else { return };
    let mut lines: Vec<String> = lines.into_iter().map(|(head, instances)| head + &instances).collect();
    lines.sort();
    let mut text = draft.observed.preset.clone();
    for line in lines.iter().filter(|line| !draft.observed.preset.lines().any(|known| known == line.as_str()))
    {
        text.push_str(line);
        text.push('\n');
    }
    if text != draft.observed.preset {
        write(draft, world, &origin, PRESET_PATH, &text);
    }
}
