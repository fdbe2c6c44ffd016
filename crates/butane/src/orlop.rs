//! The short forms of our own variant: pods, health checks, updates become files.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ignition_spec::config::{Config, File, Resource};
use ignition_spec::json::write_string;
use ignition_spec::report::Entry;
use ignition_spec::tree::{Member, Node, Plain, Value};

use crate::fields::Root;
use crate::fields::orlop::{HealthCheck, Loose, Pod, Updates};
use crate::rules::NODE_EXISTS;
use crate::translate::Translator;
use crate::trees::Nodes;
use crate::{dataurl, goyaml};

/// What a file of ours starts with.
const HEADER: &str = "# Made from a Butane config.\n";

/// Adds the files of `root`'s sections to `config`.
pub(crate) fn add(translator: &mut Translator<'_>, config: &mut Config, root: &Root) {
    let mut nodes = Nodes::of(config);
    let mut files = Files { translator, config, nodes: &mut nodes };
    for (at, pod) in root.pods.iter().enumerate() {
        let source = format!("$.pods.{at}");
        if let Some((text, key)) = files.pod(pod, &source) {
            files.add(format!("/etc/pods.d/{}.yaml", pod.name), text.as_bytes(), &source, key);
        }
    }
    for (at, check) in root.health_checks.iter().enumerate() {
        let path = format!("/etc/orlop/health.d/{}.yaml", check.name);
        files.add(path, health(check).as_bytes(), &format!("$.health_checks.{at}"), "");
    }
    if root.updates != Updates::default() {
        files.add("/etc/orlop/update.toml".into(), updates(&root.updates).as_bytes(), "$.updates", "");
    }
}

struct Files<'f, 't> {
    translator: &'f mut Translator<'t>,
    config: &'f mut Config,
    nodes: &'f mut Nodes,
}

impl Files<'_, '_> {
    /// Adds a file that `source` asks for; its content is at `key` below.
    fn add(&mut self, path: String, contents: &[u8], source: &str, key: &str) {
        let Self { translator, config, nodes } = self;
        if nodes.has(&path) {
            return translator.report.push(Entry::error(NODE_EXISTS, source));
        }
        let files = &mut config.storage.files;
        let output = translator.origins.added("$.storage.files", files.len(), source);
        if !key.is_empty() {
            translator.origins.moved(format!("{output}.contents.source"), format!("{source}.{key}"));
        }
        let (url, compression) = dataurl::encode(contents, None, translator.compress);
        nodes.files.insert(path.clone(), files.len());
        let contents =
            Resource { source: Some(url), compression: compression.map(Into::into), ..Resource::default() };
        files.push(File { path, contents, mode: Some(0o644), ..File::default() });
    }

    /// The declaration of a pod, and the key that has it.
    fn pod(&mut self, pod: &Pod, source: &str) -> Option<(String, &'static str)> {
        if let Some(local) = &pod.local {
            let text = self.translator.read(local, &format!("{source}.local"))?;
            return Some((String::from_utf8_lossy(&text).into_owned(), "local"));
        }
        match &pod.inline {
            Loose::Unset => Some((short(pod), "image")),
            Loose::Scalar(text) => Some((text.clone(), "inline")),
            Loose::Yaml(text) => Some((text.clone(), "inline")),
            Loose::List(_) => Some((String::new(), "inline")),
        }
    }
}

/// A port of the short form: address of the machine, its port, the container's, UDP.
pub(crate) fn port(text: &str) -> Option<(Option<Ipv4Addr>, Option<u16>, u16, bool)> {
    let (text, udp) = match text.split_once('/') {
        Some((text, "udp")) => (text, true),
        Some((text, "tcp")) => (text, false),
        Some(_) => return None,
        None => (text, false),
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    Some(match *text.split(':').collect::<Vec<_>>() {
        [container] => (None, None, number(container)?, udp),
        [host, container] => (None, Some(number(host)?), number(container)?, udp),
        [ip, host, container] => (Some(ip.parse().ok()?), Some(number(host)?), number(container)?, udp),
        _ => return None,
    })
}

/// A volume of the short form: what it is, where it is mounted, read-only.
pub(crate) fn volume(text: &str) -> Option<(&str, &str, bool)> {
    let (source, path, read_only) = match *text.split(':').collect::<Vec<_>>() {
        [source, path] => (source, path, false),
        [source, path, "ro"] => (source, path, true),
        [source, path, "rw"] => (source, path, false),
        _ => return None,
    };
    let name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    (path.starts_with('/') && (source.starts_with('/') || name(source))).then_some((source, path, read_only))
}

fn node(value: Value<'_>) -> Node<'_> {
    Node { position: (0, 0), value }
}

fn text(text: &str) -> Node<'_> {
    node(Value::Text(Cow::Borrowed(text)))
}

fn number<'n>(number: impl Into<i64>) -> Node<'n> {
    let number = number.into();
    node(Value::Plain(Cow::Owned(number.to_string()), Plain::Int(number)))
}

fn yes<'n>() -> Node<'n> {
    node(Value::Bool(true))
}

fn list<'n>(items: impl IntoIterator<Item = Node<'n>>) -> Node<'n> {
    node(Value::Seq(items.into_iter().collect()))
}

/// An object without what is not there.
fn map<'n>(members: impl IntoIterator<Item = (&'n str, Option<Node<'n>>)>) -> Node<'n> {
    let member = |(key, value): (&'n str, Option<Node<'n>>)| {
        Some(Member { key: Cow::Borrowed(key), position: (0, 0), value: value? })
    };
    node(Value::Map(members.into_iter().filter_map(member).collect()))
}

fn texts(items: &[String]) -> Option<Node<'_>> {
    (!items.is_empty()).then(|| list(items.iter().map(|item| text(item))))
}

/// The Pod that the short form stands for: one container, named as the pod.
fn short(pod: &Pod) -> String {
    let volumes: Vec<_> = pod.volumes.iter().filter_map(|text| volume(text)).collect();
    let names: Vec<String> = volumes
        .iter()
        .enumerate()
        .map(
            |(at, (source, ..))| {
                if source.starts_with('/') { format!("volume-{at}") } else { (*source).to_owned() }
            },
        )
        .collect();
    let ports = pod.ports.iter().filter_map(|text| port(text));
    let addresses: Vec<Option<String>> = ports.clone().map(|(ip, ..)| ip.map(|ip| ip.to_string())).collect();
    let ports = ports.zip(&addresses).map(|((_, host, container, udp), address)| {
        map([
            ("containerPort", Some(number(container))),
            ("hostPort", host.map(number)),
            ("hostIP", address.as_deref().map(text)),
            ("protocol", udp.then(|| text("UDP"))),
        ])
    });
    let ports: Vec<_> = ports.collect();
    let env =
        pod.env.iter().map(|(name, value)| map([("name", Some(text(name))), ("value", Some(text(value)))]));
    let mounts = volumes.iter().zip(&names).map(|((_, path, read_only), name)| {
        map([("name", Some(text(name))), ("mountPath", Some(text(path))), ("readOnly", read_only.then(yes))])
    });
    let container = map([
        ("name", Some(text(&pod.name))),
        ("image", pod.image.as_deref().map(text)),
        ("command", texts(&pod.command)),
        ("args", texts(&pod.args)),
        ("env", (!pod.env.is_empty()).then(|| list(env))),
        ("ports", (!ports.is_empty()).then(|| list(ports))),
        ("volumeMounts", (!volumes.is_empty()).then(|| list(mounts))),
    ]);
    let mut declared: Vec<&str> = Vec::new();
    let volumes_of_pod = volumes.iter().zip(&names).filter(|(_, name)| {
        let first = !declared.contains(&name.as_str());
        declared.push(name);
        first
    });
    let volumes_of_pod: Vec<_> = volumes_of_pod
        .map(|((source, ..), name)| {
            let host = source.starts_with('/');
            let host_path = || map([("path", Some(text(source))), ("type", Some(text("DirectoryOrCreate")))]);
            map([
                ("name", Some(text(name))),
                ("hostPath", host.then(host_path)),
                ("emptyDir", (!host).then(|| map([]))),
            ])
        })
        .collect();
    let restart = pod.restart.as_deref().map(|restart| match restart {
        "never" => text("Never"),
        "on-failure" => text("OnFailure"),
        _ => text("Always"),
    });
    let spec = map([
        ("containers", Some(list([container]))),
        ("hostNetwork", (pod.host_network == Some(true)).then(yes)),
        ("restartPolicy", restart),
        ("volumes", (!volumes_of_pod.is_empty()).then(|| list(volumes_of_pod))),
    ]);
    let metadata = map([("name", Some(text(&pod.name)))]);
    let declaration = map([
        ("apiVersion", Some(text("v1"))),
        ("kind", Some(text("Pod"))),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
    ]);
    format!("{HEADER}{}", goyaml::write(&declaration))
}

/// A health check as `docs/formats/health.md` has it.
fn health(check: &HealthCheck) -> String {
    let HealthCheck { unit, command, http, container, .. } = check;
    let kind = match (unit, command.is_empty(), http.url.is_empty()) {
        (Some(_), ..) => "unit",
        (None, false, _) => "command",
        (None, true, false) => "http",
        (None, true, true) => "container",
    };
    let of = |this: &str| kind == this;
    let document = map([
        ("version", Some(number(1))),
        ("kind", Some(text(kind))),
        ("unit", unit.as_deref().map(text)),
        ("command", texts(command)),
        ("url", of("http").then(|| text(&http.url))),
        ("status", http.status.filter(|_| of("http")).map(number)),
        ("contains", http.contains.as_deref().filter(|_| of("http")).map(text)),
        ("pod", of("container").then(|| text(&container.pod))),
        ("container", container.name.as_deref().filter(|_| of("container")).map(text)),
        ("interval_secs", check.interval_secs.map(number)),
        ("timeout_secs", check.timeout_secs.map(number)),
        ("within_secs", check.within_secs.map(number)),
    ]);
    format!("{HEADER}{}", goyaml::write(&document))
}

/// The updates' settings as `docs/formats/update-config.md` has them.
fn updates(updates: &Updates) -> String {
    let quoted = |text: &str| {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8_lossy(&out).into_owned()
    };
    let mut out = format!("{HEADER}version = 1\n");
    let settings =
        [("stream", &updates.stream), ("strategy", &updates.strategy), ("time_zone", &updates.time_zone)];
    for (key, value) in settings {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    }
    for window in &updates.windows {
        let days: Vec<String> = window.days.iter().map(|day| quoted(day)).collect();
        let (start, length) = (quoted(&window.start), window.length_minutes);
        let _ = write!(out, "\n[[windows]]\ndays = [{}]\nstart = {start}\n", days.join(", "));
        let _ = writeln!(out, "length_minutes = {length}");
    }
    out
}
