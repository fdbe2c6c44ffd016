//! From the source to an Ignition config, with the origins of what does not mirror the source.

use ignition_spec::Config;
use ignition_spec::config::{PasswdUser, Resource, Unit};
use ignition_spec::report::{Entry, Report};

use crate::files::{FileError, Files};
use crate::origins::Origins;
use crate::rules::{FILE, NO_FILES};
use crate::split::{Contents, Sugar};
use crate::variant::{Dialect, Variant};
use crate::{boot, dataurl, mount, openshift, orlop, quadlets, resources, trees};

/// What translating needs and collects.
pub(crate) struct Translator<'t> {
    pub(crate) dialect: Dialect,
    pub(crate) files: Option<&'t dyn Files>,
    /// Whether contents may be compressed.
    pub(crate) compress: bool,
    /// The text that is translated.
    pub(crate) text: usize,
    pub(crate) origins: Origins,
    /// Entries with paths of the source.
    pub(crate) report: Report,
}

impl<'t> Translator<'t> {
    /// A translator of the text with the number `text`.
    pub(crate) fn new(dialect: Dialect, files: Option<&'t dyn Files>, compress: bool, text: usize) -> Self {
        // The operator ignored compression at first.
        let compress = compress && !(dialect.variant == Variant::Openshift && dialect.minor < 10);
        Self { dialect, files, compress, text, origins: Origins::of(text), report: Report::default() }
    }

    /// Makes of `config`, which was read from the source, what the source stands for. The report has entries about the
    /// source; Ignition's rules are for the caller. `raw` asks for an Ignition config where the variant has another
    /// form.
    pub(crate) fn translate(&mut self, mut config: Config, sugar: &Sugar, raw: bool) -> Config {
        config.ignition.version = self.dialect.spec.to_string();
        if self.dialect.spec.minor_number() < 3 {
            // A target was no optional field then: it is written even when empty.
            for link in &mut config.storage.links {
                link.target.get_or_insert_default();
            }
        }
        self.contents(&mut config, sugar);
        self.users(&mut config, sugar);
        self.units(&mut config, sugar);
        if let Some((units, origins)) = mount::units(&config, sugar, self.dialect.spec, self.text) {
            config = self.merge_over(&units, origins, &config);
        }
        trees::add(self, &mut config, &sugar.trees);
        quadlets::add(self, &mut config, &sugar.quadlets);
        if self.report.is_fatal() {
            return config;
        }
        if self.dialect.fcos().is_some() {
            boot::add(self, &mut config, &sugar.root.boot_device, &sugar.root.grub);
        }
        if self.dialect.variant == Variant::Orlop {
            orlop::add(self, &mut config, &sugar.root);
        }
        if self.dialect.variant == Variant::Openshift {
            openshift::finish(self, &mut config, &sugar.root, raw);
        }
        config
    }

    /// `config` merged over `generated`.
    pub(crate) fn merge_over(
        &mut self,
        generated: &Config,
        of_generated: Origins,
        config: &Config,
    ) -> Config {
        let (merged, transcript) = ignition_spec::merge(generated, config);
        let of_config = std::mem::take(&mut self.origins);
        self.origins = Origins::merged(self.text, transcript, of_generated, of_config);
        merged
    }

    /// Reports `entry`, whose path is one of the output.
    pub(crate) fn report_output(&mut self, mut entry: Entry) {
        entry.path = self.origins.place(&entry.path).path;
        self.report.push(entry);
    }

    /// Reports `error` at `path` of the source.
    pub(crate) fn file_error(&mut self, path: &str, error: &FileError) {
        self.report.push(Entry::error(FILE, path).message(error.to_string()));
    }

    /// The content of the local file `local`, named at `path` of the source.
    pub(crate) fn read(&mut self, local: &str, path: &str) -> Option<Vec<u8>> {
        let Some(files) = self.files else {
            self.report.push(Entry::error(NO_FILES, path));
            return None;
        };
        files.read(local).map_err(|error| self.file_error(path, &error)).ok()
    }

    /// Puts inline and local contents into their resources.
    fn contents(&mut self, config: &mut Config, sugar: &Sugar) {
        for contents in &sugar.resources {
            let Contents { source, output, inserted, .. } = contents;
            let Some(resource) = resources::at(config, output) else { continue };
            if let Some(local) = &inserted.local {
                let at = format!("{source}.local");
                if let Some(contents) = self.read(local, &at) {
                    self.embed(resource, &contents, output, &at);
                }
            }
            if let Some(inline) = &inserted.inline {
                self.embed(resource, inline.as_bytes(), output, &format!("{source}.inline"));
            }
        }
    }

    fn embed(&mut self, to: &mut Resource, contents: &[u8], output: &str, source: &str) {
        self.origins.moved(format!("{output}.source"), source);
        if self.dialect.spec == ignition_spec::Spec::OLDEST {
            to.source = Some(dataurl::escape(contents));
            return;
        }
        let (url, compression) = dataurl::encode(contents, to.compression.as_deref(), self.compress);
        to.source = Some(url);
        if let Some(compression) = compression {
            to.compression = Some(compression.into());
            self.origins.moved(format!("{output}.compression"), source);
        }
    }

    /// Adds the keys of users that are in local files.
    fn users(&mut self, config: &mut Config, sugar: &Sugar) {
        if sugar.users.is_empty() {
            return;
        }
        for (at, user) in config.passwd.users.iter_mut().enumerate() {
            if let Some(keys) = sugar.users.get(&format!("$.passwd.users.{at}")) {
                self.local_keys(at, &keys.ssh_authorized_keys_local, user);
            }
        }
    }

    fn local_keys(&mut self, at: usize, files: &[String], user: &mut PasswdUser) {
        let list = format!("$.passwd.users.{at}.ssh_authorized_keys_local");
        if self.files.is_none() && !files.is_empty() {
            return self.report.push(Entry::error(NO_FILES, list));
        }
        let keys = &mut user.ssh_authorized_keys;
        for (number, file) in files.iter().enumerate() {
            let source = format!("{list}.{number}");
            let Some(contents) = self.read(file, &source) else { continue };
            for line in String::from_utf8_lossy(&contents).split('\n') {
                let line = line.strip_suffix('\r').unwrap_or(line);
                if !line.is_empty() {
                    let output = format!("$.passwd.users.{at}.sshAuthorizedKeys.{}", keys.len());
                    self.origins.moved(output, &source);
                    keys.push(line.to_owned());
                }
            }
        }
    }

    /// Puts local contents into units and drop-ins.
    fn units(&mut self, config: &mut Config, sugar: &Sugar) {
        if sugar.units.is_empty() {
            return;
        }
        for (at, unit) in config.systemd.units.iter_mut().enumerate() {
            let path = format!("$.systemd.units.{at}");
            let Unit { contents, dropins, .. } = unit;
            self.unit_contents(contents, sugar, &path);
            for (at, dropin) in dropins.iter_mut().enumerate() {
                self.unit_contents(&mut dropin.contents, sugar, &format!("{path}.dropins.{at}"));
            }
        }
    }

    fn unit_contents(&mut self, contents: &mut Option<String>, sugar: &Sugar, path: &str) {
        let local = sugar.units.get(path).and_then(|unit| unit.contents_local.as_deref());
        let Some(local) = local.filter(|local| !local.is_empty()) else { return };
        let source = format!("{path}.contents_local");
        *contents = self.read(local, &source).map(|text| String::from_utf8_lossy(&text).into_owned());
        self.origins.moved(format!("{path}.contents"), source);
    }
}
