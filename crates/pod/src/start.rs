//! From a prepared pod to its containers: namespaces, network, root filesystems, runtime configs.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oci_image::rootfs::{self, RootfsError};
use oci_image::store::StoreError;
use oci_image::{Image, Store};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::network::ipam::{Ipam, IpamError};
use crate::network::namespace::Namespaces;
use crate::network::{self, NetworkError, names};
use crate::oci::config::{self, ConfigError, Input, Mount, PodView};
use crate::oci::user::{self, UserError};
use crate::pods::{Handle, PodsError, failed};
use crate::prepare::lease_id;
use crate::spec::{Container, HostPathKind, Pod, VolumeSource};

/// Why a pod cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The pod's directory failed.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// The image store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image that the pod was prepared with is gone.
    #[error("the image {image} of container {container} is gone")]
    ImageGone {
        /// Which container.
        container: String,
        /// Its image.
        image: String,
    },
    /// The kernel refused namespaces.
    #[error("cannot make the pod's namespaces")]
    Namespaces {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No network.
    #[error("cannot connect the pod")]
    Network {
        /// Why.
        #[source]
        source: NetworkError,
    },
    /// A port of the machine is taken.
    #[error(transparent)]
    Ports(#[from] IpamError),
    /// A root filesystem cannot be mounted.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The user of a container is not in its image.
    #[error("container {container} cannot run as its user")]
    User {
        /// Which container.
        container: String,
        /// Why.
        #[source]
        source: UserError,
    },
    /// The declaration does not go together with the image.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A volume is not there, or is not what it should be.
    #[error("volume {volume}: {path} {problem}")]
    HostPath {
        /// Which volume.
        volume: String,
        /// The path of the machine.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A pod that has everything but processes.
#[derive(Debug)]
pub struct Assembled {
    /// Held for as long as the pod lives.
    pub namespaces: Namespaces,
    /// Its address, unless it uses the machine's network.
    pub address: Option<Ipv4Addr>,
    /// Its containers, in the order of the declaration.
    pub apps: Vec<App>,
}

/// A container that can be created.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Its id for the runtime.
    pub container_id: String,
    /// Its bundle: config.json, root filesystem, log.
    pub bundle: PathBuf,
    /// What asks its process to end.
    pub stop_signal: String,
}

/// A container's id for the runtime.
#[must_use]
pub fn container_id(pod: &str, app: &str) -> String {
    format!("{pod}.{app}")
}

/// The view of the mounts that the monitor and its containers have: what it mounts goes with it, while mounts of
/// the machine still come in.
///
/// # Errors
/// The kernel's.
pub fn own_mounts() -> io::Result<()> {
    linux::clone::unshare(linux::clone::Namespaces::MOUNT)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(())
}

/// Makes namespaces, network, root filesystems and configs of a pod in [`crate::pods::State::Running`].
///
/// # Errors
/// [`StartError`]; [`take_down`] undoes what was done.
pub fn assemble(handle: &Handle, store: &Store, spec: &Pod, cgroup: &str) -> Result<Assembled, StartError> {
    let hostname = spec.hostname.as_ref().unwrap_or(&spec.name);
    let namespaces = Namespaces::create(hostname, spec.host_network);
    let namespaces = namespaces.map_err(|source| StartError::Namespaces { source })?;
    let ipam = Ipam::at(&handle.pods().dirs().network());
    let ports: Vec<_> = spec.host_ports().collect();
    let address = if spec.host_network {
        ipam.take_ports(handle.id(), &ports)?;
        None
    } else {
        let attached = network::attach(&ipam, handle.id(), &namespaces, &ports);
        Some(attached.map_err(|source| StartError::Network { source })?.address)
    };
    let files = write_files(handle, hostname, address, spec.host_network)?;
    let volumes = volumes(handle, spec)?;
    let mut paths = BTreeMap::from([
        ("uts", Namespaces::path(&namespaces.uts)),
        ("ipc", Namespaces::path(&namespaces.ipc)),
    ]);
    if !spec.host_network {
        paths.insert("network", Namespaces::path(&namespaces.network));
    }
    let view = PodView { hostname: hostname.clone(), namespaces: paths, files };
    let mut apps = Vec::new();
    for container in &spec.containers {
        apps.push(app(handle, store, container, &view, &volumes, cgroup)?);
    }
    Ok(Assembled { namespaces, address, apps })
}

fn app(
    handle: &Handle,
    store: &Store,
    container: &Container,
    view: &PodView,
    volumes: &BTreeMap<String, PathBuf>,
    cgroup: &str,
) -> Result<App, StartError> {
    let image = leased_image(handle, store, container)?;
    let bundle = handle.dir().join("apps").join(&container.name);
    let rootfs = bundle.join("rootfs");
    let (upper, work) = (bundle.join("upper"), bundle.join("work"));
    for dir in [&rootfs, &upper, &work] {
        std::fs::create_dir_all(dir).map_err(failed("create", dir))?;
    }
    // The upper directory is the container's `/`.
    std::fs::set_permissions(&upper, PermissionsExt::from_mode(0o755)).map_err(failed("protect", &upper))?;
    let mut layers = store.layers(&image);
    if layers.is_empty() {
        let empty = bundle.join("empty");
        std::fs::create_dir_all(&empty).map_err(failed("create", &empty))?;
        layers.push(empty);
    }
    rootfs::mount_overlay(&layers, &upper, &work, &rootfs)?;
    let security = &container.security;
    let (passwd, group) =
        (user::read_in_root(&rootfs, "etc/passwd"), user::read_in_root(&rootfs, "etc/group"));
    let run = &image.config.config;
    let user = user::find(&run.user, security.run_as_user, security.run_as_group, &passwd, &group);
    let user = user.map_err(|source| StartError::User { container: container.name.clone(), source })?;
    let mounts: Vec<Mount> = container
        .mounts
        .iter()
        .filter_map(|mount| {
            let source = volumes.get(&mount.name)?.clone();
            Some(Mount { source, target: mount.path.clone(), read_only: mount.read_only })
        })
        .collect();
    let input = Input {
        container,
        image: run,
        user: &user,
        rootfs: &rootfs,
        pod: view,
        mounts: &mounts,
        // Never the name of the monitor's own group, whatever the container is called.
        cgroup: &format!("{cgroup}/app-{}", container.name),
        can_limit_pids: can_limit_pids(),
    };
    handle.write_json(&format!("apps/{}/config.json", container.name), &config::config(&input)?)?;
    let stop_signal = if run.stop_signal.is_empty() { "TERM".to_owned() } else { run.stop_signal.clone() };
    let container_id = container_id(handle.id(), &container.name);
    Ok(App { name: container.name.clone(), container_id, bundle, stop_signal })
}

/// Whether cgroup v2 has the controller that limits processes; on hybrid hosts the old hierarchy holds it.
fn can_limit_pids() -> bool {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    controllers.split_whitespace().any(|controller| controller == "pids")
}

/// The image that the pod was prepared with, even if its name stands for another one by now.
fn leased_image(handle: &Handle, store: &Store, container: &Container) -> Result<Image, StartError> {
    let gone =
        || StartError::ImageGone { container: container.name.clone(), image: container.image.to_string() };
    store
        .leased_image(&lease_id(handle.id(), &container.name))?
        .filter(|image| store.is_complete(image))
        .ok_or_else(gone)
}

/// hosts, resolv.conf and hostname of a pod.
fn write_files(
    handle: &Handle,
    hostname: &str,
    address: Option<Ipv4Addr>,
    host_network: bool,
) -> Result<Vec<(PathBuf, &'static str)>, StartError> {
    let dir = handle.dir().join("files");
    std::fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/etc/resolv.conf");
    let resolv_conf = names::resolv_conf(&machine, &read("/run/systemd/resolve/resolv.conf"), host_network);
    let files = [
        ("resolv.conf", "/etc/resolv.conf", resolv_conf),
        ("hosts", "/etc/hosts", names::hosts(hostname, address)),
        ("hostname", "/etc/hostname", format!("{hostname}\n")),
    ];
    let mut all = Vec::new();
    for (name, target, text) in files {
        handle.write(&format!("files/{name}"), text.as_bytes())?;
        all.push((dir.join(name), target));
    }
    Ok(all)
}

/// The path behind each volume; directories and tmpfs of the pod's own are made.
fn volumes(handle: &Handle, spec: &Pod) -> Result<BTreeMap<String, PathBuf>, StartError> {
    let mut all = BTreeMap::new();
    for volume in &spec.volumes {
        let path = match &volume.source {
            VolumeSource::HostPath { path, kind } => {
                let wrong = |problem| StartError::HostPath {
                    volume: volume.name.clone(),
                    path: path.clone(),
                    problem,
                };
                host_path(Path::new(path), *kind)?.map_err(wrong)?;
                PathBuf::from(path)
            }
            VolumeSource::EmptyDir { memory, size_limit } => {
                let dir = handle.dir().join("volumes").join(&volume.name);
                std::fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
                if *memory {
                    mount_tmpfs(&dir, *size_limit).map_err(failed("mount a tmpfs at", &dir))?;
                }
                // Any user of any container may write, as Kubernetes has it.
                std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777))
                    .map_err(failed("open up", &dir))?;
                dir
            }
        };
        all.insert(volume.name.clone(), path);
    }
    Ok(all)
}

fn mount_tmpfs(dir: &Path, size_limit: Option<u64>) -> io::Result<()> {
    let size = size_limit.map_or_else(String::new, |bytes| format!("size={bytes}"));
    let options = std::ffi::CString::new(size).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", dir, "tmpfs", flags, options.as_c_str())?)
}

/// Whether a path of the machine is what the declaration wants, made where it says so.
fn host_path(path: &Path, kind: HostPathKind) -> Result<Result<(), &'static str>, PodsError> {
    let meta = path.metadata().ok();
    let (is_dir, is_file) =
        (meta.as_ref().is_some_and(|m| m.is_dir()), meta.as_ref().is_some_and(|m| m.is_file()));
    Ok(match (kind, meta.is_some()) {
        (HostPathKind::DirectoryOrCreate, false) => {
            std::fs::create_dir_all(path).map_err(failed("create", path))?;
            Ok(())
        }
        (HostPathKind::FileOrCreate, false) => {
            std::fs::File::create_new(path).map_err(failed("create", path))?;
            Ok(())
        }
        (_, false) => Err("is not there"),
        (HostPathKind::Directory | HostPathKind::DirectoryOrCreate, true) if !is_dir => {
            Err("is not a directory")
        }
        (HostPathKind::File | HostPathKind::FileOrCreate, true) if !is_file => Err("is not a file"),
        _ => Ok(()),
    })
}

/// Undoes what [`assemble`] did to the machine, as far as it does not go with the monitor. All is tried; the
/// failures are returned as text.
#[must_use]
pub fn take_down(handle: &Handle, spec: &Pod) -> Vec<String> {
    let mut failures = Vec::new();
    let mut note = |what: String, result: io::Result<()>| {
        if let Err(error) = result {
            failures.push(format!("{what}: {error}"));
        }
    };
    for container in &spec.containers {
        let rootfs = handle.dir().join("apps").join(&container.name).join("rootfs");
        note(format!("unmount {}", rootfs.display()), rootfs::unmount(&rootfs));
    }
    for volume in &spec.volumes {
        if matches!(volume.source, VolumeSource::EmptyDir { memory: true, .. }) {
            let dir = handle.dir().join("volumes").join(&volume.name);
            let _ = rustix::mount::unmount(&dir, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
    }
    let ipam = Ipam::at(&handle.pods().dirs().network());
    if spec.host_network {
        if let Err(error) = ipam.release(handle.id()) {
            failures.push(error.to_string());
        }
    } else {
        failures.extend(network::clean(&ipam, handle.id()).iter().map(chain));
    }
    failures
}

/// An error and its causes as one line.
pub(crate) fn chain(error: &(impl std::error::Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// Where the containers of a pod go in the cgroup tree. `own` is the text of the monitor's `/proc/self/cgroup`.
///
/// Under `pod@.service` the monitor is in the sub-group `monitor` of the unit's group (`DelegateSubgroup=`), and the
/// containers go beside it; elsewhere they get a group of their own, for each pod.
#[must_use]
pub fn cgroup_of(own: &str, id: &str) -> String {
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    match path.strip_suffix("/monitor") {
        Some(unit) if unit.ends_with(".service") => unit.to_owned(),
        _ => format!("/orlop-pods/{id}"),
    }
}

/// The unit whose delegated sub-group a monitor is in, if it is: `pod@web.service`.
#[must_use]
pub fn unit_of(own: &str) -> Option<String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = path.strip_suffix("/monitor")?.rsplit('/').next()?;
    unit.ends_with(".service").then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_go_beside_the_monitor_of_a_unit() {
        let unit = "0::/system.slice/system-pod.slice/pod@web.service/monitor\n";
        assert_eq!(cgroup_of(unit, "u"), "/system.slice/system-pod.slice/pod@web.service");
        assert_eq!(unit_of(unit).as_deref(), Some("pod@web.service"));
        assert_eq!(unit_of("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(cgroup_of("0::/user.slice/session-1.scope\n", "u"), "/orlop-pods/u");
        assert_eq!(cgroup_of("1:cpu:/\n0::/\n", "u"), "/orlop-pods/u");
    }
}
