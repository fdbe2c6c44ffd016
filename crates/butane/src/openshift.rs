//! MachineConfigs of OpenShift: an Ignition config with metadata and a few settings around it.

use ignition_spec::Config;
use ignition_spec::check::{DUPLICATE, is_true};
use ignition_spec::report::{Entry, Rule};
use ignition_spec::schema::ConfigValue as _;
use ignition_spec::tree::{Node, Value};
use ignition_spec::url::Url;
use ignition_spec::{json, write};

use crate::fields::{self, OpenShift, Root};
use crate::goyaml;
use crate::rules::{MC_BTRFS, MC_ELIDED, MC_MODE, MC_NONE, MC_SCHEME, MC_USER_NAME};
use crate::translate::Translator;

/// The cipher that FIPS 140-2 allows; it forbids XTS, the default.
const FIPS_CIPHER: [&str; 2] = ["--cipher", "aes-cbc-essiv:sha256"];

/// What a MachineConfig changes in the Ignition config, and what it cannot have there.
pub(crate) fn finish(translator: &mut Translator<'_>, config: &mut Config, root: &Root, raw: bool) {
    let minor = translator.dialect.minor;
    if minor >= 23 {
        grub_contents(translator, config);
    }
    if minor < 20 && is_true(root.openshift.fips) {
        fips_ciphers(translator, config);
    }
    unsupported(translator, config);
    if raw {
        elided(translator, &root.openshift);
    }
}

/// The boot loader's users, appended elsewhere, are the whole file: a MachineConfig cannot append.
fn grub_contents(translator: &mut Translator<'_>, config: &mut Config) {
    let files = &mut config.storage.files;
    let Some(at) = files.iter().position(|file| file.path == "/boot/grub2/user.cfg") else { return };
    if files[at].append.len() == 1 {
        files[at].contents = files[at].append.remove(0);
        translator.origins.whole(format!("$.storage.files.{at}.contents"), "$.grub.users");
    }
}

/// Volumes for which no cipher is named get one that FIPS allows.
fn fips_ciphers(translator: &mut Translator<'_>, config: &mut Config) {
    for (at, luks) in config.storage.luks.iter_mut().enumerate() {
        let names_cipher =
            |option: &String| option == "--cipher" || option == "-c" || option.starts_with("--cipher=");
        if luks.options.iter().any(names_cipher) {
            continue;
        }
        for option in FIPS_CIPHER {
            let output = format!("$.storage.luks.{at}.options.{}", luks.options.len());
            translator.origins.whole(output, "$.openshift.fips");
            luks.options.push(option.into());
        }
    }
}

/// What the operating system or the Machine Config Operator does not do.
fn unsupported(translator: &mut Translator<'_>, config: &Config) {
    let minor = translator.dialect.minor;
    let mut found: Vec<(Rule, String)> = Vec::new();
    for (format, rule, since) in [("btrfs", MC_BTRFS, 0), ("none", MC_NONE, 14)] {
        for (at, filesystem) in config.storage.filesystems.iter().enumerate() {
            if filesystem.format.as_deref() == Some(format) && minor >= since {
                found.push((rule, format!("$.storage.filesystems.{at}.format")));
            }
        }
    }
    for (at, file) in config.storage.files.iter().enumerate() {
        let url = file.contents.source.as_deref().and_then(Url::parse);
        if url.is_some_and(|url| url.scheme != "data") {
            found.push((MC_SCHEME, format!("$.storage.files.{at}.contents.source")));
        }
        if minor >= 10 && file.mode.is_some_and(|mode| mode & !0o777 != 0) {
            found.push((MC_MODE, format!("$.storage.files.{at}.mode")));
        }
    }
    for (at, user) in config.passwd.users.iter().enumerate() {
        if user.name != "core" {
            found.push((MC_USER_NAME, format!("$.passwd.users.{at}.name")));
        }
    }
    for (rule, path) in found {
        translator.report_output(Entry::error(rule, path));
    }
}

/// Entries that the lists of a MachineConfig have twice, as errors at their places in the source.
pub(crate) fn duplicates(openshift: &OpenShift) -> Vec<Entry> {
    let lists = [("kernel_arguments", &openshift.kernel_arguments), ("extensions", &openshift.extensions)];
    let mut found = Vec::new();
    for (key, list) in lists {
        let twice = list.iter().enumerate().filter(|(at, item)| list[..*at].contains(item));
        found.extend(twice.map(|(at, _)| Entry::error(DUPLICATE, format!("$.openshift.{key}.{at}"))));
    }
    found
}

/// What an Ignition config alone has no place for.
fn elided(translator: &mut Translator<'_>, openshift: &OpenShift) {
    for (key, given) in [
        ("kernel_arguments", !openshift.kernel_arguments.is_empty()),
        ("extensions", !openshift.extensions.is_empty()),
        ("fips", openshift.fips.is_some()),
        ("kernel_type", openshift.kernel_type.is_some()),
    ] {
        if given {
            translator.report.push(Entry::warning(MC_ELIDED, format!("$.openshift.{key}")));
        }
    }
}

/// The parts of `config` that the dialect refuses, as errors at paths of the output.
pub(crate) fn refused(config: &Config, dialect: crate::variant::Dialect) -> Vec<Entry> {
    let refusals: Vec<_> = fields::refusals(dialect).collect();
    let mut found = Vec::new();
    if refusals.is_empty() {
        return found;
    }
    let text = config.to_json();
    let Ok(tree) = json::parse(&text) else { return found };
    let mut visit = |path: &str, bare: &str, node: &Node<'_>| {
        let refusal = refusals.iter().find(|refusal| refusal.path == bare)?;
        // Contents that were put in say "not compressed", which asks for nothing.
        let nothing = bare.ends_with(".compression") && node.value == Value::Text("".into());
        if !nothing {
            found.push(Entry::error(refusal.rule, path));
        }
        Some(())
    };
    walk(&tree, "$", "", &mut visit);
    found
}

/// Visits all values of a document with their path, and their path without indices, until `visit` has seen enough of a
/// subtree.
fn walk(node: &Node<'_>, path: &str, bare: &str, visit: &mut dyn FnMut(&str, &str, &Node<'_>) -> Option<()>) {
    if visit(path, bare, node).is_some() {
        return;
    }
    match &node.value {
        Value::Map(members) => {
            for member in members {
                let below =
                    if bare.is_empty() { member.key.to_string() } else { format!("{bare}.{}", member.key) };
                walk(&member.value, &format!("{path}.{}", member.key), &below, visit);
            }
        }
        Value::Seq(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, &format!("{path}.{at}"), bare, visit);
            }
        }
        _ => {}
    }
}

/// The MachineConfig as YAML, with no line end after it.
pub(crate) fn machine_config(config: &Config, root: &Root) -> Vec<u8> {
    let openshift = write::to_json(&root.openshift, false);
    let openshift = String::from_utf8_lossy(&openshift);
    let labels = write::to_json(&root.metadata.labels, false);
    let mut name = Vec::new();
    json::write_string(&mut name, &root.metadata.name);
    let mut text =
        String::from("{\"apiVersion\":\"machineconfiguration.openshift.io/v1\",\"kind\":\"MachineConfig\"");
    text.push_str(&format!(",\"metadata\":{{\"name\":{}", String::from_utf8_lossy(&name)));
    if !root.metadata.labels.is_absent() {
        text.push_str(&format!(",\"labels\":{}", String::from_utf8_lossy(&labels)));
    }
    text.push_str(&format!("}},\"spec\":{{\"config\":{}", String::from_utf8_lossy(&config.to_json())));
    if openshift.len() > 2 {
        text.push(',');
        text.push_str(&openshift[1..openshift.len() - 1]);
    }
    text.push_str("}}");
    let mut yaml = b"# Generated by Butane; do not edit\n".to_vec();
    if let Ok(tree) = json::parse(text.as_bytes()) {
        yaml.extend_from_slice(goyaml::write(&tree).trim_end_matches('\n').as_bytes());
    }
    yaml
}
