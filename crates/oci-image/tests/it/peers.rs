//! Against the field's own programs: Debian's docker-registry, skopeo and umoci.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_image::build::build_layout;
use oci_image::manifest::Compression;
use oci_image::pull::pull;
use oci_image::store::Store;

use crate::pull::{client, spec};
use crate::serve::with_server;

fn have(test: &str, program: &str) -> bool {
    let there = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !there {
        crate::skip(test, &format!("{program} is not installed"));
    }
    there
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's docker-registry on a free port.
fn docker_registry(dir: &Path) -> (Registry, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let conf = dir.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
        dir.join("registry").display()
    );
    std::fs::write(&conf, text).unwrap();
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(&conf)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let registry = Registry(child.unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "docker-registry does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    (registry, address)
}

#[test]
fn root_docker_registry_serves_what_skopeo_pushed() {
    const NAME: &str = "root_docker_registry_serves_what_skopeo_pushed";
    if !crate::is_root(NAME) || !have(NAME, "docker-registry") || !have(NAME, "skopeo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("web");
    for (tag, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        build_layout(&layout, &spec(tag, compression)).unwrap();
    }
    let (_registry, address) = docker_registry(dir.path());
    let store = Store::open(&dir.path().join("store")).unwrap();
    // skopeo re-writes the manifest as Docker's schema 2 for the third.
    for (tag, format) in [("gzip", "oci"), ("zstd", "oci"), ("docker", "v2s2")] {
        let from = format!("oci:{}:{}", layout.display(), if tag == "docker" { "gzip" } else { tag });
        let to = format!("docker://{address}/team/web:{tag}");
        run(Command::new("skopeo").args([
            "--insecure-policy",
            "copy",
            "--dest-tls-verify=false",
            "--format",
            format,
            &from,
            &to,
        ]));
        let reference = format!("localhost/web:{tag}").parse().unwrap();
        let image = pull(&store, &client(address, "team/web"), &reference, &mut |_| {}).unwrap();
        assert_eq!(std::fs::read(store.layers(&image)[0].join("hello")).unwrap(), b"hello\n");
    }
    assert_eq!(store.gc().unwrap().layers, 0);
}

#[test]
fn skopeo_reads_our_registry_and_our_layouts() {
    const NAME: &str = "skopeo_reads_our_registry_and_our_layouts";
    if !have(NAME, "skopeo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let digest = build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::Gzip)).unwrap();
    with_server(&dir.path().join("layouts"), |address| {
        let from = format!("docker://{address}/web:1");
        let to = format!("oci:{}:1", dir.path().join("copy").display());
        run(Command::new("skopeo").args([
            "--insecure-policy",
            "copy",
            "--src-tls-verify=false",
            "--preserve-digests",
            &from,
            &to,
        ]));
    });
    let copy = oci_image::layout::Layout::at(&dir.path().join("copy")).index().unwrap();
    assert_eq!(copy.manifests[0].digest, digest);
}

#[test]
fn root_umoci_unpacks_our_layout_as_we_do() {
    const NAME: &str = "root_umoci_unpacks_our_layout_as_we_do";
    if !crate::is_root(NAME) || !have(NAME, "umoci") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("web"), &spec("1", Compression::Gzip)).unwrap();
    let image = format!("{}:1", dir.path().join("web").display());
    run(Command::new("umoci").args(["unpack", "--image", &image]).arg(dir.path().join("bundle")));
    for (name, mode) in [("hello", 0o644), ("big", 0o644)] {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.path().join("bundle/rootfs").join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
    }
}
