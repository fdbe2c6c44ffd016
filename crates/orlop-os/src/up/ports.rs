//! Ports: those asked for, and those that the config's pods take on the machine.

use std::io::Read as _;
use std::net::TcpListener;
use std::str::FromStr;

use cli::{Error, Kind};
use ignition_spec::Config;
use pod::spec::Protocol;
use vm::Forward;

/// Where pods are declared on a machine.
const PODS: &str = "/etc/pods.d/";

/// A pod's declaration is text written by people.
const DECLARATION_MAX_BYTES: u64 = 1 << 20;

/// A `--publish` option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish(Forward);

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, guest) =
            text.split_once(':').ok_or("two port numbers with a colon between them are needed")?;
        let port = |text: &str| match text.parse() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(format!("{text:?} is no port number")),
        };
        Ok(Self(Forward { host_port: port(host)?, guest_port: port(guest)? }))
    }
}

/// TCP ports of the machine that the config's own pods take, each once. What cannot be read here is judged on
/// the machine, not by us.
pub(super) fn of_pods(config: &Config) -> Vec<u16> {
    let mut ports = Vec::new();
    for file in &config.storage.files {
        let declares =
            file.path.starts_with(PODS) && (file.path.ends_with(".yaml") || file.path.ends_with(".yml"));
        let Some(text) = declares.then(|| contents(&file.contents)).flatten() else { continue };
        let Ok(pod) = pod::spec::parse(&text) else { continue };
        ports.extend(
            pod.host_ports().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.host_port),
        );
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The text of a file whose contents are in the config itself.
fn contents(resource: &ignition_spec::config::Resource) -> Option<String> {
    let bytes = ignition_spec::dataurl::decode(resource.source.as_deref()?).ok()?;
    if resource.compression.as_deref() != Some("gzip") {
        return String::from_utf8(bytes).ok();
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .take(DECLARATION_MAX_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// Which port of 127.0.0.1 leads to which of the machine: what was asked for as it was asked for, a pod's port
/// to itself where it is free, else to another.
pub(super) fn forwards(asked: &[Publish], pods: &[u16]) -> Result<Vec<Forward>, Error> {
    let mut forwards: Vec<Forward> = Vec::new();
    for Publish(forward) in asked {
        if !is_free(forward.host_port) {
            let text = format!("port {} of 127.0.0.1 is taken", forward.host_port);
            return Err(Error::message(Kind::Conflict, text).hint("choose another with --publish HOST:GUEST"));
        }
        forwards.push(*forward);
    }
    for port in pods {
        if forwards.iter().any(|forward| forward.guest_port == *port) {
            continue;
        }
        let taken = !is_free(*port) || forwards.iter().any(|forward| forward.host_port == *port);
        let host_port = if taken { free()? } else { *port };
        forwards.push(Forward { host_port, guest_port: *port });
    }
    Ok(forwards)
}

/// A port that nobody listens on.
pub(super) fn free() -> Result<u16, Error> {
    vm::harness::lab::free_port().map_err(|error| Error::new(Kind::System, error))
}

/// Ports below 1024 may be forbidden to us: they are as good as taken.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: web\n    \
                       image: localhost/web:latest\n    ports:\n    - {containerPort: 80, hostPort: 8080}\n    \
                       - {containerPort: 53, hostPort: 5353, protocol: UDP}\n    - {containerPort: 81}\n";

    fn config(path: &str, text: &str) -> Config {
        let indented = text.replace('\n', "\n          ");
        let butane = format!(
            "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: {path}\n      contents:\n        \
             inline: |\n          {indented}\n"
        );
        butane::transpile(butane.as_bytes(), &butane::Options::default()).unwrap().config
    }

    #[test]
    fn ports_of_pods_are_found() {
        assert_eq!(of_pods(&config("/etc/pods.d/web.yaml", POD)), [8080]);
        let padded = format!("{POD}{}", "# a long comment makes Butane compress the file\n".repeat(40));
        assert_eq!(of_pods(&config("/etc/pods.d/web.yaml", &padded)), [8080]);
        assert_eq!(of_pods(&config("/etc/other/web.yaml", POD)), [0; 0]);
        assert_eq!(of_pods(&config("/etc/pods.d/web.yaml", "not a pod")), [0; 0]);
    }

    #[test]
    fn options_are_two_ports() {
        assert_eq!("80:8080".parse(), Ok(Publish(Forward { host_port: 80, guest_port: 8080 })));
        for text in ["80", "a:80", "80:0", "70000:1"] {
            assert!(text.parse::<Publish>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_taken_port_gives_way_to_a_free_one_unless_it_was_asked_for() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let found = forwards(&[], &[port]).unwrap();
        assert_eq!(found[0].guest_port, port);
        assert_ne!(found[0].host_port, port);
        let asked = Publish(Forward { host_port: port, guest_port: 80 });
        assert_eq!(forwards(&[asked], &[]).unwrap_err().kind(), Kind::Conflict);
    }
}
