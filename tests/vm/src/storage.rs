//! What stands between a disk and a file system: a mirror, encryption; and the kinds that the other tests leave out.

use vm::harness::{Body, Failure, Session, Setup, Speed, Test, TestResult};

use crate::given::{butane, holds, same};

const CONFIG: &str = r#"variant: fcos
version: 1.6.0
storage:
  disks:
    - device: /dev/disk/by-id/virtio-data
      wipe_table: true
      partitions:
        - {label: mirror-a, number: 1, size_mib: 64}
        - {label: mirror-b, number: 2, size_mib: 64}
        - {label: secret, number: 3, size_mib: 160}
        - {label: fat, number: 4, size_mib: 64}
        - {label: swap, number: 5, size_mib: 64}
  raid:
    - name: mirror
      level: raid1
      devices: [/dev/disk/by-partlabel/mirror-a, /dev/disk/by-partlabel/mirror-b]
  luks:
    - name: secret
      device: /dev/disk/by-partlabel/secret
      label: hidden
      key_file: {inline: "correct horse battery staple"}
  filesystems:
    - {device: /dev/md/mirror, path: /var/lib/mirror, format: ext4, label: MIRROR, with_mount_unit: true}
    - {device: /dev/mapper/secret, path: /var/lib/secret, format: btrfs, label: SECRET, with_mount_unit: true}
    - {device: /dev/disk/by-partlabel/fat, path: /var/lib/fat, format: vfat, label: FAT, with_mount_unit: true}
    - {device: /dev/disk/by-partlabel/swap, format: swap, with_mount_unit: true}
  files:
    - {path: /var/lib/mirror/file, contents: {inline: mirrored}}
    - {path: /var/lib/secret/file, contents: {inline: hidden}}
    - {path: /var/lib/fat/FILE, contents: {inline: plain}}
"#;

const ARGUMENTS: &str =
    "variant: fcos\nversion: 1.6.0\nkernel_arguments:\n  should_exist: [orlop.test=declared]\n";

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_config_mirror_luks_vfat_swap",
        about: "a RAID1 array, an encrypted volume by key file, vfat and swap are as declared, also after a reboot",
        speed: Speed::Clone,
        idle_secs: 120,
        provokes: &[],
        body: Body::Machine(setup, as_declared_twice),
    },
    Test {
        name: "vm_config_kernel_arguments",
        about: "a kernel argument that the config wants is there after the one restart of the first boot",
        speed: Speed::Full,
        idle_secs: 90,
        provokes: &[],
        body: Body::Machine(arguments_setup, arguments),
    },
];

fn setup() -> Result<Setup, Failure> {
    Ok(Setup { disks: vec![("data".into(), 512)], ..butane(CONFIG)? })
}

fn as_declared_twice(session: &mut Session<'_>) -> TestResult {
    as_declared(session)?;
    session.reboot()?;
    as_declared(session)
}

fn as_declared(session: &mut Session<'_>) -> TestResult {
    let all = "systemctl is-active var-lib-mirror.mount var-lib-secret.mount var-lib-fat.mount | sort -u";
    session.wait_until(&format!("test \"$({all})\" = active"), std::time::Duration::from_secs(20))?;
    for (place, expected) in [("mirror", "ext4 MIRROR"), ("secret", "btrfs SECRET"), ("fat", "vfat FAT")] {
        let found = session.sh(&format!("findmnt -no FSTYPE,LABEL /var/lib/{place} | tr -s ' '"))?;
        same(place, found, expected)?;
    }
    let mirror = session.sh("mdadm --detail /dev/md/mirror")?;
    holds("mirror", &mirror, "raid1")?;
    holds("mirror", &mirror, "Working Devices : 2")?;
    let secret = session.sh("cryptsetup status secret")?;
    holds("secret", &secret, "LUKS2")?;
    same("key file", session.sh("stat -c '%a %U' /etc/luks/secret")?, "600 root")?;
    holds("swap", &session.sh("cat /proc/swaps")?, "partition")?;
    for (path, text) in [("mirror/file", "mirrored"), ("secret/file", "hidden"), ("fat/FILE", "plain")] {
        same(path, session.sh(&format!("cat /var/lib/{path}"))?, text)?;
    }
    same("failed units", session.sh("systemctl list-units --failed --plain --no-legend")?, "")
}

fn arguments_setup() -> Result<Setup, Failure> {
    Ok(Setup { uefi: true, ..butane(ARGUMENTS)? })
}

fn arguments(session: &mut Session<'_>) -> TestResult {
    let line = session.sh("cat /proc/cmdline")?;
    holds("command line", &line, "orlop.test=declared")?;
    holds("command line", &line, "usrhash=")?;
    same("kernel starts", session.console().matches("orlop: init: start").count().to_string(), "2")?;
    session.sh("test -e /orlop/provisioned.json").map(drop)
}
