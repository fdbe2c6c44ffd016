//! What a block device holds, told by superblocks: enough to decide between reuse, refusal and making.
//!
//! The decision of a config (`storage.filesystems`) turns on type, label and UUID; and nothing may be overwritten
//! unasked, so signatures are known here that no config can ask for. Every signature that is found is reported:
//! a device with two is a device to refuse.

use std::io;
use std::os::unix::fs::FileExt;

/// What a signature says the device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// ext2: no journal, no extents.
    Ext2,
    /// ext3: a journal, no extents.
    Ext3,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// Swap space.
    Swap,
    /// EROFS.
    Erofs,
    /// SquashFS.
    Squashfs,
    /// ISO 9660.
    Iso9660,
    /// F2FS.
    F2fs,
    /// NTFS.
    Ntfs,
    /// exFAT.
    Exfat,
    /// LUKS, version 1 or 2.
    Luks,
    /// A member of a Linux MD array.
    RaidMember,
    /// An LVM physical volume.
    LvmMember,
    /// A GUID partition table.
    Gpt,
    /// An MBR partition table.
    Mbr,
}

impl Kind {
    /// The name that blkid(8), mount(8) and configs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Swap => "swap",
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
            Self::Iso9660 => "iso9660",
            Self::F2fs => "f2fs",
            Self::Ntfs => "ntfs",
            Self::Exfat => "exfat",
            Self::Luks => "crypto_LUKS",
            Self::RaidMember => "linux_raid_member",
            Self::LvmMember => "LVM2_member",
            Self::Gpt => "gpt",
            Self::Mbr => "dos",
        }
    }
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What it says the device is.
    pub kind: Kind,
    /// Label, when one is set.
    pub label: Option<String>,
    /// UUID in the form of its file system, lower case (vfat: `xxxx-xxxx`).
    pub uuid: Option<String>,
}

/// Bytes of a device or image at an offset. Implemented by [`std::fs::File`] through `FileExt`, and by slices.
pub trait ReadAt {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end; whatever the device says.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for std::fs::File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// Bytes read from the start; the superblocks of all but Btrfs and some MD versions are in them.
const HEAD_BYTES: usize = 36 * 1024;

/// Finds all signatures on a device of `size_bytes`.
///
/// # Errors
/// Only errors of reading; a short device simply has fewer signatures.
pub fn probe(device: &(impl ReadAt + ?Sized), size_bytes: u64) -> io::Result<Vec<Signature>> {
    let length = usize::try_from(size_bytes).map_or(HEAD_BYTES, |size| size.min(HEAD_BYTES));
    let mut head = vec![0; length];
    device.read_exact_at(&mut head, 0)?;
    let head = Bytes(&head);
    let mut found = Vec::new();
    found.extend(luks(head));
    found.extend(raid(device, size_bytes)?);
    found.extend(lvm(head));
    found.extend(ext(head));
    found.extend(xfs(head));
    found.extend(btrfs(device, size_bytes)?);
    found.extend(swap(head));
    found.extend(simple(head));
    found.extend(boot_sector(head));
    found.extend(gpt(head));
    Ok(found)
}

/// Fuzz entry: any device can be probed.
pub fn fuzz(bytes: &[u8]) {
    let _ = probe(bytes, bytes.len() as u64);
}

/// Little-endian numbers and texts at offsets; what is beyond the end is `None`.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn get(self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(at..at + length)
    }

    fn has(self, at: usize, magic: &[u8]) -> bool {
        self.get(at, magic.len()) == Some(magic)
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.get(at, 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.get(at, 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    /// Text up to the first NUL; `None` when empty.
    fn text(self, at: usize, length: usize) -> Option<String> {
        let bytes = self.get(at, length)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(length);
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        (!text.is_empty()).then_some(text)
    }

    /// RFC 4122 form of 16 bytes; `None` when all are zero.
    fn uuid(self, at: usize) -> Option<String> {
        let bytes = self.get(at, 16)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Some(text)
    }
}

/// `struct ext4_super_block` (fs/ext4/ext4.h), 1024 bytes from the start.
fn ext(head: Bytes<'_>) -> Option<Signature> {
    const AT: usize = 1024;
    /// `EXT4_FEATURE_COMPAT_HAS_JOURNAL`.
    const JOURNAL: u32 = 0x4;
    /// Incompatible features that ext3 knows: filetype, recover, journal_dev, meta_bg.
    const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x8 | 0x10;
    /// Read-only-compatible features that ext3 knows: sparse_super, large_file, btree_dir.
    const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
    if head.u16(AT + 0x38)? != 0xef53 {
        return None;
    }
    let (compat, incompat, ro_compat) = (head.u32(AT + 0x5c)?, head.u32(AT + 0x60)?, head.u32(AT + 0x64)?);
    let kind = if incompat & !EXT3_INCOMPAT != 0 || ro_compat & !EXT3_RO_COMPAT != 0 {
        Kind::Ext4
    } else if compat & JOURNAL != 0 {
        Kind::Ext3
    } else {
        Kind::Ext2
    };
    Some(Signature { kind, label: head.text(AT + 0x78, 16), uuid: head.uuid(AT + 0x68) })
}

/// `struct xfs_dsb` (fs/xfs/libxfs/xfs_format.h).
fn xfs(head: Bytes<'_>) -> Option<Signature> {
    head.has(0, b"XFSB").then(|| Signature {
        kind: Kind::Xfs,
        label: head.text(108, 12),
        uuid: head.uuid(32),
    })
}

/// `struct btrfs_super_block` (uapi/linux/btrfs_tree.h), 64 KiB from the start.
fn btrfs(device: &(impl ReadAt + ?Sized), size_bytes: u64) -> io::Result<Option<Signature>> {
    const AT: u64 = 64 * 1024;
    let mut block = [0; 4096];
    if size_bytes < AT + 4096 {
        return Ok(None);
    }
    device.read_exact_at(&mut block, AT)?;
    let block = Bytes(&block);
    let label = block.text(299, 256);
    Ok(block.has(64, b"_BHRfS_M").then(|| Signature { kind: Kind::Btrfs, label, uuid: block.uuid(32) }))
}

/// `union swap_header` (include/linux/swap.h); the magic ends the first page, whose size is the machine's.
fn swap(head: Bytes<'_>) -> Option<Signature> {
    let pages = [4096_usize, 8192, 16384, 32768];
    let magic = |page: usize| head.has(page - 10, b"SWAPSPACE2") || head.has(page - 10, b"SWAP-SPACE");
    pages.into_iter().any(magic).then(|| Signature {
        kind: Kind::Swap,
        label: head.text(1024 + 28, 16),
        uuid: head.uuid(1024 + 12),
    })
}

/// LUKS on-disk format 1 and 2, section "binary header".
fn luks(head: Bytes<'_>) -> Option<Signature> {
    if !head.has(0, b"LUKS\xba\xbe") {
        return None;
    }
    let version2 = head.get(6, 2) == Some(&[0, 2]);
    let label = if version2 { head.text(24, 48) } else { None };
    Some(Signature { kind: Kind::Luks, label, uuid: head.text(168, 40) })
}

/// MD superblocks 1.1, 1.2 (head), 1.0 and 0.90 (tail), as `drivers/md/md.c` places them.
fn raid(device: &(impl ReadAt + ?Sized), size_bytes: u64) -> io::Result<Option<Signature>> {
    const MAGIC: u32 = 0xa92b_4efc;
    let sectors = size_bytes / 512;
    let version_1_0 = (sectors.saturating_sub(16) & !7) * 512;
    let version_0_90 = (size_bytes & !0xffff).saturating_sub(0x1_0000);
    for at in [0, 4096, version_1_0, version_0_90] {
        let mut block = [0; 256];
        if at + 256 > size_bytes {
            continue;
        }
        device.read_exact_at(&mut block, at)?;
        let block = Bytes(&block);
        if block.u32(0) != Some(MAGIC) {
            continue;
        }
        let modern = block.u32(4) == Some(1);
        return Ok(Some(Signature {
            kind: Kind::RaidMember,
            label: if modern { block.text(32, 32) } else { None },
            uuid: if modern { block.uuid(16) } else { None },
        }));
    }
    Ok(None)
}

/// LVM2 label (lib/format_text/layout.h): in one of the first four sectors.
fn lvm(head: Bytes<'_>) -> Option<Signature> {
    let label =
        |sector: usize| head.has(sector * 512, b"LABELONE") && head.has(sector * 512 + 24, b"LVM2 001");
    (0..4).any(label).then_some(Signature { kind: Kind::LvmMember, label: None, uuid: None })
}

/// Read-only and foreign file systems that must not be overwritten unasked.
fn simple(head: Bytes<'_>) -> Vec<Signature> {
    let kinds: [(Kind, usize, &[u8]); 6] = [
        (Kind::Erofs, 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
        (Kind::Squashfs, 0, b"hsqs"),
        (Kind::Iso9660, 32769, b"CD001"),
        (Kind::F2fs, 1024, &[0x10, 0x20, 0xf5, 0xf2]),
        (Kind::Ntfs, 3, b"NTFS    "),
        (Kind::Exfat, 3, b"EXFAT   "),
    ];
    let found = kinds.into_iter().filter(|(_, at, magic)| head.has(*at, magic));
    found.map(|(kind, ..)| Signature { kind, label: None, uuid: None }).collect()
}

/// FAT boot sector (Microsoft's FAT specification, section 3) or MBR: they share the mark in bytes 510 and 511.
fn boot_sector(head: Bytes<'_>) -> Option<Signature> {
    if !head.has(510, &[0x55, 0xaa]) || head.has(3, b"NTFS    ") || head.has(3, b"EXFAT   ") {
        return None;
    }
    let fat = |serial: usize, label: usize| {
        let number = head.u32(serial).unwrap_or_default();
        let label = head.text(label, 11).map(|text| text.trim_end().to_owned());
        let label = label.filter(|text| !text.is_empty() && text != "NO NAME");
        let uuid = Some(format!("{:04x}-{:04x}", number >> 16, number & 0xffff));
        Signature { kind: Kind::Vfat, label, uuid }
    };
    if head.has(82, b"FAT32   ") {
        return Some(fat(67, 71));
    }
    if head.has(54, b"FAT12   ") || head.has(54, b"FAT16   ") || head.has(54, b"FAT     ") {
        return Some(fat(39, 43));
    }
    // A protective MBR belongs to the GPT behind it; an empty table is no content.
    let types: Vec<u8> = (0..4).filter_map(|n| head.get(446 + n * 16 + 4, 1)).map(|byte| byte[0]).collect();
    let table = types.iter().any(|kind| *kind != 0) && !types.contains(&0xee);
    table.then_some(Signature { kind: Kind::Mbr, label: None, uuid: None })
}

/// GPT header (UEFI specification 5.3.2) behind a sector of 512 or 4096 bytes.
fn gpt(head: Bytes<'_>) -> Option<Signature> {
    let header = [512, 4096].into_iter().find(|at| head.has(*at, b"EFI PART"))?;
    // The first three fields of a GUID are stored little-endian.
    let raw = head.get(header + 56, 16)?;
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let guid: Vec<u8> = order.iter().map(|index| raw[*index]).collect();
    Some(Signature { kind: Kind::Gpt, label: None, uuid: Bytes(&guid).uuid(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn one(image: &[u8]) -> Signature {
        let mut found = probe(image, image.len() as u64).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn nothing_on_an_empty_device() {
        for length in [0_usize, 511, 4096, 1 << 20] {
            assert_eq!(probe(&vec![0; length][..], length as u64).unwrap(), []);
        }
    }

    #[test]
    fn superblocks_by_their_layout() {
        let blank = || vec![0_u8; 1 << 20];
        let mut image = blank();
        put(&mut image, 1024 + 0x38, &[0x53, 0xef]);
        put(&mut image, 1024 + 0x78, b"data");
        assert_eq!(one(&image).kind, Kind::Ext2);
        put(&mut image, 1024 + 0x5c, &[4]);
        assert_eq!(one(&image).kind, Kind::Ext3);
        put(&mut image, 1024 + 0x60, &[0x42]);
        assert_eq!(one(&image), Signature { kind: Kind::Ext4, label: Some("data".into()), uuid: None });

        let mut image = blank();
        put(&mut image, 0, b"LUKS\xba\xbe\0\x02");
        put(&mut image, 24, b"cryptdata");
        put(&mut image, 168, b"e8a1f0b2-0000-4000-8000-000000000001");
        let luks = one(&image);
        assert_eq!((luks.kind, luks.label.as_deref()), (Kind::Luks, Some("cryptdata")));

        for at in [0, 4096, ((1 << 20) / 512 - 16) * 512] {
            let mut image = blank();
            put(&mut image, at, &[0xfc, 0x4e, 0x2b, 0xa9, 1]);
            put(&mut image, at + 32, b"any:md0");
            assert_eq!((one(&image).kind, one(&image).label.as_deref()), (Kind::RaidMember, Some("any:md0")));
        }

        let mut image = blank();
        put(&mut image, 510, &[0x55, 0xaa]);
        assert_eq!(probe(&image[..], 1 << 20).unwrap(), []);
        put(&mut image, 450, &[0x83]);
        assert_eq!(one(&image).kind, Kind::Mbr);
        put(&mut image, 450, &[0xee]);
        put(&mut image, 512, b"EFI PART");
        put(&mut image, 512 + 56, &[0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88]);
        assert_eq!(one(&image).uuid.as_deref(), Some("00112233-4455-6677-8800-000000000000"));
    }

    proptest::proptest! {
        #[test]
        fn any_device_can_be_probed(noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..6000)) {
            fuzz(&noise);
        }
    }
}
