//! Any text is transpiled or refused, and what comes out is valid.

use ignition_spec::tree::{Member, Node, Plain, Value};
use proptest::prelude::*;

/// Texts that look like configs: keys, values and indentation at random.
fn nearly_butane() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "storage",
        "files",
        "path",
        "contents",
        "inline",
        "mode",
        "systemd",
        "units",
        "name",
        "enabled",
        "disks",
        "device",
        "filesystems",
        "with_mount_unit",
        "format",
        "trees",
        "local",
        "<<",
        "passwd",
        "users",
        "boot_device",
        "mirror",
        "devices",
        "layout",
        "luks",
        "tpm2",
        "ignition",
        "config",
        "merge",
        "source",
    ]);
    let value = prop::sample::select(vec![
        "",
        "/a",
        "true",
        "0644",
        "ext4",
        "'x y'",
        "[a, b]",
        "{a: b}",
        "&a",
        "*a",
        "x86_64",
        "|",
        "a.service",
        "/dev/vda",
        "data:,x",
        "~",
        "!!int 5",
        "yes",
    ]);
    let line = (0usize..5, any::<bool>(), key, value).prop_map(|(depth, item, key, value)| {
        format!("{}{}{key}: {value}", "  ".repeat(depth), if item { "- " } else { "" })
    });
    let dialect = prop::sample::select(vec![
        "fcos\nversion: 1.6.0",
        "fcos\nversion: 1.0.0",
        "fcos\nversion: 1.8.0-experimental",
        "flatcar\nversion: 1.1.0",
        "openshift\nversion: 4.8.0\nmetadata: {name: a, labels: {machineconfiguration.openshift.io/role: b}}",
        "r4e\nversion: 1.1.0",
        "fiot\nversion: 1.0.0",
        "orlop\nversion: 1.0.0",
    ]);
    (dialect, prop::collection::vec(line, 0..14))
        .prop_map(|(dialect, lines)| format!("variant: {dialect}\n{}\n", lines.join("\n")))
}

/// Lines of the sections of our own variant.
fn nearly_orlop() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "variables: [{name: a, type: int}, {name: b, required: true}, {name: c, type: list, default: [x]}]\n",
        "variables: [{name: a}, {name: b}]\n",
        "config: {merge: [{local: part.bu}]}\n",
        "config: {merge: [{local: text}]}\n",
        "pods: [{name: '${a}', image: x, ports: ['${a}:80']}]\n",
        "pods: [{name: p, inline: {a: ${a}}}, {name: q, local: f}]\n",
        "health_checks: [{name: h, unit: 'a.service', within_secs: ${a}}]\n",
        "health_checks: [{name: h, http: {url: 'http://x/${b}'}}]\n",
        "updates: {strategy: window, windows: [{start: '0${a}:00', length_minutes: ${a}}]}\n",
        "storage: {files: [{path: '/${a}$${b}', mode: ${b}, contents: {inline: '${c}'}}]}\n",
        "storage: {files: [{path: /x, contents: {local: f}}], trees: [{local: t}]}\n",
        "passwd: {users: [{name: core, ssh_authorized_keys: '${c}'}]}\n",
        "boot_device: {luks: {tpm2: true}}\n",
        "${",
        "- x\n",
    ]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// Trees as YAML may hold them.
fn trees() -> impl Strategy<Value = Node<'static>> {
    let node = |value| Node { position: (1, 1), value };
    let text = prop_oneof![
        "[a-z]{0,6}".prop_map(String::from),
        "[ \t\n#:\\-\\[\\]{}&*!|>'\"%@`,?=<a-c0-9.~]{0,10}".prop_map(String::from),
        any::<String>(),
        prop::sample::select(vec![
            "yes",
            "null",
            "~",
            "0644",
            "1:30",
            "2024-01-02",
            "<<",
            "1e3",
            ".inf",
            "0x1",
            "-"
        ])
        .prop_map(String::from),
    ];
    // What YAML cannot hold at all is no part of the model.
    let text = text
        .prop_map(|text| text.chars().filter(|char| !char.is_control() || "\n\t".contains(*char)).collect());
    let scalar = prop_oneof![
        text.clone().prop_map(|text: String| Value::Text(text.into())),
        any::<bool>().prop_map(Value::Bool),
        (-1_000_000i64..1_000_000)
            .prop_map(|number| Value::Plain(number.to_string().into(), Plain::Int(number))),
        Just(Value::Null),
    ];
    let member =
        move |(key, value): (String, Node<'static>)| Member { key: key.into(), position: (1, 1), value };
    scalar.prop_map(node).prop_recursive(4, 32, 5, move |inner| {
        let map = prop::collection::btree_map(
            prop_oneof!["[a-z_]{1,8}", "k{120,140}", "[ -~]{0,6}"],
            inner.clone(),
            0..5,
        );
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(move |items| node(Value::Seq(items))),
            map.prop_map(move |map| node(Value::Map(map.into_iter().map(member).collect()))),
        ]
    })
}

/// What a tree says, whatever its style and positions.
fn meaning(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null | Value::Plain(_, Plain::Null) => "null".into(),
        Value::Bool(value) | Value::Plain(_, Plain::Bool(value)) => value.to_string(),
        Value::Number(text) => (*text).into(),
        Value::Plain(_, Plain::Int(number)) => number.to_string(),
        Value::Text(text) | Value::Plain(text, _) => format!("{text:?}"),
        Value::Seq(items) => format!("[{}]", items.iter().map(meaning).collect::<Vec<_>>().join(", ")),
        Value::Map(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|member| format!("{:?}: {}", member.key, meaning(&member.value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(", "))
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        butane::fuzz::yaml(&bytes);
    }

    #[test]
    fn any_text_is_judged(text in "[-a-c:{}\\[\\]&*!|>'\"#%@, \n\t0-9]{0,60}") {
        butane::fuzz::yaml(text.as_bytes());
        butane::fuzz::yaml(format!("variant: fcos\nversion: 1.4.0\nstorage: {text}").as_bytes());
    }

    #[test]
    fn trees_are_printed_and_read_back(tree in trees()) {
        let text = butane::yaml::print(&tree);
        let again = butane::yaml::document(&text);
        prop_assert!(again.is_ok(), "{text}\n{again:?}");
        let again = again.expect("checked").unwrap_or(Node { position: (1, 1), value: Value::Null });
        prop_assert_eq!(meaning(&again), meaning(&tree), "{}", text);
    }

    #[test]
    fn near_configs_of_our_own_are_judged(text in nearly_orlop()) {
        butane::fuzz::orlop(text.as_bytes());
    }

    #[test]
    fn near_configs_are_judged(text in nearly_butane()) {
        butane::fuzz::yaml(text.as_bytes());
    }
}

/// A config that has nearly everything, for mutation.
const RICH: &str = "variant: fcos
version: 1.7.0
x: &user {name: core, uid: 1}
ignition:
  config:
    merge:
      - inline: '{\"ignition\": {\"version\": \"3.6.0\"}}'
kernel_arguments: {should_exist: [a]}
passwd:
  users:
    - *user
    - <<: *user
      name: x
storage:
  disks:
    - device: /dev/vdb
      partitions: [{label: root, number: 4, size_mib: 0x10}]
  filesystems:
    - device: /dev/mapper/l
      path: /var/data
      format: ext4
      with_mount_unit: yes
  luks:
    - name: l
      device: /dev/vdb1
      clevis: {tang: [{url: http://t, thumbprint: x}]}
  files:
    - path: /etc/motd
      mode: 0644
      contents:
        inline: |
          hello
           world
  trees: [{local: t}]
systemd:
  units:
    - name: var-data.mount
      enabled: true
      contents: |-
        [Install]
        A=b
boot_device:
  layout: x86_64
  mirror: {devices: [/dev/vda, /dev/vdb]}
  luks: {tpm2: true}
grub: {users: [{name: r, password_hash: h}]}
";

/// `RICH` with some spans removed, doubled or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..RICH.len(), 0usize..16, 0u8..4, any::<u8>());
    prop::collection::vec(edit, 0..4).prop_map(|edits| {
        let mut text = RICH.as_bytes().to_vec();
        for (at, length, how, byte) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            let piece = text[at..end].to_vec();
            match how {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..at, piece)),
                2 => drop(text.splice(at..end, [byte])),
                _ => drop(text.splice(at..at, [b" \n:-{}[]&*|'\"#~0"[usize::from(byte) % 16]])),
            }
        }
        text
    })
}

/// Files that are all there and all alike.
struct Everywhere;

impl butane::Files for Everywhere {
    fn read(&self, path: &str) -> Result<Vec<u8>, butane::FileError> {
        Ok(path.as_bytes().to_vec())
    }

    fn tree(&self, _: &str) -> Result<Vec<(String, butane::files::TreeEntry)>, butane::FileError> {
        use butane::files::TreeEntry;
        Ok(vec![
            (String::new(), TreeEntry::Directory),
            ("etc/a".into(), TreeEntry::File(true)),
            ("etc/l".into(), TreeEntry::Link("a".into())),
        ])
    }
}

proptest! {
    #[test]
    fn mutated_configs_are_judged(bytes in mutated()) {
        butane::fuzz::yaml(&bytes);
        let options = butane::Options { files: Some(&Everywhere), ..butane::Options::default() };
        if let Ok(output) = butane::transpile(&bytes, &options) {
            prop_assert!(ignition_spec::parse(&output.json).is_ok());
            prop_assert!(output.map.position("$.ignition.version").is_some());
        }
    }
}

#[test]
fn the_config_that_is_mutated_is_accepted() {
    let options = butane::Options { files: Some(&Everywhere), ..butane::Options::default() };
    let output = butane::transpile(RICH.as_bytes(), &options).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(output.config.storage.disks.len(), 2, "/dev/vdb is of the mirror and of the user");
    assert_eq!(output.config.systemd.units.len(), 1, "the mount unit is merged with the user's");
}
