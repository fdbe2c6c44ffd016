//! Configs applied to trees.

use crate::machine::{Machine, mode};

#[test]
fn files_directories_links_and_units() {
    let mut machine = Machine::new();
    machine.put("usr/lib/systemd/system/agent@.service", "[Install]\nWantedBy=multi-user.target\n");
    machine.put("etc/old", "old");
    let outcome = machine.boot(
        r#"{"ignition": {"version": "3.5.0"},
        "storage": {
          "directories": [{"path": "/var/lib/app", "mode": 448}],
          "files": [
            {"path": "/etc/motd", "contents": {"source": "data:,hello%0A"}, "mode": 416},
            {"path": "/home/me/note", "contents": {"source": "data:;base64,H4sIAAAAAAAA/8tIzcnJBwCGphA2BQAAAA==", "compression": "gzip"}},
            {"path": "/etc/old", "append": [{"source": "data:,%20and%20new"}]},
            {"path": "/etc/empty"}
          ],
          "links": [{"path": "/etc/alias", "target": "motd"}, {"path": "/etc/hard", "target": "/etc/motd", "hard": true}]
        },
        "systemd": {"units": [
          {"name": "web.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
           "dropins": [{"name": "10-a.conf", "contents": "[Service]\nNice=1\n"}]},
          {"name": "agent@x.service", "enabled": true},
          {"name": "bad.service", "mask": true},
          {"name": "off.service", "enabled": false}
        ]}}"#,
    );
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(machine.text("etc/motd"), "hello\n");
    assert_eq!(mode(&machine.root().join("etc/motd")), 0o640);
    assert_eq!(machine.text("etc/hard"), "hello\n");
    assert_eq!(machine.text("var/home/me/note"), "hello");
    assert_eq!(machine.text("etc/old"), "old and new");
    assert_eq!(machine.text("etc/empty"), "");
    assert_eq!(mode(&machine.root().join("var/lib/app")), 0o700);
    assert_eq!(machine.link("etc/alias"), "motd");
    assert_eq!(machine.link("etc/systemd/system/bad.service"), "/dev/null");
    let wants = "etc/systemd/system/multi-user.target.wants";
    assert_eq!(machine.link(&format!("{wants}/web.service")), "/etc/systemd/system/web.service");
    assert_eq!(machine.link(&format!("{wants}/agent@x.service")), "/usr/lib/systemd/system/agent@.service");
    assert_eq!(machine.text("etc/systemd/system/web.service.d/10-a.conf"), "[Service]\nNice=1\n");
    let preset = "disable off.service\nenable agent@.service x\nenable web.service\n";
    assert_eq!(machine.text("etc/systemd/system-preset/20-ignition.preset"), preset);
    assert_eq!(mode(&machine.root().join("etc/.ignition-result.json")), 0o600);
    let report: serde_json::Value = serde_json::from_str(&machine.text("etc/.ignition-result.json")).unwrap();
    assert_eq!(report["provisioningBootID"], "boot");
    assert_eq!(report["provisioningDate"], "2001-09-09T01:46:40Z");
    assert_eq!(report["userConfigProvided"], true);
    assert!(outcome.steps > 10);
}
