//! Any text is transpiled or refused, and what comes out is valid.

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
    prop::collection::vec(line, 0..14)
        .prop_map(|lines| format!("variant: fcos\nversion: 1.6.0\n{}\n", lines.join("\n")))
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        butane::fuzz_yaml(&bytes);
    }

    #[test]
    fn any_text_is_judged(text in "[-a-c:{}\\[\\]&*!|>'\"#%@, \n\t0-9]{0,60}") {
        butane::fuzz_yaml(text.as_bytes());
        butane::fuzz_yaml(format!("variant: fcos\nversion: 1.4.0\nstorage: {text}").as_bytes());
    }

    #[test]
    fn near_configs_are_judged(text in nearly_butane()) {
        butane::fuzz_yaml(text.as_bytes());
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
        butane::fuzz_yaml(&bytes);
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
