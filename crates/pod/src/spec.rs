//! What a user declares: a subset of the Kubernetes Pod (core/v1), parsed without I/O.
//!
//! Nothing is ignored in silence: an unknown member is an error with its line and column, and so is a member that
//! Kubernetes has and Orlop does not do. `docs/reference/pod.md` lists what is supported.
//!
//! Modules: [`yaml`] (text to nodes with positions), [`decode`] (members, types, "did you mean"), [`parse`] (the
//! Pod itself), [`quantity`] (`500m`, `64Mi`).

pub mod decode;
pub mod parse;
pub mod quantity;
pub mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use oci_image::Reference;
use serde::Serialize;

pub use parse::parse;

/// A declared pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// `metadata.name`: the pod's name on this machine, a DNS label.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// When the pod is started again.
    pub restart_policy: RestartPolicy,
    /// The pod uses the machine's own network.
    pub host_network: bool,
    /// The host name inside of the pod; the pod's name if none is given.
    pub hostname: Option<String>,
    /// How long containers have between the stop signal and SIGKILL, in seconds.
    pub grace_secs: u32,
    /// The containers, at least one.
    pub containers: Vec<Container>,
    /// What they may mount.
    pub volumes: Vec<Volume>,
}

impl Pod {
    /// The ports of the machine that this pod takes, with the container ports behind them.
    pub fn host_ports(&self) -> impl Iterator<Item = HostPort> + '_ {
        let ports = self.containers.iter().flat_map(|container| &container.ports);
        ports.filter_map(|port| {
            let host_port = match port.host_port {
                Some(host_port) => host_port,
                // In the machine's own network every port is a port of the machine.
                None if self.host_network => port.container_port,
                None => return None,
            };
            Some(HostPort {
                host_ip: port.host_ip,
                host_port,
                container_port: port.container_port,
                protocol: port.protocol,
            })
        })
    }
}

/// A port of the machine and the container port behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HostPort {
    /// The machine's address; none for all.
    pub host_ip: Option<IpAddr>,
    /// The machine's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// When a pod is started again after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum RestartPolicy {
    /// Whenever it ends.
    #[default]
    Always,
    /// When it failed.
    OnFailure,
    /// Not at all.
    Never,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name in the pod, a DNS label.
    pub name: String,
    /// Its image.
    pub image: Reference,
    /// When the registry is asked.
    pub pull_policy: PullPolicy,
    /// In place of the image's entrypoint, if not empty.
    pub command: Vec<String>,
    /// In place of the image's command, if not empty.
    pub args: Vec<String>,
    /// Environment on top of the image's, in order.
    pub env: Vec<(String, String)>,
    /// In place of the image's working directory.
    pub working_dir: Option<String>,
    /// Ports that it listens on.
    pub ports: Vec<Port>,
    /// What is mounted where.
    pub mounts: Vec<VolumeMount>,
    /// Privileges.
    pub security: Security,
    /// Limits and shares.
    pub resources: Resources,
}

/// When the registry is asked for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// When the machine has no image of that name.
    #[default]
    IfNotPresent,
    /// Never.
    Never,
}

/// A port that a container listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name, for people.
    pub name: Option<String>,
    /// The port inside of the pod.
    pub container_port: u16,
    /// The machine's port that leads to it.
    pub host_port: Option<u16>,
    /// The machine's address that leads to it; none for all.
    pub host_ip: Option<IpAddr>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Something that containers of a pod may mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// What it is.
    pub source: VolumeSource,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum VolumeSource {
    /// A path of the machine.
    HostPath {
        /// Where.
        path: String,
        /// What has to be there, or is made.
        kind: HostPathKind,
    },
    /// An empty directory that lives as long as the pod.
    EmptyDir {
        /// In memory instead of on disk.
        memory: bool,
        /// Size limit in bytes; only kept in memory.
        size_limit: Option<u64>,
    },
}

/// What has to be at a host path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum HostPathKind {
    /// Anything.
    #[default]
    Any,
    /// A directory.
    Directory,
    /// A directory, made (0755, root) if there is nothing.
    DirectoryOrCreate,
    /// A file.
    File,
    /// A file, made (0644, root) if there is nothing.
    FileOrCreate,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeMount {
    /// Which volume.
    pub name: String,
    /// Where in the container.
    pub path: String,
    /// Not writable.
    pub read_only: bool,
}

/// Privileges of a container; the pod's own `securityContext` is folded in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Security {
    /// In place of the image's user.
    pub run_as_user: Option<u32>,
    /// In place of the image's group.
    pub run_as_group: Option<u32>,
    /// Refuse to run as uid 0.
    pub run_as_non_root: bool,
    /// Further groups.
    pub supplemental_groups: Vec<u32>,
    /// The root filesystem is not writable.
    pub read_only_root: bool,
    /// setuid programs do not gain privileges.
    pub no_new_privileges: bool,
    /// Capabilities on top of the default ones, without `CAP_`.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken away, without `CAP_`; `ALL` for every one.
    pub drop_capabilities: Vec<String>,
    /// No system call filter.
    pub seccomp_unconfined: bool,
}

/// Limits and shares of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Resources {
    /// Limit in thousandths of a processor.
    pub cpu_limit_milli: Option<u64>,
    /// Share when processors are short, in thousandths of a processor.
    pub cpu_request_milli: Option<u64>,
    /// Limit in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// What it should always have, in bytes.
    pub memory_request_bytes: Option<u64>,
}

/// One thing that is wrong with a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where in the document: `spec.containers[0].image`.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// A way to mend it.
    pub hint: Option<String>,
}

/// All that is wrong with a declaration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", .problems.first().map_or_else(String::new, summary))]
pub struct SpecError {
    /// At least one.
    pub problems: Vec<Problem>,
}

fn summary(problem: &Problem) -> String {
    let at = format!("line {}, column {}", problem.line, problem.column);
    if problem.path.is_empty() {
        format!("{at}: {}", problem.message)
    } else {
        format!("{at}: {}: {}", problem.path, problem.message)
    }
}

impl SpecError {
    /// All problems for a person, each with the line of the file it stands in.
    ///
    /// `file` is the name to show, `text` the text that was parsed.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            let Problem { path, line, column, message, hint } = problem;
            let of = if path.is_empty() { String::new() } else { format!("{path}: ") };
            out.push_str(&format!("{file}:{line}:{column}: {of}{message}\n"));
            if let Some(excerpt) = text.lines().nth(line.saturating_sub(1)) {
                let shown: String = excerpt.chars().take(120).collect();
                let number = line.to_string();
                out.push_str(&format!("  {number} | {shown}\n"));
                out.push_str(&format!(
                    "  {} | {}^\n",
                    " ".repeat(number.len()),
                    " ".repeat(column.saturating_sub(1).min(120))
                ));
            }
            if let Some(hint) = hint {
                out.push_str(&format!("  hint: {hint}\n"));
            }
        }
        out
    }
}
