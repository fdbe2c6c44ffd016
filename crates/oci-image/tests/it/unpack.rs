//! Layers of strangers: nothing leaves the directory, and overlayfs sees what was meant.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use oci_image::digest::Algorithm;
use oci_image::unpack::{UnpackError, Unpacked, unpack};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

/// A tar file of the test's own, with paths that the `tar` crate's writer would refuse.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn put(mut self, kind: EntryType, path: &str, link: &str, mode: u32, bytes: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1000);
        header.set_size(bytes.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.put(EntryType::Regular, path, "", 0o644, text.as_bytes())
    }

    fn dir(self, path: &str) -> Self {
        self.put(EntryType::Directory, path, "", 0o755, b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.put(EntryType::Symlink, path, target, 0o777, b"")
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.put(EntryType::Link, path, target, 0o644, b"")
    }

    fn into(self, dir: &Path) -> Result<Unpacked, UnpackError> {
        unpack(self.0.into_inner().unwrap().as_slice(), Algorithm::Sha256, dir)
    }
}

/// A place to unpack into, with a file beside it that must not change.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fs")).unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        Self(dir)
    }

    fn fs(&self) -> std::path::PathBuf {
        self.0.path().join("fs")
    }

    fn check(&self) {
        assert_eq!(std::fs::read_to_string(self.0.path().join("secret")).unwrap(), "secret");
        let names: Vec<_> =
            std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

#[test]
fn root_files_keep_owner_mode_time_and_links() {
    if !crate::is_root("root_files_keep_owner_mode_time_and_links") {
        return;
    }
    let place = Place::new();
    let done = Layer::new()
        .dir("./etc/")
        .file("/etc/absolute", "a")
        .put(EntryType::Regular, "bin/su", "", 0o4755, b"su")
        .hard_link("bin/su2", "bin/su")
        .symlink("bin/sh", "/bin/su")
        .put(EntryType::Fifo, "run/fifo", "", 0o600, b"")
        .put(EntryType::Directory, "tmp", "", 0o1777, b"")
        .into(&place.fs())
        .unwrap();
    assert_eq!(done.entries, 7);
    let meta = |path: &str| place.fs().join(path).symlink_metadata().unwrap();
    assert_eq!(meta("bin/su").permissions().mode() & 0o7777, 0o4755);
    assert_eq!(meta("bin/su").ino(), meta("bin/su2").ino());
    assert_eq!(meta("bin/su").mtime(), 1000);
    assert_eq!(meta("etc").mtime(), 1000, "a directory keeps its time although files came later");
    assert_eq!(meta("tmp").permissions().mode() & 0o7777, 0o1777);
    assert!(meta("run/fifo").file_type().is_fifo());
    assert_eq!(std::fs::read_link(place.fs().join("bin/sh")).unwrap(), Path::new("/bin/su"));
    assert_eq!(std::fs::read_to_string(place.fs().join("etc/absolute")).unwrap(), "a");
    place.check();
}

#[test]
fn root_pax_carries_capabilities_owners_and_no_overlay_tricks() {
    if !crate::is_root("root_pax_carries_capabilities_owners_and_no_overlay_tricks") {
        return;
    }
    let place = Place::new();
    // A version 2 file capability set: CAP_NET_RAW permitted and effective (linux/capability.h, vfs_cap_data).
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut layer = Layer::new();
    layer
        .0
        .append_pax_extensions([
            ("SCHILY.xattr.security.capability", &capability[..]),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/secret"),
            ("uid", b"3000000"),
            ("mtime", b"2000.5"),
        ])
        .unwrap();
    let done = layer.file("ping", "x").into(&place.fs()).unwrap();
    assert_eq!(done.skipped_xattrs, 1);
    let path = place.fs().join("ping");
    let mut buffer = [0u8; 64];
    let count = rustix::fs::getxattr(&path, "security.capability", &mut buffer).unwrap();
    assert_eq!(&buffer[..count], &capability);
    let mut buffer = [0u8; 64];
    assert!(rustix::fs::getxattr(&path, "trusted.overlay.redirect", &mut buffer).is_err());
    let meta = path.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mtime(), meta.mtime_nsec()), (3_000_000, 2000, 500_000_000));
}

#[test]
fn root_whiteouts_become_what_overlayfs_knows() {
    if !crate::is_root("root_whiteouts_become_what_overlayfs_knows") {
        return;
    }
    let place = Place::new();
    Layer::new()
        .dir("a")
        .file("a/.wh.gone", "")
        .dir("b")
        .file("b/.wh..wh..opq", "")
        .file("c/.wh..wh..opq", "")
        .file(".wh.d", "")
        .dir("d")
        .file("d/new", "n")
        .file(".wh..wh.plnk", "")
        .into(&place.fs())
        .unwrap();
    let gone = place.fs().join("a/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = |path: &str| {
        let mut buffer = [0u8; 4];
        rustix::fs::getxattr(place.fs().join(path), "trusted.overlay.opaque", &mut buffer).is_ok()
    };
    assert!(
        opaque("b") && opaque("c") && opaque("d"),
        "a directory in place of a whiteout hides what is below"
    );
    assert!(!opaque("a"));
    assert_eq!(std::fs::read_dir(place.fs()).unwrap().count(), 4);
}

#[test]
fn root_no_entry_leaves_the_directory() {
    if !crate::is_root("root_no_entry_leaves_the_directory") {
        return;
    }
    // Each layer tries to write to, link to, or remove `secret` beside the directory.
    let attacks: Vec<(&str, Layer)> = vec![
        ("dots", Layer::new().file("../secret", "x")),
        ("dots inside", Layer::new().file("a/../../secret", "x")),
        ("link then file", Layer::new().symlink("l", "../secret").file("l", "x")),
        ("link to dir then file", Layer::new().symlink("l", "..").file("l/secret", "x")),
        ("absolute link then file", Layer::new().symlink("l", "/").file("l/secret", "x")),
        ("link chain", Layer::new().symlink("a", "..").symlink("b", "a/..").file("b/secret", "x")),
        ("hard link out", Layer::new().hard_link("h", "../secret").file("h", "x")),
        ("hard link by link", Layer::new().symlink("l", "..").hard_link("h", "l/secret").file("h", "x")),
        ("whiteout out", Layer::new().file("../.wh.secret", "")),
        ("whiteout by link", Layer::new().symlink("l", "..").file("l/.wh.secret", "")),
        ("whiteout of dots", Layer::new().file(".wh...", "")),
        ("opaque by link", Layer::new().symlink("l", "..").file("l/.wh..wh..opq", "")),
        (
            "replaced directory",
            Layer::new().dir("d").file("d/x", "1").symlink("d", "..").file("d/secret", "x"),
        ),
        ("proc", Layer::new().symlink("p", "/proc/self/root").file("p/tmp/orlop-never", "x")),
        ("device by link", Layer::new().symlink("l", "..").put(EntryType::Fifo, "l/secret", "", 0o644, b"")),
    ];
    for (name, layer) in attacks {
        let place = Place::new();
        // Refusing is fine, unpacking inside of the root is fine; leaving it is not.
        let _ = layer.into(&place.fs());
        place.check();
        assert!(!Path::new("/tmp/orlop-never").exists(), "{name}");
    }
}

#[test]
fn root_a_torn_or_damaged_layer_is_an_error() {
    if !crate::is_root("root_a_torn_or_damaged_layer_is_an_error") {
        return;
    }
    let layer = || Layer::new().file("a", &"x".repeat(5000)).0.into_inner().unwrap();
    let unpack_bytes = |bytes: &[u8]| unpack(bytes, Algorithm::Sha256, &Place::new().fs());
    assert!(unpack_bytes(&layer()).is_ok());
    assert!(matches!(
        unpack_bytes(&layer()[..3000]),
        Err(UnpackError::Entry { .. } | UnpackError::Archive { .. })
    ));
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(layer().as_slice(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    assert!(unpack_bytes(&packed).is_ok());
    assert!(unpack_bytes(&packed[..packed.len() / 2]).is_err());
    assert!(unpack_bytes(&zstd::encode_all(layer().as_slice(), 1).unwrap()).is_ok());
    assert!(matches!(unpack_bytes(b"this is no archive at all").map(|d| d.entries), Ok(0) | Err(_)));
}

/// A path made of few names, so that entries meet: links to directories, files in place of links.
fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("a"),
        Just("b"),
        Just(".."),
        Just("."),
        Just(".wh.a"),
        Just(".wh..wh..opq"),
        Just("secret")
    ];
    (any::<bool>(), proptest::collection::vec(part, 1..4))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn root_any_sequence_of_entries_stays_inside(entries in proptest::collection::vec((0u8..5, path(), path()), 1..8)) {
        if rustix::process::geteuid().is_root() {
            let place = Place::new();
            let layer = entries.iter().fold(Layer::new(), |layer, (kind, path, target)| match kind {
                0 => layer.file(path, "x"),
                1 => layer.dir(path),
                2 => layer.symlink(path, target),
                3 => layer.hard_link(path, target),
                _ => layer.put(EntryType::Fifo, path, "", 0o644, b""),
            });
            let _ = layer.into(&place.fs());
            place.check();
        }
    }

    #[test]
    fn any_bytes_are_read_as_a_manifest_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        oci_image::fuzz_manifest(&bytes);
    }
}
