//! From the source's sections to an Ignition config, with the origins of what does not mirror the source.

use ignition_spec::Config;
use ignition_spec::config as ign;
use ignition_spec::report::{Entry, Report, Rule};

use crate::files::{FileError, Files};
use crate::origins::Origins;
use crate::source;
use crate::variant::Dialect;
use crate::{boot, dataurl, mount, trees};

/// A local file is needed and there is no files folder.
pub(crate) const NO_FILES: Rule = Rule {
    code: "no-files-dir",
    text: "local file paths are relative to a files directory that must be specified with -d/--files-dir",
};
/// A local file cannot be read.
pub(crate) const FILE: Rule = Rule { code: "local-file", text: "local file cannot be read" };

/// What translating needs and collects.
pub(crate) struct Translator<'t> {
    pub(crate) dialect: Dialect,
    pub(crate) files: Option<&'t dyn Files>,
    /// Whether contents may be compressed.
    pub(crate) compress: bool,
    pub(crate) origins: Origins,
    /// Entries with paths of the source.
    pub(crate) report: Report,
}

/// The config that `source` stands for. Its report has entries about the source; Ignition's rules are for the caller.
pub(crate) fn translate(
    source: source::Config,
    dialect: Dialect,
    files: Option<&dyn Files>,
    compress: bool,
) -> (Config, Origins, Report) {
    let mut translator =
        Translator { dialect, files, compress, origins: Origins::default(), report: Report::default() };
    let generated = mount::units(&source);
    let device = source.boot_device.clone();
    let grub = source.grub.clone();
    let source_trees = source.storage.trees.clone();
    let mut config = translator.config(source);
    if let Some((units, origins)) = generated {
        config = translator.merge_over(&units, origins, &config);
    }
    trees::add(&mut translator, &mut config, &source_trees);
    if !translator.report.is_fatal() {
        boot::add(&mut translator, &mut config, &device, &grub);
    }
    (config, translator.origins, translator.report)
}

impl Translator<'_> {
    /// `config` merged over `generated`.
    pub(crate) fn merge_over(
        &mut self,
        generated: &Config,
        of_generated: Origins,
        config: &Config,
    ) -> Config {
        let (merged, transcript) = ignition_spec::merge(generated, config);
        let of_config = std::mem::take(&mut self.origins);
        self.origins = Origins::merged(transcript, of_generated, of_config);
        merged
    }

    /// Reports `error` at `path` of the source.
    pub(crate) fn file_error(&mut self, path: &str, error: &FileError) {
        self.report.push(Entry::error(FILE, path).message(error.to_string()));
    }

    /// The content of the local file `local`, named at `path` of the source.
    fn read(&mut self, local: &str, path: &str) -> Option<Vec<u8>> {
        let Some(files) = self.files else {
            self.report.push(Entry::error(NO_FILES, path));
            return None;
        };
        files.read(local).map_err(|error| self.file_error(path, &error)).ok()
    }

    fn config(&mut self, from: source::Config) -> Config {
        let ignition = from.ignition;
        Config {
            ignition: ign::Ignition {
                config: ign::IgnitionConfig {
                    merge: self.resources(ignition.config.merge, "$.ignition.config.merge"),
                    replace: self.resource(ignition.config.replace, "$.ignition.config.replace"),
                },
                proxy: ignition.proxy,
                security: ign::Security {
                    tls: ign::Tls {
                        certificate_authorities: self.resources(
                            ignition.security.tls.certificate_authorities,
                            "$.ignition.security.tls.certificateAuthorities",
                        ),
                    },
                },
                timeouts: ignition.timeouts,
                version: self.dialect.spec.to_string(),
            },
            kernel_arguments: from.kernel_arguments,
            passwd: ign::Passwd { groups: from.passwd.groups, users: self.users(from.passwd.users) },
            storage: self.storage(from.storage),
            systemd: self.systemd(from.systemd),
        }
    }

    fn resources(&mut self, from: Vec<source::Resource>, output: &str) -> Vec<ign::Resource> {
        let each = |(at, resource)| self.resource(resource, &format!("{output}.{at}"));
        from.into_iter().enumerate().map(each).collect()
    }

    /// A resource whose path in the output is `output`; that in the source is the same in snake_case.
    fn resource(&mut self, from: source::Resource, output: &str) -> ign::Resource {
        let mut to = ign::Resource {
            compression: from.compression,
            http_headers: from.http_headers,
            source: from.source,
            verification: from.verification,
        };
        if let Some(local) = &from.local {
            let at = format!("{}.local", self.origins.source(output));
            if let Some(contents) = self.read(local, &at) {
                self.embed(&mut to, &contents, output, &at);
            }
        }
        if let Some(inline) = &from.inline {
            let at = format!("{}.inline", self.origins.source(output));
            self.embed(&mut to, inline.as_bytes(), output, &at);
        }
        to
    }

    fn embed(&mut self, to: &mut ign::Resource, contents: &[u8], output: &str, source: &str) {
        self.origins.moved(format!("{output}.source"), source);
        if self.dialect.minor == 0 {
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

    fn users(&mut self, from: Vec<source::PasswdUser>) -> Vec<ign::PasswdUser> {
        from.into_iter().enumerate().map(|(at, user)| self.user(at, user)).collect()
    }

    fn user(&mut self, at: usize, from: source::PasswdUser) -> ign::PasswdUser {
        let mut keys = from.ssh_authorized_keys;
        if !from.ssh_authorized_keys_local.is_empty() {
            self.local_keys(at, &from.ssh_authorized_keys_local, &mut keys);
        }
        ign::PasswdUser {
            gecos: from.gecos,
            groups: from.groups,
            home_dir: from.home_dir,
            name: from.name,
            no_create_home: from.no_create_home,
            no_log_init: from.no_log_init,
            no_user_group: from.no_user_group,
            password_hash: from.password_hash,
            primary_group: from.primary_group,
            ssh_authorized_keys: keys,
            shell: from.shell,
            should_exist: from.should_exist,
            system: from.system,
            uid: from.uid,
        }
    }

    fn local_keys(&mut self, user: usize, files: &[String], keys: &mut Vec<String>) {
        let list = format!("$.passwd.users.{user}.ssh_authorized_keys_local");
        if self.files.is_none() {
            return self.report.push(Entry::error(NO_FILES, list));
        }
        for (at, file) in files.iter().enumerate() {
            let source = format!("{list}.{at}");
            let Some(contents) = self.read(file, &source) else { continue };
            for line in String::from_utf8_lossy(&contents).split('\n') {
                let line = line.strip_suffix('\r').unwrap_or(line);
                if !line.is_empty() {
                    self.origins
                        .moved(format!("$.passwd.users.{user}.sshAuthorizedKeys.{}", keys.len()), &source);
                    keys.push(line.to_owned());
                }
            }
        }
    }

    fn storage(&mut self, from: source::Storage) -> ign::Storage {
        ign::Storage {
            directories: from.directories,
            disks: from.disks,
            files: from.files.into_iter().enumerate().map(|(at, file)| self.file(at, file)).collect(),
            filesystems: from.filesystems.into_iter().map(filesystem).collect(),
            links: from.links,
            luks: from.luks.into_iter().enumerate().map(|(at, luks)| self.luks(at, luks)).collect(),
            raid: from.raid,
        }
    }

    fn file(&mut self, at: usize, from: source::File) -> ign::File {
        ign::File {
            group: from.group,
            overwrite: from.overwrite,
            path: from.path,
            user: from.user,
            append: self.resources(from.append, &format!("$.storage.files.{at}.append")),
            contents: self.resource(from.contents, &format!("$.storage.files.{at}.contents")),
            mode: from.mode,
        }
    }

    fn luks(&mut self, at: usize, from: source::Luks) -> ign::Luks {
        ign::Luks {
            cex: from.cex,
            clevis: from.clevis,
            device: from.device,
            discard: from.discard,
            key_file: self.resource(from.key_file, &format!("$.storage.luks.{at}.keyFile")),
            label: from.label,
            name: from.name,
            open_options: from.open_options,
            options: from.options,
            uuid: from.uuid,
            wipe_volume: from.wipe_volume,
        }
    }

    fn systemd(&mut self, from: source::Systemd) -> ign::Systemd {
        ign::Systemd {
            units: from.units.into_iter().enumerate().map(|(at, unit)| self.unit(at, unit)).collect(),
        }
    }

    fn unit(&mut self, at: usize, from: source::Unit) -> ign::Unit {
        let path = format!("$.systemd.units.{at}");
        let dropins = from.dropins.into_iter().enumerate().map(|(at, dropin)| ign::Dropin {
            contents: self.unit_contents(
                dropin.contents,
                &dropin.contents_local,
                &format!("{path}.dropins.{at}"),
            ),
            name: dropin.name,
        });
        let dropins = dropins.collect();
        ign::Unit {
            contents: self.unit_contents(from.contents, &from.contents_local, &path),
            dropins,
            enabled: from.enabled,
            mask: from.mask,
            name: from.name,
        }
    }

    fn unit_contents(&mut self, given: Option<String>, local: &Option<String>, path: &str) -> Option<String> {
        let Some(local) = local.as_ref().filter(|local| !local.is_empty()) else { return given };
        let source = format!("{path}.contents_local");
        let contents = self.read(local, &source)?;
        self.origins.moved(format!("{path}.contents"), source);
        Some(String::from_utf8_lossy(&contents).into_owned())
    }
}

fn filesystem(from: source::Filesystem) -> ign::Filesystem {
    ign::Filesystem {
        device: from.device,
        format: from.format,
        label: from.label,
        mount_options: from.mount_options,
        options: from.options,
        path: from.path,
        uuid: from.uuid,
        wipe_filesystem: from.wipe_filesystem,
    }
}
