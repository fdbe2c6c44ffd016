//! Runs programs of the tree in the cache; skipped where none was made yet.

use std::path::Path;
use std::process::Stdio;

use sdk::Sdk;

/// The tree in the cache, unless it was not made yet: tests do not download 100 MB behind anybody's back.
fn tree(test: &str) -> Option<Sdk> {
    let place = sdk::cache_dir().ok()?.join(sdk::packages::directory_name());
    let sdk = Sdk::open(&place).ok();
    if sdk.is_none() {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIP {test}: no SDK tree at {} (cargo xtask setup)",
            place.display()
        );
    }
    sdk
}

#[test]
fn every_kind_of_program_starts() {
    let Some(sdk) = tree("every_kind_of_program_starts") else { return };
    let cases = [
        ("qemu-system-x86_64", "--version", "QEMU emulator version 10."),
        ("qemu-img", "--version", "qemu-img version 10."),
        ("mkfs.erofs", "--version", "1.8"),
        ("sgdisk", "--version", "GPT fdisk"),
        ("veritysetup", "--version", "veritysetup"),
        ("swtpm", "--version", "TPM emulator"),
        ("mcopy", "--version", "mcopy (GNU mtools)"),
        ("zstd", "--version", "Zstandard"),
        ("ukify", "--version", "ukify 257"),
        ("busybox", "--help", "BusyBox"),
    ];
    for (name, argument, expected) in cases {
        let output = sdk.command(name).unwrap().arg(argument).stdin(Stdio::null()).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn data_files_are_where_machines_look_for_them() {
    let Some(sdk) = tree("data_files_are_where_machines_look_for_them") else { return };
    for file in [
        "usr/share/OVMF/OVMF_CODE_4M.fd",
        "usr/share/OVMF/OVMF_VARS_4M.fd",
        "usr/share/seabios/bios-256k.bin",
        "usr/share/qemu/linuxboot_dma.bin",
        "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    ] {
        assert!(sdk.path(file).exists(), "{file}");
    }
}

#[test]
fn a_missing_program_and_a_missing_tree_are_named() {
    assert!(matches!(Sdk::open(Path::new("/")), Err(sdk::Error::NotATree { .. })));
    let Some(sdk) = tree("a_missing_program_and_a_missing_tree_are_named") else { return };
    let error = sdk.command("no-such-program").unwrap_err().to_string();
    assert!(error.ends_with("has no program no-such-program"), "{error}");
}
