//! Positions, the source map, and what the tables do not ask.

use butane::{Options, Output, map};

fn transpile(text: &str) -> Output {
    butane::transpile(text.as_bytes(), &Options::default()).unwrap_or_else(|report| panic!("{report}"))
}

fn refuse(text: &str) -> String {
    butane::transpile(text.as_bytes(), &Options::default()).expect_err("refused").to_string()
}

const MOUNT: &str = "variant: fcos
version: 1.5.0
storage:
  filesystems:
    - device: /dev/vdb
      path: /var/data
      format: ext4
      with_mount_unit: true
systemd:
  units:
    - name: a.service
      enabled: true
";

#[test]
fn generated_and_shifted_parts_map_to_their_lines() {
    let map = transpile(MOUNT).map;
    assert_eq!(map.position("$.systemd.units.0.contents"), Some((8, 24)), "made by with_mount_unit");
    assert_eq!(map.position("$.systemd.units.1.name"), Some((11, 13)), "shifted by the unit before it");
    assert_eq!(map.position("$.storage.filesystems.0.format"), Some((7, 15)));
    assert_eq!(map.position("$.ignition.version"), Some((2, 10)));
}

#[test]
fn source_maps_survive_their_encoding() {
    let source = map::Source {
        config_sha256: "00ff".into(),
        file: "web \"1\".bu".into(),
        text: MOUNT.into(),
        map: transpile(MOUNT).map,
    };
    let sources = vec![source.clone(), source];
    assert_eq!(map::decode(&map::encode(&sources)).expect("decodes"), sources);
    assert!(map::decode(b"{\"version\":3}").is_err());
}

#[test]
fn ignition_errors_have_the_line_of_the_yaml() {
    let text = "variant: fcos\nversion: 1.4.0\nstorage:\n  links:\n    - path: etc/x\n      target: /y\n";
    assert_eq!(refuse(text), "error at $.storage.links.0.path, line 5 col 13: path not absolute");
}

#[test]
fn unknown_keys_have_hints() {
    let text =
        "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n    - path: /x\n      contnets: {inline: a}\n";
    let report = transpile(text).report;
    assert_eq!(
        report.to_string(),
        "warning at $.storage.files.0.contnets, line 6 col 7: unused key contnets"
    );
    assert_eq!(report.entries[0].hint.as_deref(), Some("did you mean `contents`?"));
}

#[test]
fn unknown_variants_are_refused_with_a_list() {
    assert_eq!(
        refuse("variant: flatcar\nversion: 1.9.0\n"),
        "error at $.version, line 2 col 10: No translator exists for variant flatcar with version 1.9.0"
    );
}

#[test]
fn alias_bombs_are_refused() {
    let mut text = String::from("variant: fcos\nversion: 1.4.0\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(refuse(&text).contains("excessive aliasing"));
}

#[test]
fn either_format_is_read() {
    let butane = b"variant: fcos\nversion: 1.4.0\n";
    let read = |bytes: &[u8]| butane::read(bytes, &Options::default()).expect("accepted");
    assert!(read(butane).transpiled.is_some());
    assert!(read(b"{variant: fcos, version: 1.4.0}").transpiled.is_some());
    assert!(read(b" {\"ignition\": {\"version\": \"3.3.0\"}}").transpiled.is_none());
    assert!(!butane::is_butane(b"{\"ignition\": "));
}
