//! Initramfs archives and UKIs, judged by busybox' cpio and `ukify inspect`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use os_image::boot::cpio::Archive;
use os_image::boot::pe;

use crate::{judge, sdk};

#[test]
fn busybox_unpacks_what_the_kernel_would() {
    let Some(sdk) = sdk("busybox_unpacks_what_the_kernel_would") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut archive = Archive::default();
    archive.dir("lib").unwrap();
    archive.file("lib/a.ko", 0o644, b"module").unwrap();
    archive.file("init", 0o755, &[7; 5001]).unwrap();
    let bytes = archive.finish().unwrap();
    let mut unpack = sdk.command("busybox").unwrap();
    unpack.args(["cpio", "-i"]).current_dir(directory.path()).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = unpack.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(directory.path().join("lib/a.ko")).unwrap(), b"module");
    assert_eq!(fs::read(directory.path().join("init")).unwrap(), [7; 5001]);
}

#[test]
fn ukify_reads_our_uki_and_it_equals_ukifys_sections() {
    let Some(sdk) = sdk("ukify_reads_our_uki_and_it_equals_ukifys_sections") else { return };
    let stub = fs::read(sdk.path("usr/lib/systemd/boot/efi/linuxx64.efi.stub")).unwrap();
    // Any EFI program does for a kernel here: only its header is looked at.
    let kernel = fs::read(sdk.path("usr/lib/systemd/boot/efi/systemd-bootx64.efi")).unwrap();
    let sections: [pe::Section<'_>; 4] = [
        (".osrel", b"ID=orlop\n"),
        (".cmdline", b"usrhash=00 console=ttyS0"),
        (".initrd", &[9; 70_001]),
        (".linux", &kernel),
    ];
    let uki = pe::assemble(&stub, &sections).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("uki.efi");
    fs::write(&path, &uki).unwrap();
    let said = judge(sdk.command("ukify").unwrap().arg("inspect").arg(&path));
    for expected in [
        ".osrel:",
        "ID=orlop",
        ".cmdline:",
        "usrhash=00 console=ttyS0",
        ".initrd:",
        "size: 70001 bytes",
        ".linux:",
    ] {
        assert!(said.contains(expected), "no `{expected}` in {said}");
    }
    let found = pe::inspect(&uki).unwrap();
    for (name, bytes) in sections {
        assert!(found.iter().any(|(other, content)| other == name && *content == bytes), "{name}");
    }
}

#[test]
fn what_is_no_stub_is_refused() {
    for stub in [b"".as_slice(), b"MZ", &[0; 4096]] {
        assert!(pe::assemble(stub, &[]).is_err());
        assert!(pe::inspect(stub).is_err());
    }
    let Some(sdk) = sdk("what_is_no_stub_is_refused") else { return };
    let stub = fs::read(sdk.path("usr/lib/systemd/boot/efi/linuxx64.efi.stub")).unwrap();
    for length in [64, 200, 500, 1000] {
        let _ = pe::assemble(&stub[..length], &[(".linux", b"x")]);
    }
    let error = pe::assemble(&stub, &[(".muchtoolong", b"x")]).unwrap_err().to_string();
    assert!(error.contains("no room for a section header"), "{error}");
}
