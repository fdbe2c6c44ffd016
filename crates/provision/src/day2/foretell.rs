//! A machine as a first boot with a config would leave it, told offline: where a plan from an older config starts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::declaration::{Before, Declaration};
use crate::error::Error;
use crate::fetch::FinalConfig;
use crate::observe::{Observed, User};
use crate::plan::expect::{apply, expect};
use crate::plan::units::{PRESET_PATH, UNIT_DIR};
use crate::plan::{Action, show};
use crate::resolve::Kind;

/// Ids of accounts that are made: nobody knows them before.
const UNKNOWN_ID: u32 = u32::MAX;

/// What there is after a first boot with `wanted` of a machine that is as `base`, and what is then declared.
///
/// # Errors
/// As of [`crate::plan()`].
pub fn foretell(wanted: &FinalConfig, base: &Observed) -> Result<(Declaration, Observed), Error> {
    let plan = crate::plan::plan(wanted, base)?;
    let expectation = expect(&plan, base);
    let declaration = Declaration::of(wanted, &expectation, &plan, base, None, SystemTime::UNIX_EPOCH);
    let mut now = base.clone();
    for (path, managed) in &declaration.nodes {
        let place = managed.before.content(path).filter(|_| matches!(managed.before, Before::Node(_)));
        if let (Some(place), Some(text)) = (place, base.texts.get(path)) {
            now.texts.insert(place, text.clone());
        }
    }
    for step in &plan.steps {
        if let Action::File { path, base: from, append, .. } = &step.action {
            match show::text(path, from, append, base) {
                Some(text) => drop(now.texts.insert(path.clone(), text)),
                None => drop(now.texts.remove(path)),
            }
        }
    }
    accounts(&declaration, wanted, &mut now);
    now.nodes = apply(&expectation, &now);
    // No two nodes of what is only told share an inode, unless the config says so.
    for (serial, node) in now.nodes.values_mut().enumerate() {
        node.id = (0, serial as u64 + 1);
    }
    for (path, expected) in &expectation {
        let target = expected.as_ref().and_then(|expected| match &expected.shape {
            crate::plan::expect::Shape::HardLink(target) => now.nodes.get(target).map(|node| node.id),
            _ => None,
        });
        if let (Some(id), Some(node)) = (target, now.nodes.get_mut(path)) {
            node.id = id;
        }
    }
    units(&mut now);
    Ok((declaration, now))
}

fn accounts(declaration: &Declaration, wanted: &FinalConfig, now: &mut Observed) {
    for user in wanted.config.passwd.users.iter().filter(|user| declaration.users.contains(&user.name)) {
        let uid = user.uid.and_then(|uid| u32::try_from(uid).ok()).unwrap_or(UNKNOWN_ID);
        let home = user.home_dir.clone().unwrap_or_else(|| format!("/home/{}", user.name));
        now.users.insert(user.name.clone(), User { uid, gid: uid, home });
        now.groups.entry(user.name.clone()).or_insert(uid);
    }
    for group in wanted.config.passwd.groups.iter().filter(|group| declaration.groups.contains(&group.name)) {
        let gid = group.gid.and_then(|gid| u32::try_from(gid).ok()).unwrap_or(UNKNOWN_ID);
        now.groups.insert(group.name.clone(), gid);
    }
}

/// What the observer of units would see.
fn units(now: &mut Observed) {
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    now.unit_links.clear();
    for (path, node) in &now.nodes {
        if let Some((parent, name)) = path.rsplit_once('/') {
            children.entry(parent.to_owned()).or_default().push(name.to_owned());
        }
        if let Kind::Symlink(target) = &node.kind
            && path.starts_with(UNIT_DIR)
        {
            now.unit_links.insert(path.clone(), target.clone());
        }
    }
    for (path, names) in children {
        let known = now.children.entry(path).or_default();
        known.extend(names);
        known.sort();
        known.dedup();
    }
    let nodes = &now.nodes;
    let is_dir = |path: &String| nodes.get(path).is_some_and(|node| node.kind == Kind::Directory);
    for (path, _) in nodes.iter().filter(|(path, _)| is_dir(path)) {
        now.children.entry(path.clone()).or_default();
    }
    for (path, names) in &mut now.children {
        names.retain(|name| nodes.contains_key(&format!("{}/{name}", path.trim_end_matches('/'))));
    }
    now.preset = now.texts.get(PRESET_PATH).cloned().unwrap_or_default();
    for (path, text) in &now.texts {
        if let Some(name) = path.strip_prefix(UNIT_DIR).and_then(|rest| rest.strip_prefix('/'))
            && !name.contains('/')
        {
            let file = crate::observe::UnitFile { path: path.clone(), text: text.clone() };
            now.units.insert(name.to_owned(), file);
        }
    }
}
