//! Quadlets: files that podman's generator makes units of (podman-systemd.unit(5)).

use ignition_spec::Config;
use ignition_spec::check::non_empty;
use ignition_spec::config::{File, Link, Resource};
use ignition_spec::report::Entry;

use crate::dataurl;
use crate::fields::{Quadlet, QuadletDropin};
use crate::rules::NODE_EXISTS;
use crate::translate::Translator;
use crate::trees::Nodes;

/// Where podman looks for the administrator's quadlets.
const OF_ROOT: &str = "/etc/containers/systemd";
/// Where it looks for those of every user.
const OF_USERS: &str = "/etc/containers/systemd/users";

const EXTENSIONS: [&str; 8] =
    [".container", ".volume", ".network", ".kube", ".image", ".build", ".pod", ".artifact"];

/// Whether podman makes a unit of a file of this name.
pub(crate) fn has_extension(name: &str) -> bool {
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// The template of an instance: `foo@.container` for `foo@x.container`.
pub(crate) fn template(name: &str) -> Option<String> {
    let at = name.find('@')?;
    let dot = name.rfind('.')?;
    (at + 1 != dot).then(|| format!("{}@.{}", &name[..at], &name[dot + 1..]))
}

/// Adds the files and links of `quadlets` to `config`.
pub(crate) fn add(translator: &mut Translator<'_>, config: &mut Config, quadlets: &[Quadlet]) {
    let mut nodes = Nodes::of(config);
    for (at, quadlet) in quadlets.iter().enumerate() {
        let source = format!("$.systemd.quadlets.{at}");
        let folder = if quadlet.rootful { OF_ROOT } else { OF_USERS };
        let path = ignition_spec::gopath::join(folder, &quadlet.name);
        match template(&quadlet.name) {
            Some(template) => instance(translator, config, &mut nodes, &path, template, &source),
            None => {
                let contents = (&quadlet.contents, &quadlet.contents_local);
                file(translator, config, &mut nodes, path.clone(), contents, &source);
            }
        }
        for (at, dropin) in quadlet.dropins.iter().enumerate() {
            let QuadletDropin { contents, contents_local, name } = dropin;
            let source = format!("{source}.dropins.{at}");
            let path = format!("{path}.d/{name}");
            file(translator, config, &mut nodes, path, (contents, contents_local), &source);
        }
    }
}

fn instance(
    translator: &mut Translator<'_>,
    config: &mut Config,
    nodes: &mut Nodes,
    path: &str,
    template: String,
    source: &str,
) {
    if nodes.has(path) {
        return translator.report.push(Entry::error(NODE_EXISTS, source));
    }
    let links = &mut config.storage.links;
    let output = translator.origins.added("$.storage.links", links.len(), source);
    translator.origins.moved(format!("{output}.path"), format!("{source}.name"));
    nodes.links.insert(path.to_owned(), links.len());
    links.push(Link { path: path.to_owned(), target: Some(template), ..Link::default() });
}

fn file(
    translator: &mut Translator<'_>,
    config: &mut Config,
    nodes: &mut Nodes,
    path: String,
    (inline, local): (&Option<String>, &Option<String>),
    source: &str,
) {
    if nodes.has(&path) {
        return translator.report.push(Entry::error(NODE_EXISTS, source));
    }
    let (contents, key) = match (non_empty(inline), non_empty(local)) {
        (Some(inline), _) => (inline.as_bytes().to_vec(), "contents"),
        (None, None) => (Vec::new(), "contents"),
        (None, Some(local)) => match translator.read(local, &format!("{source}.contents_local")) {
            Some(contents) => (contents, "contents_local"),
            None => return,
        },
    };
    let (url, compression) = dataurl::encode(&contents, None, translator.compress);
    let files = &mut config.storage.files;
    let output = translator.origins.added("$.storage.files", files.len(), source);
    translator.origins.moved(format!("{output}.path"), format!("{source}.name"));
    translator.origins.moved(format!("{output}.contents.source"), format!("{source}.{key}"));
    nodes.files.insert(path.clone(), files.len());
    let contents =
        Resource { source: Some(url), compression: compression.map(Into::into), ..Resource::default() };
    files.push(File { path, contents, mode: Some(0o644), ..File::default() });
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn instances_have_templates() {
        assert_eq!(template("a@b.container").as_deref(), Some("a@.container"));
        for name in ["a@.container", "a.container", "a@b"] {
            assert_eq!(template(name), None, "{name}");
        }
    }
}
