//! The runtime config of one container: a pure function of declaration, image and pod.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_image::manifest::RunConfig;
use serde_json::{Value, json};

use super::user::User;
use super::{capabilities, seccomp};
use crate::spec::{Container, Resources, Security};

/// What a container sees of the kernel's state, hidden.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];

/// What it may read only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Processes of one container at most, so that a fork bomb stays inside (CRI-O's and podman's order of size).
const PIDS_MAX: u32 = 4096;

/// Where programs are looked for unless the image says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The pod around a container, as far as its config is concerned.
#[derive(Debug, Clone)]
pub struct PodView {
    /// Host name inside.
    pub hostname: String,
    /// Paths of the pod's own namespaces by the runtime-spec's type (`network`, `ipc`, `uts`). One that is missing
    /// is the machine's.
    pub namespaces: BTreeMap<&'static str, PathBuf>,
    /// Files of the pod that every container gets, as (file, path inside).
    pub files: Vec<(PathBuf, &'static str)>,
}

/// A volume as it is mounted in one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The path of the machine.
    pub source: PathBuf,
    /// Where it is in the container.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// A declaration that does not go together with its image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither says what to run.
    #[error("neither the declaration nor the image of container {container} says which program to run")]
    NoCommand {
        /// Which container.
        container: String,
    },
    /// `runAsNonRoot` with an image that runs as root.
    #[error("container {container} would run as root, which its securityContext.runAsNonRoot forbids")]
    Root {
        /// Which container.
        container: String,
    },
}

/// All that a container's config is made of.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The declaration.
    pub container: &'a Container,
    /// The image's defaults.
    pub image: &'a RunConfig,
    /// Who runs.
    pub user: &'a User,
    /// The root filesystem.
    pub rootfs: &'a Path,
    /// The pod.
    pub pod: &'a PodView,
    /// Volumes.
    pub mounts: &'a [Mount],
    /// Where its cgroup goes.
    pub cgroup: &'a str,
    /// Whether the machine can limit processes; what nobody asked for is left out where it cannot.
    pub can_limit_pids: bool,
}

/// The config.json of a container.
///
/// # Errors
/// [`ConfigError`].
pub fn config(input: &Input<'_>) -> Result<Value, ConfigError> {
    let Input { container, image, user, pod, .. } = input;
    let env = environment(container, image, user, &pod.hostname);
    let args = command(container, image, &env)?;
    let security = &container.security;
    if security.run_as_non_root && user.uid == 0 {
        return Err(ConfigError::Root { container: container.name.clone() });
    }
    let mut groups = user.groups.clone();
    groups.extend(&security.supplemental_groups);
    groups.sort_unstable();
    groups.dedup();
    let cwd = container
        .working_dir
        .clone()
        .or_else(|| (!image.working_dir.is_empty()).then(|| image.working_dir.clone()));
    let held = capabilities::chosen(&security.add_capabilities, &security.drop_capabilities);
    Ok(json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": false,
            "user": { "uid": user.uid, "gid": user.gid, "additionalGids": groups },
            "args": args,
            "env": env,
            "cwd": cwd.unwrap_or_else(|| "/".to_owned()),
            "capabilities": capability_sets(&held, security, user.uid),
            "noNewPrivileges": security.no_new_privileges,
        },
        "root": { "path": input.rootfs, "readonly": security.read_only_root },
        "mounts": mounts(input),
        "linux": linux(input, &held),
        "annotations": { "io.orlop.container": container.name, "io.orlop.image": container.image.to_string() },
    }))
}

/// A process that is not root has its capabilities only by way of a program that grants them (as podman has it),
/// except for those that the declaration adds: these it has from the start.
fn capability_sets(held: &[String], security: &Security, uid: u32) -> Value {
    if uid == 0 {
        return json!({ "bounding": held, "effective": held, "permitted": held });
    }
    let added: Vec<&String> = held
        .iter()
        .filter(|name| security.add_capabilities.iter().any(|add| name.strip_prefix("CAP_") == Some(add)))
        .collect();
    json!({ "bounding": held, "effective": added, "permitted": added, "inheritable": added, "ambient": added })
}

fn linux(input: &Input<'_>, capabilities: &[String]) -> Value {
    let mut namespaces =
        vec![json!({ "type": "pid" }), json!({ "type": "mount" }), json!({ "type": "cgroup" })];
    for (kind, path) in &input.pod.namespaces {
        namespaces.push(json!({ "type": kind, "path": path }));
    }
    let mut linux = json!({
        "namespaces": namespaces,
        "cgroupsPath": input.cgroup,
        "resources": resources(&input.container.resources, input.can_limit_pids),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    });
    if !input.container.security.seccomp_unconfined {
        linux["seccomp"] = seccomp::default_profile(capabilities);
    }
    linux
}

/// What to run: Kubernetes' table. A command replaces the image's entrypoint and its arguments.
fn command(container: &Container, image: &RunConfig, env: &[String]) -> Result<Vec<String>, ConfigError> {
    let expand = |words: &[String]| words.iter().map(|word| expand(word, env)).collect::<Vec<_>>();
    let mut args =
        if container.command.is_empty() { image.entrypoint.clone() } else { expand(&container.command) };
    if !container.args.is_empty() {
        args.extend(expand(&container.args));
    } else if container.command.is_empty() {
        args.extend(image.cmd.iter().cloned());
    }
    if args.is_empty() { Err(ConfigError::NoCommand { container: container.name.clone() }) } else { Ok(args) }
}

/// `$(NAME)` becomes the variable's value, `$$` a dollar; an unknown name stays as it is, as Kubernetes has it.
fn expand(text: &str, env: &[String]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let value =
            after.strip_prefix('(').and_then(|inner| inner.split_once(')')).and_then(|(name, tail)| {
                let found = env.iter().rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                found.map(|value| (value, tail))
            });
        rest = match (value, after.strip_prefix('$')) {
            (Some((value, tail)), _) => {
                out.push_str(value);
                tail
            }
            (None, Some(tail)) => {
                out.push('$');
                tail
            }
            (None, None) => {
                out.push('$');
                after
            }
        };
    }
    out + rest
}

/// The image's variables, then the declaration's; PATH, HOME and HOSTNAME where nobody sets them.
fn environment(container: &Container, image: &RunConfig, user: &User, hostname: &str) -> Vec<String> {
    let mut env: Vec<String> =
        vec![PATH.to_owned(), format!("HOSTNAME={hostname}"), format!("HOME={}", user.home)];
    let mut set = |pair: String| {
        let name = pair.split('=').next().unwrap_or_default().to_owned() + "=";
        match env.iter_mut().find(|other| other.starts_with(&name)) {
            Some(other) => *other = pair,
            None => env.push(pair),
        }
    };
    image.env.iter().filter(|pair| pair.contains('=')).cloned().for_each(&mut set);
    for (name, value) in &container.env {
        // A value may use the variables before it.
        set(format!("{name}={value}"));
    }
    let names = env.clone();
    for (i, pair) in env.iter_mut().enumerate() {
        if let Some((name, value)) = pair.split_once('=')
            && container.env.iter().any(|(declared, _)| declared == name)
        {
            *pair = format!("{name}={}", expand(value, &names[..i]));
        }
    }
    env
}

fn mounts(input: &Input<'_>) -> Vec<Value> {
    let tmpfs = ["nosuid", "noexec", "nodev"];
    let mut all = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": tmpfs }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": tmpfs }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"] }),
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }),
    ];
    for (file, target) in &input.pod.files {
        all.push(bind(file, target, false));
    }
    for Mount { source, target, read_only } in input.mounts {
        all.push(bind(source, target, *read_only));
    }
    all
}

fn bind(source: &Path, target: &str, read_only: bool) -> Value {
    let access = if read_only { "ro" } else { "rw" };
    json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate", access] })
}

/// Limits of cgroup v2, by way of the runtime-spec's v1 words.
fn resources(declared: &Resources, can_limit_pids: bool) -> Value {
    // 100 ms, the kernel's and everybody's default.
    const PERIOD_US: u64 = 100_000;
    let mut resources = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    if can_limit_pids {
        resources["pids"] = json!({ "limit": PIDS_MAX });
    }
    let mut cpu = serde_json::Map::new();
    if let Some(milli) = declared.cpu_limit_milli {
        cpu.insert("period".into(), PERIOD_US.into());
        // The kernel takes no quota below 1 ms.
        cpu.insert("quota".into(), (milli * PERIOD_US / 1000).max(1000).into());
    }
    if let Some(milli) = declared.cpu_request_milli {
        // Kubernetes' rule: 1024 shares are one processor.
        cpu.insert("shares".into(), (milli * 1024 / 1000).clamp(2, 262_144).into());
    }
    if !cpu.is_empty() {
        resources["cpu"] = cpu.into();
    }
    let mut memory = serde_json::Map::new();
    if let Some(bytes) = declared.memory_limit_bytes {
        memory.insert("limit".into(), bytes.into());
    }
    if let Some(bytes) = declared.memory_request_bytes {
        memory.insert("reservation".into(), bytes.into());
    }
    if !memory.is_empty() {
        resources["memory"] = memory.into();
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(text: &str) -> Container {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n    - name: a\n      image: web:1\n{text}"
        );
        crate::spec::parse(&pod).unwrap().containers.remove(0)
    }

    fn made(text: &str, image: &RunConfig) -> Result<Value, ConfigError> {
        let user = User { uid: 0, gid: 0, groups: vec![], home: "/root".into() };
        let pod = PodView {
            hostname: "web".into(),
            namespaces: BTreeMap::from([("network", PathBuf::from("/proc/1/fd/5"))]),
            files: vec![(PathBuf::from("/p/hosts"), "/etc/hosts")],
        };
        let mounts = [Mount { source: "/data".into(), target: "/d".into(), read_only: true }];
        let container = container(text);
        let rootfs = Path::new("/r");
        let input = Input {
            container: &container,
            image,
            user: &user,
            rootfs,
            pod: &pod,
            mounts: &mounts,
            cgroup: "/c",
            can_limit_pids: true,
        };
        config(&input)
    }

    fn image(entrypoint: &[&str], cmd: &[&str]) -> RunConfig {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        RunConfig {
            entrypoint: list(entrypoint),
            cmd: list(cmd),
            env: vec!["A=image".into(), "B=2".into()],
            ..RunConfig::default()
        }
    }

    #[test]
    fn command_and_args_replace_as_kubernetes_has_it() {
        let both = image(&["e"], &["c"]);
        let table = [
            ("", "[\"e\",\"c\"]"),
            ("      command: [x]\n", "[\"x\"]"),
            ("      args: [y]\n", "[\"e\",\"y\"]"),
            (
                "      command: [x]\n      args: [y, $(A), $$(A), $(NONE), \"5$\"]\n",
                "[\"x\",\"y\",\"image\",\"$(A)\",\"$(NONE)\",\"5$\"]",
            ),
        ];
        for (text, args) in table {
            assert_eq!(made(text, &both).unwrap()["process"]["args"].to_string(), args, "{text}");
        }
        assert!(matches!(made("", &image(&[], &[])), Err(ConfigError::NoCommand { .. })));
    }

    #[test]
    fn variables_come_from_image_and_declaration() {
        let text =
            "      env: [{name: A, value: mine}, {name: C, value: $(A)-$(B)-$(D)}, {name: D, value: x}]\n";
        let env = made(text, &image(&["e"], &[])).unwrap()["process"]["env"].clone();
        assert_eq!(
            env.to_string().replace(PATH, "P"),
            r#"["P","HOSTNAME=web","HOME=/root","A=mine","B=2","C=mine-2-$(D)","D=x"]"#
        );
    }

    #[test]
    fn limits_privileges_and_mounts_are_told() {
        let text = "      resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m}}\n      securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n";
        let config = made(text, &image(&["e"], &[])).unwrap();
        let resources = &config["linux"]["resources"];
        assert_eq!(resources["cpu"].to_string(), r#"{"period":100000,"quota":50000,"shares":256}"#);
        assert_eq!(resources["memory"]["limit"], 64 << 20);
        assert_eq!(config["process"]["noNewPrivileges"], true);
        assert_eq!(config["process"]["capabilities"]["bounding"], json!([]));
        assert_eq!(config["root"]["readonly"], true);
        let mounts = config["mounts"].as_array().unwrap();
        assert_eq!(mounts.last().unwrap()["options"], json!(["rbind", "rprivate", "ro"]));
        assert!(mounts.iter().any(|mount| mount["destination"] == "/etc/hosts"));
        assert_eq!(config["linux"]["seccomp"]["defaultErrnoRet"], 38);
    }

    #[test]
    fn root_is_refused_where_the_declaration_forbids_it() {
        let text = "      securityContext: {runAsNonRoot: true}\n";
        assert!(matches!(made(text, &image(&["e"], &[])), Err(ConfigError::Root { .. })));
    }
}
