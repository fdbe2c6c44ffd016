//! What the tree is made of. The hash of everything here names the tree.

use sha2::{Digest, Sha256};

/// The Debian release. Its QEMU (10.0) is the first that runs two-processor guests safely under TCG.
pub const SUITE: &str = "trixie";

/// Where packages come from, unless `ORLOP_DEBIAN_MIRROR` names another mirror.
pub const MIRROR: &str = "http://deb.debian.org/debian";

/// Debian packages asked for by name; what they depend on comes with them, what they recommend does not.
pub const PACKAGES: &[&str] = &[
    "btrfs-progs",
    "busybox-static",
    "cryptsetup-bin",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "gdisk",
    "kmod",
    "mtools",
    "openssh-client",
    "ovmf",
    "qemu-system-x86",
    "qemu-utils",
    "swtpm",
    "systemd",
    "systemd-boot-efi",
    "systemd-ukify",
    "xfsprogs",
    "xz-utils",
    "zstd",
];

/// Paths left out when unpacking: nothing that a program reads.
pub const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/doc-base/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/icons/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    "/usr/share/bash-completion/*",
    "/usr/share/initramfs-tools/*",
];

/// The mirror in use.
#[must_use]
pub fn mirror() -> String {
    std::env::var("ORLOP_DEBIAN_MIRROR")
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| MIRROR.to_owned())
}

/// The name of the tree in the cache: `sdk-` and 16 hex digits over the suite, the packages and the excluded paths.
///
/// Package versions are not part of it: the tree's programs judge and run images but never put bytes into one that a
/// digest depends on without the build saying which version did (`manifest.json`).
#[must_use]
pub fn directory_name() -> String {
    let mut hash = Sha256::new();
    for line in std::iter::once(&SUITE).chain(PACKAGES).chain(EXCLUDED) {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    let digest = hash.finalize();
    let mut name = String::from("sdk-");
    for byte in &digest[..8] {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_so_that_a_diff_says_what_moved() {
        assert!(PACKAGES.is_sorted());
    }

    #[test]
    fn the_name_is_short_and_plain() {
        let name = directory_name();
        assert_eq!(name.len(), 20);
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    }
}
