//! The sections of a Butane config that differ from Ignition's; the others are Ignition's own, read by their
//! snake_case names. `since N` counts as there: the fields of a variant's version are those of the Ignition spec that
//! it is translated to.

use std::borrow::Cow;

use ignition_spec::config::{
    Cex, Clevis, Directory, Disk, HttpHeader, KernelArguments, Link, NodeGroup, NodeUser, PasswdGroup, Proxy,
    Raid, Tang, Timeouts, Verification,
};
use ignition_spec::section;

use crate::rules;

/// The module whose sections have Butane's rules.
pub(crate) const OWNER: &str = module_path!();

section! {
    /// A Butane config.
    Config [check rules::config] {
        /// The version of the variant.
        version: String = "version",
        /// The variant.
        variant: String = "variant",
        /// Metadata.
        ignition: Ignition = "ignition",
        /// Kernel arguments.
        kernel_arguments: KernelArguments = "kernelArguments" since 3,
        /// Users and groups.
        passwd: Passwd = "passwd",
        /// Disks, filesystems, files.
        storage: Storage = "storage",
        /// systemd units.
        systemd: Systemd = "systemd",
        /// The disk that the machine boots from.
        boot_device: BootDevice = "bootDevice" since 2,
        /// The boot loader.
        grub: Grub = "grub" since 4,
    }
}

section! {
    /// Metadata.
    Ignition {
        /// Further configs.
        config: IgnitionConfig = "config",
        /// Proxies.
        proxy: Proxy = "proxy" since 1,
        /// What to trust.
        security: Security = "security",
        /// How long to wait.
        timeouts: Timeouts = "timeouts",
    }
}

section! {
    /// Further configs.
    IgnitionConfig {
        /// Configs to merge over this one.
        merge: Vec<Resource> = "merge",
        /// The config that takes this one's place.
        replace: Resource = "replace",
    }
}

section! {
    /// What to trust.
    Security {
        /// TLS.
        tls: Tls = "tls",
    }
}

section! {
    /// TLS.
    Tls {
        /// Certificates to trust beside the system's.
        certificate_authorities: Vec<Resource> = "certificateAuthorities",
    }
}

section! {
    /// Something to fetch, or to take from here.
    Resource [key |r| Cow::Borrowed(r.source.as_deref().unwrap_or_default())] [check rules::resource] {
        /// `gzip`, or empty for none.
        compression: Option<String> = "compression",
        /// Headers for http and https.
        http_headers: Vec<HttpHeader> = "httpHeaders" since 1,
        /// URL.
        source: Option<String> = "source",
        /// The content itself.
        inline: Option<String> = "inline",
        /// A file of the files folder.
        local: Option<String> = "local" since 1,
        /// What the content must be.
        verification: Verification = "verification",
    }
}

section! {
    /// Users and groups.
    Passwd {
        /// Groups.
        groups: Vec<PasswdGroup> = "groups",
        /// Users.
        users: Vec<PasswdUser> = "users",
    }
}

section! {
    /// A user.
    PasswdUser [key |u| Cow::Borrowed(&u.name)] {
        /// Comment field.
        gecos: Option<String> = "gecos",
        /// Supplementary groups.
        groups: Vec<String> = "groups",
        /// Home directory.
        home_dir: Option<String> = "homeDir",
        /// Name.
        name: String = "name",
        /// Creates no home directory.
        no_create_home: Option<bool> = "noCreateHome",
        /// Keeps the user out of lastlog and faillog.
        no_log_init: Option<bool> = "noLogInit",
        /// Creates no group named like the user.
        no_user_group: Option<bool> = "noUserGroup",
        /// Hash of the password.
        password_hash: Option<String> = "passwordHash",
        /// Primary group.
        primary_group: Option<String> = "primaryGroup",
        /// False to remove the user.
        should_exist: Option<bool> = "shouldExist" since 2,
        /// Public keys that may log in.
        ssh_authorized_keys: Vec<String> = "sshAuthorizedKeys",
        /// Files of the files folder with public keys, one a line.
        ssh_authorized_keys_local: Vec<String> = "sshAuthorizedKeysLocal" since 4,
        /// Login shell.
        shell: Option<String> = "shell",
        /// A system user when created.
        system: Option<bool> = "system",
        /// User id.
        uid: Option<i64> = "uid",
    }
}

section! {
    /// Disks, filesystems, files.
    Storage [check rules::storage] {
        /// Directories.
        directories: Vec<Directory> = "directories",
        /// Disks and their partitions.
        disks: Vec<Disk> = "disks",
        /// Files.
        files: Vec<File> = "files",
        /// Filesystems.
        filesystems: Vec<Filesystem> = "filesystems",
        /// Links.
        links: Vec<Link> = "links",
        /// LUKS volumes.
        luks: Vec<Luks> = "luks" since 2,
        /// RAID arrays.
        raid: Vec<Raid> = "raid",
        /// Folders of the files folder to copy.
        trees: Vec<Tree> = "trees" since 1,
    }
}

section! {
    /// A file.
    File [key |f| Cow::Borrowed(&f.path)] [check rules::file] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// What to append.
        append: Vec<Resource> = "append",
        /// The content.
        contents: Resource = "contents",
        /// Permission bits.
        mode: Option<i64> = "mode",
    }
}

section! {
    /// A filesystem.
    Filesystem [key |f| Cow::Borrowed(&f.device)] [check rules::filesystem] {
        /// Absolute path of the device.
        device: String = "device",
        /// `ext4`, `btrfs`, `xfs`, `vfat`, `swap` or `none`.
        format: Option<String> = "format",
        /// Label.
        label: Option<String> = "label",
        /// Options for mounting.
        mount_options: Vec<String> = "mountOptions" since 1,
        /// Options for mkfs.
        options: Vec<String> = "options",
        /// Where it is mounted.
        path: Option<String> = "path",
        /// UUID.
        uuid: Option<String> = "uuid",
        /// Makes a new filesystem whatever is there.
        wipe_filesystem: Option<bool> = "wipeFilesystem",
        /// Makes a mount or swap unit too.
        with_mount_unit: Option<bool> = "withMountUnit" since 1,
    }
}

section! {
    /// A LUKS volume.
    Luks [key |l| Cow::Borrowed(&l.name)] {
        /// IBM Crypto Express.
        cex: Cex = "cex" since 5,
        /// Unlocking by clevis.
        clevis: Clevis = "clevis" since 2,
        /// Absolute path of the device.
        device: Option<String> = "device" since 2,
        /// Lets discards through.
        discard: Option<bool> = "discard" since 4,
        /// The key.
        key_file: Resource = "keyFile" since 2,
        /// Label.
        label: Option<String> = "label" since 2,
        /// Name under /dev/mapper.
        name: String = "name" since 2,
        /// Options for opening.
        open_options: Vec<String> = "openOptions" since 4,
        /// Options for formatting.
        options: Vec<String> = "options" since 2,
        /// UUID.
        uuid: Option<String> = "uuid" since 2,
        /// Makes a new volume whatever is there.
        wipe_volume: Option<bool> = "wipeVolume" since 2,
    }
}

section! {
    /// A folder to copy.
    Tree [check rules::tree] {
        /// Owning group of what is copied.
        group: NodeGroup = "group" since 6,
        /// The folder within the files folder.
        local: String = "local" since 1,
        /// Where it goes; `/` when not given.
        path: Option<String> = "path" since 1,
        /// Owner of what is copied.
        user: NodeUser = "user" since 6,
        /// Permission bits of files.
        file_mode: Option<i64> = "fileMode" since 6,
        /// Permission bits of directories.
        dir_mode: Option<i64> = "dirMode" since 6,
    }
}

section! {
    /// systemd.
    Systemd {
        /// Units.
        units: Vec<Unit> = "units",
    }
}

section! {
    /// A unit.
    Unit [key |u| Cow::Borrowed(&u.name)] [check rules::unit] {
        /// The unit file.
        contents: Option<String> = "contents",
        /// A file of the files folder that holds it.
        contents_local: Option<String> = "contentsLocal" since 4,
        /// Drop-ins.
        dropins: Vec<Dropin> = "dropins",
        /// Enables or disables it.
        enabled: Option<bool> = "enabled",
        /// Masks or unmasks it.
        mask: Option<bool> = "mask",
        /// Name with extension.
        name: String = "name",
    }
}

section! {
    /// A drop-in.
    Dropin [key |d| Cow::Borrowed(&d.name)] [check rules::dropin] {
        /// The content.
        contents: Option<String> = "contents",
        /// A file of the files folder that holds it.
        contents_local: Option<String> = "contentsLocal" since 4,
        /// Name, ending in `.conf`.
        name: String = "name",
    }
}

section! {
    /// The disk that the machine boots from.
    BootDevice [check rules::boot_device] {
        /// Architecture of the partition layout.
        layout: Option<String> = "layout" since 2,
        /// Encrypts the root filesystem.
        luks: BootDeviceLuks = "luks" since 2,
        /// Mirrors the boot disk.
        mirror: BootDeviceMirror = "mirror" since 2,
    }
}

section! {
    /// Encrypts the root filesystem.
    BootDeviceLuks [check rules::boot_device_luks] {
        /// IBM Crypto Express.
        cex: Cex = "cex" since 5,
        /// Lets discards through.
        discard: Option<bool> = "discard" since 4,
        /// The disk, on s390x.
        device: Option<String> = "device" since 5,
        /// Tang servers.
        tang: Vec<Tang> = "tang" since 2,
        /// How many of the pieces unlock.
        threshold: Option<i64> = "threshold" since 2,
        /// The TPM2 is a piece.
        tpm2: Option<bool> = "tpm2" since 2,
    }
}

section! {
    /// Mirrors the boot disk.
    BootDeviceMirror [check rules::boot_device_mirror] {
        /// The disks.
        devices: Vec<String> = "devices" since 2,
    }
}

section! {
    /// The boot loader.
    Grub {
        /// Users that may change its commands.
        users: Vec<GrubUser> = "users" since 4,
    }
}

section! {
    /// A user of the boot loader.
    GrubUser [key |u| Cow::Borrowed(&u.name)] [check rules::grub_user] {
        /// Name.
        name: String = "name" since 4,
        /// Hash of the password.
        password_hash: Option<String> = "passwordHash" since 4,
    }
}
