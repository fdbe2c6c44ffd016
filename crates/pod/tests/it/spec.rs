//! Declarations: a full one, and what is refused where.

use pod::spec::{self, HostPathKind, Protocol, PullPolicy, RestartPolicy, VolumeSource};
use proptest::prelude::*;

const FULL: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
  annotations:
    note: "1"
spec:
  restartPolicy: OnFailure
  hostname: www
  terminationGracePeriodSeconds: 5
  securityContext:
    runAsGroup: 7
    supplementalGroups: [8, 9]
  containers:
    - name: httpd
      image: localhost/web:1
      imagePullPolicy: Always
      command: [/bin/busybox, httpd]
      args: ["-f", "-p", "8080"]
      env:
        - {name: A, value: "1"}
        - {name: EMPTY}
      workingDir: /www
      ports:
        - containerPort: 8080
          hostPort: 80
        - {containerPort: 53, hostPort: 53, hostIP: 127.0.0.1, protocol: UDP, name: dns}
        - containerPort: 9000
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: etc, mountPath: /cfg, readOnly: true}
      securityContext:
        runAsUser: 1000
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: {add: [NET_ADMIN, cap_sys_time], drop: [ALL]}
        seccompProfile: {type: Unconfined}
      resources:
        limits: {cpu: 500m, memory: 64Mi}
        requests: {cpu: 1}
    - name: side
      image: busybox
  volumes:
    - name: data
      emptyDir: {medium: Memory, sizeLimit: 16Mi}
    - name: etc
      hostPath: {path: /etc/web, type: DirectoryOrCreate}
"#;

#[test]
fn a_full_declaration_is_read() {
    let pod = spec::parse(FULL).unwrap();
    assert_eq!((pod.name.as_str(), pod.hostname.as_deref(), pod.grace_secs), ("web", Some("www"), 5));
    assert_eq!(pod.restart_policy, RestartPolicy::OnFailure);
    let httpd = &pod.containers[0];
    assert_eq!(httpd.image.to_string(), "localhost/web:1");
    assert_eq!(httpd.pull_policy, PullPolicy::Always);
    assert_eq!(httpd.args, ["-f", "-p", "8080"]);
    assert_eq!(httpd.env, [("A".to_owned(), "1".to_owned()), ("EMPTY".to_owned(), String::new())]);
    assert_eq!(httpd.ports[1].protocol, Protocol::Udp);
    assert_eq!(httpd.security.run_as_user, Some(1000));
    assert_eq!(httpd.security.run_as_group, Some(7));
    assert_eq!(httpd.security.supplemental_groups, [8, 9]);
    assert!(
        httpd.security.no_new_privileges
            && httpd.security.read_only_root
            && httpd.security.seccomp_unconfined
    );
    assert_eq!(httpd.security.add_capabilities, ["NET_ADMIN", "SYS_TIME"]);
    assert_eq!(httpd.resources.cpu_limit_milli, Some(500));
    assert_eq!(httpd.resources.cpu_request_milli, Some(1000));
    assert_eq!(httpd.resources.memory_limit_bytes, Some(64 << 20));
    assert_eq!(pod.containers[1].image.to_string(), "docker.io/library/busybox:latest");
    assert!(!pod.containers[1].security.read_only_root);
    assert_eq!(pod.volumes[0].source, VolumeSource::EmptyDir { memory: true, size_limit: Some(16 << 20) });
    let etc = VolumeSource::HostPath { path: "/etc/web".into(), kind: HostPathKind::DirectoryOrCreate };
    assert_eq!(pod.volumes[1].source, etc);
    let ports: Vec<(u16, u16)> = pod.host_ports().map(|port| (port.host_port, port.container_port)).collect();
    assert_eq!(ports, [(80, 8080), (53, 53)]);
}

/// A minimal pod with a piece of text put in place of another.
fn minimal(from: &str, to: &str) -> String {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: a\n      image: web:1\n";
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn mistakes_are_found_at_their_place_and_explained() {
    // (what, in place of what, line:column path: message; hint)
    let table = [
        (
            "      image: web:1",
            "      imgae: web:1",
            "8:7 spec.containers[0].imgae: there is no member imgae; did you mean image?",
        ),
        ("kind: Pod", "kind: Deployment", "2:7 kind: \"Deployment\" is none of: Pod"),
        ("  name: web", "  name: Web", "4:9 metadata.name: \"Web\" is not a name"),
        (
            "  name: web",
            "  name: 12",
            "4:9 metadata.name: text is needed here, this is a number; put it in quotes",
        ),
        ("image: web:1", "image: WEB", "8:14 spec.containers[0].image: \"WEB\" is not the name of an image"),
        (
            "spec:\n",
            "spec:\n  initContainers: []\n",
            "6:3 spec.initContainers: initContainers is a member of Kubernetes that Orlop does not do yet",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      ports: [{containerPort: 0}]",
            "9:31 spec.containers[0].ports[0].containerPort: 0 is not between 1 and 65535",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]",
            "host port 5/tcp stands here twice",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      volumeMounts: [{name: x, mountPath: /x}]",
            "there is no volume x; spec.volumes declares: none",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      volumeMounts: [{name: x, mountPath: /x/../y}]",
            "\"/x/../y\" is not an absolute path",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      securityContext: {privileged: true}",
            "privileged containers are not run",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      securityContext: {capabilities: {add: [NET_ADMN]}}",
            "\"NET_ADMN\" is not a capability",
        ),
        (
            "      image: web:1",
            "      image: web:1\n      resources: {limits: {memory: lots}}",
            "\"lots\" is not a quantity",
        ),
        (
            "      image: web:1",
            "      image: web:1\n    - {name: a, image: b}",
            "there is another container a",
        ),
        (
            "spec:\n",
            "spec:\n  restartPolicy: always\n",
            "\"always\" is none of: Always, OnFailure, Never; did you mean Always?",
        ),
        ("spec:\n", "spec:\n  volumes: [{name: v, configMap: {}}]\n", "configMap is a member of Kubernetes"),
        ("spec:\n", "spec:\n  volumes: [{name: v}]\n", "hostPath or emptyDir is missing"),
        ("apiVersion: v1\n", "", "1:1: apiVersion is missing"),
        (
            "  containers:\n    - name: a\n      image: web:1\n",
            "  containers: []\n",
            "a pod needs at least one container",
        ),
    ];
    for (from, to, expected) in table {
        let error = spec::parse(&minimal(from, to)).unwrap_err();
        let shown: Vec<String> = error
            .problems
            .iter()
            .map(|p| {
                let path = if p.path.is_empty() { String::new() } else { format!(" {}", p.path) };
                let hint = p.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("{}:{}{path}: {}{hint}", p.line, p.column, p.message)
            })
            .collect();
        assert!(
            shown.iter().any(|line| line.contains(expected)),
            "{to:?}\nexpected {expected}\ngot {shown:#?}"
        );
    }
    assert!(spec::parse(&minimal("web:1", "web:2")).is_ok());
}

#[test]
fn a_person_sees_the_line() {
    let text = minimal("      image: web:1", "      imgae: web:1");
    let error = spec::parse(&text).unwrap_err();
    let shown = error.render("web.yaml", &text);
    assert!(
        shown.contains(
            "web.yaml:8:7: spec.containers[0].imgae: there is no member imgae\n  8 |       imgae: web:1\n    |       ^\n  hint: did you mean image?\n"
        ),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text in "[a-z:\\-\\[\\]{} \n\"'&*!|>#,0-9]{0,200}") {
        pod::fuzz_spec(text.as_bytes());
    }

    #[test]
    fn a_damaged_declaration_is_parsed_without_panic(at in 0usize..1600, with in "[:\\-{}\\[\\] \n]{1,3}") {
        let mut text = FULL.to_owned();
        let at = at % text.len();
        text.replace_range(at..=at, &with);
        pod::fuzz_spec(text.as_bytes());
    }
}
