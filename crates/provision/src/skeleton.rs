//! The top of a machine's root, as every boot makes it: what the paths of configs lead through.
//!
//! `orlop-init` makes it on the disk, an offline plan in an empty tree.

/// Directories with their modes; the rest of `/var` is made by systemd-tmpfiles.
pub const DIRECTORIES: [(&str, u32); 18] = [
    ("usr", 0o755),
    ("etc", 0o755),
    ("var", 0o755),
    ("var/home", 0o755),
    ("var/roothome", 0o700),
    ("var/opt", 0o755),
    ("var/srv", 0o755),
    ("var/mnt", 0o755),
    ("var/lib", 0o755),
    ("boot", 0o755),
    ("efi", 0o755),
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("orlop", 0o755),
    ("orlop/etc", 0o755),
];

/// Links: programs in `/usr`, state in `/var`.
pub const LINKS: [(&str, &str); 9] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("home", "var/home"),
    ("root", "var/roothome"),
    ("opt", "var/opt"),
    ("srv", "var/srv"),
    ("mnt", "var/mnt"),
];
