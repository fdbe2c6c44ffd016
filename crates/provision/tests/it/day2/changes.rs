//! Single changes, one property each.

use provision::day2::apply::Ended;
use provision::day2::{Before, Permission, drift};

use super::{Small, storage};

const A: &str = r#""storage": {
    "directories": [{"path": "/srv/app", "mode": 448}],
    "files": [
      {"path": "/etc/os", "overwrite": true, "contents": {"source": "data:,ours%0A"}, "mode": 384},
      {"path": "/opt/own", "overwrite": true, "contents": {"source": "data:,ours%0A"}},
      {"path": "/etc/new/deep", "contents": {"source": "data:,1"}},
      {"path": "/etc/os.d/part", "append": [{"source": "data:,more"}]}],
    "links": [{"path": "/etc/link", "target": "os"}]},
  "systemd": {"units": [
    {"name": "web.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/a\n[Install]\nWantedBy=multi-user.target\n"},
    {"name": "os.service", "enabled": false, "dropins": [{"name": "a.conf", "contents": "[Service]\nNice=1\n"}]}]}"#;

#[test]
fn a_declaration_that_goes_leaves_what_was_there_before() {
    let small = Small::new();
    let before = small.tree();
    small.first(&storage(A)).unwrap();
    assert_eq!(small.text("etc/os"), "ours\n");
    assert_eq!(small.text("etc/os.d/part"), "part\nmore");
    let change = small.apply(&storage(r#""passwd": {}"#)).unwrap();
    assert_eq!(small.tree(), before);
    let lines = change.plan.lines();
    for line in [
        "stop: stop web.service: its file goes",
        "files: replace file /etc/os (0644 0:0) as /usr/etc/os",
        "files: remove /etc/new/deep: it is no longer declared",
        "units: start os.service: multi-user.target wants it",
    ] {
        assert!(lines.contains(line), "{line:?} is not in\n{lines}");
    }
    // And back again.
    small.apply(&storage(A)).unwrap();
    let other = Small::new();
    other.first(&storage(A)).unwrap();
    assert_eq!(small.tree(), other.tree());
}

#[test]
fn what_is_declared_again_is_no_change() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    let change = small.plan(&storage(A), Permission::default()).unwrap();
    assert!(change.is_empty(), "{}", change.plan.lines());
}

#[test]
fn os_defaults_are_those_of_the_day() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    small.put("usr/etc/os", "newer default\n");
    small.apply(&storage(r#""passwd": {}"#)).unwrap();
    assert_eq!(small.text("etc/os"), "newer default\n");
    let (old, _) = small.observe(&storage(r#""passwd": {}"#));
    assert!(old.unwrap().nodes.is_empty());
}

#[test]
fn what_was_changed_by_hand_is_not_lost_unasked() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    small.put("etc/os", "by hand\n");
    let error = small.plan(&storage(r#""passwd": {}"#), Permission::default()).unwrap_err();
    assert!(error.text().starts_with("error: /etc/os was changed by hand since it was applied\n"), "{error}");
    let (old, now) = small.observe(&storage(A));
    let drift = drift::drift(&old.unwrap(), &now);
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!((drift[0].name.as_str(), drift[0].how.as_str()), ("/etc/os", "content was changed"));
    let forced = Permission { force: true, ..Permission::default() };
    let change = small.plan(&storage(r#""passwd": {}"#), forced).unwrap();
    assert!(change.plan.warnings.iter().any(|text| text.contains("/etc/os")), "{:?}", change.plan.warnings);
}

#[test]
fn directories_with_other_things_in_them_stay() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    small.put("srv/app/data", "somebody's\n");
    let change = small.apply(&storage(r#""passwd": {}"#)).unwrap();
    assert_eq!(small.text("srv/app/data"), "somebody's\n");
    assert!(change.plan.warnings.iter().any(|text| text.contains("/srv/app")), "{:?}", change.plan.warnings);
    let (old, _) = small.observe(&storage(A));
    assert!(!old.unwrap().nodes.contains_key("/srv/app"));
}

#[test]
fn files_without_declared_content_are_their_writers() {
    let config = r#""storage": {"files": [{"path": "/var/lib/state", "mode": 384}]}"#;
    let small = Small::new();
    small.first(&storage(config)).unwrap();
    small.put("var/lib/state", "written by a service");
    let other = config.replace("384", "416");
    small.apply(&storage(&other)).unwrap();
    assert_eq!(small.text("var/lib/state"), "written by a service");
    // Content that was declared goes with its declaration.
    let with = config.replace("}]", r#", "overwrite": true, "contents": {"source": "data:,x"}}]"#);
    let small = Small::new();
    small.first(&storage(&with)).unwrap();
    small.apply(&storage(config)).unwrap();
    assert_eq!(small.text("var/lib/state"), "");
}

#[test]
fn units_and_their_readers_are_asked() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    let b = A
        .replace("ExecStart=/bin/a", "ExecStart=/opt/own")
        .replace("Nice=1", "Nice=2")
        .replace(r#""path": "/etc/new/deep""#, r#""path": "/etc/systemd/network/10-a.network""#);
    let change = small.apply(&storage(&b)).unwrap();
    let units: Vec<&str> = change
        .plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, provision::plan::Action::Unit { .. }))
        .map(|step| step.text.split(':').next().unwrap())
        .collect();
    assert_eq!(
        units,
        [
            "reload systemd",
            "try-restart os.service",
            "try-reload-or-restart systemd-networkd.service",
            "try-restart web.service"
        ]
    );
    let calls = small.recorder.calls.borrow();
    assert!(calls.contains(&"systemctl daemon-reload".to_owned()), "{calls:?}");
    // A changed file that a unit of the config names.
    let c = b.replace(
        r#"{"path": "/opt/own", "overwrite": true, "contents": {"source": "data:,ours%0A"}}"#,
        r#"{"path": "/opt/own", "overwrite": true, "contents": {"source": "data:,other"}}"#,
    );
    let change = small.plan(&storage(&c), Permission::default()).unwrap();
    assert!(
        change.plan.lines().contains("units: try-restart web.service: it names /opt/own"),
        "{}",
        change.plan.lines()
    );
}

#[test]
fn a_change_that_is_not_liked_is_taken_back() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    let before = small.tree();
    let b = storage(r#""storage": {"files": [{"path": "/etc/b", "contents": {"source": "data:,b"}}]}"#);
    let change = small.plan(&b, Permission::default()).unwrap();
    let ended = small.carry_out(&b, &change, Err("nobody confirmed")).unwrap();
    assert!(matches!(ended, Ended::TakenBack(why) if why.line() == "nobody confirmed"));
    assert_eq!(small.tree(), before);
    assert!(!small.root().join("orlop/apply").exists());
    let (old, _) = small.observe(&b);
    assert!(old.unwrap().nodes.contains_key("/srv/app"));
    let calls = small.recorder.calls.borrow();
    assert!(calls.contains(&"systemctl restart web.service".to_owned()), "{calls:?}");
}

#[test]
fn users_come_and_go_with_their_declaration() {
    let user = |extra: &str| {
        format!(r#""passwd": {{"users": [{{"name": "ada"{extra}}}], "groups": [{{"name": "crew"}}]}}"#)
    };
    let small = Small::new();
    small.first(&storage(r#""passwd": {}"#)).unwrap();
    let change = small.apply(&storage(&user(""))).unwrap();
    assert!(change.plan.lines().contains("create user ada"));
    // The programs of this test change nothing: the machine's files do as they would.
    small.put(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nme:x:7:8::/home/me:/bin/sh\nada:x:9:9::/home/ada:/bin/sh\n",
    );
    small.put("etc/group", "root:x:0:\nme:x:8:\nada:x:9:\ncrew:x:10:\n");
    assert!(small.plan(&storage(&user("")), Permission::default()).unwrap().is_empty());
    let lines = small.plan(&storage(&user(r#", "shell": "/bin/bash""#)), Permission::default()).unwrap();
    assert_eq!(lines.plan.lines(), "files: change user ada [$.passwd.users.0]\n");
    let lines = small.plan(&storage(r#""storage": {}"#), Permission::default()).unwrap().plan.lines();
    assert!(
        lines.contains("remove user ada: they are no longer declared; their home /home/ada stays"),
        "{lines}"
    );
    assert!(lines.contains("remove group crew"), "{lines}");
    // Who was there before is not removed.
    let small = Small::new();
    small.first(&storage(r#""passwd": {"users": [{"name": "me", "shell": "/bin/bash"}]}"#)).unwrap();
    assert!(small.plan(&storage(r#""storage": {}"#), Permission::default()).unwrap().is_empty());
}

#[test]
fn the_record_says_what_was_before() {
    let small = Small::new();
    small.first(&storage(A)).unwrap();
    let (old, _) = small.observe(&storage(A));
    let old = old.unwrap();
    assert_eq!(old.nodes["/etc/os"].before, Before::Os);
    assert_eq!(old.nodes["/srv/app"].before, Before::Absent);
    assert!(matches!(&old.nodes["/opt/own"].before, Before::Node(_)));
    assert_eq!(old.nodes["/etc/systemd/system/multi-user.target.wants/os.service"].after, None);
    let text = small.text("orlop/declared/current.json");
    assert_eq!(crate::machine::mode(&small.root().join("orlop/declared/current.json")), 0o600);
    assert_eq!(provision::day2::Declaration::parse(text.as_bytes()).unwrap(), old);
    let newer = text.replacen(r#""version":1"#, r#""version":9"#, 1);
    let error = provision::day2::Declaration::parse(newer.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
}

#[test]
fn what_a_later_change_replaced_is_kept_too() {
    let small = Small::new();
    let before = small.tree();
    small.first(&storage(r#""passwd": {}"#)).unwrap();
    small.apply(&storage(A)).unwrap();
    assert_eq!(small.text("opt/own"), "ours\n");
    small.apply(&storage(r#""passwd": {}"#)).unwrap();
    assert_eq!(small.tree(), before);
}
