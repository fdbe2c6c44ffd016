//! Real disks: loop devices over sparse files, with the host's mkfs programs or those of the SDK tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use provision::execute::{ProgramError, Programs, SystemPrograms};

use crate::machine::{Machine, skip};

/// Programs of the host, else of the newest SDK tree, through the tree's own loader.
#[derive(Debug)]
struct Tools {
    host: SystemPrograms,
    sdk: Option<PathBuf>,
}

impl Tools {
    fn new() -> Self {
        let cache = std::env::var_os("ORLOP_CACHE").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/orlop")));
        let trees = cache.into_iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        let sdk = trees.map(|entry| entry.path()).filter(|path| path.join("usr/lib64").exists()).max();
        Self { host: SystemPrograms { dirs: vec!["/usr/sbin".into(), "/usr/bin".into()] }, sdk }
    }

    fn in_sdk(&self, program: &str) -> Option<(PathBuf, PathBuf)> {
        let tree = self.sdk.as_ref()?;
        let path = ["usr/sbin", "usr/bin"]
            .iter()
            .map(|dir| tree.join(dir).join(program))
            .find(|path| path.is_file())?;
        Some((tree.clone(), path))
    }

    fn output(&self, program: &str, args: &[&str]) -> String {
        let output = match (self.host.has(program), self.in_sdk(program)) {
            (false, Some((tree, path))) => through_loader(&tree, &path, args),
            _ => Command::new(program).args(args).output(),
        };
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn through_loader(tree: &Path, program: &Path, args: &[&str]) -> std::io::Result<std::process::Output> {
    let libraries =
        ["usr/lib/x86_64-linux-gnu", "usr/lib"].map(|dir| tree.join(dir).display().to_string()).join(":");
    let loader = tree.join("usr/lib64/ld-linux-x86-64.so.2");
    Command::new(loader).arg("--library-path").arg(libraries).arg(program).args(args).output()
}

impl Programs for Tools {
    fn has(&self, program: &str) -> bool {
        self.host.has(program) || self.in_sdk(program).is_some()
    }

    fn run(&self, program: &str, args: &[String]) -> Result<(), ProgramError> {
        let Some((tree, path)) = self.in_sdk(program).filter(|_| !self.host.has(program)) else {
            return self.host.run(program, args);
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = through_loader(&tree, &path, &args)
            .map_err(|source| ProgramError::Start { program: program.to_owned(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Err(ProgramError::Failed { program: program.to_owned(), status: output.status.to_string(), words })
    }
}

/// A loop device over a sparse file; detached in the end.
struct Loop {
    node: String,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    fn new(mib: u64) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().ok()?;
        file.as_file().set_len(mib << 20).ok()?;
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output().ok()?;
        let node = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !node.is_empty()).then_some(Self { node, _file: file })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for part in 1..9 {
            let _ = Command::new("partx").args(["--delete", "--nr", &part.to_string(), &self.node]).output();
        }
        let _ = Command::new("losetup").args(["--detach", &self.node]).output();
    }
}

/// Runs a test again in a mount namespace of its own. False: this is that run.
fn in_own_namespace(name: &str) -> bool {
    if std::env::var_os("ORLOP_TEST_NAMESPACE").is_some() {
        return false;
    }
    if !rustix::process::getuid().is_root() {
        skip(name, "needs root");
        return true;
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("ORLOP_TEST_NAMESPACE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for reason in
        text.lines().filter_map(|line| line.strip_prefix("SKIP ")?.split_once(": ")).map(|(_, why)| why)
    {
        skip(name, reason);
    }
    assert!(output.status.success(), "{text}");
    true
}

const CONFIG: &str = r#"{"ignition": {"version": "3.4.0"}, "storage": {
    "disks": [{"device": "DISK", "partitions": [
        {"number": 1, "label": "data", "sizeMiB": 48}, {"number": 2, "label": "big", "sizeMiB": 320},
        {"number": 3, "sizeMiB": 128, "guid": "11112222-3333-4444-8555-666677778888"},
        {"number": 4, "sizeMiB": 40}, {"number": 5}]}],
    "filesystems": [
        {"device": "/dev/disk/by-partlabel/data", "format": "ext4", "label": "DATA", "path": "/var/data",
         "uuid": "00000000-1111-4222-8333-444444444444", "mountOptions": ["noatime"]},
        {"device": "DISKp2", "format": "xfs", "label": "BIG", "path": "/var/data/big"},
        {"device": "DISKp3", "format": "btrfs", "label": "B"},
        {"device": "DISKp4", "format": "vfat", "label": "FAT", "uuid": "1234-ABCD"},
        {"device": "DISKp5", "format": "swap", "label": "SWAP"}],
    "files": [{"path": "/var/data/here", "contents": {"source": "data:,kept"}},
              {"path": "/var/data/big/there", "contents": {"source": "data:,too"}}]}}"#;

#[test]
fn root_partitions_filesystems_and_reuse() {
    let name = "root_disks::root_partitions_filesystems_and_reuse";
    if in_own_namespace(name) {
        return;
    }
    let tools = Tools::new();
    for program in ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "mkswap", "wipefs"] {
        if !tools.has(program) {
            return skip(name, &format!("no {program} on the host nor in an SDK tree"));
        }
    }
    let Some(disk) = Loop::new(700) else { return skip(name, "no loop device to be had") };
    let config = CONFIG.replace("DISK", &disk.node);
    let mut machine = Machine::new();
    machine.fw_cfg("opt/com.coreos/config", config.as_bytes());
    let wanted = machine.fetch().unwrap();
    if let Err(error) = machine.apply_with(&wanted, &tools) {
        panic!("{error}\n{}", machine.events.join("\n"));
    }
    assert_eq!(std::fs::read_dir(machine.root().join("var/data")).unwrap().count(), 0, "unmounted again");
    let blkid = |part: u32, tag: &str| {
        tools
            .output("blkid", &["-p", "-s", tag, "-o", "value", &format!("{}p{part}", disk.node)])
            .trim()
            .to_owned()
    };
    let kinds: Vec<(String, String)> =
        (1..=5).map(|part| (blkid(part, "TYPE"), blkid(part, "LABEL"))).collect();
    let expected = [("ext4", "DATA"), ("xfs", "BIG"), ("btrfs", "B"), ("vfat", "FAT"), ("swap", "SWAP")];
    assert_eq!(kinds, expected.map(|(kind, label)| (kind.to_owned(), label.to_owned())));
    assert_eq!(blkid(1, "UUID"), "00000000-1111-4222-8333-444444444444");
    assert_eq!(blkid(4, "UUID"), "1234-ABCD");
    if tools.has("sgdisk") {
        let verdict = tools.output("sgdisk", &["--verify", &disk.node]);
        assert!(verdict.contains("No problems found"), "{verdict}");
        let info = tools.output("sgdisk", &["--info=3", &disk.node]);
        assert!(info.contains("11112222-3333-4444-8555-666677778888"), "{info}");
    }

    let again = machine.apply_with(&wanted, &tools).unwrap_or_else(|error| panic!("{error}"));
    assert!(again.plan.steps.iter().all(|step| !step.destructive), "{}", again.plan.lines());
    let kept: Vec<&String> =
        machine.events.iter().filter(|line| line.contains("keep file /var/data")).collect();
    assert_eq!(kept.len(), 2, "{:#?}", machine.events);

    let other = config.replace(r#""format": "btrfs""#, r#""format": "ext4""#);
    let error = machine.boot_with(&other, &tools).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("p3 holds btrfs \"B\", the config wants ext4 labelled \"B\""), "{text}");

    let wiped = other.replace(
        r#""format": "ext4", "label": "B""#,
        r#""format": "ext4", "label": "B", "wipeFilesystem": true"#,
    );
    let wiped =
        wiped.replace(r#""number": 5}"#, r#""number": 5, "shouldExist": false, "wipePartitionEntry": true}"#);
    let wiped =
        wiped.replace(&format!(r#"{{"device": "{}p5", "format": "swap", "label": "SWAP"}}"#, disk.node), "");
    let wiped = wiped.replace("},\n        ],", "}],");
    machine.boot_with(&wiped, &tools).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((blkid(3, "TYPE"), blkid(1, "TYPE")), ("ext4".to_owned(), "ext4".to_owned()));
    assert!(!Path::new(&format!("{}p5", disk.node)).exists(), "the deleted partition's node is gone");
}

#[test]
fn root_users_are_made_by_the_systems_programs() {
    let name = "root_disks::root_users_are_made_by_the_systems_programs";
    let tools = Tools::new();
    if !rustix::process::getuid().is_root() {
        return skip(name, "needs root");
    }
    let ids = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if ids.split_whitespace().next_back() == Some("1") {
        return skip(name, "this user namespace has one user only");
    }
    if !tools.host.has("useradd") {
        return skip(name, "no useradd on the host");
    }
    let mut machine = Machine::new();
    machine.put("etc/shadow", "root:*:1::::::\n");
    machine.put("etc/gshadow", "root:*::\n");
    machine.put("etc/skel/.profile", "# skel\n");
    let config = r#"{"ignition": {"version": "3.4.0"}, "passwd": {
        "groups": [{"name": "app", "gid": 700}],
        "users": [{"name": "core", "uid": 1234, "passwordHash": "$6$salt$hash", "groups": ["app"],
                   "sshAuthorizedKeys": ["ssh-ed25519 AAAA a", "ssh-ed25519 BBBB b"]}]},
        "storage": {"files": [{"path": "/home/core/own", "user": {"name": "core"}, "group": {"name": "app"}}]}}"#;
    machine.boot_with(config, &tools).unwrap_or_else(|error| panic!("{error}"));
    let passwd = machine.text("etc/passwd");
    assert!(passwd.contains("core:x:1234:"), "{passwd}");
    assert!(machine.text("etc/shadow").contains("core:$6$salt$hash:"));
    assert!(machine.text("etc/group").contains("app:x:700:core"), "{}", machine.text("etc/group"));
    assert_eq!(machine.text("var/home/core/.profile"), "# skel\n");
    let keys = machine.root().join("var/home/core/.ssh/authorized_keys.d/ignition");
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n");
    use std::os::unix::fs::MetadataExt as _;
    let own = machine.root().join("var/home/core/own").metadata().unwrap();
    assert_eq!((own.uid(), own.gid(), keys.metadata().unwrap().uid()), (1234, 700, 1234));
    assert_eq!(crate::machine::mode(&keys), 0o600);
}

#[test]
fn root_a_full_disk_leaves_the_old_file() {
    let name = "root_disks::root_a_full_disk_leaves_the_old_file";
    if in_own_namespace(name) {
        return;
    }
    let mut machine = Machine::new();
    let etc = machine.root().join("etc");
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&etc).status().unwrap();
    assert!(status.success());
    std::fs::write(etc.join("a"), "old").unwrap();
    let config = format!(
        r#"{{"ignition": {{"version": "3.4.0"}}, "storage": {{"files": [{{"path": "/etc/a", "overwrite": true,
        "contents": {{"source": "data:,{}"}}}}]}}}}"#,
        "x".repeat(100_000)
    );
    let error = machine.boot(&config).unwrap_err();
    assert!(error.line().contains("No space left on device"), "{error}");
    assert_eq!(machine.text("etc/a"), "old");
    assert_eq!(std::fs::read_dir(&etc).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn root_a_failed_boot_leaves_no_mounts() {
    let name = "root_disks::root_a_failed_boot_leaves_no_mounts";
    if in_own_namespace(name) {
        return;
    }
    let tools = Tools::new();
    let (Some(one), Some(two)) = (Loop::new(32), Loop::new(32)) else {
        return skip(name, "no loop device to be had");
    };
    let config = format!(
        r#"{{"ignition": {{"version": "3.4.0", "timeouts": {{"httpTotal": 1}}}}, "storage": {{
        "filesystems": [{{"device": "{}", "format": "ext4", "path": "/var/a"}},
                        {{"device": "{}", "format": "ext4", "path": "/var/a/b"}}],
        "files": [{{"path": "/var/a/b/f", "contents": {{"source": "http://127.0.0.1:1/x"}}}}]}}}}"#,
        one.node, two.node
    );
    let mut machine = Machine::new();
    let error = machine.boot_with(&config, &tools).unwrap_err();
    assert!(error.line().contains("http://127.0.0.1:1/x: nothing after"), "{error}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&one.node) && !mounts.contains(&two.node), "{mounts}");
}

/// Partitions of a disk in use can be added and grown; the one in use is not touched, and a hybrid MBR stays.
#[test]
fn root_a_disk_in_use_is_changed_around_what_is_used() {
    let name = "root_disks::root_a_disk_in_use_is_changed_around_what_is_used";
    if in_own_namespace(name) {
        return;
    }
    let tools = Tools::new();
    if !tools.has("sgdisk") || !tools.has("mkfs.ext4") {
        return skip(name, "no sgdisk or mkfs.ext4");
    }
    let Some(disk) = Loop::new(100) else { return skip(name, "no loop device to be had") };
    let config = |partitions: &str| {
        format!(
            r#"{{"ignition": {{"version": "3.4.0"}}, "storage": {{"disks": [{{"device": "{}", "partitions": [{partitions}]}}]}}}}"#,
            disk.node
        )
    };
    let mut machine = Machine::new();
    let first = r#"{"number": 1, "label": "one", "startMiB": 1, "sizeMiB": 20},
                   {"number": 2, "label": "two", "startMiB": 21, "sizeMiB": 10}"#;
    machine.boot_with(&config(first), &tools).unwrap_or_else(|error| panic!("{error}"));
    tools.output("sgdisk", &["--hybrid", "1", &disk.node]);
    let mbr = || {
        use std::os::unix::fs::FileExt as _;
        let mut sector = [0; 512];
        std::fs::File::open(&disk.node).unwrap().read_exact_at(&mut sector, 0).unwrap();
        sector
    };
    let hybrid = mbr();
    assert!((0..4).any(|n| hybrid[446 + 16 * n + 4] == 0x83), "sgdisk made a hybrid MBR");
    let one = format!("{}p1", disk.node);
    tools.run("mkfs.ext4", &["-q".into(), one.clone()]).unwrap();
    let mount = tempfile::tempdir().unwrap();
    rustix::mount::mount(&one, mount.path(), "ext4", rustix::mount::MountFlags::empty(), None).unwrap();

    let more = r#"{"number": 1, "label": "one", "startMiB": 1, "sizeMiB": 20},
                  {"number": 2, "label": "two", "startMiB": 21, "sizeMiB": 30, "resize": true}, {"label": "rest"}"#;
    machine.boot_with(&config(more), &tools).unwrap_or_else(|error| panic!("{error}"));
    let sectors = |part: u32| {
        let path = format!("/sys/class/block/{}p{part}/size", disk.node.trim_start_matches("/dev/"));
        std::fs::read_to_string(path).unwrap().trim().parse::<u64>().unwrap()
    };
    assert_eq!([sectors(1), sectors(2), sectors(3)], [20 * 2048, 30 * 2048, (100 - 51) * 2048 - 33]);
    assert_eq!(mbr(), hybrid);
    let verdict = tools.output("sgdisk", &["--verify", &disk.node]);
    assert!(verdict.contains("No problems found"), "{verdict}");

    let grow = r#"{"number": 1, "label": "other", "wipePartitionEntry": true}"#;
    let refused = machine.boot_with(&config(grow), &tools).unwrap_err().text();
    let wiped = config("").replace(r#""partitions""#, r#""wipeTable": true, "partitions""#);
    let wiped = machine.boot_with(&wiped, &tools).unwrap_err().text();
    rustix::mount::unmount(mount.path(), rustix::mount::UnmountFlags::empty()).unwrap();
    for text in [refused, wiped] {
        assert!(text.contains(&format!("{} is in use: {}", disk.node, mount.path().display())), "{text}");
    }
}
