//! File systems and partitions, judged by their own checkers.

use std::fs::{self, File};
use std::path::Path;

use block::gpt;
use block::gpt::prio::Slot;
use block::guid::Guid;
use os_image::disk::{esp, image, root};
use os_image::manifest::Disk;

use crate::{judge, sdk};

const TIME_SECS: u64 = 1_700_000_000;

fn id(release: &str, purpose: &str) -> Guid {
    let mut bytes = [0x11; 16];
    for (byte, letter) in bytes.iter_mut().zip(format!("{purpose}{release}").bytes()) {
        *byte = letter;
    }
    Guid(bytes)
}

fn small() -> Disk {
    Disk { esp_mib: 64, usr_mib: 8, verity_mib: 1, root_mib: 64 }
}

#[test]
fn file_systems_are_clean_and_made_twice_the_same() {
    let Some(sdk) = sdk("file_systems_are_clean_and_made_twice_the_same") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("uki"), vec![7; 3_000_000]).unwrap();
    fs::write(path("loader"), b"loader").unwrap();
    for name in ["esp1", "esp2"] {
        let esp = esp::Esp {
            loader: &path("loader"),
            uki: &path("uki"),
            uki_name: "orlop-1.0+3.efi",
            size_mib: 64,
            serial: 0x1234_abcd,
            time_secs: TIME_SECS,
        };
        esp::make(&esp, &path(name), &sdk).unwrap();
    }
    for name in ["root1", "root2"] {
        root::make(64, id("r", "root"), TIME_SECS, &path(name), &sdk).unwrap();
    }
    assert!(fs::read(path("esp1")).unwrap() == fs::read(path("esp2")).unwrap(), "ESPs differ");
    assert!(fs::read(path("root1")).unwrap() == fs::read(path("root2")).unwrap(), "root file systems differ");
    judge(sdk.command("fsck.vfat").unwrap().arg("-n").arg(path("esp1")));
    judge(sdk.command("e2fsck").unwrap().arg("-fn").arg(path("root1")));
    let listing = judge(sdk.command("mdir").unwrap().arg("-i").arg(path("esp1")).args(["-/", "-b", "::"]));
    for file in ["::/EFI/BOOT/BOOTX64.EFI", "::/EFI/Linux/orlop-1.0+3.efi", "::/loader/loader.conf"] {
        assert!(listing.contains(file), "{listing}");
    }
    let features = judge(sdk.command("dumpe2fs").unwrap().arg("-h").arg(path("root1")));
    assert!(features.contains("verity"), "{features}");
}

#[test]
fn sgdisk_finds_no_fault_and_the_slots_are_told_apart() {
    let Some(sdk) = sdk("sgdisk_finds_no_fault_and_the_slots_are_told_apart") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (name, byte) in [("esp", 1u8), ("usr", 2), ("verity", 3), ("root", 4)] {
        fs::write(path(name), vec![byte; 70_000]).unwrap();
    }
    let names =
        image::Names { release: "orlop_1.0".to_owned(), usr: (Guid([0xaa; 16]), Guid([0xbb; 16])), id };
    let (esp, usr, verity, root) = (path("esp"), path("usr"), path("verity"), path("root"));
    let files = image::Files { esp: &esp, usr: &usr, verity: &verity, root: &root };
    let parts = image::parts(&small(), &names, files);
    let disk = path("disk.raw");
    image::write(&parts, Guid([0xcc; 16]), &disk).unwrap();
    let said = judge(sdk.command("sgdisk").unwrap().arg("-v").arg(&disk));
    assert!(said.contains("No problems found"), "{said}");

    let file = File::open(&disk).unwrap();
    let sectors = file.metadata().unwrap().len() / u64::from(image::SECTOR_BYTES);
    let table = gpt::read(&file, image::SECTOR_BYTES, sectors).unwrap();
    let labels: Vec<&str> = table.partitions.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(labels, ["esp", "orlop_1.0", "orlop_1.0-verity", "_empty", "_empty", "root"]);
    assert_eq!(table.partitions[1].id, Guid([0xaa; 16]));
    assert_eq!(table.partitions[1].slot(), Slot { priority: 2, tries: 3, successful: true });
    assert!(!table.partitions[3].slot().bootable());
    assert_eq!(content(&disk, table.partitions[1].first, 70_000), vec![2; 70_000]);

    let qcow2 = path("disk.qcow2");
    let mut convert = sdk.command("qemu-img").unwrap();
    judge(convert.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&disk).arg(&qcow2));
    judge(sdk.command("qemu-img").unwrap().arg("check").arg(&qcow2));
}

#[test]
fn a_content_that_does_not_fit_names_the_key_to_raise() {
    let directory = tempfile::tempdir().unwrap();
    let (big, small_file) = (directory.path().join("big"), directory.path().join("small"));
    fs::write(&small_file, b"x").unwrap();
    File::create(&big).unwrap().set_len(9 << 20).unwrap();
    let names = image::Names { release: "orlop_1.0".to_owned(), usr: (Guid([1; 16]), Guid([2; 16])), id };
    let files = image::Files { esp: &small_file, usr: &big, verity: &small_file, root: &small_file };
    let error =
        image::write(&image::parts(&small(), &names, files), Guid([3; 16]), &directory.path().join("disk"));
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "usr.erofs has 9437184 bytes, its partition 8388608 (raise disk.usr-mib in the manifest)"
    );
}

fn content(disk: &Path, sector: u64, bytes: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; bytes];
    File::open(disk).unwrap().read_exact_at(&mut buffer, sector * u64::from(image::SECTOR_BYTES)).unwrap();
    buffer
}
