//! What people see when a config fails.

use crate::machine::Machine;

fn refused(machine: &mut Machine, config: &str) -> String {
    match machine.boot(config) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.text(),
    }
}

#[test]
fn an_invalid_config_is_shown_at_its_line() {
    let config = "{\"ignition\": {\"version\": \"3.5.0\"},\n \"storage\": {\"files\": [\n  {\"path\": \"etc/motd\"}]}}";
    let text = refused(&mut Machine::new(), config);
    assert!(text.starts_with("error: path not absolute\n"), "{text}");
    let excerpt = "--> fw_cfg opt/com.coreos/config:3:12 ($.storage.files.0.path)\n  |\n3 |   {\"path\": \"etc/motd\"}]}}\n  |            ^";
    assert!(text.contains(excerpt), "{text}");
}

#[test]
fn a_source_map_shows_the_line_of_the_butane_file() {
    let mut machine = Machine::new();
    let config = r#"{"ignition":{"version":"3.5.0"},"storage":{"raid":[{"name":"md0","level":"raid1","devices":["/dev/vdb","/dev/vdc"]}]}}"#;
    let map = format!(
        r#"{{"version":1,"sources":[{{"config_sha256":"{}","file":"web.bu","text":"variant: fcos\nversion: 1.6.0\nstorage:\n  raid:\n    - name: md0\n","paths":{{"$":[1,1],"$.storage.raid.0":[5,7]}}}}]}}"#,
        provision::fetch::verify::sha256_hex(config.as_bytes())
    );
    machine.fw_cfg("opt/io.orlop/source-map", map.as_bytes());
    let text = refused(&mut machine, config);
    let wanted = "error: there is no device /dev/vdb\n --> web.bu:5:7 ($.storage.raid.0.devices.0)\n  |\n5 |     - name: md0\n  |       ^\nhint: ";
    assert!(text.starts_with(wanted), "{text}");
}

#[test]
fn a_source_map_reaches_through_a_wrapper() {
    let mut machine = Machine::new();
    let user = r#"{"ignition":{"version":"3.5.0"},"storage":{"files":[{"path":"/usr/x"}]}}"#;
    let map = format!(
        r#"{{"version":1,"sources":[{{"config_sha256":"{}","file":"web.bu","text":"a\nb\n  - path: /usr/x\n","paths":{{"$":[1,1],"$.storage.files.0.path":[3,11]}}}}]}}"#,
        provision::fetch::verify::sha256_hex(user.as_bytes())
    );
    machine.fw_cfg("opt/io.orlop/source-map", map.as_bytes());
    let encoded: String = user.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let additions = "%7b%22ignition%22%3a%7b%22version%22%3a%223.5.0%22%7d%7d";
    let wrapper = format!(
        r#"{{"ignition":{{"version":"3.5.0","config":{{"merge":[{{"source":"data:,{additions}"}},{{"source":"data:,{encoded}"}}]}}}}}}"#
    );
    let text = refused(&mut machine, &wrapper);
    assert!(
        text.starts_with("error: /usr/x cannot be written: /usr is the OS and read-only\n --> web.bu:3:11"),
        "{text}"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_nothing_is_done() {
    let mut machine = Machine::new();
    let text = refused(
        &mut machine,
        r#"{"ignition": {"version": "3.5.0"}, "kernelArguments": {"shouldExist": ["a"]},
        "storage": {
          "luks": [{"name": "l", "device": "/dev/vdb"}],
          "filesystems": [{"device": "/dev/nosuch", "format": "ext4", "path": "/var/x"}],
          "files": [
            {"path": "/etc/good", "contents": {"source": "data:,x"}},
            {"path": "/etc/hash", "contents": {"source": "data:,x", "verification": {"hash": "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}},
            {"path": "/etc/who", "user": {"name": "nobody-here"}},
            {"path": "/etc/passwd", "contents": {"source": "data:,x"}},
            {"path": "/home/me/f"}, {"path": "/var/home/me/f"}
          ]}}"#,
    );
    for part in [
        "there is no device /dev/vdb",
        "there is no device /dev/nosuch",
        "the content's digest is sha256-2d711642",
        "there is no user nobody-here",
        "/etc/passwd exists with other content, and overwrite is not true",
        "/var/home/me/f and /home/me/f are the same place: /var/home/me/f",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!machine.root().join("etc/good").exists());
}

#[test]
fn a_butane_error_at_boot_is_shown_at_its_own_line() {
    let mut machine = Machine::new();
    let text =
        refused(&mut machine, "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: etc/motd\n");
    assert!(text.contains("--> fw_cfg opt/com.coreos/config:5:"), "{text}");
    assert!(text.contains("5 |     - path: etc/motd"), "{text}");
}

#[test]
fn butane_is_read_at_boot() {
    let mut machine = Machine::new();
    let config = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: hello\n    - path: /etc/x\n      user:\n        name: nobody-here\n";
    let text = refused(&mut machine, config);
    assert!(text.starts_with("error: there is no user nobody-here\n"), "{text}");
    assert!(text.contains("--> fw_cfg opt/com.coreos/config:10:15 ($.storage.files.1.user.name)"), "{text}");
    let good = config.replace("nobody-here", "me");
    machine.boot(&good).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(machine.text("etc/motd"), "hello");
}
