//! Examples of Butane's rules; the rules themselves are `butane::rules::ALL`.

use super::{Page, orlop};

/// Why a rule is one, and its examples. The first line of an example is `VARIANT VERSION`; `machineconfig VERSION` is
/// `openshift` with the metadata that it needs; other texts stand as they are.
pub(super) struct Example {
    code: &'static str,
    why: &'static str,
    wrong: &'static str,
    mended: &'static str,
}

/// The pages of Butane's rules. What only holds with options or files beside the config has no example.
pub(super) fn pages() -> impl Iterator<Item = Page> {
    butane::rules::ALL.iter().map(|(rule, doc)| {
        let example = EXAMPLES.iter().chain(orlop::EXAMPLES).find(|example| example.code == rule.code);
        Page {
            code: rule.code,
            text: rule.text,
            what: doc,
            why: example.map_or("", |example| example.why),
            allowed: "",
            language: "yaml",
            wrong: example.map_or_else(String::new, |example| whole(example.wrong)),
            mended: example.map_or_else(String::new, |example| whole(example.mended)),
        }
    })
}

/// The whole text of an example.
fn whole(short: &str) -> String {
    let (first, rest) = short.split_once('\n').unwrap_or((short, ""));
    match first.split_once(' ') {
        Some(("machineconfig", version)) => format!(
            "variant: openshift\nversion: {version}\nmetadata:\n  name: 99-worker\n  labels:\n    machineconfiguration.openshift.io/role: worker\n{rest}"
        ),
        Some((variant, version)) if !variant.ends_with(':') => {
            format!("variant: {variant}\nversion: {version}\n{rest}")
        }
        _ => short.to_owned(),
    }
}

pub(super) const fn example(
    code: &'static str,
    why: &'static str,
    wrong: &'static str,
    mended: &'static str,
) -> Example {
    Example { code, why, wrong, mended }
}

const EXAMPLES: &[Example] = &[
    example(
        "yaml-syntax",
        "The position is where reading could not go on; an indentation or a quote above it is the usual cause.",
        "fcos 1.7.0\npasswd:\n  users:\n    - name: \"core\n",
        "fcos 1.7.0\npasswd:\n  users:\n    - name: \"core\"\n",
    ),
    example(
        "variant-missing",
        "The variant says for which system the config is, and so what it may have.",
        "version: 1.7.0\n",
        "fcos 1.7.0\n",
    ),
    example(
        "butane-version-malformed",
        "A version is three numbers with dots.",
        "variant: fcos\nversion: \"1.7\"\n",
        "fcos 1.7.0\n",
    ),
    example(
        "butane-version-unknown",
        "The hint lists what is read. Versions of Butane's variants are not those of the Ignition spec.",
        "fcos 9.9.0\n",
        "fcos 1.7.0\n",
    ),
    example(
        "variant-rhcos",
        "Configs of Red Hat CoreOS are MachineConfigs now.",
        "rhcos 0.1.0\n",
        "machineconfig 4.19.0\n",
    ),
    example(
        "no-files-dir",
        "A config must not read files that its author did not offer: name their folder with `-d`, or put the text into the config.",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        local: motd\n",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: Hello\n",
    ),
    example(
        "sources",
        "One content can be given in one way.",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: Hello\n        source: https://example.com/motd\n",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        source: https://example.com/motd\n",
    ),
    example(
        "inline-config",
        "The text is an Ignition config (JSON) and is judged as one; the entries before this one say what is wrong in it.",
        "fcos 1.7.0\nignition:\n  config:\n    merge:\n      - inline: '{\"ignition\": {\"version\": \"3.6.0\"},}'\n",
        "fcos 1.7.0\nignition:\n  config:\n    merge:\n      - inline: '{\"ignition\": {\"version\": \"3.6.0\"}}'\n",
    ),
    example(
        "inline-config-version",
        "The machine will judge it. Give it the version that this variant's version stands for to have it judged here.",
        "fcos 1.7.0\nignition:\n  config:\n    merge:\n      - inline: '{\"ignition\": {\"version\": \"3.4.0\"}}'\n",
        "fcos 1.7.0\nignition:\n  config:\n    merge:\n      - inline: '{\"ignition\": {\"version\": \"3.6.0\"}}'\n",
    ),
    example(
        "unit-sources",
        "One content can be given in one way.",
        "fcos 1.7.0\nsystemd:\n  units:\n    - name: a.service\n      contents: \"[Service]\"\n      contents_local: a.service\n",
        "fcos 1.7.0\nsystemd:\n  units:\n    - name: a.service\n      contents: \"[Service]\"\n",
    ),
    example(
        "mode-decimal",
        "YAML reads 644 as six hundred and forty-four, which is 01204. With a leading zero it is octal.",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      mode: 644\n",
        "fcos 1.7.0\nstorage:\n  files:\n    - path: /etc/motd\n      mode: 0644\n",
    ),
    example(
        "mount-unit-path",
        "Say where it is mounted; only swap space is nowhere.",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: ext4\n      with_mount_unit: true\n",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      path: /var/lib/data\n      format: ext4\n      with_mount_unit: true\n",
    ),
    example(
        "mount-unit-format",
        "The unit names the type of the filesystem.",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      path: /var/lib/data\n      with_mount_unit: true\n",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      path: /var/lib/data\n      format: ext4\n      with_mount_unit: true\n",
    ),
    example(
        "mount-unit-place",
        "Everything outside of /etc and /var is of the image and read-only.",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      path: /data\n      format: ext4\n      with_mount_unit: true\n",
        "fcos 1.7.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      path: /var/data\n      format: ext4\n      with_mount_unit: true\n",
    ),
    example(
        "quadlet-extension",
        "podman makes units of files with these names only.",
        "fcos 1.8.0-experimental\nsystemd:\n  quadlets:\n    - name: web.service\n      contents: \"[Container]\"\n",
        "fcos 1.8.0-experimental\nsystemd:\n  quadlets:\n    - name: web.container\n      contents: \"[Container]\"\n",
    ),
    example(
        "quadlet-instance-contents",
        "Give the contents to the template.",
        "fcos 1.8.0-experimental\nsystemd:\n  quadlets:\n    - name: web@1.container\n      contents: \"[Container]\"\n",
        "fcos 1.8.0-experimental\nsystemd:\n  quadlets:\n    - name: web@.container\n      contents: \"[Container]\"\n    - name: web@1.container\n",
    ),
    example(
        "partition-reuse",
        "A partition of a disk that keeps its table is found by its number; by label alone a new one is made at each provisioning.",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/vdb\n      partitions:\n        - label: data\n",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/vdb\n      partitions:\n        - number: 1\n          label: data\n",
    ),
    example(
        "root-constrained",
        "A root partition that fills the rest must be the last one: give the others a start.",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 4\n          label: root\n        - number: 5\n          label: data\n          size_mib: 1024\n",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 4\n          label: root\n          size_mib: 10240\n        - number: 5\n          label: data\n",
    ),
    example(
        "root-small",
        "Updates need room for a second system.",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 4\n          label: root\n          size_mib: 4096\n",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 4\n          label: root\n          size_mib: 10240\n",
    ),
    example(
        "partition-number-reserved",
        "The image's own partitions have fixed numbers: 1 boot loader, 2 EFI, 3 boot, 4 root.",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 7\n          label: boot\n",
        "fcos 1.7.0\nstorage:\n  disks:\n    - device: /dev/disk/by-id/coreos-boot-disk\n      partitions:\n        - number: 3\n          label: boot\n",
    ),
    example(
        "boot-layout",
        "The layout is the architecture of the partition table.",
        "fcos 1.7.0\nboot_device:\n  layout: amd64\n",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n",
    ),
    example(
        "boot-layout-legacy",
        "Layouts of s390x came with fcos 1.6.0.",
        "fcos 1.5.0\nboot_device:\n  layout: s390x-virt\n",
        "fcos 1.6.0\nboot_device:\n  layout: s390x-virt\n",
    ),
    example(
        "boot-mirror-layout",
        "Which partitions are mirrored depends on the architecture.",
        "fcos 1.7.0\nboot_device:\n  mirror:\n    devices: [/dev/vda, /dev/vdb]\n",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  mirror:\n    devices: [/dev/vda, /dev/vdb]\n",
    ),
    example(
        "boot-mirror-devices",
        "Name at least two disks.",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  mirror:\n    devices: [/dev/vda]\n",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  mirror:\n    devices: [/dev/vda, /dev/vdb]\n",
    ),
    example(
        "boot-mirror-s390x",
        "The boot loader of s390x knows one disk.",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-virt\n  mirror:\n    devices: [/dev/vda, /dev/vdb]\n",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  mirror:\n    devices: [/dev/vda, /dev/vdb]\n",
    ),
    example(
        "boot-luks-device",
        "On these layouts the disk cannot be found by a label.",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    cex:\n      enabled: true\n",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    device: /dev/dasda\n    cex:\n      enabled: true\n",
    ),
    example(
        "boot-luks-device-name",
        "Disks of ECKD are /dev/dasdX, those of zFCP /dev/sdX.",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    device: /dev/sda\n    cex:\n      enabled: true\n",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    device: /dev/dasda\n    cex:\n      enabled: true\n",
    ),
    example(
        "boot-luks-method",
        "Say what unlocks it: tang, tpm2 or cex.",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    device: /dev/dasda\n",
        "fcos 1.7.0\nboot_device:\n  layout: s390x-eckd\n  luks:\n    device: /dev/dasda\n    cex:\n      enabled: true\n",
    ),
    example(
        "boot-cex-layout",
        "IBM Crypto Express is a card of s390x.",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  luks:\n    cex:\n      enabled: true\n",
        "fcos 1.7.0\nboot_device:\n  layout: x86_64\n  luks:\n    tpm2: true\n",
    ),
    example(
        "grub-name",
        "Name the user.",
        "fcos 1.7.0\ngrub:\n  users:\n    - password_hash: grub.pbkdf2.sha512.10000.AA.BB\n",
        "fcos 1.7.0\ngrub:\n  users:\n    - name: root\n      password_hash: grub.pbkdf2.sha512.10000.AA.BB\n",
    ),
    example(
        "grub-password",
        "`grub2-mkpasswd-pbkdf2` makes the hash.",
        "fcos 1.7.0\ngrub:\n  users:\n    - name: root\n",
        "fcos 1.7.0\ngrub:\n  users:\n    - name: root\n      password_hash: grub.pbkdf2.sha512.10000.AA.BB\n",
    ),
    example(
        "variant-kernel-arguments",
        "The system sets them when its image is made.",
        "r4e 1.1.0\nkernel_arguments:\n  should_exist: [quiet]\n",
        "fcos 1.5.0\nkernel_arguments:\n  should_exist: [quiet]\n",
    ),
    example(
        "variant-disks",
        "The installer of this system lays out the disks.",
        "r4e 1.1.0\nstorage:\n  disks:\n    - device: /dev/vdb\n      wipe_table: true\n",
        "fcos 1.5.0\nstorage:\n  disks:\n    - device: /dev/vdb\n      wipe_table: true\n",
    ),
    example(
        "variant-filesystems",
        "The installer of this system makes the filesystems.",
        "r4e 1.1.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: xfs\n",
        "fcos 1.5.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: xfs\n",
    ),
    example(
        "variant-luks",
        "The installer of this system encrypts the disks.",
        "r4e 1.1.0\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n",
        "fcos 1.5.0\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n",
    ),
    example(
        "variant-raid",
        "The installer of this system makes the arrays.",
        "r4e 1.1.0\nstorage:\n  raid:\n    - name: data\n      level: raid1\n      devices: [/dev/vdb, /dev/vdc]\n",
        "fcos 1.5.0\nstorage:\n  raid:\n    - name: data\n      level: raid1\n      devices: [/dev/vdb, /dev/vdc]\n",
    ),
    example(
        "variant-clevis",
        "The image of this version has no clevis: use a key file.",
        "flatcar 1.1.0\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n      clevis:\n        tpm2: true\n",
        "flatcar 1.1.0\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n      key_file:\n        source: https://example.com/key\n",
    ),
    example(
        "variant-cex",
        "The system does not run on s390x.",
        "flatcar 1.2.0-experimental\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n      cex:\n        enabled: true\n",
        "flatcar 1.2.0-experimental\nstorage:\n  luks:\n    - name: data\n      device: /dev/vdb\n      clevis:\n        tpm2: true\n",
    ),
    example(
        "machineconfig-name",
        "MachineConfigs are applied in the order of their names.",
        "openshift 4.19.0\nmetadata:\n  labels:\n    machineconfiguration.openshift.io/role: worker\n",
        "machineconfig 4.19.0\n",
    ),
    example(
        "machineconfig-role",
        "The label says which pool of machines gets it.",
        "openshift 4.19.0\nmetadata:\n  name: 99-worker\n",
        "machineconfig 4.19.0\n",
    ),
    example(
        "machineconfig-kernel-type",
        "There are two kernels.",
        "machineconfig 4.19.0\nopenshift:\n  kernel_type: fast\n",
        "machineconfig 4.19.0\nopenshift:\n  kernel_type: realtime\n",
    ),
    example(
        "machineconfig-cex-argument",
        "The initramfs finds the key by this argument.",
        "machineconfig 4.19.0\nboot_device:\n  layout: s390x-virt\n  luks:\n    cex:\n      enabled: true\n",
        "machineconfig 4.19.0\nboot_device:\n  layout: s390x-virt\n  luks:\n    cex:\n      enabled: true\nopenshift:\n  kernel_arguments:\n    - rd.luks.key=/etc/luks/cex.key\n",
    ),
    example(
        "machineconfig-btrfs",
        "The kernel of these machines has no btrfs.",
        "machineconfig 4.19.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: btrfs\n",
        "machineconfig 4.19.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: xfs\n",
    ),
    example(
        "machineconfig-format-none",
        "The operator of MachineConfigs does not know it.",
        "machineconfig 4.19.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: none\n",
        "machineconfig 4.19.0\nstorage:\n  filesystems:\n    - device: /dev/vdb\n      format: xfs\n",
    ),
    example(
        "machineconfig-file-source",
        "A MachineConfig is applied again and again and must be whole: embed the content.",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        source: https://example.com/motd\n",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: Hello\n",
    ),
    example(
        "machineconfig-file-append",
        "A file is replaced as a whole.",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      append:\n        - inline: Hello\n",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: Hello\n",
    ),
    example(
        "machineconfig-file-compression",
        "It came with 4.10.",
        "machineconfig 4.9.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        source: data:;base64,H4sIAAAAAAACA/NIzcnJBwCCidH3BQAAAA==\n        compression: gzip\n",
        "machineconfig 4.10.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        source: data:;base64,H4sIAAAAAAACA/NIzcnJBwCCidH3BQAAAA==\n        compression: gzip\n",
    ),
    example(
        "machineconfig-file-headers",
        "Nothing is fetched, so no headers are sent.",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        source: data:,Hello\n        http_headers:\n          - name: X-Key\n            value: k\n",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: Hello\n",
    ),
    example(
        "machineconfig-file-mode",
        "The operator of MachineConfigs refuses setuid, setgid and sticky bits.",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/tool\n      mode: 04755\n      contents:\n        inline: Hello\n",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/tool\n      mode: 0755\n      contents:\n        inline: Hello\n",
    ),
    example(
        "machineconfig-groups",
        "The operator of MachineConfigs makes no groups.",
        "machineconfig 4.19.0\npasswd:\n  groups:\n    - name: app\n",
        "machineconfig 4.19.0\n",
    ),
    example(
        "machineconfig-user-field",
        "The operator of MachineConfigs keeps the keys of one user and nothing else.",
        "machineconfig 4.19.0\npasswd:\n  users:\n    - name: core\n      shell: /bin/zsh\n",
        "machineconfig 4.19.0\npasswd:\n  users:\n    - name: core\n",
    ),
    example(
        "machineconfig-user-name",
        "The operator of MachineConfigs knows the user `core` alone.",
        "machineconfig 4.19.0\npasswd:\n  users:\n    - name: admin\n",
        "machineconfig 4.19.0\npasswd:\n  users:\n    - name: core\n",
    ),
    example(
        "machineconfig-kernel-arguments",
        "The operator of MachineConfigs has its own list.",
        "machineconfig 4.19.0\nkernel_arguments:\n  should_exist: [quiet]\n",
        "machineconfig 4.19.0\nopenshift:\n  kernel_arguments: [quiet]\n",
    ),
    example(
        "machineconfig-directories",
        "Directories are made with the files in them.",
        "machineconfig 4.19.0\nstorage:\n  directories:\n    - path: /etc/app\n",
        "machineconfig 4.19.0\nstorage:\n  files:\n    - path: /etc/app/config\n      contents:\n        inline: Hello\n",
    ),
    example(
        "machineconfig-links",
        "Make the link by a unit.",
        "machineconfig 4.19.0\nstorage:\n  links:\n    - path: /etc/a\n      target: b\n",
        "machineconfig 4.19.0\n",
    ),
];
