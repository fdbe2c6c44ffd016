//! Pods from declaration to exit code.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::machine::{Machine, eventually, on_machine, sh};

/// A pod of one container that runs a line of shell; `more` is put below the container.
fn pod(name: &str, line: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 2\n  \
         containers:\n    - name: main\n      image: localhost/busybox:1\n      args: [{line:?}]\n{more}"
    )
}

fn run_pod(machine: &Machine, text: &str) -> (i32, String, String) {
    let file = machine.write("pod.yaml", text);
    machine.run(&["run", "--replace", "--file", file.to_str().unwrap()])
}

fn start(machine: &Machine, text: &str) -> String {
    let file = machine.write("pod.yaml", text);
    machine.ok(&["run", "--detach", "--file", file.to_str().unwrap()]).trim().to_owned()
}

/// The body of a page, by plain HTTP.
fn page(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.split_once("\r\n\r\n")?.1.to_owned())
}

#[test]
fn root_output_and_exit_code_pass_through() {
    on_machine("pods::root_output_and_exit_code_pass_through", |machine| {
        machine.install_image();
        let (code, stdout, stderr) = run_pod(machine, &pod("one", "echo out; echo err >&2; exit 7", ""));
        assert_eq!((code, stdout.as_str()), (7, "out\n"), "{stderr}");
        assert!(stderr.starts_with("err\n"), "{stderr}");
        assert_eq!(machine.ok(&["logs", "one"]), "out\n");
        let status = machine.status("one");
        assert_eq!((status["state"].as_str(), status["code"].as_i64()), (Some("exited"), Some(7)));
        start(machine, &pod("two", "exec sleep 100", ""));
        sh(&format!("kill -9 {}", machine.status("two")["apps"][0]["pid"]));
        assert_eq!(machine.run(&["status", "two", "--wait"]).0, 137);
        assert_eq!(run_pod(machine, &pod("three", "true", "")).0, 0);
        // Nothing stays: no cable, no rule, no address, no mount.
        assert!(!sh("ip -o link").contains("veth"), "{}", sh("ip -o link"));
        assert_eq!(sh("nft list tables"), "");
        assert!(!sh("cat /proc/mounts").contains("overlay"), "{}", sh("cat /proc/mounts"));
        assert_eq!(std::fs::read_dir(machine.path("run/orlop/network/pods")).unwrap().count(), 0);
        assert_eq!(sh("find /sys/fs/cgroup -path '*orlop-pods*/app-main' | wc -l").trim(), "0");
    });
}

#[test]
fn root_a_server_answers_on_its_host_port_everywhere() {
    on_machine("pods::root_a_server_answers_on_its_host_port_everywhere", |machine| {
        machine.install_image();
        // Another machine on a cable of ours, to come in from outside.
        sh(
            "ip netns add outside && ip link add wire type veth peer name far netns outside && ip addr add 192.0.2.1/24 dev wire && ip link set wire up && ip -n outside addr add 192.0.2.2/24 dev far && ip -n outside link set far up",
        );
        let ports = "      ports: [{containerPort: 8080, hostPort: 80}]\n";
        let id = start(machine, &pod("web", "exec httpd -f -p 8080 -h /www", ports));
        let address = machine.status("web")["address"].as_str().unwrap().to_owned();
        assert!(address.starts_with("10.88.0."), "{address}");
        let ways = ["127.0.0.1:80", "192.0.2.1:80", &format!("{address}:8080")];
        for way in ways {
            eventually(way, || page(way).is_some());
            assert_eq!(page(way).as_deref(), Some("hello from the pod\n"), "{way}");
        }
        assert_eq!(sh("ip netns exec outside busybox wget -qO- http://192.0.2.1/"), "hello from the pod\n");
        // From the pod itself and from its neighbour, by way of the machine's port; and out to the world.
        // (Debian 12's static busybox crashes in `wget -T`.)
        let hairpin = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 192.0.2.1 80 | grep hello";
        assert_eq!(machine.ok(&["exec", "web", "--", "/bin/sh", "-c", hairpin]), "hello from the pod\n");
        let (code, stdout, stderr) = run_pod(machine, &pod("client", hairpin, ""));
        assert_eq!((code, stdout.as_str()), (0, "hello from the pod\n"), "{stderr}");
        // The machine's loopback is no place for pods.
        let (code, _, _) = run_pod(machine, &pod("intruder", "echo | nc -w 2 127.0.0.1 80", ""));
        assert_ne!(code, 0);
        // A second pod cannot have the port, and says who has it.
        let (code, _, stderr) =
            run_pod(machine, &pod("other", "true", "      ports: [{containerPort: 1, hostPort: 80}]\n"));
        assert_eq!(code, 254);
        assert!(stderr.contains(&format!("host port 80/tcp is taken by pod {id}")), "{stderr}");
        // httpd has no handler for SIGTERM; it is stopped at once all the same.
        let began = Instant::now();
        machine.ok(&["stop", "web"]);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(page("127.0.0.1:80").is_none());
        assert_eq!(machine.status("web")["code"], 0, "a requested stop is no failure");
    });
}

#[test]
fn root_pods_have_names_users_variables_and_volumes() {
    on_machine("pods::root_pods_have_names_users_variables_and_volumes", |machine| {
        machine.install_image();
        std::fs::create_dir(machine.path("data")).unwrap();
        let more = format!(
            "      env: [{{name: GREETING, value: \"hello $(FROM_IMAGE)\"}}]\n      workingDir: /tmp\n      securityContext: {{runAsUser: 33}}\n      \
             volumeMounts: [{{name: scratch, mountPath: /scratch}}, {{name: fast, mountPath: /fast}}, {{name: data, mountPath: /data, readOnly: true}}]\n  \
             hostname: box\n  volumes:\n    - {{name: scratch, emptyDir: {{}}}}\n    - {{name: fast, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}\n    \
             - {{name: data, hostPath: {{path: {}, type: Directory}}}}\n",
            machine.path("data").display()
        );
        let line = "id; hostname; pwd; echo $GREETING $HOSTNAME; cat /etc/hostname; touch /scratch/a /fast/b; touch /data/c || echo read-only; grep -c box /etc/hosts; dd if=/dev/zero of=/fast/big bs=1024 count=2048 2>/dev/null || echo full";
        let (code, stdout, stderr) = run_pod(machine, &pod("vols", line, &more));
        assert_eq!(code, 0, "{stderr}");
        let expected = "uid=33(web) gid=34(www)\nbox\n/tmp\nhello yes box\nbox\nread-only\n1\nfull\n";
        assert_eq!(stdout.replace(" groups=34(www)", ""), expected, "{stderr}");
    });
}

#[test]
fn root_containers_are_confined() {
    on_machine("pods::root_containers_are_confined", |machine| {
        machine.install_image();
        let line = "mount -t tmpfs x /tmp 2>/dev/null && echo mounted; unshare -U true 2>/dev/null && echo unshared; \
                    echo x > /proc/sys/kernel/hostname 2>/dev/null && echo sysctl; ls /proc/kcore >/dev/null && dd if=/proc/kcore bs=1 count=1 2>/dev/null; \
                    grep -E 'Seccomp:|CapEff:|CapBnd:' /proc/self/status; touch /here && echo root-writable";
        let (code, stdout, stderr) = run_pod(machine, &pod("conf", line, ""));
        assert_eq!(code, 0, "{stderr}");
        // podman's default set: 0x800405fb is chown … setfcap.
        assert_eq!(
            stdout, "CapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\nSeccomp:\t2\nroot-writable\n",
            "{stderr}"
        );
        let more = "      securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL], add: [NET_ADMIN]}, seccompProfile: {type: Unconfined}}\n";
        let line = "touch /here 2>/dev/null || echo read-only; grep -E 'Seccomp:|CapEff:' /proc/self/status";
        let (_, stdout, stderr) = run_pod(machine, &pod("conf", line, more));
        assert_eq!(stdout, "read-only\nCapEff:\t0000000000001000\nSeccomp:\t0\n", "{stderr}");
    });
}

#[test]
fn root_the_first_failure_ends_the_pod() {
    on_machine("pods::root_the_first_failure_ends_the_pod", |machine| {
        machine.install_image();
        let more = "    - name: side\n      image: localhost/busybox:1\n      args: [\"wget -qO- http://127.0.0.1:8080/ >/dev/null; sleep 1; exit 3\"]\n";
        let began = Instant::now();
        let (code, stdout, stderr) = run_pod(machine, &pod("pair", "httpd -f -p 8080 -h /www & wait", more));
        assert_eq!(code, 3, "{stdout}{stderr}");
        assert!(began.elapsed() < Duration::from_secs(15));
        let status = machine.status("pair");
        assert_eq!(status["apps"][1]["code"], 3, "{status}");
        assert!(status["apps"][0]["code"].as_i64().unwrap() >= 128, "{status}");
    });
}

#[test]
fn root_exec_logs_stop_and_kill() {
    on_machine("pods::root_exec_logs_stop_and_kill", |machine| {
        machine.install_image();
        let id = start(machine, &pod("busy", "echo ready; trap '' TERM; while :; do sleep 1; done", ""));
        assert_eq!(
            machine.ok(&["exec", &id[..8], "--", "/bin/sh", "-c", "echo $FROM_IMAGE; hostname"]),
            "yes\nbusy\n"
        );
        assert_eq!(machine.run(&["exec", "busy", "--", "/bin/sh", "-c", "exit 9"]).0, 9);
        assert_eq!(machine.run(&["exec", "nobody", "--", "true"]).0, 254);
        eventually("the log", || machine.ok(&["logs", "busy"]) == "ready\n");
        let rows: serde_json::Value =
            serde_json::from_str(&machine.ok(&["list", "--format", "json"])).unwrap();
        assert_eq!((rows[0]["name"].as_str(), rows[0]["state"].as_str()), (Some("busy"), Some("running")));
        let (code, _, stderr) = machine.run(&["rm", "busy"]);
        assert_eq!(code, 5, "{stderr}");
        let again = machine.write("again.yaml", &pod("busy", "true", ""));
        let (code, _, stderr) = machine.run(&["run", "--file", again.to_str().unwrap()]);
        assert_eq!(code, 254);
        assert!(stderr.contains("a pod named busy is running already"), "{stderr}");
        // It ignores SIGTERM, so the grace of two seconds passes and then it is killed.
        let began = Instant::now();
        machine.ok(&["stop", "busy"]);
        let took = began.elapsed();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
        assert_eq!(machine.status("busy")["apps"][0]["code"], 137);
        machine.ok(&["rm", "busy"]);
        assert_eq!(machine.run(&["status", "busy"]).0, 4);
        machine.ok(&["image", "rm", "localhost/busybox:1"]);
        assert_eq!(machine.ok(&["image", "list", "--format", "json"]).trim(), "[]");
    });
}

#[test]
fn root_an_image_is_fetched_from_the_registry_that_the_rules_name() {
    on_machine("pods::root_an_image_is_fetched_from_the_registry_that_the_rules_name", |machine| {
        machine.serve_images();
        let (code, stdout, stderr) = machine.run(&["run", "localhost/busybox:1", "--", "echo fetched"]);
        assert_eq!((code, stdout.as_str()), (0, "fetched\n"), "{stderr}");
        let (code, _, stderr) = machine.run(&["fetch", "localhost/busybox:none"]);
        assert_eq!(code, 4, "{stderr}");
        assert!(stderr.contains("MANIFEST_UNKNOWN"), "{stderr}");
    });
}

#[test]
fn root_mistakes_are_told_at_their_line() {
    on_machine("pods::root_mistakes_are_told_at_their_line", |machine| {
        let text = pod("web", "true", "").replace("image:", "imgae:");
        let (code, _, stderr) = run_pod(machine, &text);
        assert_eq!(code, 254);
        assert!(
            stderr.contains("pod.yaml:10:7: spec.containers[0].imgae: there is no member imgae"),
            "{stderr}"
        );
        assert!(stderr.contains("hint: did you mean image?"), "{stderr}");
        machine.write("etc/pods.d/db.yaml", &pod("web", "true", ""));
        let (_, _, stderr) = machine.run(&["run", "--unit", "db"]);
        assert!(stderr.contains("declares the pod web, not db"), "{stderr}");
    });
}

#[test]
fn root_what_a_dead_monitor_leaves_is_put_right() {
    on_machine("pods::root_what_a_dead_monitor_leaves_is_put_right", |machine| {
        machine.install_image();
        let ports = "      ports: [{containerPort: 8080, hostPort: 80}]\n";
        let text = pod("web", "exec httpd -f -p 8080 -h /www", ports);
        start(machine, &text);
        eventually("the page", || page("127.0.0.1:80").is_some());
        let pids = sh("pgrep -f 'orlop-pod.*run-prepared'");
        sh(&format!("kill -9 {}", pids.trim().lines().next().unwrap()));
        eventually("the monitor's end", || machine.status("web")["state"] == "died");
        // The unit would come back like this: the name is free, the port is taken over, the old pod is gone.
        let file = machine.write("pod.yaml", &text);
        machine.ok(&["run", "--detach", "--replace", "--file", file.to_str().unwrap()]);
        eventually("the page again", || page("127.0.0.1:80").is_some());
        let rows: serde_json::Value =
            serde_json::from_str(&machine.ok(&["list", "--format", "json"])).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 1);
        machine.ok(&["rm", "--force", "web"]);
        assert_eq!(sh("nft list tables"), "");
        assert_eq!(sh("pgrep --runstates R,S,D httpd || echo none").trim(), "none");
    });
}

#[test]
fn root_the_service_manager_is_told_when_the_pod_runs() {
    on_machine("pods::root_the_service_manager_is_told_when_the_pod_runs", |machine| {
        machine.install_image();
        machine.write("etc/pods.d/web.yaml", &pod("web", "echo started; exec sleep 100", ""));
        let socket = machine.path("notify");
        let listener = UnixDatagram::bind(&socket).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut command = machine.command(&["run", "--unit", "web"]);
        let mut child = command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::piped()).spawn().unwrap();
        let mut buffer = [0u8; 100];
        let count = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"READY=1");
        assert_eq!(machine.status("web")["state"], "running");
        // As systemd stops it.
        sh(&format!("kill -TERM {}", child.id()));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "started\n");
    });
}
