//! On-disk structures, as the kernel's `fs/erofs/erofs_fs.h` has them. All numbers are little-endian.
//!
//! Terms: a *block* is 4096 bytes here. A *nid* is an inode's place: its byte offset from the metadata area, in slots
//! of 32 bytes. A *pcluster* is a run of whole blocks that holds one compressed piece of a file (or, at a file's end, a
//! piece of metadata that holds the last piece). An *lcluster* is a block's worth of a file's plain content; each has
//! one index entry, which says which pcluster begins in it, or how far away its own begins.

/// Block size of written images, as a power of two; the page size of x86-64, so that every kernel mounts them.
pub const BLOCK_BITS: u8 = 12;
/// Block size of written images, in bytes.
pub const BLOCK_BYTES: usize = 1 << BLOCK_BITS;
/// Where the superblock begins (`EROFS_SUPER_OFFSET`).
pub const SUPER_OFFSET: usize = 1024;
/// `EROFS_SUPER_MAGIC_V1` (`include/uapi/linux/magic.h`).
pub const MAGIC: u32 = 0xe0f5_e1e2;
/// Size of the superblock without extension slots.
pub const SUPER_BYTES: usize = 128;
/// Unit of a nid, in bytes.
pub const SLOT_BYTES: u64 = 32;
/// Size of a directory entry without its name.
pub const DIRENT_BYTES: usize = 12;
/// Size of `erofs_inode_compact`.
pub const INODE_COMPACT_BYTES: usize = 32;
/// Size of `erofs_inode_extended`.
pub const INODE_EXTENDED_BYTES: usize = 64;
/// Size of `erofs_xattr_ibody_header`.
pub const XATTR_HEADER_BYTES: usize = 12;
/// Size of `erofs_xattr_entry` without name and value.
pub const XATTR_ENTRY_BYTES: usize = 4;
/// Size of `z_erofs_map_header`.
pub const MAP_HEADER_BYTES: usize = 8;
/// Most encoded bytes of a pcluster (`Z_EROFS_PCLUSTER_MAX_SIZE`).
pub const PCLUSTER_BYTES_MAX: usize = 1024 * 1024;
/// Most decoded bytes of a pcluster (`Z_EROFS_PCLUSTER_MAX_DSIZE`).
pub const PCLUSTER_DECODED_BYTES_MAX: usize = 12 * 1024 * 1024;

/// `EROFS_FEATURE_COMPAT_SB_CHKSUM`: the superblock has a checksum.
pub const COMPAT_CHECKSUM: u32 = 0x1;
/// `EROFS_FEATURE_COMPAT_MTIME`: times in inodes are modification times.
pub const COMPAT_MTIME: u32 = 0x2;

/// `EROFS_FEATURE_INCOMPAT_ZERO_PADDING`: compressed data ends at the end of its pcluster, zeros come first.
pub const INCOMPAT_ZERO_PADDING: u32 = 0x01;
/// `EROFS_FEATURE_INCOMPAT_COMPR_CFGS`, `…_BIG_PCLUSTER`: algorithm configurations follow the superblock; pclusters may
/// have many blocks.
pub const INCOMPAT_COMPR_CFGS: u32 = 0x02;
/// `EROFS_FEATURE_INCOMPAT_CHUNKED_FILE`.
pub const INCOMPAT_CHUNKED_FILE: u32 = 0x04;
/// `EROFS_FEATURE_INCOMPAT_COMPR_HEAD2` (also `…_DEVICE_TABLE`).
pub const INCOMPAT_HEAD2: u32 = 0x08;
/// `EROFS_FEATURE_INCOMPAT_ZTAILPACKING`: a file's last pcluster may lie in the metadata, behind its indexes.
pub const INCOMPAT_ZTAILPACKING: u32 = 0x10;
/// `EROFS_FEATURE_INCOMPAT_FRAGMENTS`, `…_DEDUPE`.
pub const INCOMPAT_FRAGMENTS: u32 = 0x20;
/// `EROFS_FEATURE_INCOMPAT_XATTR_PREFIXES`.
pub const INCOMPAT_XATTR_PREFIXES: u32 = 0x40;

/// `Z_EROFS_COMPRESSION_LZ4`.
pub const ALGORITHM_LZ4: u8 = 0;

/// `Z_EROFS_ADVISE_COMPACTED_2B`: most index entries take two bytes.
pub const ADVISE_COMPACTED_2B: u16 = 0x01;
/// `Z_EROFS_ADVISE_BIG_PCLUSTER_1`: pclusters of HEAD1 may have many blocks.
pub const ADVISE_BIG_PCLUSTER_1: u16 = 0x02;
/// `Z_EROFS_ADVISE_BIG_PCLUSTER_2`: the same of HEAD2; in compact indexes both or none.
pub const ADVISE_BIG_PCLUSTER_2: u16 = 0x04;
/// `Z_EROFS_ADVISE_INLINE_PCLUSTER`: the last pcluster lies behind the indexes.
pub const ADVISE_INLINE_PCLUSTER: u16 = 0x08;
/// `Z_EROFS_ADVISE_INTERLACED_PCLUSTER`: plain pclusters keep their in-block offset.
pub const ADVISE_INTERLACED_PCLUSTER: u16 = 0x10;
/// `Z_EROFS_ADVISE_FRAGMENT_PCLUSTER`: the tail lies in the packed inode.
pub const ADVISE_FRAGMENT_PCLUSTER: u16 = 0x20;

/// `Z_EROFS_LCLUSTER_TYPE_PLAIN`: a pcluster stored as it is begins here.
pub const LCLUSTER_PLAIN: u8 = 0;
/// `Z_EROFS_LCLUSTER_TYPE_HEAD1`: a compressed pcluster begins here.
pub const LCLUSTER_HEAD1: u8 = 1;
/// `Z_EROFS_LCLUSTER_TYPE_NONHEAD`: none begins here.
pub const LCLUSTER_NONHEAD: u8 = 2;
/// `Z_EROFS_LCLUSTER_TYPE_HEAD2`: one of the second algorithm begins here.
pub const LCLUSTER_HEAD2: u8 = 3;
/// `Z_EROFS_LI_D0_CBLKCNT`: flag on the first NONHEAD's distance, which then is the pcluster's length in blocks.
pub const CBLKCNT: u16 = 1 << 11;

/// File type bits of `i_mode` (`include/uapi/linux/stat.h`).
pub const S_IFMT: u16 = 0o170_000;
/// Socket.
pub const S_IFSOCK: u16 = 0o140_000;
/// Symbolic link.
pub const S_IFLNK: u16 = 0o120_000;
/// Regular file.
pub const S_IFREG: u16 = 0o100_000;
/// Block device.
pub const S_IFBLK: u16 = 0o060_000;
/// Directory.
pub const S_IFDIR: u16 = 0o040_000;
/// Character device.
pub const S_IFCHR: u16 = 0o020_000;
/// Named pipe.
pub const S_IFIFO: u16 = 0o010_000;

/// How an inode's data lies on disk (`EROFS_INODE_*`, three bits of `i_format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Whole blocks, uncompressed.
    FlatPlain = 0,
    /// Compressed, indexes of eight bytes.
    CompressedFull = 1,
    /// Whole blocks, uncompressed, and the rest behind the inode.
    FlatInline = 2,
    /// Compressed, indexes of two and four bytes.
    CompressedCompact = 3,
    /// In chunks by address.
    ChunkBased = 4,
}

impl Layout {
    /// The layout with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        [Self::FlatPlain, Self::CompressedFull, Self::FlatInline, Self::CompressedCompact, Self::ChunkBased]
            .get(usize::from(number))
            .copied()
    }
}

/// Prefixes of extended attribute names with their indexes (`EROFS_XATTR_INDEX_*`). The two ACL names are whole names:
/// nothing follows them.
pub const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// `erofs_super_block`, the fields that this crate reads or writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuperBlock {
    /// CRC-32C of the block, see [`COMPAT_CHECKSUM`].
    pub checksum: u32,
    /// Features that a reader may ignore.
    pub feature_compat: u32,
    /// Block size as a power of two.
    pub block_bits: u8,
    /// Extension slots of 16 bytes behind the superblock.
    pub extension_slots: u8,
    /// Nid of the root directory.
    pub root_nid: u16,
    /// Number of inodes.
    pub inodes: u64,
    /// Seconds since 1970: the time of compact inodes.
    pub build_time_secs: u64,
    /// Nanoseconds of it.
    pub build_time_nanos: u32,
    /// Blocks of the filesystem.
    pub blocks: u32,
    /// First block of the metadata area.
    pub meta_block: u32,
    /// First block of the shared xattr area.
    pub xattr_block: u32,
    /// Identity of the volume.
    pub uuid: [u8; 16],
    /// Label, NUL-padded.
    pub volume_name: [u8; 16],
    /// Features without which a reader cannot read.
    pub feature_incompat: u32,
    /// Bitmap of algorithms with a configuration, when [`INCOMPAT_COMPR_CFGS`] is set; else LZ4's greatest distance.
    pub algorithms: u16,
    /// Devices besides the primary one.
    pub extra_devices: u16,
    /// Directory block size as a power of two above the block size.
    pub dir_block_bits: u8,
    /// Nid of the packed inode, where [`INCOMPAT_FRAGMENTS`] is set.
    pub packed_nid: u64,
}

impl SuperBlock {
    /// The 128 bytes at [`SUPER_OFFSET`].
    #[must_use]
    pub fn encode(&self) -> [u8; SUPER_BYTES] {
        let mut out = [0; SUPER_BYTES];
        let mut put = Put { out: &mut out, at: 0 };
        put.u32(MAGIC).u32(self.checksum).u32(self.feature_compat);
        put.bytes(&[self.block_bits, self.extension_slots]).u16(self.root_nid).u64(self.inodes);
        put.u64(self.build_time_secs).u32(self.build_time_nanos).u32(self.blocks);
        put.u32(self.meta_block).u32(self.xattr_block).bytes(&self.uuid).bytes(&self.volume_name);
        put.u32(self.feature_incompat).u16(self.algorithms).u16(self.extra_devices);
        put.u16(0).bytes(&[self.dir_block_bits, 0]).u32(0).u64(self.packed_nid);
        out
    }

    /// Reads the 128 bytes at [`SUPER_OFFSET`]; `None` without the magic number.
    #[must_use]
    pub fn decode(raw: &[u8; SUPER_BYTES]) -> Option<Self> {
        if le32(raw, 0) != MAGIC {
            return None;
        }
        let array = |at: usize| std::array::from_fn(|i| raw[at + i]);
        Some(Self {
            checksum: le32(raw, 4),
            feature_compat: le32(raw, 8),
            block_bits: raw[12],
            extension_slots: raw[13],
            root_nid: le16(raw, 14),
            inodes: le64(raw, 16),
            build_time_secs: le64(raw, 24),
            build_time_nanos: le32(raw, 32),
            blocks: le32(raw, 36),
            meta_block: le32(raw, 40),
            xattr_block: le32(raw, 44),
            uuid: array(48),
            volume_name: array(64),
            feature_incompat: le32(raw, 80),
            algorithms: le16(raw, 84),
            extra_devices: le16(raw, 86),
            dir_block_bits: raw[90],
            packed_nid: le64(raw, 96),
        })
    }
}

/// An inode's fixed part, whichever of its two forms it has on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawInode {
    /// The 64-byte form: has a time of its own and wide fields.
    pub extended: bool,
    /// `i_format` layout bits.
    pub layout: u16,
    /// `i_xattr_icount`.
    pub xattr_count: u16,
    /// File type and permission bits.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
    /// Length of the data in bytes.
    pub size_bytes: u64,
    /// `i_u`: blocks of compressed data, first block of flat data, or device number.
    pub union: u32,
    /// `i_ino`, for 32-bit `stat`.
    pub ino: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time in seconds since 1970; 0 in the compact form, which has the superblock's.
    pub mtime_secs: u64,
}

impl RawInode {
    /// Whether the 32-byte form can carry these values.
    #[must_use]
    pub fn fits_compact(&self) -> bool {
        u16::try_from(self.nlink).is_ok()
            && u32::try_from(self.size_bytes).is_ok()
            && u16::try_from(self.uid).is_ok()
            && u16::try_from(self.gid).is_ok()
    }

    /// Bytes of the form it has.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        if self.extended { INODE_EXTENDED_BYTES } else { INODE_COMPACT_BYTES }
    }

    /// Writes it at the beginning of `out`. The compact form truncates what does not fit: ask
    /// [`RawInode::fits_compact`] first.
    ///
    /// # Panics
    /// When `out` is shorter than [`RawInode::encoded_bytes`].
    pub fn encode(&self, out: &mut [u8]) {
        let low16 = |value: u32| (value & 0xffff) as u16;
        let mut put = Put { out, at: 0 };
        put.u16(u16::from(self.extended) | self.layout << 1).u16(self.xattr_count).u16(self.mode);
        if self.extended {
            put.u16(0).u64(self.size_bytes).u32(self.union).u32(self.ino).u32(self.uid).u32(self.gid);
            put.u64(self.mtime_secs).u32(0).u32(self.nlink).bytes(&[0; 16]);
        } else {
            let size = (self.size_bytes & u64::from(u32::MAX)) as u32;
            put.u16(low16(self.nlink)).u32(size).u32(0).u32(self.union).u32(self.ino);
            put.u16(low16(self.uid)).u16(low16(self.gid)).u32(0);
        }
    }

    /// Reads it from 32 or 64 bytes, as `i_format` says; `None` when `raw` is too short or the form is unknown.
    #[must_use]
    pub fn decode(raw: &[u8]) -> Option<Self> {
        if raw.len() < INODE_COMPACT_BYTES {
            return None;
        }
        let format = le16(raw, 0);
        let (extended, layout) = (format & 1 == 1, format >> 1 & 7);
        let (xattr_count, mode, union, ino) = (le16(raw, 2), le16(raw, 4), le32(raw, 16), le32(raw, 20));
        let common = Self {
            extended,
            layout,
            xattr_count,
            mode,
            nlink: 0,
            size_bytes: 0,
            union,
            ino,
            uid: 0,
            gid: 0,
            mtime_secs: 0,
        };
        if !extended {
            return Some(Self {
                nlink: u32::from(le16(raw, 6)),
                size_bytes: u64::from(le32(raw, 8)),
                uid: u32::from(le16(raw, 24)),
                gid: u32::from(le16(raw, 26)),
                ..common
            });
        }
        (raw.len() >= INODE_EXTENDED_BYTES).then(|| Self {
            size_bytes: le64(raw, 8),
            uid: le32(raw, 24),
            gid: le32(raw, 28),
            mtime_secs: le64(raw, 32),
            nlink: le32(raw, 44),
            ..common
        })
    }
}

/// Entry type in directories, equal to the kernel's generic `FT_*` numbers.
#[must_use]
pub fn dirent_type(mode: u16) -> u8 {
    match mode & S_IFMT {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFSOCK => 6,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// The kernel's `new_encode_dev` (`include/linux/kdev_t.h`).
#[must_use]
pub fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12
}

/// The kernel's `new_decode_dev`: major and minor.
#[must_use]
pub fn decode_device(number: u32) -> (u32, u32) {
    ((number & 0xf_ff00) >> 8, (number & 0xff) | (number >> 12 & 0xf_ff00))
}

pub(crate) fn le16(raw: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(std::array::from_fn(|i| raw[at + i]))
}

pub(crate) fn le32(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| raw[at + i]))
}

pub(crate) fn le64(raw: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]))
}

/// Writes fields one after another.
pub(crate) struct Put<'a> {
    pub(crate) out: &'a mut [u8],
    pub(crate) at: usize,
}

impl Put<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblock_round_trip() {
        let superblock = SuperBlock {
            checksum: 1,
            feature_compat: 3,
            block_bits: 12,
            root_nid: 36,
            inodes: 7,
            build_time_secs: 1_700_000_000,
            blocks: 9,
            meta_block: 4,
            uuid: *b"0123456789abcdef",
            feature_incompat: 0x13,
            algorithms: 1,
            packed_nid: 5,
            ..SuperBlock::default()
        };
        assert_eq!(SuperBlock::decode(&superblock.encode()), Some(superblock));
        assert_eq!(SuperBlock::decode(&[0; SUPER_BYTES]), None);
    }

    #[test]
    fn device_numbers_round_trip() {
        for (major, minor) in [(0, 0), (1, 3), (8, 255), (259, 0xf_ffff), (0xfff, 0x1_2345)] {
            assert_eq!(decode_device(encode_device(major, minor)), (major, minor));
        }
    }
}
