//! Which units a change concerns, and what systemd is asked about them.
//!
//! A unit is concerned when its file or a drop-in of it changes, when it is enabled, disabled or masked, when a unit of
//! the config names a changed file, or when the changed file belongs to a service of the OS ([`READERS`]).

use std::collections::{BTreeMap, BTreeSet};

use ignition_spec::Config;

use super::change::Draft;
use crate::event::Phase;
use crate::plan::Action;
use crate::plan::action::UnitVerb;
use crate::plan::expect::{Expectation, Shape};
use crate::plan::units::UNIT_DIR;

/// Files that services of the OS read, and what makes them read them again. Of a path ending in `/` everything below.
const READERS: &[(&str, UnitVerb, &str)] = &[
    ("/etc/systemd/network/", UnitVerb::TryReloadOrRestart, "systemd-networkd.service"),
    ("/etc/systemd/networkd.conf", UnitVerb::TryRestart, "systemd-networkd.service"),
    ("/etc/systemd/networkd.conf.d/", UnitVerb::TryRestart, "systemd-networkd.service"),
    ("/etc/systemd/resolved.conf", UnitVerb::TryRestart, "systemd-resolved.service"),
    ("/etc/systemd/resolved.conf.d/", UnitVerb::TryRestart, "systemd-resolved.service"),
    ("/etc/systemd/timesyncd.conf", UnitVerb::TryRestart, "systemd-timesyncd.service"),
    ("/etc/systemd/timesyncd.conf.d/", UnitVerb::TryRestart, "systemd-timesyncd.service"),
    ("/etc/systemd/journald.conf", UnitVerb::TryRestart, "systemd-journald.service"),
    ("/etc/systemd/journald.conf.d/", UnitVerb::TryRestart, "systemd-journald.service"),
    ("/etc/systemd/logind.conf", UnitVerb::TryReloadOrRestart, "systemd-logind.service"),
    ("/etc/systemd/logind.conf.d/", UnitVerb::TryReloadOrRestart, "systemd-logind.service"),
    ("/etc/udev/rules.d/", UnitVerb::TryReloadOrRestart, "systemd-udevd.service"),
    ("/etc/ssh/sshd_config", UnitVerb::TryReloadOrRestart, "ssh.service"),
    ("/etc/ssh/sshd_config.d/", UnitVerb::TryReloadOrRestart, "ssh.service"),
    ("/etc/sysctl.conf", UnitVerb::TryRestart, "systemd-sysctl.service"),
    ("/etc/sysctl.d/", UnitVerb::TryRestart, "systemd-sysctl.service"),
    ("/etc/modules-load.d/", UnitVerb::TryRestart, "systemd-modules-load.service"),
    ("/etc/tmpfiles.d/", UnitVerb::TryRestart, "systemd-tmpfiles-setup.service"),
    ("/etc/nftables.conf", UnitVerb::TryReloadOrRestart, "nftables.service"),
];

/// Files that make units by a generator.
const GENERATED: [&str; 4] = ["/etc/pods.d/", "/etc/containers/systemd/", "/etc/fstab", "/etc/crypttab"];

/// What only a boot reads.
const AT_BOOT: [(&str, &str); 4] = [
    ("/etc/hostname", "the host name is taken from it at boot"),
    ("/etc/modprobe.d/", "options of kernel modules count when a module is loaded"),
    ("/etc/systemd/system.conf", "the settings of PID 1 are read at boot"),
    ("/etc/systemd/system.conf.d/", "the settings of PID 1 are read at boot"),
];

/// Targets that a running machine has not reached and shall not.
const NOT_REACHED: [&str; 8] = [
    "graphical.target",
    "rescue.target",
    "emergency.target",
    "shutdown.target",
    "reboot.target",
    "poweroff.target",
    "halt.target",
    "sleep.target",
];

fn covers(pattern: &str, path: &str) -> bool {
    if pattern.ends_with('/') { path.starts_with(pattern) } else { path == pattern }
}

/// What is asked, collected before it is put in order.
#[derive(Default)]
struct Asked {
    stop: BTreeMap<String, String>,
    start: BTreeMap<String, String>,
    /// Restarts and reloads; a restart wins.
    again: BTreeMap<String, (UnitVerb, String)>,
    reload_manager: Option<String>,
}

impl Asked {
    fn again(&mut self, verb: UnitVerb, unit: &str, why: String) {
        let entry = self.again.entry(unit.to_owned()).or_insert((verb, why.clone()));
        if verb == UnitVerb::TryRestart && entry.0 != verb {
            *entry = (verb, why);
        }
    }
}

pub(super) fn plan(
    config: &Config,
    old_config: &Config,
    want: &Expectation,
    changed: &BTreeSet<String>,
    draft: &mut Draft<'_>,
) {
    let mut asked = Asked::default();
    for path in changed {
        if let Some(below) = path.strip_prefix(UNIT_DIR).and_then(|rest| rest.strip_prefix('/')) {
            asked.reload_manager.get_or_insert_with(|| format!("{path} changes"));
            unit_path(below, path, want, &mut asked, draft);
        }
        if GENERATED.iter().any(|pattern| covers(pattern, path)) {
            asked.reload_manager.get_or_insert_with(|| format!("{path} changes"));
        }
        if let Some(pod) = path.strip_prefix("/etc/pods.d/").and_then(|name| name.strip_suffix(".yaml")) {
            pod_path(pod, path, want, &mut asked, draft);
        }
        for (_, verb, unit) in READERS.iter().filter(|(pattern, ..)| covers(pattern, path)) {
            asked.again(*verb, unit, format!("{path} changes"));
        }
        for (_, why) in AT_BOOT.iter().filter(|(pattern, _)| covers(pattern, path)) {
            draft.reboots.push(format!("{path} changes: {why}"));
        }
    }
    for unit in &config.systemd.units {
        let texts = unit.contents.iter().chain(unit.dropins.iter().filter_map(|d| d.contents.as_ref()));
        for (text, path) in texts.flat_map(|text| changed.iter().map(move |path| (text, path))) {
            if !path.starts_with(UNIT_DIR) && names(text, path) {
                asked.again(UnitVerb::TryRestart, &unit.name, format!("it names {path}, which changes"));
            }
        }
    }
    for unit in config.systemd.units.iter().filter(|unit| unit.mask == Some(true)) {
        let before = old_config.systemd.units.iter().find(|old| old.name == unit.name);
        if before.is_none_or(|old| old.mask != Some(true)) {
            asked.stop.insert(unit.name.clone(), "it is masked".into());
        }
    }
    write(asked, draft);
}

/// A changed path below the unit directory.
fn unit_path(below: &str, path: &str, want: &Expectation, asked: &mut Asked, draft: &Draft<'_>) {
    let want = want.get(path).and_then(Option::as_ref).map(|want| &want.shape);
    match below.split_once('/') {
        None => {
            // A unit file, an alias or a mask.
            let is_unit_now = matches!(want, Some(Shape::File(_)));
            let was_file = draft.now.nodes.contains_key(path);
            let of_os = draft.now.vendor_units.contains_key(below);
            if matches!(want, Some(Shape::Directory { .. })) || below.ends_with(".d") {
                return;
            }
            if is_unit_now || of_os && want.is_none() {
                if was_file {
                    asked.again(again_verb(below), &pattern(below), "its file changes".into());
                }
            } else if want.is_none() {
                asked.stop.insert(pattern(below), "its file goes".into());
            }
        }
        Some((folder, link)) => {
            let wanted_by =
                [".wants", ".requires", ".upholds"].iter().find_map(|suffix| folder.strip_suffix(suffix));
            if let Some(by) = wanted_by {
                match want {
                    None => drop(asked.stop.insert(link.to_owned(), format!("{by} no longer wants it"))),
                    Some(_) if by.ends_with(".target") && !NOT_REACHED.contains(&by) => {
                        asked.start.insert(link.to_owned(), format!("{by} wants it"));
                    }
                    Some(_) => {}
                }
            } else if let Some(unit) = folder.strip_suffix(".d").filter(|unit| unit.contains('.')) {
                asked.again(again_verb(unit), &pattern(unit), format!("its drop-in {link} changes"));
            }
        }
    }
}

/// A unit that the pod generator makes of `/etc/pods.d/NAME.yaml`.
fn pod_path(pod: &str, path: &str, want: &Expectation, asked: &mut Asked, draft: &Draft<'_>) {
    let unit = format!("pod@{pod}.service");
    let is_file = want.get(path).is_some_and(Option::is_some);
    let was_file = draft.now.nodes.contains_key(path);
    match (was_file, is_file) {
        (true, false) => drop(asked.stop.insert(unit, "its declaration goes".into())),
        (false, true) => drop(asked.start.insert(unit, "it is declared".into())),
        _ => asked.again(UnitVerb::TryRestart, &unit, "its declaration changes".into()),
    }
}

/// All instances of a template, as systemctl(1) takes them.
fn pattern(unit: &str) -> String {
    unit.replacen("@.", "@*.", 1)
}

fn again_verb(unit: &str) -> UnitVerb {
    // A mount that is restarted is unmounted under its users.
    if unit.ends_with(".mount") { UnitVerb::TryReloadOrRestart } else { UnitVerb::TryRestart }
}

/// Whether a unit's text names a path, as a whole.
fn names(text: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + path.len()..].chars().next();
        !before.is_some_and(|c| part(c) && c != '-') && !after.is_some_and(part)
    })
}

fn write(asked: Asked, draft: &mut Draft<'_>) {
    let Asked { stop, start, again, reload_manager } = asked;
    let mut step = |phase: Phase, verb: UnitVerb, unit: &str, why: String| {
        draft.step(phase, "", Action::Unit { verb, unit: unit.to_owned(), why }, false);
    };
    for (unit, why) in &stop {
        // Wanted by another target now: it goes on.
        if !start.contains_key(unit) {
            step(Phase::Stop, UnitVerb::Stop, unit, why.clone());
        }
    }
    if let Some(why) = reload_manager {
        step(Phase::Units, UnitVerb::DaemonReload, "", why);
    }
    for (unit, (verb, why)) in again {
        if !stop.contains_key(&unit) || start.contains_key(&unit) {
            step(Phase::Units, verb, &unit, why);
        }
    }
    for (unit, why) in start {
        step(Phase::Units, UnitVerb::Start, &unit, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_as_a_whole() {
        let text = "[Service]\nEnvironmentFile=-/etc/web.env\nExecStart=/opt/tool --config /etc/web\n";
        assert!(names(text, "/opt/tool") && names(text, "/etc/web"));
        assert!(!names(text, "/opt") && !names(text, "/etc/we"));
        // `-` is the prefix that says the file may lack (systemd.exec(5)).
        assert!(names("EnvironmentFile=-/etc/x", "/etc/x"));
    }

    #[test]
    fn templates_stand_for_their_instances() {
        assert_eq!(pattern("pod@.service"), "pod@*.service");
        assert_eq!(pattern("a.service"), "a.service");
    }
}
