//! The Pod itself, member by member.

use std::collections::{BTreeMap, BTreeSet};

use super::decode::{At, Decoder};
use super::yaml::{self, Value};
use super::{
    Container, HostPathKind, Pod, Port, Protocol, PullPolicy, Resources, RestartPolicy, Security, SpecError,
    Volume, VolumeMount, VolumeSource, quantity,
};

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE_SECS: u32 = 30;

/// An hour: a stop that takes longer is a mistake.
const GRACE_SECS_MAX: i64 = 3600;

/// Members that Kubernetes has and Orlop does not do: named apart from mistakes.
const POD_KNOWN: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostPID",
    "hostUsers",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "tolerations",
    "topologySpreadConstraints",
];
const CONTAINER_KNOWN: &[&str] = &[
    "envFrom",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "resizePolicy",
    "restartPolicy",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
];
const META_KNOWN: &[&str] = &[
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
const SECURITY_KNOWN: &[&str] = &[
    "appArmorProfile",
    "procMount",
    "seLinuxOptions",
    "windowsOptions",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "supplementalGroupsPolicy",
];
const VOLUME_KNOWN: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageos",
    "vsphereVolume",
];

/// Reads a pod's declaration.
///
/// # Errors
/// [`SpecError`] with everything that is wrong with it, in the order of the file.
pub fn parse(text: &str) -> Result<Pod, SpecError> {
    let root = yaml::read(text).map_err(|problem| SpecError { problems: vec![problem] })?;
    let mut d = Decoder::default();
    let pod = pod(&mut d, &At { path: String::new(), node: &root });
    match pod {
        Some(pod) if d.problems.is_empty() => Ok(pod),
        _ => {
            d.problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(SpecError { problems: d.problems })
        }
    }
}

fn pod(d: &mut Decoder, at: &At<'_>) -> Option<Pod> {
    let mut top = d.fields(at);
    if let Some(version) = top.need(d, "apiVersion") {
        d.choice(&version, &[("v1", ())]);
    }
    if let Some(kind) = top.need(d, "kind") {
        d.choice(&kind, &[("Pod", ())]);
    }
    let meta = top.need(d, "metadata");
    let spec = top.need(d, "spec");
    d.finish(top, &["status"]);

    let (meta, spec) = (meta?, spec?);
    let mut meta = d.fields(&meta);
    let name = meta.need(d, "name").and_then(|at| label(d, &at));
    let labels = meta.take("labels").map(|at| string_map(d, &at)).unwrap_or_default();
    let annotations = meta.take("annotations").map(|at| string_map(d, &at)).unwrap_or_default();
    d.finish(meta, META_KNOWN);

    let mut spec = d.fields(&spec);
    let policies = [
        ("Always", RestartPolicy::Always),
        ("OnFailure", RestartPolicy::OnFailure),
        ("Never", RestartPolicy::Never),
    ];
    let restart_policy =
        spec.take("restartPolicy").and_then(|at| d.choice(&at, &policies)).unwrap_or_default();
    let host_network = spec.take("hostNetwork").and_then(|at| d.bool(&at)).unwrap_or_default();
    let hostname = spec.take("hostname").and_then(|at| label(d, &at));
    let grace = spec.take("terminationGracePeriodSeconds").and_then(|at| d.int(&at, 0, GRACE_SECS_MAX));
    let defaults = spec
        .take("securityContext")
        .map(|at| security(d, &at, true, &Security::default()))
        .unwrap_or_default();
    let volumes = spec.take("volumes").map(|at| volumes(d, &at)).unwrap_or_default();
    let containers =
        spec.need(d, "containers").map(|at| containers(d, &at, &volumes, &defaults, host_network));
    d.finish(spec, POD_KNOWN);

    Some(Pod {
        name: name?,
        labels,
        annotations,
        restart_policy,
        host_network,
        hostname,
        grace_secs: grace.unwrap_or(GRACE_SECS),
        containers: containers?,
        volumes,
    })
}

fn containers(
    d: &mut Decoder,
    at: &At<'_>,
    volumes: &[Volume],
    defaults: &Security,
    host_network: bool,
) -> Vec<Container> {
    let items = d.items(at);
    if items.is_empty() {
        d.wrong(at, "a pod needs at least one container", None);
    }
    let mut names = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for item in &items {
        let Some(container) = container(d, item, volumes, defaults, host_network, &mut taken) else {
            continue;
        };
        if !names.insert(container.name.clone()) {
            d.wrong(item, format!("there is another container {}", container.name), None);
        }
        all.push(container);
    }
    all
}

/// Host ports that were taken already, as `(protocol, port, address)`.
type Taken = BTreeSet<(Protocol, u16, Option<std::net::IpAddr>)>;

fn container(
    d: &mut Decoder,
    at: &At<'_>,
    volumes: &[Volume],
    defaults: &Security,
    host_network: bool,
    taken: &mut Taken,
) -> Option<Container> {
    let mut fields = d.fields(at);
    let name = fields.need(d, "name").and_then(|at| label(d, &at));
    let image = fields.need(d, "image").and_then(|at| {
        let text = d.text(&at)?;
        text.parse()
            .map_err(|error: oci_image::reference::ReferenceError| d.wrong(&at, error.to_string(), None))
            .ok()
    });
    let policies = [
        ("Always", PullPolicy::Always),
        ("IfNotPresent", PullPolicy::IfNotPresent),
        ("Never", PullPolicy::Never),
    ];
    let pull_policy =
        fields.take("imagePullPolicy").and_then(|at| d.choice(&at, &policies)).unwrap_or_default();
    let command = fields.take("command").map(|at| d.texts(&at)).unwrap_or_default();
    let args = fields.take("args").map(|at| d.texts(&at)).unwrap_or_default();
    let env = fields.take("env").map(|at| env(d, &at)).unwrap_or_default();
    let working_dir = fields.take("workingDir").and_then(|at| absolute(d, &at));
    let ports = fields.take("ports").map(|at| ports(d, &at, host_network, taken)).unwrap_or_default();
    let mounts = fields.take("volumeMounts").map(|at| mounts(d, &at, volumes)).unwrap_or_default();
    let security = fields
        .take("securityContext")
        .map_or_else(|| defaults.clone(), |at| security(d, &at, false, defaults));
    let resources = fields.take("resources").map(|at| resources(d, &at)).unwrap_or_default();
    d.finish(fields, CONTAINER_KNOWN);
    let (name, image) = (name?, image?);
    Some(Container {
        name,
        image,
        pull_policy,
        command,
        args,
        env,
        working_dir,
        ports,
        mounts,
        security,
        resources,
    })
}

fn env(d: &mut Decoder, at: &At<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for item in d.items(at) {
        let mut fields = d.fields(&item);
        let name = fields.need(d, "name").and_then(|at| {
            let name = d.text(&at)?;
            let sound = !name.is_empty() && !name.contains(['=', '\0']);
            if !sound {
                d.wrong(&at, format!("{name:?} is not the name of a variable"), None);
            }
            sound.then_some(name)
        });
        let value = fields.take("value").and_then(|at| {
            let value = d.text(&at)?;
            if value.contains('\0') {
                d.wrong(&at, "a value has no NUL in it", None);
            }
            Some(value)
        });
        d.finish(fields, &["valueFrom"]);
        all.extend(name.map(|name| (name, value.unwrap_or_default())));
    }
    all
}

fn ports(d: &mut Decoder, at: &At<'_>, host_network: bool, taken: &mut Taken) -> Vec<Port> {
    let mut all = Vec::new();
    for item in d.items(at) {
        let mut fields = d.fields(&item);
        let name = fields.take("name").and_then(|at| d.text(&at));
        let container_port = fields.need(d, "containerPort").and_then(|at| d.int(&at, 1, 65_535));
        let host_port_at = fields.take("hostPort");
        let host_port = host_port_at.as_ref().and_then(|at| d.int(at, 1, 65_535));
        let host_ip = fields.take("hostIP").and_then(|at| {
            let text = d.text(&at)?;
            match text.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V6(_)) => d.wrong(&at, "host ports are IPv4 only in this version", None),
                Ok(ip) => return (!ip.is_unspecified()).then_some(ip),
                Err(_) => d.wrong(&at, format!("{text:?} is not an IP address"), None),
            }
            None
        });
        let protocols = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];
        let protocol = fields.take("protocol").and_then(|at| d.choice(&at, &protocols)).unwrap_or_default();
        d.finish(fields, &[]);
        let Some(container_port) = container_port else { continue };
        if let (Some(at), Some(host_port)) = (host_port_at, host_port) {
            if !taken.insert((protocol, host_port, host_ip)) {
                d.wrong(&at, format!("host port {host_port}/{protocol} stands here twice"), None);
            }
            if host_network && host_port != container_port {
                let message = "with hostNetwork a hostPort must equal its containerPort";
                d.wrong(&at, message, Some("remove hostPort, or hostNetwork"));
            }
        }
        all.push(Port { name, container_port, host_port, host_ip, protocol });
    }
    all
}

fn mounts(d: &mut Decoder, at: &At<'_>, volumes: &[Volume]) -> Vec<VolumeMount> {
    let mut all: Vec<VolumeMount> = Vec::new();
    for item in d.items(at) {
        let mut fields = d.fields(&item);
        let name = fields.need(d, "name").and_then(|at| {
            let name = d.text(&at)?;
            let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
            if !names.contains(&name.as_str()) {
                let hint = format!(
                    "spec.volumes declares: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                );
                d.wrong(&at, format!("there is no volume {name}"), Some(&hint));
            }
            Some(name)
        });
        let path_at = fields.need(d, "mountPath");
        let path = path_at.as_ref().and_then(|at| absolute(d, at));
        let read_only = fields.take("readOnly").and_then(|at| d.bool(&at)).unwrap_or_default();
        d.finish(fields, &["mountPropagation", "recursiveReadOnly", "subPath", "subPathExpr"]);
        let (Some(name), Some(path)) = (name, path) else { continue };
        if all.iter().any(|other| other.path == path) {
            d.wrong(&item, format!("another volume is mounted at {path}"), None);
        }
        all.push(VolumeMount { name, path, read_only });
    }
    all
}

fn volumes(d: &mut Decoder, at: &At<'_>) -> Vec<Volume> {
    let mut all: Vec<Volume> = Vec::new();
    for item in d.items(at) {
        let mut fields = d.fields(&item);
        let name = fields.need(d, "name").and_then(|at| label(d, &at));
        let host_path = fields.take("hostPath").map(|at| host_path(d, &at));
        let empty_dir = fields.take("emptyDir").map(|at| empty_dir(d, &at));
        let unknown = d.problems.len();
        d.finish(fields, VOLUME_KNOWN);
        let source = match (host_path, empty_dir) {
            (Some(source), None) | (None, Some(Some(source))) => source,
            (Some(_), Some(_)) => {
                d.wrong(&item, "a volume is either a hostPath or an emptyDir", None);
                continue;
            }
            (None, Some(None)) => continue,
            // A volume of a kind that is not done was named as such already.
            (None, None) if d.problems.len() > unknown => continue,
            (None, None) => {
                d.wrong(&item, "hostPath or emptyDir is missing", None);
                continue;
            }
        };
        let (Some(name), Some(source)) = (name, source) else { continue };
        if all.iter().any(|other| other.name == name) {
            d.wrong(&item, format!("there is another volume {name}"), None);
        }
        all.push(Volume { name, source });
    }
    all
}

fn host_path(d: &mut Decoder, at: &At<'_>) -> Option<VolumeSource> {
    let kinds = [
        ("", HostPathKind::Any),
        ("Directory", HostPathKind::Directory),
        ("DirectoryOrCreate", HostPathKind::DirectoryOrCreate),
        ("File", HostPathKind::File),
        ("FileOrCreate", HostPathKind::FileOrCreate),
    ];
    let mut fields = d.fields(at);
    let path = fields.need(d, "path").and_then(|at| absolute(d, &at));
    let kind = fields.take("type").and_then(|at| d.choice(&at, &kinds)).unwrap_or_default();
    d.finish(fields, &[]);
    Some(VolumeSource::HostPath { path: path?, kind })
}

fn empty_dir(d: &mut Decoder, at: &At<'_>) -> Option<Option<VolumeSource>> {
    let mut fields = d.fields(at);
    let memory = fields
        .take("medium")
        .and_then(|at| d.choice(&at, &[("", false), ("Memory", true)]))
        .unwrap_or_default();
    let limit_at = fields.take("sizeLimit");
    let size_limit = limit_at.as_ref().and_then(|at| quantity(d, at, quantity::bytes));
    d.finish(fields, &[]);
    if let (Some(at), false) = (limit_at, memory) {
        d.wrong(
            &at,
            "a size limit is kept only with medium: Memory",
            Some("remove sizeLimit, or add medium: Memory"),
        );
    }
    Some(Some(VolumeSource::EmptyDir { memory, size_limit }))
}

fn security(d: &mut Decoder, at: &At<'_>, of_pod: bool, defaults: &Security) -> Security {
    let mut security = defaults.clone();
    let mut fields = d.fields(at);
    let id = |d: &mut Decoder, at: At<'_>| d.int(&at, 0, i64::from(u32::MAX) - 1);
    security.run_as_user = fields.take("runAsUser").and_then(|at| id(d, at)).or(security.run_as_user);
    security.run_as_group = fields.take("runAsGroup").and_then(|at| id(d, at)).or(security.run_as_group);
    let non_root = fields.take("runAsNonRoot").and_then(|at| d.bool(&at));
    security.run_as_non_root = non_root.unwrap_or(security.run_as_non_root);
    if let Some(profile) = fields.take("seccompProfile") {
        let mut profile = d.fields(&profile);
        let kinds = [("RuntimeDefault", false), ("Unconfined", true)];
        let kind = profile.need(d, "type").and_then(|at| d.choice(&at, &kinds));
        security.seccomp_unconfined = kind.unwrap_or(security.seccomp_unconfined);
        d.finish(profile, &["localhostProfile"]);
    }
    if of_pod {
        let groups = fields.take("supplementalGroups").map(|at| d.items(&at)).unwrap_or_default();
        security.supplemental_groups = groups.into_iter().filter_map(|at| id(d, at)).collect();
        d.finish(fields, SECURITY_KNOWN);
        return security;
    }
    security.read_only_root =
        fields.take("readOnlyRootFilesystem").and_then(|at| d.bool(&at)).unwrap_or_default();
    let escalate = fields.take("allowPrivilegeEscalation").and_then(|at| d.bool(&at));
    security.no_new_privileges = escalate == Some(false);
    if let Some(at) = fields.take("privileged")
        && d.bool(&at) == Some(true)
    {
        let hint = "add the capabilities it needs instead: securityContext.capabilities.add";
        d.wrong(&at, "privileged containers are not run by this version", Some(hint));
    }
    if let Some(at) = fields.take("capabilities") {
        let mut capabilities = d.fields(&at);
        security.add_capabilities =
            capabilities.take("add").map(|at| capability_list(d, &at)).unwrap_or_default();
        security.drop_capabilities =
            capabilities.take("drop").map(|at| capability_list(d, &at)).unwrap_or_default();
        d.finish(capabilities, &[]);
    }
    d.finish(fields, SECURITY_KNOWN);
    security
}

fn capability_list(d: &mut Decoder, at: &At<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for item in d.items(at) {
        let Some(text) = d.text(&item) else { continue };
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if name == "ALL" || crate::oci::capabilities::ALL.contains(&name) {
            all.push(name.to_owned());
        } else {
            d.wrong(
                &item,
                format!("{text:?} is not a capability"),
                Some("capabilities(7) lists them, e.g. NET_ADMIN"),
            );
        }
    }
    all
}

fn resources(d: &mut Decoder, at: &At<'_>) -> Resources {
    let mut resources = Resources::default();
    let mut fields = d.fields(at);
    if let Some(at) = fields.take("limits") {
        let mut limits = d.fields(&at);
        resources.cpu_limit_milli = limits.take("cpu").and_then(|at| quantity(d, &at, quantity::milli));
        resources.memory_limit_bytes = limits.take("memory").and_then(|at| quantity(d, &at, quantity::bytes));
        d.finish(limits, &["ephemeral-storage"]);
    }
    if let Some(at) = fields.take("requests") {
        let mut requests = d.fields(&at);
        resources.cpu_request_milli = requests.take("cpu").and_then(|at| quantity(d, &at, quantity::milli));
        resources.memory_request_bytes =
            requests.take("memory").and_then(|at| quantity(d, &at, quantity::bytes));
        d.finish(requests, &["ephemeral-storage"]);
    }
    d.finish(fields, &["claims"]);
    resources
}

/// A quantity; Kubernetes takes bare numbers here too.
fn quantity(d: &mut Decoder, at: &At<'_>, read: fn(&str) -> Option<u64>) -> Option<u64> {
    let text = match &at.node.value {
        Value::Int(number) => number.to_string(),
        Value::Float(text) => text.clone(),
        _ => d.text(at)?,
    };
    let value = read(&text);
    if value.is_none() {
        d.wrong(at, format!("{text:?} is not a quantity"), Some("examples: 500m, 1.5, 64Mi, 1G"));
    }
    value
}

fn string_map(d: &mut Decoder, at: &At<'_>) -> BTreeMap<String, String> {
    let Value::Map(members) = &at.node.value else {
        d.wrong(at, format!("a map is needed here, this is {}", at.node.value.kind()), None);
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    for member in members {
        let at = At { path: format!("{}.{}", at.path, member.key), node: &member.value };
        all.extend(d.text(&at).map(|text| (member.key.clone(), text)));
    }
    all
}

/// A DNS label (RFC 1123): it is a file name, a host name and part of a unit's name.
fn label(d: &mut Decoder, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    if is_label(&text) {
        return Some(text);
    }
    let hint = "lower-case letters, digits and -, at most 63, no - at either end";
    d.wrong(at, format!("{text:?} is not a name"), Some(hint));
    None
}

/// Whether `text` is a DNS label (RFC 1123).
#[must_use]
pub fn is_label(text: &str) -> bool {
    let sound = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (1..=63).contains(&text.len()) && sound && !text.starts_with('-') && !text.ends_with('-')
}

fn absolute(d: &mut Decoder, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    let sound = text.starts_with('/') && !text.split('/').any(|part| part == "..") && !text.contains('\0');
    if !sound {
        d.wrong(at, format!("{text:?} is not an absolute path without .."), None);
    }
    sound.then_some(text)
}
