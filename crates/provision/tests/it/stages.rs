//! Stages beyond plain files: contents fetched first, a first boot run again, kernel arguments, volumes, SELinux.

use std::path::Path;

use provision::execute::KernelOptions;
use provision::execute::{ProgramError, Programs};

use crate::machine::{Machine, Recorder};
use crate::server::{Server, ok, status};

fn config(rest: &str) -> String {
    format!(r#"{{"ignition": {{"version": "3.6.0"}}, {rest}}}"#)
}

/// Programs of an image without some.
#[derive(Debug)]
struct Without(Recorder, &'static str);

impl Programs for Without {
    fn has(&self, program: &str) -> bool {
        program != self.1
    }

    fn run(&self, program: &str, args: &[String]) -> Result<(), ProgramError> {
        self.0.run(program, args)
    }
}

#[test]
fn a_wrong_digest_is_found_before_a_disk_is_changed() {
    let (server, mut machine) = (Server::new(), Machine::new());
    server.on("/good", [ok("good")]);
    server.on("/bad", [ok("other")]);
    server.on("/gone", [status(404)]);
    let disk = machine.disk("vdz", 64);
    let (url, zeros) = (&server.url, "0".repeat(64));
    for (part, expected) in [
        (
            format!(r#"{{"source": "{url}/bad", "verification": {{"hash": "sha256-{zeros}"}}}}"#),
            "the config asks for sha256-0000",
        ),
        (format!(r#"{{"source": "{url}/gone"}}"#), "404"),
    ] {
        let storage = format!(
            r#""storage": {{"filesystems": [{{"device": "/dev/vdz", "format": "ext4"}}], "files": [
               {{"path": "/etc/a", "contents": {{"source": "{url}/good"}}, "append": [{part}]}}]}}"#
        );
        let error = machine.boot(&config(&storage)).unwrap_err();
        assert_eq!(error.phase.name(), "plan", "{error}");
        assert!(error.text().contains(expected), "{error}");
        assert!(error.text().contains("$.storage.files.0.append"), "{error}");
        assert_eq!(*machine.recorder.calls.borrow(), Vec::<String>::new(), "nothing was run");
        assert!(!machine.root().join("etc/a").exists());
    }
    drop(disk);
}

#[test]
fn contents_are_fetched_once_and_kept_where_it_is_said() {
    let (server, mut machine) = (Server::new(), Machine::new());
    let large = "x".repeat(17 << 20);
    server.on("/small", [ok("small")]);
    server.on("/large", [ok(large.as_str())]);
    machine.options.spool = Some(machine.dir.path().join("spool"));
    let file = |path: &str, name: &str| {
        format!(r#"{{"path": "{path}", "contents": {{"source": "{}/{name}"}}}}"#, server.url)
    };
    let files = [file("/etc/a", "small"), file("/etc/b", "large"), file("/etc/c", "small")].join(", ");
    machine
        .boot(&config(&format!(r#""storage": {{"files": [{files}]}}"#)))
        .unwrap_or_else(|error| panic!("{error}"));
    let said = |end: &str| {
        machine.events.iter().filter(|line| line.starts_with("plan: fetched") && line.ends_with(end)).count()
    };
    assert_eq!((said("(5 bytes, kept in memory)"), said("kept on tmpfs)")), (1, 1), "{:#?}", machine.events);
    assert_eq!((machine.text("etc/a"), machine.text("etc/c")), ("small".into(), "small".into()));
    assert_eq!(machine.text("etc/b").len(), large.len());
}

#[test]
fn a_first_boot_that_was_cut_short_is_run_again_safely() {
    let (server, mut machine) = (Server::new(), Machine::new());
    server.on("/late", [ok("late")]);
    machine.options.notes = Some("/orlop".into());
    machine.put("etc/hosts", "one\n");
    let files = format!(
        r#""storage": {{"files": [
            {{"path": "/etc/hosts", "append": [{{"source": "data:,two%0A"}}]}},
            {{"path": "/etc/new", "append": [{{"source": "data:,a"}}, {{"source": "data:,b"}}]}},
            {{"path": "/etc/late", "contents": {{"source": "{}/late"}}}},
            {{"path": "/etc/owned", "user": {{"name": "made-late"}}, "contents": {{"source": "data:,x"}}}}],
          "links": [{{"path": "/etc/link", "target": "a"}}, {{"path": "/etc/hard", "target": "/etc/new", "hard": true}}]}},
          "passwd": {{"users": [{{"name": "made-late"}}]}}"#,
        server.url
    );
    // The stubbed useradd makes nobody, so the first run ends at the owner of the last file.
    let error = machine.boot(&config(&files)).unwrap_err();
    assert!(error.text().contains("there is no user made-late"), "{error}");
    assert_eq!(machine.text("etc/hosts"), "one\ntwo\n");
    // What a power cut leaves of a file that was written without being synced.
    machine.put("etc/late", "");
    machine.put("etc/new", "ab");
    let passwd = machine.text("etc/passwd");
    machine.put("etc/passwd", &format!("{passwd}made-late:x:4321:4321::/home/m:/bin/sh\n"));
    machine.events.clear();
    machine.boot(&config(&files)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((machine.text("etc/hosts"), machine.text("etc/new")), ("one\ntwo\n".into(), "ab".into()));
    assert_eq!((machine.text("etc/late"), machine.link("etc/link")), ("late".into(), "a".into()));
    let said =
        "files: append to file /etc/hosts (0644 0:0) as it was before the first boot that was cut short";
    assert!(machine.events.iter().any(|line| line == said), "{:#?}", machine.events);
    assert!(
        machine.events.iter().any(|line| line.contains("warning: a first boot was cut short before")),
        "{:#?}",
        machine.events
    );
    // Without notes the same tree is somebody's.
    machine.options.notes = None;
    let error = machine.boot(&config(&files)).unwrap_err().text();
    assert!(error.contains("/etc/late exists with other content"), "{error}");
}

fn esp(machine: &mut Machine, secure_boot: bool) -> std::path::PathBuf {
    let esp = machine.dir.path().join("esp");
    std::fs::create_dir_all(&esp).unwrap();
    let command_line = "usrhash=00 quiet".to_owned();
    machine.options.kernel = KernelOptions { command_line, esp: Some(esp.clone()), secure_boot };
    esp.join("loader/addons/orlop-config.addon.efi")
}

fn cmdline(addon: &Path) -> String {
    let bytes = std::fs::read(addon).unwrap();
    let at = bytes.windows(8).position(|window| window == b".cmdline").unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (length, start) = (number(at + 8), number(at + 20));
    String::from_utf8(bytes[start..start + length].to_vec()).unwrap()
}

#[test]
fn kernel_arguments_become_an_addon_and_one_reboot() {
    let mut machine = Machine::new();
    let addon = esp(&mut machine, false);
    let text = |exist: &str, not: &str| {
        config(&format!(
            r#""kernelArguments": {{"shouldExist": [{exist}], "shouldNotExist": [{not}]}},
               "storage": {{"files": [{{"path": "/etc/f", "contents": {{"source": "data:,x"}}}}]}}"#
        ))
    };
    let first = machine.boot(&text(r#""quiet", "debug", "a=1 b=2""#, r#""nosmt""#)).unwrap();
    assert_eq!(first.reboot.as_deref(), Some("kernel arguments +debug +a=1 +b=2, by a reboot"));
    assert_eq!(cmdline(&addon), "debug a=1 b=2");
    assert!(!machine.root().join("etc/f").exists(), "the rest is done by the next start");
    // systemd-stub has appended it; even if it had not, there is no second reboot.
    for line in ["usrhash=00 quiet debug a=1 b=2", "usrhash=00 quiet"] {
        machine.options.kernel.command_line = line.into();
        let second = machine.boot(&text(r#""quiet", "debug", "a=1 b=2""#, "")).unwrap();
        assert_eq!(second.reboot, None);
    }
    assert_eq!(machine.text("etc/f"), "x");
    machine.options.kernel.command_line = "usrhash=00 quiet debug a=1 b=2".into();
    let third = machine.boot(&text(r#""a=2""#, r#""a=1""#)).unwrap();
    assert_eq!(third.reboot.as_deref(), Some("kernel arguments +a=2 -a=1, by a reboot"));
    assert_eq!(cmdline(&addon), "debug b=2 a=2");
    let signed = machine.boot(&text("", r#""quiet""#)).unwrap_err().text();
    assert!(signed.contains("quiet is part of the image's signed command line"), "{signed}");
    machine.options.kernel.command_line = "usrhash=00 quiet debug b=2 a=2".into();
    machine.boot(&text("", r#""debug", "b=2", "a=2", "a=1""#)).unwrap();
    assert!(!addon.exists());
}

#[test]
fn kernel_arguments_that_cannot_be_changed_are_refused_by_name() {
    let wish = config(r#""kernelArguments": {"shouldExist": ["debug"]}"#);
    let mut machine = Machine::new();
    let direct =
        machine.boot_with(&wish, &Without(Recorder::default(), "ignition-kargs-helper")).unwrap_err().text();
    assert!(direct.contains("this kernel was started directly"), "{direct}");
    let addon = esp(&mut machine, true);
    let secure = machine.boot(&wish).unwrap_err().text();
    assert!(secure.contains("with Secure Boot only signed arguments count"), "{secure}");
    assert!(!addon.exists());
    machine.options.kernel = KernelOptions::default();
    let helper = machine.boot(&wish).unwrap();
    assert!(helper.reboot.is_some());
    assert_eq!(*machine.recorder.calls.borrow(), ["ignition-kargs-helper --should-exist debug"]);
}

#[test]
fn arrays_and_volumes_are_made_in_their_order() {
    let mut machine = Machine::new();
    for name in ["vdx", "vdy", "vdz"] {
        machine.disk(name, 32);
    }
    // What mdadm and cryptsetup would make.
    machine.disk("md127", 32);
    machine.disk("dm-0", 16);
    let dev = machine.devices.dev.clone();
    for (link, node) in [("md/data", "md127"), ("mapper/secret", "dm-0")] {
        std::fs::create_dir_all(dev.join(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(dev.join(node), dev.join(link)).unwrap();
    }
    let storage = r#""storage": {
        "raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vdx", "/dev/vdy"]}],
        "luks": [{"name": "secret", "device": "/dev/md/data", "uuid": "00000000-1111-4222-8333-444444444444",
                  "keyFile": {"source": "data:,geheim"}, "discard": true},
                 {"name": "tpm", "device": "/dev/vdz", "clevis": {"tpm2": true}}],
        "filesystems": [{"device": "/dev/mapper/secret", "format": "xfs", "label": "L"}]}"#;
    let refused =
        machine.boot_with(&config(storage), &Without(Recorder::default(), "clevis")).unwrap_err().text();
    assert!(refused.contains("clevis is needed and not in this image"), "{refused}");
    machine.boot(&config(storage)).unwrap_or_else(|error| panic!("{error}"));
    let plain = |call: &String| {
        let dev = dev.display().to_string();
        let mut words = call.replace(&dev, "/dev");
        while let Some(at) = words.find("/proc/") {
            let end = words[at..].find(' ').map_or(words.len(), |end| at + end);
            words.replace_range(at..end, "KEY");
        }
        words
    };
    let calls: Vec<String> = machine.recorder.calls.borrow().iter().map(plain).collect();
    assert_eq!(
        calls,
        [
            "mdadm --create data --force --run --homehost any --level raid1 --raid-devices 2 /dev/vdx /dev/vdy",
            "cryptsetup luksFormat --type luks2 --key-file KEY --uuid 00000000-1111-4222-8333-444444444444 /dev/md127",
            "cryptsetup luksOpen /dev/md127 secret --key-file KEY --persistent --allow-discards",
            "cryptsetup luksFormat --type luks2 --key-file KEY /dev/vdz",
            "cryptsetup luksOpen /dev/vdz tpm --key-file KEY --persistent",
            r#"clevis luks bind -f -k KEY -d /dev/vdz sss {"pins":{"tpm2":{}},"t":1}"#,
            "cryptsetup luksClose tpm",
            "clevis luks unlock -d /dev/vdz -n tpm",
            "cryptsetup luksRemoveKey /dev/vdz KEY",
            "mkfs.xfs -f -L L /dev/dm-0",
        ]
    );
    assert_eq!(machine.text("etc/luks/secret"), "geheim");
    assert!(!machine.root().join("etc/luks/tpm").exists());
    let table = machine.text("etc/crypttab");
    assert!(table.starts_with("secret UUID=00000000-1111-4222-8333-444444444444 /etc/luks/secret luks,x-initrd.attach\ntpm UUID="), "{table}");
    for (path, mode) in [("etc/luks", 0o700), ("etc/luks/secret", 0o600), ("etc/crypttab", 0o600)] {
        assert_eq!(crate::machine::mode(&machine.root().join(path)), mode, "{path}");
    }
}

#[test]
fn a_volume_is_opened_again_or_refused_with_the_reason() {
    let mut machine = Machine::new();
    let node = machine.disk("vdz", 32);
    let mut header = vec![0; 16 * 1024];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    header[24..29].copy_from_slice(b"crypt");
    header[168..204].copy_from_slice(b"00000000-1111-4222-8333-444444444444");
    let json = br#"{"config":{"flags":["allow-discards"]}}"#;
    header[4096..4096 + json.len()].copy_from_slice(json);
    let disk = std::fs::OpenOptions::new().write(true).open(&node).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&disk, &header, 0).unwrap();
    let storage = |fields: &str| {
        config(&format!(r#""storage": {{"luks": [{{"name": "v", "device": "/dev/vdz", {fields}}}]}}"#))
    };
    let key = r#""keyFile": {"source": "data:,k"}"#;
    for (fields, why) in [
        (r#""label": "crypt""#.to_owned(), "gives no key file"),
        (key.to_owned(), "discards are allowed in its header"),
        (format!(r#"{key}, "discard": true, "label": "other""#), "its label is"),
        (format!(r#"{key}, "discard": true, "clevis": {{"tpm2": true}}"#), "clevis binding"),
    ] {
        let text = machine.boot(&storage(&fields)).unwrap_err().text();
        assert!(text.contains(why) && text.contains("wipeVolume"), "{text}");
    }
    machine
        .boot(&storage(&format!(r#"{key}, "discard": true, "label": "crypt""#)))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(machine.recorder.calls.borrow().last().unwrap().contains("luksOpen"));
    let cex = machine.boot(&storage(r#""cex": {"enabled": true}"#)).unwrap_err().text();
    assert!(cex.contains("CEX keys exist on s390x only"), "{cex}");
}

#[test]
fn what_was_written_is_labelled_where_there_is_a_policy() {
    let mut machine = Machine::new();
    let wish = config(
        r#""storage": {"files": [{"path": "/etc/deep/er/f"}, {"path": "/etc/g"}]},
           "passwd": {"users": [{"name": "me", "sshAuthorizedKeys": ["k"]}]}"#,
    );
    machine.boot(&wish).unwrap();
    assert!(!machine.recorder.calls.borrow().iter().any(|call| call.starts_with("setfiles")));
    let mut machine = Machine::new();
    machine.put("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    machine.put("etc/selinux/targeted/contexts/files/file_contexts", "/.* system_u:object_r:default_t:s0\n");
    let outcome = machine.boot(&wish).unwrap();
    let step = outcome.plan.steps.last().unwrap();
    assert_eq!(step.text, "give SELinux labels to 3 paths");
    let calls = machine.recorder.calls.borrow();
    let call = calls.last().unwrap();
    let root = machine.root().display().to_string();
    assert!(call.starts_with(&format!("setfiles -F -r {root} -f /proc/")), "{call}");
    assert!(call.ends_with(&format!("{root}/etc/selinux/targeted/contexts/files/file_contexts")), "{call}");
}

#[test]
fn a_mount_point_in_a_home_is_the_users() {
    let mut machine = Machine::new();
    machine.options.notes = None;
    machine.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:0:0::/var/home/ann:/bin/sh\n");
    // What phase mount would have made; the plan is of phase files alone.
    std::fs::create_dir_all(machine.root().join("var/home/ann/data")).unwrap();
    let made = ["/var/home/ann", "/var/home/ann/data", "/var/other"].map(str::to_owned);
    machine.mount_points_made = made.to_vec();
    let wish = r#""passwd": {"users": [{"name": "ann", "primaryGroup": "root"}]},
                  "storage": {"directories": [{"path": "/var/home/ann/data", "mode": 448}]}"#;
    machine.boot(&config(wish)).unwrap_or_else(|error| panic!("{error}"));
    let said = "files: set directory /var/home/ann/data (0700 ann:root)";
    assert!(machine.events.iter().any(|line| line == said), "{:#?}", machine.events);
    let said = "files: give /var/home/ann, /var/home/ann/data to ann (0700)";
    assert!(machine.events.iter().any(|line| line == said), "{:#?}", machine.events);
    assert_eq!(crate::machine::mode(&machine.root().join("var/home/ann/data")), 0o700);
}

#[test]
fn a_link_is_no_mount_point_and_none_is_nothing() {
    let mut machine = Machine::new();
    let node = machine.disk("vdz", 8);
    let fs =
        |rest: &str| config(&format!(r#""storage": {{"filesystems": [{{"device": "/dev/vdz", {rest}}}]}}"#));
    let link = machine.boot(&fs(r#""format": "ext4", "path": "/home""#)).unwrap_err().text();
    assert!(link.contains("/home cannot be a mount point: it is a link to var/home"), "{link}");
    let file = machine.boot(&fs(r#""format": "ext4", "path": "/etc/passwd""#)).unwrap_err().text();
    assert!(file.contains("/etc/passwd cannot be a mount point: it is a file"), "{file}");
    machine.boot(&fs(r#""format": "none""#)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(*machine.recorder.calls.borrow(), Vec::<String>::new());
    let disk = std::fs::OpenOptions::new().write(true).open(&node).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&disk, b"XFSB", 0).unwrap();
    let full = machine.boot(&fs(r#""format": "none""#)).unwrap_err().text();
    assert!(full.contains("/dev/vdz holds xfs, the config wants nothing on it"), "{full}");
    machine
        .boot(&fs(r#""format": "none", "wipeFilesystem": true"#))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(machine.recorder.calls.borrow()[0].starts_with("wipefs --all --force"));
}
