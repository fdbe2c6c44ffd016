//! Our own variant: short forms, variables, merged files.

use std::collections::BTreeMap;

use butane::files::TreeEntry;
use butane::variables::{Given, Values};
use butane::{FileError, Options, Output, Stage};
use ignition_spec::dataurl;

const HEAD: &str = "variant: orlop\nversion: 1.0.0\n";

/// Files by their names.
#[derive(Default)]
struct Named(BTreeMap<String, String>);

impl butane::Files for Named {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let found = self.0.get(path).map(|text| text.clone().into_bytes());
        found.ok_or_else(|| FileError::System {
            operation: "open",
            path: path.into(),
            reason: "no such file or directory".into(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    fn tree(&self, _: &str) -> Result<Vec<(String, TreeEntry)>, FileError> {
        Ok(Vec::new())
    }
}

/// A config with files beside it, and values.
fn transpile(text: &str, files: &[(&str, &str)], values: &[(&str, &str)]) -> Result<Output, String> {
    let files = Named(files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect());
    let given = |text: &str| Given { text: text.into(), from_file: false };
    let values: Values = values.iter().map(|(name, text)| ((*name).into(), given(text))).collect();
    let options =
        Options { files: Some(&files), name: "web.bu", variables: Some(&values), ..Options::default() };
    butane::transpile_staged(text.as_bytes(), &options).map_err(|refusal| {
        assert_ne!(refusal.report.entries.len(), 0);
        assert!(refusal.stage != Stage::Read || refusal.report.is_fatal());
        refusal.report.to_string()
    })
}

/// The content of the file `path` of an output.
fn file(output: &Output, path: &str) -> String {
    let file = output.config.storage.files.iter().find(|file| file.path == path);
    let contents = &file.unwrap_or_else(|| panic!("no {path}")).contents;
    let bytes = dataurl::decode(contents.source.as_deref().expect("a source")).expect("a data URL");
    let bytes = match contents.compression.as_deref() {
        Some("gzip") => {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text)
                .expect("gzip");
            text
        }
        _ => bytes,
    };
    String::from_utf8(bytes).expect("text")
}

fn refuse(text: &str, files: &[(&str, &str)], values: &[(&str, &str)]) -> String {
    transpile(text, files, values).expect_err("refused")
}

#[test]
fn all_of_fcos_is_there() {
    let text = format!(
        "{HEAD}boot_device: {{luks: {{tpm2: true}}}}\ngrub: {{users: [{{name: r, password_hash: h}}]}}\n"
    );
    let output = transpile(&text, &[], &[]).expect("accepted");
    assert_eq!((output.spec.minor_number(), output.config.storage.luks.len()), (6, 1));
    let openshift = transpile(&format!("{HEAD}openshift: {{fips: true}}\n"), &[], &[]).expect("accepted");
    assert_eq!(openshift.report.entries[0].hint.as_deref(), Some("`openshift` is of the variants openshift"));
}

#[test]
fn pods_become_files() {
    let text = format!(
        "{HEAD}pods:
  - name: web
    image: localhost/web:1
    command: [/bin/httpd, -f]
    env: {{PORT: 8080}}
    ports: ['80:8080', '127.0.0.1:53:53/udp']
    volumes: ['/srv/web:/www:ro', 'tmp:/tmp']
    restart: on-failure
  - name: db
    inline: {{apiVersion: v1, kind: Pod, metadata: {{name: db}}, spec: {{containers: [{{name: x, ports: [{{containerPort: 5432}}]}}]}}}}
  - name: local
    local: pod.yaml
"
    );
    let output =
        transpile(&text, &[("pod.yaml", "kind: Pod\n")], &[]).unwrap_or_else(|said| panic!("{said}"));
    let expected = "# Made from a Butane config.
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - command:
        - /bin/httpd
        - -f
      env:
        - name: PORT
          value: \"8080\"
      image: localhost/web:1
      name: web
      ports:
        - containerPort: 8080
          hostPort: 80
        - containerPort: 53
          hostIP: 127.0.0.1
          hostPort: 53
          protocol: UDP
      volumeMounts:
        - mountPath: /www
          name: volume-0
          readOnly: true
        - mountPath: /tmp
          name: tmp
  restartPolicy: OnFailure
  volumes:
    - hostPath:
        path: /srv/web
        type: DirectoryOrCreate
      name: volume-0
    - emptyDir: {}
      name: tmp
";
    assert_eq!(file(&output, "/etc/pods.d/web.yaml"), expected);
    assert!(file(&output, "/etc/pods.d/db.yaml").contains("- containerPort: 5432\n"));
    assert_eq!(file(&output, "/etc/pods.d/local.yaml"), "kind: Pod\n");
    assert_eq!(output.map.position("$.storage.files.0.contents.source"), Some((5, 12)));
    assert_eq!(output.map.position("$.storage.files.2.contents.source"), Some((14, 12)));
}

#[test]
fn faults_of_short_forms_have_their_lines() {
    for (body, expected) in [
        (
            "pods: [{name: web}]",
            "$.pods.0, line 3 col 8: exactly one of the following must be set: image, inline, local",
        ),
        ("pods: [{name: Web, image: x}]", "$.pods.0.name, line 3 col 15: the name of a pod is"),
        (
            "pods: [{name: web, image: x, ports: ['x:1']}]",
            "$.pods.0.ports.0, line 3 col 38: \"x:1\": a port is",
        ),
        (
            "pods: [{name: web, image: x, volumes: [a]}]",
            "$.pods.0.volumes.0, line 3 col 40: \"a\": a volume is",
        ),
        (
            "pods: [{name: web, inline: x, env: {A: b}}]",
            "$.pods.0.env, line 3 col 36: this belongs to the short form",
        ),
        (
            "pods: [{name: web, image: x, restart: sometimes}]",
            "$.pods.0.restart, line 3 col 39: must be always",
        ),
        (
            "pods: [{name: a, image: x}, {name: a, image: y}]",
            "$.pods.1, line 3 col 29: matching filesystem node",
        ),
        ("health_checks: [{name: a}]", "$.health_checks.0, line 3 col 17: exactly one of"),
        (
            "health_checks: [{name: ../a, unit: a.service}]",
            "$.health_checks.0.name, line 3 col 24: the name of a check",
        ),
        (
            "health_checks: [{name: a, command: [ls]}]",
            "$.health_checks.0.command.0, line 3 col 37: the path of a program",
        ),
        (
            "health_checks: [{name: a, http: {url: 'ftp://x'}}]",
            "$.health_checks.0.http.url, line 3 col 39: the URL must be",
        ),
        ("updates: {strategy: x}", "$.updates.strategy, line 3 col 21: must be immediate, window or manual"),
        ("updates: {strategy: window}", "$.updates.windows, line 3 col 10: strategy window needs windows"),
        (
            "updates: {strategy: window, windows: [{start: '9:00', length_minutes: 5}]}",
            "$.updates.windows.0.start, line 3 col 47: a window has",
        ),
    ] {
        let said = refuse(&format!("{HEAD}{body}\n"), &[], &[]);
        assert!(said.contains(expected), "{body}\n{said}");
    }
}

#[test]
fn health_checks_and_updates_become_files() {
    let text = format!(
        "{HEAD}health_checks:
  - {{name: ssh, unit: sshd.service, within_secs: 60}}
  - {{name: page, http: {{url: 'http://127.0.0.1/', status: 200, contains: ok}}, timeout_secs: 2}}
  - {{name: db, command: [/usr/bin/pg_isready, -q]}}
  - {{name: web, container: {{pod: web, name: web}}}}
updates:
  stream: stable
  strategy: window
  time_zone: Europe/Berlin
  windows: [{{days: [sat, sun], start: '03:00', length_minutes: 120}}]
"
    );
    let output = transpile(&text, &[], &[]).unwrap_or_else(|said| panic!("{said}"));
    let health = |name: &str| file(&output, &format!("/etc/orlop/health.d/{name}.yaml"));
    let head = "# Made from a Butane config.\n";
    assert_eq!(health("ssh"), format!("{head}kind: unit\nunit: sshd.service\nversion: 1\nwithin_secs: 60\n"));
    assert_eq!(
        health("page"),
        format!(
            "{head}contains: ok\nkind: http\nstatus: 200\ntimeout_secs: 2\nurl: http://127.0.0.1/\nversion: 1\n"
        )
    );
    assert_eq!(
        health("db"),
        format!("{head}command:\n  - /usr/bin/pg_isready\n  - -q\nkind: command\nversion: 1\n")
    );
    assert_eq!(health("web"), format!("{head}container: web\nkind: container\npod: web\nversion: 1\n"));
    assert_eq!(
        file(&output, "/etc/orlop/update.toml"),
        format!(
            "{head}version = 1\nstream = \"stable\"\nstrategy = \"window\"\ntime_zone = \"Europe/Berlin\"\n\n\
             [[windows]]\ndays = [\"sat\", \"sun\"]\nstart = \"03:00\"\nlength_minutes = 120\n"
        )
    );
}

const WITH_VARIABLES: &str = "variant: orlop
version: 1.0.0
variables:
  - {name: host, description: its name, required: true}
  - {name: mode, type: int, default: 0600}
  - {name: enabled, type: bool, default: false}
  - {name: keys, type: list, default: [a]}
passwd:
  users: [{name: core, ssh_authorized_keys: '${keys}'}]
storage:
  files:
    - path: /etc/hostname
      mode: ${mode}
      contents:
        inline: |
          ${host}.example
          $${host}
systemd:
  units: [{name: 'a.service', enabled: \"${enabled}\"}]
";

#[test]
fn references_take_their_variables_types() {
    let values = [("host", "web"), ("enabled", "true"), ("keys", "k1, k2")];
    let output = transpile(WITH_VARIABLES, &[], &values).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(file(&output, "/etc/hostname"), "web.example\n${host}\n");
    assert_eq!(output.config.storage.files[0].mode, Some(0o600));
    assert_eq!(output.config.systemd.units[0].enabled, Some(true));
    assert_eq!(output.config.passwd.users[0].ssh_authorized_keys, ["k1", "k2"]);
}

#[test]
fn faults_of_variables_have_their_lines_and_hints() {
    let said = refuse(WITH_VARIABLES, &[], &[]);
    assert_eq!(
        said,
        "error at $.variables.0, line 4 col 5: the variable host must be given: --set host=VALUE"
    );
    let said = refuse(WITH_VARIABLES, &[], &[("host", "x"), ("mode", "rw")]);
    assert_eq!(said, "error at $.variables.1, line 5 col 5: the value given for mode is not an integer");
    let said = refuse(WITH_VARIABLES, &[], &[("host", "x"), ("hots", "y")]);
    assert_eq!(said, "error: a value is given for the variable hots, which no file declares");
    for (body, expected) in [
        (
            "a: x\nstorage: {files: [{path: '/${b}'}]}",
            "$.storage.files.0.path, line 5 col 28: the variable b is not declared in this file",
        ),
        (
            "storage:\n  files:\n    - path: /x\n      contents:\n        inline: |\n          one\n          two ${c} ${a}\n",
            "$.storage.files.0.contents.inline, line 10 col 15: the variable c is not declared",
        ),
        (
            "storage: {files: [{path: '/${a}'}]}",
            "$.storage.files.0.path, line 4 col 28: the variable a has no value",
        ),
        (
            "storage: {files: [{path: '/${a:-x}'}]}",
            "$.storage.files.0.path, line 4 col 28: ${ starts a reference",
        ),
    ] {
        let said = refuse(&format!("{HEAD}variables: [{{name: a}}]\n{body}\n"), &[], &[]);
        assert!(said.contains(expected), "{body}\n{said}");
    }
    for (variable, expected) in [
        ("{name: 1a}", "$.variables.0.name, line 3 col 20: the name of a variable"),
        ("{name: a, type: float}", "$.variables.0.type, line 3 col 29: \"float\" is no type of a variable"),
        (
            "{name: a, type: bool, default: maybe}",
            "$.variables.0.default, line 3 col 44: the default is not true or false",
        ),
        ("{name: a}, {name: a}", "$.variables.1.name, line 3 col 31: the variable a is declared twice"),
    ] {
        let said = refuse(&format!("{HEAD}variables: [{variable}]\n"), &[], &[]);
        assert!(said.contains(expected), "{variable}\n{said}");
    }
    // Nothing is a reference where nothing is declared.
    let plain = format!("{HEAD}storage: {{files: [{{path: '/${{b}}'}}]}}\n");
    assert_eq!(transpile(&plain, &[], &[]).expect("accepted").config.storage.files[0].path, "/${b}");
    let fcos = "variant: fcos\nversion: 1.5.0\n";
    assert!(refuse(fcos, &[], &[("a", "b")]).contains("which no file declares"));
}

const BASE: &str = "variant: fcos
version: 1.4.0
storage:
  files:
    - path: /etc/motd
      contents: {inline: base}
    - path: /etc/base
  links:
    - {path: /etc/link, target: /x}
";

#[test]
fn merged_files_win_and_keep_their_lines() {
    let text = format!(
        "{HEAD}config:\n  merge: [{{local: base.bu}}]\nstorage:\n  files:\n    - path: /etc/motd\n      mode: 0600\n      contents: {{inline: own}}\n"
    );
    let output = transpile(&text, &[("base.bu", BASE)], &[]).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(output.config.ignition.version, "3.6.0");
    assert_eq!((file(&output, "/etc/motd").as_str(), output.config.storage.files.len()), ("base", 2));
    assert_eq!(output.config.storage.files[0].mode, Some(0o600), "what the merged file does not say stays");
    let map = &output.map;
    assert_eq!(map.position("$.storage.files.1.path"), Some((7, 13)));
    let fragment = map.fragment("$.storage.files.1.path").expect("of the fragment");
    assert_eq!((fragment.name.as_str(), fragment.text.as_str()), ("base.bu", BASE));
    assert_eq!(map.position("$.storage.files.0.mode"), Some((8, 13)));
    assert!(map.fragment("$.storage.files.0.mode").is_none());
    let source = butane::Source { config_sha256: "00".into(), file: "web.bu".into(), text, map: map.clone() };
    let encoded = butane::map::encode(std::slice::from_ref(&source));
    assert!(encoded.starts_with(b"{\"version\":2,"));
    assert_eq!(butane::map::decode(&encoded).expect("decodes"), [source]);
}

#[test]
fn faults_in_merged_files_say_who_merged_them() {
    let merging = format!("{HEAD}config:\n  merge:\n    - local: base.bu\n");
    let wrong = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n    - path: etc/motd\n";
    assert_eq!(
        refuse(&merging, &[("base.bu", wrong)], &[]),
        "error at $.storage.files.0.path, line 5 col 13, from base.bu, merged by web.bu line 5: path not absolute"
    );
    let middle = format!("{HEAD}config: {{merge: [{{local: part.bu}}]}}\n");
    assert_eq!(
        refuse(&merging, &[("base.bu", &middle), ("part.bu", wrong)], &[]),
        "error at $.storage.files.0.path, line 5 col 13, from part.bu, merged by base.bu line 3, merged by web.bu line 5: path not absolute"
    );
    // What is wrong only together: a file below a link.
    let text = format!("{merging}storage:\n  files:\n    - path: /etc/link/x\n");
    assert_eq!(
        refuse(&text, &[("base.bu", BASE)], &[]),
        "error at $.storage.files.0, line 8 col 7: file path includes link in config"
    );
    let cycle = format!("{HEAD}config: {{merge: [{{local: ./base.bu}}]}}\n");
    assert_eq!(
        refuse(&merging, &[("base.bu", &cycle), ("./base.bu", &cycle)], &[]),
        "error at $.config.merge.0.local, line 3 col 26, from base.bu, merged by web.bu line 5: base.bu merges itself: base.bu -> base.bu"
    );
    let later = "variant: fcos\nversion: 1.8.0-experimental\n";
    assert!(
        refuse(&merging, &[("base.bu", later)], &[]).contains("translated to Ignition 3.7.0-experimental")
    );
    assert!(
        refuse(&merging, &[], &[])
            .contains("$.config.merge.0.local, line 5 col 14: open base.bu: no such file")
    );
    // All faults of all files at once.
    let two = format!("{HEAD}config: {{merge: [{{local: base.bu}}, {{local: base.bu}}]}}\n");
    assert_eq!(refuse(&two, &[("base.bu", wrong)], &[]).lines().count(), 2);
}

#[test]
fn variables_are_of_the_file_that_declares_them() {
    let merging =
        format!("{HEAD}config: {{merge: [{{local: part.bu}}]}}\nvariables: [{{name: a, default: x}}]\n");
    let part =
        |body: &str| format!("{HEAD}variables: [{{name: b}}]\nstorage: {{files: [{{path: '/{body}'}}]}}\n");
    let output = transpile(&merging, &[("part.bu", &part("${b}"))], &[("b", "y")]).expect("accepted");
    assert_eq!(output.config.storage.files[0].path, "/y");
    let said = refuse(&merging, &[("part.bu", &part("${a}"))], &[]);
    assert!(said.contains("from part.bu, merged by web.bu line 3: the variable a is not declared"), "{said}");
}
