//! What a source must keep to; Ignition's rules are checked on the output.

use std::collections::HashSet;

use ignition_spec::check::{self, Checker, is_true, non_empty};
use ignition_spec::config::{Config, Filesystem};
use ignition_spec::json;
use ignition_spec::path::Naming;
use ignition_spec::read::{Reader, document};
use ignition_spec::report::{Entry, Report, Rule};
use ignition_spec::version::{Spec, VersionError};

use super::*;
use crate::fields::{self, Quadlet, QuadletDropin};
use crate::split::{Contents, Sugar};
use crate::variant::{Dialect, Variant};
use crate::{mode, quadlets};

/// The boot disk as FCOS names it.
const BOOT_DISK: &str = "/dev/disk/by-id/coreos-boot-disk";

/// The kernel argument that Crypto Express needs on OpenShift.
const CEX_ARGUMENT: &str = "rd.luks.key=/etc/luks/cex.key";

/// What the source breaks; entries have paths of the source and no positions.
pub(crate) fn check(config: &Config, sugar: &Sugar, dialect: Dialect) -> Report {
    let mut report = Report::default();
    let mut source = Source { config, sugar, dialect, report: &mut report };
    if dialect.variant == Variant::Openshift {
        source.cex_argument();
    }
    source.across();
    source.resources();
    source.modes();
    source.filesystems();
    source.units();
    source.trees_and_quadlets();
    let mut of_root = Report::default();
    Checker::new(Naming::Snake, dialect.spec, fields::OWNER, &mut of_root).rules(&sugar.root);
    let first = of_root.entries.iter().position(|entry| entry.path.starts_with("$.openshift"));
    let of_openshift = of_root.entries.split_off(first.unwrap_or(of_root.entries.len()));
    source.report.entries.append(&mut of_root.entries);
    if dialect.variant == Variant::Openshift {
        source.metadata();
    }
    report.entries.extend(of_openshift);
    report
}

struct Source<'s> {
    config: &'s Config,
    sugar: &'s Sugar,
    dialect: Dialect,
    report: &'s mut Report,
}

impl Source<'_> {
    fn error(&mut self, rule: Rule, path: impl Into<String>) {
        self.report.push(Entry::error(rule, path));
    }

    fn warning(&mut self, rule: Rule, path: impl Into<String>) {
        self.report.push(Entry::warning(rule, path));
    }

    fn since(&self, minor: u8) -> bool {
        self.dialect.spec.minor_number() >= minor
    }

    /// Rules that look across sections; all came with fcos 1.6, and openshift has none of them.
    fn across(&mut self) {
        let openshift = self.dialect.variant == Variant::Openshift;
        if openshift || self.dialect.fcos().is_none_or(|minor| minor < 6) {
            return;
        }
        let mirrored: HashSet<&str> =
            self.sugar.root.boot_device.mirror.devices.iter().map(String::as_str).collect();
        for (at, disk) in self.config.storage.disks.iter().enumerate() {
            if disk.device == BOOT_DISK || is_true(disk.wipe_table) || mirrored.contains(disk.device.as_str())
            {
                continue;
            }
            for (number, partition) in disk.partitions.iter().enumerate() {
                if partition.number == 0 && partition.label.is_some() {
                    let path = format!("$.storage.disks.{at}.partitions.{number}.number");
                    self.warning(REUSE_BY_LABEL, path);
                }
            }
        }
        for (at, filesystem) in self.config.storage.filesystems.iter().enumerate() {
            let forbidden = |path: &String| {
                let inside = |top: &str| {
                    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                !inside("/etc") && !inside("/var")
            };
            if self.sugar.has_mount_unit(at) && filesystem.path.as_ref().is_some_and(forbidden) {
                self.error(MOUNT_FORBIDDEN, format!("$.storage.filesystems.{at}.path"));
            }
        }
    }

    /// A resource has one source.
    fn resources(&mut self) {
        let sugar = self.sugar;
        sugar.resources.iter().for_each(|contents| self.resource(contents));
    }

    fn resource(&mut self, contents: &Contents) {
        let Contents { source: path, inserted, has_source, .. } = contents;
        let given: Vec<&'static str> = [
            ("local", inserted.local.is_some()),
            ("inline", inserted.inline.is_some()),
            ("source", *has_source),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        if given.len() > 1 {
            let last = if self.since(1) { given[given.len() - 1] } else { "inline" };
            return self.error(TOO_MANY_SOURCES, format!("{path}.{last}"));
        }
        let of_config = path.starts_with("$.ignition.config");
        if let Some(text) = inserted.inline.as_deref().filter(|_| of_config && self.since(1)) {
            self.inline_config(path, text);
        }
    }

    /// An inline config that is merged must be valid, unless it is of another version.
    fn inline_config(&mut self, path: &str, text: &str) {
        match judge(text, self.dialect.spec) {
            Err(inner) => {
                self.pass_on(path, inner);
                self.error(INLINE_CONFIG, format!("{path}.inline"));
            }
            Ok(None) => self.warning(INLINE_VERSION, format!("{path}.version")),
            Ok(Some(inner)) => self.pass_on(path, inner),
        }
    }

    /// Reports the entries about an inline config at the place of the inline text.
    fn pass_on(&mut self, path: &str, inner: Report) {
        for entry in inner.entries {
            let message = format!("in the inline config: {entry}");
            let path = format!("{path}.inline");
            self.report.push(Entry { path, position: None, message: message.into(), ..entry });
        }
    }

    /// Modes are in octal.
    fn modes(&mut self) {
        for (at, directory) in self.config.storage.directories.iter().enumerate() {
            if directory.mode.is_some_and(|mode| mode::looks_decimal(mode, true)) {
                self.warning(DECIMAL_MODE, format!("$.storage.directories.{at}.mode"));
            }
        }
        for (at, file) in self.config.storage.files.iter().enumerate() {
            if file.mode.is_some_and(|mode| mode::looks_decimal(mode, false)) {
                self.warning(DECIMAL_MODE, format!("$.storage.files.{at}.mode"));
            }
        }
    }

    fn filesystems(&mut self) {
        for (at, filesystem) in self.config.storage.filesystems.iter().enumerate() {
            if self.sugar.has_mount_unit(at) {
                self.mount_unit(at, filesystem);
            }
        }
    }

    /// What a mount unit needs. Swap units came with 3.3.
    fn mount_unit(&mut self, at: usize, filesystem: &Filesystem) {
        let no_path = non_empty(&filesystem.path).is_none();
        let format = non_empty(&filesystem.format);
        let needs_path = if self.since(3) { format.is_some_and(|format| format != "swap") } else { true };
        if no_path && needs_path {
            self.error(MOUNT_NO_PATH, format!("$.storage.filesystems.{at}.path"));
        }
        if format.is_none() {
            self.error(MOUNT_NO_FORMAT, format!("$.storage.filesystems.{at}.format"));
        }
    }

    /// A unit, and a drop-in, has one content.
    fn units(&mut self) {
        if self.sugar.units.is_empty() {
            return;
        }
        for (at, unit) in self.config.systemd.units.iter().enumerate() {
            let path = format!("$.systemd.units.{at}");
            self.unit(&path, unit.contents.is_some());
            for (at, dropin) in unit.dropins.iter().enumerate() {
                self.unit(&format!("{path}.dropins.{at}"), dropin.contents.is_some());
            }
        }
    }

    fn unit(&mut self, path: &str, has_contents: bool) {
        let local = self.sugar.units.get(path).is_some_and(|unit| unit.contents_local.is_some());
        if has_contents && local {
            self.error(TOO_MANY_UNIT_SOURCES, format!("{path}.contents_local"));
        }
    }

    fn trees_and_quadlets(&mut self) {
        for (at, tree) in self.sugar.trees.iter().enumerate() {
            if tree.local.is_empty() {
                self.error(TREE_NO_LOCAL, format!("$.storage.trees.{at}"));
            }
        }
        for (at, quadlet) in self.sugar.quadlets.iter().enumerate() {
            let path = format!("$.systemd.quadlets.{at}");
            self.quadlet(&path, quadlet);
            for (at, dropin) in quadlet.dropins.iter().enumerate() {
                let QuadletDropin { contents, contents_local, .. } = dropin;
                if contents.is_some() && contents_local.is_some() {
                    self.error(TOO_MANY_UNIT_SOURCES, format!("{path}.dropins.{at}.contents_local"));
                }
            }
        }
    }

    fn quadlet(&mut self, path: &str, quadlet: &Quadlet) {
        let Quadlet { contents, contents_local, .. } = quadlet;
        if !quadlets::has_extension(&quadlet.name) {
            return self.error(QUADLET_EXTENSION, format!("{path}.name"));
        }
        let given = [("contents", contents.is_some()), ("contents_local", contents_local.is_some())];
        if quadlets::template(&quadlet.name).is_some() {
            for (key, _) in given.iter().filter(|(_, given)| *given) {
                self.error(QUADLET_INSTANCE, format!("{path}.{key}"));
            }
        } else if given.iter().all(|(_, given)| *given) {
            self.error(TOO_MANY_UNIT_SOURCES, format!("{path}.contents_local"));
        }
    }

    /// What a MachineConfig needs beside the Ignition config.
    fn metadata(&mut self) {
        let root = &self.sugar.root;
        let role = root.metadata.labels.get("machineconfiguration.openshift.io/role");
        if root.metadata.name.is_empty() {
            self.error(MC_NAME, "$.metadata.name");
        }
        if role.is_none_or(String::is_empty) {
            self.error(MC_ROLE, "$.metadata.labels");
        }
    }

    /// Crypto Express needs a kernel argument on OpenShift, since 4.19.
    fn cex_argument(&mut self) {
        let root = &self.sugar.root;
        if !self.since(5) || root.openshift.kernel_arguments.iter().any(|argument| argument == CEX_ARGUMENT) {
            return;
        }
        let volumes = &self.config.storage.luks;
        let of_root = volumes.iter().any(|luks| is_true(luks.cex.enabled) && luks.name == "root");
        for wants in [is_true(root.boot_device.luks.cex.enabled), of_root] {
            if wants {
                self.error(MC_CEX_ARGUMENT, "$.openshift.kernel_arguments");
            }
        }
    }
}

/// What is wrong with the Ignition config `text` by the rules of `spec`; nothing when it is of another version.
fn judge(text: &str, spec: Spec) -> Result<Option<Report>, Report> {
    let tree = json::parse(text.as_bytes())?;
    let mut reader = Reader::new(Naming::Camel, spec, &[]);
    let config: Config = document(&tree, &mut reader);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let version = Spec::parse(&config.ignition.version);
    if version == Err(VersionError::Unsupported) || version.is_ok_and(|version| version != spec) {
        return Ok(None);
    }
    let mut report = check::validate(&config, spec);
    report.entries.append(&mut reader.warnings.entries);
    ignition_spec::Positions::of(&tree, true).locate(&mut report);
    Ok(Some(report))
}
