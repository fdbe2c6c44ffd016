//! The sections of the newest spec, as plain structs with public fields, in the order of upstream's types.
//!
//! Sizes named `*_mib` are MiB, times are seconds, modes are the number that the JSON has (decimal there).
//! An `Option` tells "not given" from "given, and empty".

use std::borrow::Cow;

use crate::check::{disks, nodes, resource, systemd};
use crate::section;
use crate::write;

/// The module whose sections have Ignition's rules; see [`Checker::new`](crate::check::Checker::new).
pub const OWNER: &str = module_path!();

impl Config {
    /// The config as compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        write::to_json(self, false)
    }

    /// The config as JSON for people: two spaces per level.
    pub fn to_json_pretty(&self) -> Vec<u8> {
        write::to_json(self, true)
    }
}

section! {
    /// An Ignition config.
    Config [check systemd::conflicts] {
        /// Metadata about the config itself, and how to fetch what it refers to.
        ignition: Ignition = "ignition",
        /// Kernel arguments of the machine.
        kernel_arguments: KernelArguments = "kernelArguments" since 3,
        /// Users and groups.
        passwd: Passwd = "passwd",
        /// Disks, filesystems, files.
        storage: Storage = "storage",
        /// systemd units.
        systemd: Systemd = "systemd",
    }
}

section! {
    /// Metadata about the config itself.
    Ignition [check resource::version] {
        /// Further configs.
        config: IgnitionConfig = "config",
        /// HTTP(S) proxies for fetching.
        proxy: Proxy = "proxy" since 1,
        /// What to trust when fetching.
        security: Security = "security",
        /// How long to wait when fetching.
        timeouts: Timeouts = "timeouts",
        /// The spec version of the config.
        version: String = "version",
    }
}

section! {
    /// Further configs.
    IgnitionConfig [check resource::config] {
        /// Configs to merge over this one, in this order.
        merge: Vec<Resource> = "merge",
        /// The config that takes this one's place.
        replace: Resource = "replace",
    }
}

section! {
    /// HTTP(S) proxies.
    Proxy [check resource::proxy] {
        /// URL of the proxy for http URLs.
        http_proxy: Option<String> = "httpProxy" since 1,
        /// URL of the proxy for https URLs.
        https_proxy: Option<String> = "httpsProxy" since 1,
        /// Hosts that are reached without proxy.
        no_proxy: Vec<String> = "noProxy" since 1,
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
    Tls [check resource::tls] {
        /// Certificates (PEM bundles) to trust beside the system's.
        certificate_authorities: Vec<Resource> = "certificateAuthorities",
    }
}

section! {
    /// How long to wait when fetching over HTTP.
    Timeouts {
        /// Seconds until response headers must have come; 10 when not given.
        http_response_headers: Option<i64> = "httpResponseHeaders",
        /// Seconds for a whole request; no limit when 0 or not given.
        http_total: Option<i64> = "httpTotal",
    }
}

section! {
    /// Something to fetch.
    Resource [key |r| Cow::Borrowed(r.source.as_deref().unwrap_or_default())] [check resource::resource] {
        /// `gzip`, or empty for none.
        compression: Option<String> = "compression",
        /// Headers for http and https.
        http_headers: Vec<HttpHeader> = "httpHeaders" since 1,
        /// URL: http, https, tftp, s3, arn, gs, data.
        source: Option<String> = "source",
        /// What the content must be.
        verification: Verification = "verification",
    }
}

section! {
    /// A header of a request.
    HttpHeader [key |h| Cow::Borrowed(&h.name)] [check resource::header] [cancels |h| h.value.is_none()] {
        /// Name.
        name: String = "name" since 1,
        /// Value; when merging, a header without value removes the parent's.
        value: Option<String> = "value" since 1,
    }
}

section! {
    /// What a content must be.
    Verification [check resource::verification] {
        /// `sha512-HEX` or `sha256-HEX` of the decompressed content.
        hash: Option<String> = "hash",
    }
}

section! {
    /// Kernel arguments.
    KernelArguments {
        /// Arguments that must be on the command line.
        should_exist: Vec<String> = "shouldExist" since 3 list Shared,
        /// Arguments that must not be there.
        should_not_exist: Vec<String> = "shouldNotExist" since 3 list Shared,
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
    /// A group.
    PasswdGroup [key |g| Cow::Borrowed(&g.name)] {
        /// Group id.
        gid: Option<i64> = "gid",
        /// Name.
        name: String = "name",
        /// Hash of the password.
        password_hash: Option<String> = "passwordHash",
        /// False to remove the group.
        should_exist: Option<bool> = "shouldExist" since 2,
        /// A system group when created.
        system: Option<bool> = "system",
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
        /// Primary group, by name or id.
        primary_group: Option<String> = "primaryGroup",
        /// Public keys that may log in.
        ssh_authorized_keys: Vec<String> = "sshAuthorizedKeys",
        /// Login shell.
        shell: Option<String> = "shell",
        /// False to remove the user.
        should_exist: Option<bool> = "shouldExist" since 2,
        /// A system user when created.
        system: Option<bool> = "system",
        /// User id.
        uid: Option<i64> = "uid",
    }
}

section! {
    /// Disks, filesystems, files.
    Storage [check nodes::storage] {
        /// Directories.
        directories: Vec<Directory> = "directories" list Shared,
        /// Disks and their partitions.
        disks: Vec<Disk> = "disks",
        /// Files.
        files: Vec<File> = "files" list Shared,
        /// Filesystems.
        filesystems: Vec<Filesystem> = "filesystems",
        /// Links.
        links: Vec<Link> = "links" list Shared,
        /// LUKS volumes.
        luks: Vec<Luks> = "luks" since 2,
        /// RAID arrays.
        raid: Vec<Raid> = "raid",
    }
}

section! {
    /// The owning group of a node.
    NodeGroup [check nodes::group] {
        /// Group id.
        id: Option<i64> = "id",
        /// Group name.
        name: Option<String> = "name",
    }
}

section! {
    /// The owner of a node.
    NodeUser [check nodes::user] {
        /// User id.
        id: Option<i64> = "id",
        /// User name.
        name: Option<String> = "name",
    }
}

section! {
    /// A directory.
    Directory [key |d| Cow::Borrowed(&d.path)] [check nodes::directory] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// Permission bits; 0755 when not given.
        mode: Option<i64> = "mode",
    }
}

section! {
    /// A file.
    File [key |f| Cow::Borrowed(&f.path)] [check nodes::file] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// What to append, in this order.
        append: Vec<Resource> = "append" list Appended,
        /// The content.
        contents: Resource = "contents",
        /// Permission bits; 0644 when not given and the file is new.
        mode: Option<i64> = "mode",
    }
}

section! {
    /// A link.
    Link [key |l| Cow::Borrowed(&l.path)] [check nodes::link] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// A hard link.
        hard: Option<bool> = "hard",
        /// Where it points.
        target: Option<String> = "target",
    }
}

section! {
    /// A disk.
    Disk [key |d| Cow::Borrowed(&d.device)] [check disks::disk] {
        /// Absolute path of the device.
        device: String = "device",
        /// Partitions.
        partitions: Vec<Partition> = "partitions",
        /// Makes a new partition table first.
        wipe_table: Option<bool> = "wipeTable",
    }
}

section! {
    /// A partition.
    Partition [key disks::partition_key] [check disks::partition] {
        /// GUID of the partition.
        guid: Option<String> = "guid",
        /// Label, at most 36 bytes.
        label: Option<String> = "label",
        /// Number; 0 for the next free one.
        number: i64 = "number",
        /// Resizes an existing partition if only its size differs.
        resize: Option<bool> = "resize" since 2,
        /// False to delete the partition.
        should_exist: Option<bool> = "shouldExist",
        /// Size in MiB; 0 for all that is free.
        size_mib: Option<i64> = "sizeMiB",
        /// Start in MiB; 0 for the start of the largest free block.
        start_mib: Option<i64> = "startMiB",
        /// GUID of the type.
        type_guid: Option<String> = "typeGuid",
        /// Deletes an existing partition that does not match.
        wipe_partition_entry: Option<bool> = "wipePartitionEntry",
    }
}

section! {
    /// A filesystem.
    Filesystem [key |f| Cow::Borrowed(&f.device)] [check disks::filesystem] {
        /// Absolute path of the device.
        device: String = "device",
        /// `ext4`, `btrfs`, `xfs`, `vfat`, `swap` or `none`.
        format: Option<String> = "format",
        /// Label.
        label: Option<String> = "label",
        /// Options for mounting it while provisioning.
        mount_options: Vec<String> = "mountOptions" since 1 list Appended,
        /// Options for mkfs.
        options: Vec<String> = "options" list Appended,
        /// Where it is mounted while provisioning.
        path: Option<String> = "path",
        /// UUID.
        uuid: Option<String> = "uuid",
        /// Makes a new filesystem whatever is there.
        wipe_filesystem: Option<bool> = "wipeFilesystem",
    }
}

section! {
    /// A LUKS volume.
    Luks [key |l| Cow::Borrowed(&l.name)] [check disks::luks] {
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
        /// Label, at most 47 bytes.
        label: Option<String> = "label" since 2,
        /// Name under /dev/mapper.
        name: String = "name" since 2,
        /// Options for opening.
        open_options: Vec<String> = "openOptions" since 4,
        /// Options for formatting.
        options: Vec<String> = "options" since 2 list Appended,
        /// UUID.
        uuid: Option<String> = "uuid" since 2,
        /// Makes a new volume whatever is there.
        wipe_volume: Option<bool> = "wipeVolume" since 2,
    }
}

section! {
    /// IBM Crypto Express.
    Cex {
        /// Uses it.
        enabled: Option<bool> = "enabled" since 5,
    }
}

section! {
    /// Unlocking by clevis.
    Clevis {
        /// A pin of its own; excludes the other fields.
        custom: ClevisCustom = "custom" since 2,
        /// Tang servers.
        tang: Vec<Tang> = "tang" since 2,
        /// How many of the pieces unlock; 1 when not given.
        threshold: Option<i64> = "threshold" since 2,
        /// The TPM2 is a piece.
        tpm2: Option<bool> = "tpm2" since 2,
    }
}

section! {
    /// A clevis pin with a configuration of its own.
    ClevisCustom [check disks::clevis_custom] {
        /// The configuration, as JSON.
        config: Option<String> = "config" since 2,
        /// Needs the network to unlock.
        needs_network: Option<bool> = "needsNetwork" since 2,
        /// The pin.
        pin: Option<String> = "pin" since 2,
    }
}

section! {
    /// A Tang server.
    Tang [key |t| Cow::Borrowed(&t.url)] [check disks::tang] {
        /// Its advertisement, as JSON, so that no network is needed.
        advertisement: Option<String> = "advertisement" since 4,
        /// Thumbprint of a trusted signing key.
        thumbprint: Option<String> = "thumbprint" since 2,
        /// URL.
        url: String = "url" since 2,
    }
}

section! {
    /// A RAID array.
    Raid [key |r| Cow::Borrowed(&r.name)] [check disks::raid] {
        /// Absolute paths of the devices.
        devices: Vec<String> = "devices",
        /// Level, such as `raid1`.
        level: Option<String> = "level",
        /// Name under /dev/md.
        name: String = "name",
        /// Options for mdadm.
        options: Vec<String> = "options" list Appended,
        /// How many of the devices are spares.
        spares: Option<i64> = "spares",
    }
}

section! {
    /// systemd.
    Systemd [check systemd::instances] {
        /// Units.
        units: Vec<Unit> = "units",
    }
}

section! {
    /// A unit.
    Unit [key |u| Cow::Borrowed(&u.name)] [check systemd::unit] {
        /// The unit file.
        contents: Option<String> = "contents",
        /// Drop-ins.
        dropins: Vec<Dropin> = "dropins",
        /// Enables or disables it; left alone when not given.
        enabled: Option<bool> = "enabled",
        /// Masks or unmasks it; left alone when not given.
        mask: Option<bool> = "mask",
        /// Name with extension.
        name: String = "name",
    }
}

section! {
    /// A drop-in of a unit.
    Dropin [key |d| Cow::Borrowed(&d.name)] [check systemd::dropin] {
        /// The content.
        contents: Option<String> = "contents",
        /// Name, ending in `.conf`.
        name: String = "name",
    }
}
