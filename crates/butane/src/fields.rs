//! What Butane adds to Ignition's sections: the one place that says which field exists in which version of which
//! variant.
//!
//! A Butane config is read by Ignition's own table under its snake_case names; the fields here stand beside those of the
//! section with the same name. `since N` counts as there, by the Ignition spec that a version is translated to; whole
//! sections that only some variants have are in [`LAYERS`]. What a variant refuses although it is read is in
//! [`refused`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use ignition_spec::config::{Cex, NodeGroup, NodeUser, Tang};
use ignition_spec::schema::{ConfigValue as _, Field, Section as _, Shape};
use ignition_spec::section;

pub mod orlop;
mod refused;

pub(crate) use self::refused::refusals;

use self::orlop::{HealthCheck, Merging, Pod, Updates, Variable};
use crate::rules;
use crate::variant::{Dialect, Variant};

/// The module whose sections have Butane's rules.
pub(crate) const OWNER: &str = module_path!();

/// Who has a section of the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// What is built on `fcos` 1.N or later.
    Fcos(u8),
    /// One variant.
    Only(Variant),
}

/// Top-level sections that not every variant has.
const LAYERS: &[(&str, Layer)] = &[
    ("boot_device", Layer::Fcos(3)),
    ("grub", Layer::Fcos(5)),
    ("metadata", Layer::Only(Variant::Openshift)),
    ("openshift", Layer::Only(Variant::Openshift)),
    ("config", Layer::Only(Variant::Orlop)),
    ("variables", Layer::Only(Variant::Orlop)),
    ("pods", Layer::Only(Variant::Orlop)),
    ("health_checks", Layer::Only(Variant::Orlop)),
    ("updates", Layer::Only(Variant::Orlop)),
];

impl Layer {
    fn within(self, dialect: Dialect) -> bool {
        match self {
            Layer::Fcos(since) => dialect.fcos().is_some_and(|minor| minor >= since),
            Layer::Only(variant) => dialect.variant == variant,
        }
    }
}

/// What Butane adds to Ignition's section `name`, in any variant.
pub fn extra(name: &str) -> &'static [Field] {
    match name {
        "Config" => Root::FIELDS,
        "Resource" => Inserted::FIELDS,
        "PasswdUser" => UserKeys::FIELDS,
        "Storage" => StorageSugar::FIELDS,
        "Filesystem" => MountUnit::FIELDS,
        "Systemd" => SystemdSugar::FIELDS,
        "Unit" | "Dropin" => UnitFile::FIELDS,
        _ => &[],
    }
}

/// Whether `dialect` has `field` of a section beyond the top level, or of the top level (`root`).
pub(crate) fn has(dialect: Dialect, root: bool, field: &Field) -> bool {
    let layer = || LAYERS.iter().find(|(name, _)| *name == field.snake);
    field.since <= dialect.spec.minor_number()
        && (!root || layer().is_none_or(|(_, layer)| layer.within(dialect)))
}

/// The fields that `dialect` has in its section `name` (`Config` is the top level): Ignition's `own` and Butane's, under
/// their snake_case names. `in_references` says that the section stands below `ignition`.
pub fn of(dialect: Dialect, name: &str, own: &'static [Field], in_references: bool) -> Vec<&'static Field> {
    let early = dialect.spec == ignition_spec::Spec::OLDEST && in_references;
    let hidden = |field: &Field| match (name, field.camel) {
        ("Ignition", "version") => true,
        ("Resource", "compression" | "inline") => early,
        _ => false,
    };
    let own = own.iter().filter(|field| field.since <= dialect.spec.minor_number());
    let added = extra(name).iter().filter(|field| has(dialect, name == "Config", field));
    own.chain(added).filter(|field| !hidden(field)).collect()
}

/// The variants that have the top-level section `key`, if any has it that `dialect` is not.
pub(crate) fn elsewhere(dialect: Dialect, key: &str) -> Option<String> {
    let (_, layer) = LAYERS.iter().find(|(name, layer)| *name == key && !layer.within(dialect))?;
    let mut names: Vec<&str> =
        Dialect::all().filter(|(.., other)| layer.within(*other)).map(|(name, ..)| name).collect();
    names.dedup();
    Some(match names.iter().any(|name| Dialect::all().any(|(other, _, d)| other == *name && d == dialect)) {
        true => format!("`{key}` needs a later version of this variant"),
        false => format!("`{key}` is of the variants {}", names.join(", ")),
    })
}

/// The shape of a whole Butane config, for walks along the table.
pub fn shape() -> Shape {
    ignition_spec::Config::shape()
}

section! {
    /// What the top level has beyond Ignition's.
    Root {
        /// The version of the variant.
        version: String = "version",
        /// The variant.
        variant: String = "variant",
        /// The disk that the machine boots from.
        boot_device: BootDevice = "bootDevice" since 2,
        /// The boot loader.
        grub: Grub = "grub" since 4,
        /// The MachineConfig's own metadata.
        metadata: Metadata = "metadata",
        /// What a MachineConfig has beside the Ignition config.
        openshift: OpenShift = "openshift",
        /// Further Butane files.
        config: Merging = "config",
        /// Values that are given when the config is transpiled.
        variables: Vec<Variable> = "variables",
        /// Pods that the machine runs.
        pods: Vec<Pod> = "pods",
        /// What must hold after an update.
        health_checks: Vec<HealthCheck> = "healthChecks",
        /// How the machine updates itself.
        updates: Updates = "updates",
    }
}

section! {
    /// Contents given in place of a source.
    Inserted {
        /// The content itself.
        inline: Option<String> = "inline",
        /// A file of the files folder.
        local: Option<String> = "local" since 1,
    }
}

section! {
    /// Keys of a user from files.
    UserKeys {
        /// Files of the files folder with public keys, one a line.
        ssh_authorized_keys_local: Vec<String> = "sshAuthorizedKeysLocal" since 4,
    }
}

section! {
    /// What `storage` has beyond Ignition's.
    StorageSugar {
        /// Folders of the files folder to copy.
        trees: Vec<Tree> = "trees" since 1,
    }
}

section! {
    /// A mount unit beside the filesystem.
    MountUnit {
        /// Makes a mount or swap unit too.
        with_mount_unit: Option<bool> = "withMountUnit" since 1,
    }
}

section! {
    /// What `systemd` has beyond Ignition's.
    SystemdSugar {
        /// Containers, volumes, networks of podman as files.
        quadlets: Vec<Quadlet> = "quadlets" since 7,
    }
}

section! {
    /// The content of a unit or drop-in from a file.
    UnitFile {
        /// A file of the files folder that holds it.
        contents_local: Option<String> = "contentsLocal" since 4,
    }
}

section! {
    /// A folder to copy.
    Tree {
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
    /// A quadlet: a file that podman makes a unit of.
    Quadlet [key |q| Cow::Borrowed(&q.name)] {
        /// The file.
        contents: Option<String> = "contents" since 7,
        /// A file of the files folder that holds it.
        contents_local: Option<String> = "contentsLocal" since 7,
        /// Name with extension; `foo@x.container` is an instance of `foo@.container`.
        name: String = "name" since 7,
        /// Belongs to root; otherwise to every user.
        rootful: bool = "rootful" since 7,
        /// Drop-ins.
        dropins: Vec<QuadletDropin> = "dropins" since 7,
    }
}

section! {
    /// A drop-in of a quadlet.
    QuadletDropin [key |d| Cow::Borrowed(&d.name)] {
        /// The content.
        contents: Option<String> = "contents" since 7,
        /// A file of the files folder that holds it.
        contents_local: Option<String> = "contentsLocal" since 7,
        /// Name, ending in `.conf`.
        name: String = "name" since 7,
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

section! {
    /// A MachineConfig's own metadata.
    Metadata {
        /// Name.
        name: String = "name",
        /// Labels; `machineconfiguration.openshift.io/role` says which machines it is for.
        labels: BTreeMap<String, String> = "labels",
    }
}

section! {
    /// What a MachineConfig has beside the Ignition config.
    OpenShift [check rules::openshift] {
        /// Kernel arguments.
        kernel_arguments: Vec<String> = "kernelArguments",
        /// Extensions of the operating system.
        extensions: Vec<String> = "extensions",
        /// Whether FIPS 140-2 is asked for.
        fips: Option<bool> = "fips",
        /// `default` or `realtime`.
        kernel_type: Option<String> = "kernelType",
    }
}
