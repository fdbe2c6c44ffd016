//! Plans as text: a config and a machine in, lines out.

use provision::observe::{Content, Device, Observed, User};
use provision::resolve::{Kind, Node};
use provision::{FinalConfig, Plan};

fn observed() -> Observed {
    let mut observed = Observed {
        read_only: ["/usr".to_owned()].into(),
        programs: provision::observe::PROGRAMS.iter().map(|name| (*name).to_owned()).collect(),
        ..Observed::default()
    };
    observed.users.insert("root".into(), User { uid: 0, gid: 0, home: "/root".into() });
    observed.groups.insert("root".into(), 0);
    let mut node = |path: &str, kind: Kind| {
        observed
            .nodes
            .insert(path.into(), Node { kind, mode: 0o755, uid: 0, gid: 0, id: (1, path.len() as u64) });
    };
    node("/etc", Kind::Directory);
    node("/home", Kind::Symlink("var/home".into()));
    node("/bin", Kind::Symlink("usr/bin".into()));
    node("/etc/motd", Kind::File(Some("00".into())));
    node("/etc/localtime", Kind::Symlink("../usr/share/zoneinfo/UTC".into()));
    observed
}

fn disk(size_mib: u64, contents: &[(&str, Option<&str>)]) -> Device {
    Device {
        node: "/dev/vdb".into(),
        size_bytes: size_mib << 20,
        sector_bytes: 512,
        contents: contents
            .iter()
            .map(|(kind, label)| Content { kind: (*kind).into(), label: label.map(Into::into), uuid: None })
            .collect(),
        ..Device::default()
    }
}

fn plan(config: &str, observed: &Observed) -> Result<Plan, String> {
    let parsed = ignition_spec::parse(config.as_bytes()).map_err(|report| report.to_string())?;
    provision::plan(&FinalConfig::of(parsed.config), observed).map_err(|error| error.text())
}

fn lines(config: &str, observed: &Observed) -> String {
    plan(config, observed).unwrap_or_else(|error| panic!("{error}")).lines()
}

#[test]
fn nodes_in_order_with_parents_first_and_hard_links_last() {
    let text = lines(
        r#"{"ignition": {"version": "3.5.0"}, "storage": {
        "links": [
          {"path": "/etc/a-hard", "target": "/srv/b/file", "hard": true},
          {"path": "/etc/localtime", "target": "../usr/share/zoneinfo/Europe/Berlin", "overwrite": true}],
        "files": [{"path": "/srv/b/file", "contents": {"source": "https://example.org/f"}, "user": {"id": 7}},
                  {"path": "/etc/motd", "mode": 384}],
        "directories": [{"path": "/srv/b/c"}, {"path": "/srv/b", "mode": 448}]}}"#,
        &observed(),
    );
    let wanted = "\
files: create directory /srv/b (0700 0:0) [$.storage.directories.1]
files: create directory /srv/b/c (0755 0:0) [$.storage.directories.0]
files: keep file /etc/motd (0600 0:0): the config gives no content [$.storage.files.1]
files: create file /srv/b/file (0644 7:0) from https://example.org/f [$.storage.files.0]
files: ! remove /etc/localtime: it is a link to ../usr/share/zoneinfo/UTC, and overwrite is true [$.storage.links.1]
files: link /etc/localtime -> ../usr/share/zoneinfo/Europe/Berlin [$.storage.links.1]
files: hard link /etc/a-hard = /srv/b/file [$.storage.links.0]
";
    assert_eq!(text, wanted);
}

#[test]
fn users_and_groups_come_before_nodes() {
    let text = lines(
        r#"{"ignition": {"version": "3.5.0"},
        "passwd": {
          "users": [
            {"name": "core", "uid": 1000, "passwordHash": "$6$x", "groups": ["wheel", "app"], "shell": "/bin/bash",
             "sshAuthorizedKeys": ["ssh-ed25519 AAAA me"]},
            {"name": "root", "passwordHash": "$6$y"},
            {"name": "gone", "shouldExist": false}],
          "groups": [{"name": "app", "gid": 500, "system": true}]},
        "storage": {"files": [{"path": "/home/core/x", "user": {"name": "core"}, "group": {"name": "core"}}]}}"#,
        &observed(),
    );
    let wanted = "\
files: create group app [$.passwd.groups.0]
files: create user core (1000), in wheel,app [$.passwd.users.0]
files: let 1 key(s) log in as core [$.passwd.users.0.sshAuthorizedKeys]
files: change user root [$.passwd.users.1]
files: create file /var/home/core/x (0644 core:core) [$.storage.files.0]
";
    assert_eq!(text, wanted);
}

#[test]
fn the_account_programs_get_upstreams_arguments() {
    let config = r#"{"ignition": {"version": "3.5.0"}, "passwd": {"users": [
        {"name": "u", "homeDir": "/h", "noCreateHome": true, "noUserGroup": true, "system": true, "noLogInit": true,
         "gecos": "G", "primaryGroup": "root", "uid": 5},
        {"name": "root", "homeDir": "/h", "groups": ["a"]}]}}"#;
    let plan = plan(config, &observed()).unwrap();
    let commands: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            provision::plan::Action::Account { program, args, .. } => {
                Some(format!("{program} {}", args.join(" ")))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        commands,
        [
            "useradd --home-dir /h --no-create-home --no-user-group --system --no-log-init --password * --uid 5 --comment G --gid root u",
            "usermod --home /h --move-home --groups a root",
        ]
    );
}

#[test]
fn disks_filesystems_and_mounts() {
    let mut observed = observed();
    observed.devices.insert("/dev/vdb".into(), disk(100, &[]));
    observed.devices.insert("/dev/vdc".into(), disk(100, &[("ext4", Some("data"))]));
    observed.devices.insert("/dev/vdd".into(), disk(100, &[("xfs", Some("old"))]));
    let text = lines(
        r#"{"ignition": {"version": "3.5.0"}, "storage": {
        "disks": [{"device": "/dev/vdb", "partitions": [
            {"label": "logs", "sizeMiB": 20, "number": 1}, {"label": "rest", "number": 2}]}],
        "filesystems": [
            {"device": "/dev/disk/by-partlabel/logs", "format": "xfs", "path": "/var/log", "label": "logs"},
            {"device": "/dev/vdb2", "format": "swap"},
            {"device": "/dev/vdc", "format": "ext4", "label": "data", "path": "/var", "mountOptions": ["noatime"]},
            {"device": "/dev/vdd", "format": "btrfs", "wipeFilesystem": true, "options": ["--nodiscard"]}],
        "files": [{"path": "/var/log/x"}]}}"#,
        &observed,
    );
    let wanted = "\
disks: write new partition table on /dev/vdb: create 1 \"logs\" (1+20 MiB), create 2 \"rest\" (21+78 MiB) [$.storage.disks.0]
disks: make xfs on /dev/disk/by-partlabel/logs [$.storage.filesystems.0]
disks: make swap on /dev/vdb2 [$.storage.filesystems.1]
disks: keep ext4 on /dev/vdc: it is there (ext4 \"data\") [$.storage.filesystems.2]
disks: ! wipe /dev/vdd: loses xfs \"old\" [$.storage.filesystems.3.wipeFilesystem]
disks: make btrfs on /dev/vdd [$.storage.filesystems.3]
mount: mount /dev/vdc at /var [$.storage.filesystems.2.path]
mount: mount /dev/disk/by-partlabel/logs at /var/log [$.storage.filesystems.0.path]
files: create file /var/log/x (0644 0:0) [$.storage.files.0]
umount: unmount /var/log [$.storage.filesystems.0.path]
umount: unmount /var [$.storage.filesystems.2.path]
";
    assert_eq!(text, wanted);
}

#[test]
fn a_filesystem_is_never_lost_unasked() {
    let config = |rest: &str| {
        format!(
            r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"filesystems": [{{"device": "/dev/vdb", "format": "ext4"{rest}}}]}}}}"#
        )
    };
    let with = |device: Device| {
        let mut observed = observed();
        observed.devices.insert("/dev/vdb".into(), device);
        observed
    };
    for (device, rest, text) in [
        (disk(9, &[("xfs", None)]), "", "/dev/vdb holds xfs, the config wants ext4"),
        (
            disk(9, &[("crypto_LUKS", Some("x"))]),
            "",
            "/dev/vdb holds crypto_LUKS \"x\", the config wants ext4",
        ),
        (disk(9, &[("gpt", None)]), "", "/dev/vdb holds gpt, the config wants ext4"),
        (disk(9, &[("ext4", None), ("xfs", None)]), "", "/dev/vdb holds ext4 and xfs, the config wants ext4"),
        (
            disk(9, &[("ext4", None)]),
            r#", "label": "d""#,
            "/dev/vdb holds ext4, the config wants ext4 labelled \"d\"",
        ),
        (Device { used_by: vec!["/".into()], ..disk(9, &[]) }, "", "/dev/vdb is in use: /"),
        (Device { read_only: true, ..disk(9, &[]) }, "", "/dev/vdb is read-only"),
    ] {
        let error = plan(&config(rest), &with(device)).unwrap_err();
        assert!(error.starts_with(&format!("error: {text}\n")), "{error}");
    }
    let mut lacking = with(disk(9, &[]));
    lacking.programs.clear();
    let error = plan(&config(""), &lacking).unwrap_err();
    assert!(error.starts_with("error: mkfs.ext4 is needed and not in this image"), "{error}");
}

#[test]
fn the_os_cannot_be_written_through_a_link() {
    let config = r#"{"ignition": {"version": "3.5.0"}, "storage": {"files": [{"path": "/bin/x"}]}}"#;
    let error = plan(config, &observed()).unwrap_err();
    assert!(
        error.starts_with("error: /bin/x cannot be written (it is /usr/bin/x): /usr is the OS"),
        "{error}"
    );
}

#[test]
fn a_plan_survives_json() {
    let mut observed = observed();
    observed.devices.insert("/dev/vdb".into(), disk(100, &[]));
    let config = r#"{"ignition": {"version": "3.5.0"}, "storage": {
        "disks": [{"device": "/dev/vdb", "partitions": [{"number": 1}]}],
        "files": [{"path": "/etc/x", "contents": {"source": "data:,x"}, "user": {"id": 3}}]},
        "systemd": {"units": [{"name": "a.service", "enabled": true, "contents": "[Install]\nWantedBy=b.target\n"}]}}"#;
    let plan = plan(config, &observed).unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    assert!(json.contains(r#""do":"partition""#), "{json}");
    let recorded = serde_json::to_string(&observed).unwrap();
    assert_eq!(serde_json::from_str::<Observed>(&recorded).unwrap(), observed);
}
