//! Butane's own rules, each with a stable code and upstream's text where it has one.

use ignition_spec::report::Rule;

mod boot;
pub(crate) mod orlop;
mod source;

pub(crate) use boot::{boot_device, boot_device_luks, boot_device_mirror, grub_user, openshift};
pub(crate) use source::check;

/// Declares rules and [`ALL`].
macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $text:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: Rule = Rule { code: $code, text: $text };)*

        /// Every rule of this crate, each with what it means.
        pub const ALL: &[(Rule, &str)] = &[$(($name, concat!($($doc),*))),*];
    };
}

rules! {
    /// The text is no YAML.
    SYNTAX = "yaml-syntax", "invalid YAML";
    /// No variant is named.
    NO_VARIANT = "variant-missing", "error parsing variant; must be specified";
    /// The version is no version.
    INVALID_VERSION = "butane-version-malformed", "error parsing version; must be a valid semver";
    /// Nobody knows the variant or its version.
    UNKNOWN = "butane-version-unknown", "no translator exists";
    /// A variant that upstream removed.
    RHCOS = "variant-rhcos",
        "rhcos variant has been removed; use openshift variant instead: https://coreos.github.io/butane/upgrading-openshift/";
    /// There are warnings, and they were to count as errors.
    STRICT = "strict", "Config produced warnings and --strict was specified";
    /// A local file is named and there is no files folder.
    NO_FILES = "no-files-dir",
        "local file paths are relative to a files directory that must be specified with -d/--files-dir";
    /// A local file cannot be read.
    FILE = "local-file", "local file cannot be read";
    /// A resource has more than one content.
    TOO_MANY_SOURCES = "sources", "only one of the following can be set: inline, local, source";
    /// An inline config that is to be merged is not valid.
    INLINE_CONFIG = "inline-config", "config is not valid";
    /// An inline config that is to be merged is of another version, and not looked at.
    INLINE_VERSION = "inline-config-version",
        "skipping validation for the merge/replace ignition config due to an unkown version";
    /// A unit or drop-in has more than one content.
    TOO_MANY_UNIT_SOURCES = "unit-sources", "only one of the following can be set: contents, contents_local";
    /// A mode was meant to be octal.
    DECIMAL_MODE = "mode-decimal",
        "unreasonable mode would be reasonable if specified in octal; remember to add a leading zero";
    /// A mount unit has nowhere to mount.
    MOUNT_NO_PATH = "mount-unit-path", "path is required if with_mount_unit is true and format is not swap";
    /// A mount unit has no type.
    MOUNT_NO_FORMAT = "mount-unit-format", "format is required if with_mount_unit is true";
    /// A mount unit is where the image is read-only.
    MOUNT_FORBIDDEN = "mount-unit-place", "path must be under /etc or /var if with_mount_unit is true";
    /// A tree names no folder.
    TREE_NO_LOCAL = "tree-local", "local is required";
    /// A tree would replace what the config says.
    NODE_EXISTS = "tree-conflict", "matching filesystem node has existing contents or different type";
    /// A tree has something that cannot be copied.
    FILE_TYPE = "tree-file-type", "trees may only contain files, directories, and symlinks";
    /// podman makes no unit of a file of this name.
    QUADLET_EXTENSION = "quadlet-extension",
        "unsupported file extension for quadlet: must be one of .container, .volume, .network, .kube, .image, .build, .pod, or .artifact";
    /// An instance of a quadlet is a link to its template.
    QUADLET_INSTANCE = "quadlet-instance-contents", "template instances cannot have contents or contents_local";
    /// A partition is to be reused by its label alone.
    REUSE_BY_LABEL = "partition-reuse",
        "partitions cannot be reused by label; number must be specified except on boot disk (/dev/disk/by-id/coreos-boot-disk) or when wipe_table is true";
    /// The root partition cannot grow.
    ROOT_CONSTRAINED = "root-constrained",
        "root partition cannot expand; it is set to fill available space but is followed by an auto-positioned partition";
    /// The root partition is small.
    ROOT_SMALL = "root-small", "root should have 8GiB of space assigned";
    /// A label of the image's own partitions with another number.
    WRONG_NUMBER = "partition-number-reserved",
        "incorrect partition number; a new partition will be created using reserved label";
    /// No such layout.
    LAYOUT = "boot-layout", "layout must be one of: aarch64, ppc64le, s390x-eckd, s390x-virt, s390x-zfcp, x86_64";
    /// No such layout in this version.
    LAYOUT_LEGACY = "boot-layout-legacy", "layout must be one of: aarch64, ppc64le, x86_64";
    /// A mirrored boot disk depends on the architecture.
    MIRROR_LAYOUT = "boot-mirror-layout",
        "boot_device.layout should be specified when boot_device.mirror is specified";
    /// A mirror of one disk.
    MIRROR_ONE = "boot-mirror-devices", "mirroring requires at least two devices";
    /// No mirror on s390x.
    MIRROR_S390X = "boot-mirror-s390x", "mirroring not supported on layouts: s390x-eckd, s390x-zfcp, s390x-virt";
    /// Encryption on s390x needs to know the disk.
    LUKS_DEVICE = "boot-luks-device", "device is required for layouts: s390x-eckd, s390x-zfcp";
    /// The disk does not fit the layout.
    LUKS_DEVICE_NAME = "boot-luks-device-name",
        "device name must start with /dev/dasd on s390x-eckd layout or /dev/sd on s390x-zfcp layout";
    /// Encryption without a way to unlock.
    LUKS_METHOD = "boot-luks-method", "no method specified for luks";
    /// Crypto Express exists on s390x alone.
    CEX_LAYOUT = "boot-cex-layout", "when using cex the targeted architecture must match s390x";
    /// A user of the boot loader without name.
    GRUB_NAME = "grub-name", "field \"name\" is required";
    /// A user of the boot loader without password.
    GRUB_PASSWORD = "grub-password", "field \"password_hash\" is required";
    /// The variant has no kernel arguments.
    NO_KERNEL_ARGUMENTS = "variant-kernel-arguments",
        "kernel argument customization is not supported in this spec version";
    /// The variant has no disks.
    NO_DISKS = "variant-disks", "disk customization is not supported in this spec version";
    /// The variant has no filesystems.
    NO_FILESYSTEMS = "variant-filesystems", "filesystem customization is not supported in this spec version";
    /// The variant has no LUKS volumes.
    NO_LUKS = "variant-luks", "luks is not supported in this spec version";
    /// The variant has no RAID arrays.
    NO_RAID = "variant-raid", "raid is not supported in this spec version";
    /// The variant has no clevis.
    NO_CLEVIS = "variant-clevis", "clevis is not supported in this spec version";
    /// The variant has no Crypto Express.
    NO_CEX = "variant-cex", "cex is not currently supported on the target platform";
    /// A MachineConfig has a name.
    MC_NAME = "machineconfig-name", "metadata.name is required";
    /// A MachineConfig says which machines it is for.
    MC_ROLE = "machineconfig-role", "machineconfiguration.openshift.io/role label is required";
    /// No such kernel.
    MC_KERNEL_TYPE = "machineconfig-kernel-type", "must be empty, \"default\", or \"realtime\"";
    /// Crypto Express needs a kernel argument.
    MC_CEX_ARGUMENT = "machineconfig-cex-argument",
        "'rd.luks.key=/etc/luks/cex.key' must be set as kernel argument when CEX is enabled for the boot device";
    /// A field of a MachineConfig that an Ignition config has no place for.
    MC_ELIDED = "machineconfig-elided", "field ignored in raw mode";
    /// No btrfs on OpenShift's machines.
    MC_BTRFS = "machineconfig-btrfs", "btrfs is not supported in this spec version";
    /// A MachineConfig cannot have format none.
    MC_NONE = "machineconfig-format-none", "format \"none\" is not supported in this spec version";
    /// A MachineConfig has its files within.
    MC_SCHEME = "machineconfig-file-source", "file contents source must be data URL in this spec version";
    /// A MachineConfig cannot append.
    MC_APPEND = "machineconfig-file-append", "appending to files is not supported in this spec version";
    /// A MachineConfig cannot compress.
    MC_COMPRESSION = "machineconfig-file-compression", "file compression is not supported in this spec version";
    /// A MachineConfig fetches nothing.
    MC_HEADERS = "machineconfig-file-headers", "file HTTP headers are not supported in this spec version";
    /// A MachineConfig has no setuid, setgid, sticky.
    MC_MODE = "machineconfig-file-mode", "special mode bits are not supported in this spec version";
    /// A MachineConfig has no groups.
    MC_GROUPS = "machineconfig-groups", "groups are not supported in this spec version";
    /// A MachineConfig's user has a name, keys and a password.
    MC_USER_FIELD = "machineconfig-user-field",
        "fields other than \"name\", \"ssh_authorized_keys\", and \"password_hash\" (4.13.0+) are not supported in this spec version";
    /// A MachineConfig has one user.
    MC_USER_NAME = "machineconfig-user-name", "users other than \"core\" are not supported in this spec version";
    /// A MachineConfig has kernel arguments of its own.
    MC_KERNEL_ARGUMENTS = "machineconfig-kernel-arguments",
        "this section cannot be used for kernel arguments in this spec version; use openshift.kernel_arguments instead";
    /// A MachineConfig has no directories.
    MC_DIRECTORIES = "machineconfig-directories", "directories are not supported in this spec version";
    /// A MachineConfig has no links.
    MC_LINKS = "machineconfig-links", "links are not supported in this spec version";
    /// A merged Butane file is named by `local`.
    FRAGMENT_LOCAL = "fragment-local", "local is required";
    /// A merged Butane file merges, itself or through others, the file that merges it.
    FRAGMENT_CYCLE = "fragment-cycle", "a Butane file cannot merge itself";
    /// A merged Butane file is of a later spec than the file that merges it.
    FRAGMENT_SPEC = "fragment-spec", "a merged file's version must stand for the same Ignition spec or an earlier one";
    /// Butane files merge each other without end.
    FRAGMENTS_MANY = "fragments-many", "a config cannot have more than 256 merged files";
    /// A name of a variable is letters, digits and `_`, and starts with no digit.
    VARIABLE_NAME = "variable-name", "the name of a variable is letters, digits and _, and starts with no digit";
    /// A variable is declared twice in a file.
    VARIABLE_DUPLICATE = "variable-duplicate", "a variable is declared once";
    /// A variable has a type that there is not.
    VARIABLE_TYPE = "variable-type", "must be string, int, bool or list";
    /// A variable's value, given or default, does not have its type.
    VARIABLE_VALUE = "variable-value", "the value does not have the variable's type";
    /// A required variable is not given.
    VARIABLE_REQUIRED = "variable-required", "a required variable must be given";
    /// `${` starts no reference to a variable.
    VARIABLE_SYNTAX = "variable-syntax", "${ starts a reference to a variable, ${NAME}";
    /// A reference to a variable that the file does not declare.
    VARIABLE_UNDECLARED = "variable-undeclared", "a variable must be declared in the file that refers to it";
    /// A reference to a variable that has no value.
    VARIABLE_UNSET = "variable-unset", "a variable that is referred to must have a value";
    /// A list cannot be a part of a text.
    VARIABLE_LIST = "variable-list", "a list cannot stand within a text";
    /// A value is given for a variable that no file declares.
    VARIABLE_UNKNOWN = "variable-unknown", "a value is given for a variable that no file declares";
    /// A pod's name is a label of DNS.
    POD_NAME = "pod-name", "the name of a pod is at most 63 of a-z, 0-9 and -, with no - at either end";
    /// A pod is declared in one way.
    POD_CONTENT = "pod-content", "exactly one of the following must be set: image, inline, local";
    /// A field of the short form beside a whole declaration.
    POD_SHORT = "pod-short-form", "this belongs to the short form, with image";
    /// A port of the short form that cannot be read.
    POD_PORT = "pod-port", "a port is [[IP:]HOST:]CONTAINER[/udp]";
    /// A volume of the short form that cannot be read.
    POD_VOLUME = "pod-volume", "a volume is SOURCE:PATH[:ro], with an absolute path or a name, and an absolute path";
    /// No such restart policy.
    POD_RESTART = "pod-restart", "must be always, on-failure or never";
    /// A health check's name becomes a file's.
    HEALTH_NAME = "health-name", "the name of a check is letters, digits, -, _ and ., with no . in front";
    /// A health check is of one kind.
    HEALTH_KIND = "health-kind", "exactly one of the following must be set: unit, command, http.url, container.pod";
    /// A unit has an extension.
    HEALTH_UNIT = "health-unit", "the name of a unit has an extension and no slash";
    /// Programs of health checks are named by their paths.
    HEALTH_COMMAND = "health-command", "the path of a program must be absolute";
    /// Pages are fetched over HTTP.
    HEALTH_URL = "health-url", "the URL must be http or https";
    /// Times of health checks are between a second and a day.
    HEALTH_SECONDS = "health-seconds", "must be 1 to 86400 seconds";
    /// No such strategy.
    UPDATE_STRATEGY = "update-strategy", "must be immediate, window or manual";
    /// Windows go with the strategy of that name.
    UPDATE_WINDOWS = "update-windows", "strategy window needs windows, and no other has them";
    /// A window that cannot be read.
    UPDATE_WINDOW = "update-window",
        "a window has days of mon tue wed thu fri sat sun, a start HH:MM, and 1 to 10080 minutes";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        let mut codes: Vec<&str> = ALL.iter().map(|(rule, _)| rule.code).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(ALL.iter().all(|(rule, doc)| !rule.text.is_empty() && doc.len() > 8));
    }
}
