//! A pod declared by the config: it answers, comes back when killed, and exit codes come through.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use oci_image::build::{Entry, ImageSpec, build_layout};
use oci_image::manifest::RunConfig;
use oci_image::serve::Server;
use vm::Program;
use vm::harness::{Body, Failure, Lab, Session, Setup, Speed, Test, TestResult};

use crate::given::{butane, same};

const PAGE: &str = "served by a container\n";

const CONFIG: &str = "variant: fcos
version: 1.5.0
storage:
  files:
    - path: /etc/pods.d/web.yaml
      contents:
        inline: |
          apiVersion: v1
          kind: Pod
          metadata:
            name: web
          spec:
            terminationGracePeriodSeconds: 1
            containers:
              - name: web
                image: localhost/web:latest
                ports:
                  - containerPort: 80
                    hostPort: 8080
";

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_pod_answers_and_restarts",
        about: "a declared pod serves its page, and again after its process was killed",
        speed: Speed::Clone,
        idle_secs: 150,
        provokes: &[],
        body: Body::Lab(answers_and_restarts),
    },
    Test {
        name: "vm_pod_exit_codes",
        about: "exit codes of commands in a pod come through",
        speed: Speed::Clone,
        idle_secs: 150,
        provokes: &[],
        body: Body::Lab(exit_codes),
    },
];

/// Runs a test on a clone of the machine whose pod is up. The registry is needed when that machine is first
/// booted; a clone has the image.
fn on_pod_machine(lab: &Lab, name: &str, body: fn(&mut Session<'_>) -> TestResult) -> TestResult {
    let images = tempfile::tempdir()?;
    build_image(lab, images.path())?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let server = Server::new(images.path());
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| server.run(&listener, |_| ()));
        let result = clone_and_run(lab, name, port, body);
        server.stop();
        let _ = serving.join();
        result
    })
}

fn clone_and_run(
    lab: &Lab,
    name: &str,
    registry_port: u16,
    body: fn(&mut Session<'_>) -> TestResult,
) -> TestResult {
    let setup = Setup {
        registry_port: Some(registry_port),
        ports: vec![8080],
        ready: Some("systemctl is-active --quiet pod@web.service".into()),
        ..butane(CONFIG)?
    };
    let mut session = lab.clone_of(&setup)?;
    let result = body(&mut session).and_then(|()| vm::harness::run::judge(&mut session, &[]));
    if result.is_err() {
        session.keep(&lab.results.join(name));
    }
    result
}

/// A page and Debian's static busybox, as `cargo xtask up` has it.
fn build_image(lab: &Lab, images: &Path) -> Result<(), Failure> {
    let mut files = vec![
        Entry::file("bin/busybox", 0o755, lab.qemu.sdk().path("usr/bin/busybox")),
        Entry::bytes("www/index.html", 0o644, PAGE),
    ];
    files.extend(
        ["httpd", "sh", "sleep", "wget"].map(|name| Entry::symlink(format!("bin/{name}"), "busybox")),
    );
    let command = ["httpd", "-f", "-p", "80", "-h", "/www"];
    let config = RunConfig {
        cmd: command.map(str::to_owned).into(),
        env: vec!["PATH=/bin".to_owned()],
        ..RunConfig::default()
    };
    build_layout(&images.join("web"), &ImageSpec { files, config, ..ImageSpec::default() })?;
    Ok(())
}

fn page(session: &Session<'_>) -> Result<String, Failure> {
    let port = session.host_port(8080).ok_or("port 8080 is not forwarded")?;
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .proxy(None)
        .build()
        .new_agent();
    Ok(agent.get(format!("http://127.0.0.1:{port}/")).call()?.body_mut().read_to_string()?)
}

/// The page, within the time that a container takes to come up.
fn wait_for_page(session: &Session<'_>) -> Result<String, Failure> {
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        match page(session) {
            Ok(page) => return Ok(page),
            Err(error) if std::time::Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

fn answers_and_restarts(lab: &Lab) -> TestResult {
    on_pod_machine(lab, "vm_pod_answers_and_restarts", |session| {
        same("page", wait_for_page(session)?, PAGE)?;
        let find = "for comm in /proc/[0-9]*/comm; do read -r name < $comm; test $name = httpd && \
                    { pid=${comm#/proc/}; echo ${pid%/comm}; }; done; true";
        let before = session.sh(find)?;
        session.sh(&format!("kill -9 {before}"))?;
        let changed = format!("now=$({find}); test -n \"$now\" && test \"$now\" != '{before}'");
        session.wait_until(&changed, Duration::from_secs(20))?;
        same("page after the kill", wait_for_page(session)?, PAGE)
    })
}

fn exit_codes(lab: &Lab) -> TestResult {
    on_pod_machine(lab, "vm_pod_exit_codes", |session| {
        for code in [0, 1, 42] {
            let output = session.exec(&Program::new([
                "orlop-pod",
                "exec",
                "web",
                "--",
                "sh",
                "-c",
                &format!("exit {code}"),
            ]))?;
            if output.code != Some(code) {
                return Err(format!("exit {code} came out as {output:?}").into());
            }
        }
        Ok(())
    })
}
