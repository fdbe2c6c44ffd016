//! One config with a bit of everything, on a machine with a second disk.

use vm::harness::{Body, Failure, Session, Setup, Speed, Test, TestResult};

use crate::given::{butane, same};

const CONFIG: &str = r#"variant: fcos
version: 1.5.0
passwd:
  groups:
    - name: builders
      gid: 1500
  users:
    - name: ada
      uid: 1501
      groups: [builders]
      shell: /bin/bash
      ssh_authorized_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE ada@test
storage:
  disks:
    - device: /dev/disk/by-id/virtio-data
      wipe_table: true
      partitions:
        - label: first
          number: 1
          size_mib: 128
        - label: second
          number: 2
          size_mib: 320
  filesystems:
    - device: /dev/disk/by-partlabel/first
      path: /var/lib/first
      format: ext4
      label: FIRST
      with_mount_unit: true
    - device: /dev/disk/by-partlabel/second
      path: /var/lib/second
      format: xfs
      label: SECOND
      with_mount_unit: true
  directories:
    - path: /var/lib/second/deep
      mode: 0750
      user: {name: ada}
      group: {name: builders}
  files:
    - path: /etc/greeting
      mode: 0640
      group: {name: builders}
      contents:
        inline: |
          Good morning
      append:
        - inline: |
            and good night
    - path: /var/lib/first/on-the-disk
      contents:
        inline: data
    - path: /opt/tool
      mode: 0755
      contents:
        inline: |
          #!/bin/sh
          echo "tool ran"
  links:
    - path: /etc/greeting-link
      target: greeting
    - path: /etc/greeting-hard
      target: /etc/greeting
      hard: true
systemd:
  units:
    - name: hello.service
      enabled: true
      contents: |
        [Unit]
        Description=Writes a file once
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/bin/sh -c 'echo from the unit > /var/lib/hello'
        [Install]
        WantedBy=multi-user.target
      dropins:
        - name: 10-env.conf
          contents: |
            [Service]
            Environment=FROM=dropin
    - name: systemd-tmpfiles-clean.timer
      mask: true
"#;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_config_users_files_links",
        about: "users, groups, files with modes and appended parts, soft and hard links are as declared",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &[],
        body: Body::Machine(setup, users_files_links),
    },
    Test {
        name: "vm_config_second_disk",
        about: "a second disk has the two filesystems declared, mounted, with their files, also after a reboot",
        speed: Speed::Clone,
        idle_secs: 120,
        provokes: &[],
        body: Body::Machine(setup, second_disk),
    },
    Test {
        name: "vm_config_units",
        about: "a unit with a drop-in ran, a masked one did not",
        speed: Speed::Clone,
        idle_secs: 90,
        provokes: &[],
        body: Body::Machine(setup, units),
    },
];

pub(crate) fn setup() -> Result<Setup, Failure> {
    Ok(Setup { disks: vec![("data".into(), 512)], ..butane(CONFIG)? })
}

fn users_files_links(session: &mut Session<'_>) -> TestResult {
    same("user", session.sh("getent passwd ada | cut -d: -f1,3,7")?, "ada:1501:/bin/bash")?;
    same("group", session.sh("getent group builders | cut -d: -f1,3,4")?, "builders:1500:ada")?;
    session.sh("grep -rqs ada@test ~ada/.ssh/")?;
    same("home", session.sh("stat -c %U ~ada")?, "ada")?;
    same("file", session.sh("cat /etc/greeting")?, "Good morning\nand good night")?;
    same("file's owner and mode", session.sh("stat -c '%a %U %G' /etc/greeting")?, "640 root builders")?;
    same("link", session.sh("readlink /etc/greeting-link")?, "greeting")?;
    same("hard link", session.sh("stat -c %h /etc/greeting-hard")?, "2")?;
    same("program", session.sh("/opt/tool")?, "tool ran")
}

fn second_disk(session: &mut Session<'_>) -> TestResult {
    let look = |session: &mut Session<'_>| -> TestResult {
        same("first", session.sh("findmnt -no FSTYPE,LABEL /var/lib/first | tr -s ' '")?, "ext4 FIRST")?;
        same("second", session.sh("findmnt -no FSTYPE,LABEL /var/lib/second | tr -s ' '")?, "xfs SECOND")?;
        same("file", session.sh("cat /var/lib/first/on-the-disk")?, "data")?;
        same("folder", session.sh("stat -c '%a %U %G' /var/lib/second/deep")?, "750 ada builders")
    };
    look(session)?;
    session.sh("echo more > /var/lib/second/deep/more")?;
    session.reboot()?;
    look(session)?;
    same("what was written", session.sh("cat /var/lib/second/deep/more")?, "more")
}

fn units(session: &mut Session<'_>) -> TestResult {
    same("unit", session.sh("systemctl is-active hello.service")?, "active")?;
    same("its work", session.sh("cat /var/lib/hello")?, "from the unit")?;
    same("its drop-in", session.sh("systemctl show -P Environment hello.service")?, "FROM=dropin")?;
    same("masked", session.sh("systemctl is-enabled systemd-tmpfiles-clean.timer || true")?, "masked")
}
