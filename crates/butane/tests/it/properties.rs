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
