//! dm-verity: the superblock of a hash partition and the table line that opens it.
//!
//! Formats: `Documentation/admin-guide/device-mapper/verity.rst` and cryptsetup's `docs/` on the superblock.

use crate::cmdline::RootHash;

/// Bytes of the superblock at the start of a hash partition.
pub(crate) const SUPERBLOCK_BYTES: usize = 512;

/// What the superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Bytes of a data block.
    pub(crate) data_block: u32,
    /// Bytes of a hash block.
    pub(crate) hash_block: u32,
    /// Data blocks covered.
    pub(crate) data_blocks: u64,
    /// Salt, up to 256 bytes.
    pub(crate) salt: Vec<u8>,
    /// UUID of the hash tree.
    pub(crate) uuid: [u8; 16],
}

/// Why a hash partition cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SuperblockError {
    /// Not a superblock at all.
    #[error("no dm-verity superblock")]
    Missing,
    /// A superblock of another kind than ours.
    #[error("dm-verity superblock: {field} {value} is not supported")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

impl Superblock {
    /// Parses the first bytes of a hash partition.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SuperblockError> {
        if bytes.len() < SUPERBLOCK_BYTES || &bytes[..8] != b"verity\0\0" {
            return Err(SuperblockError::Missing);
        }
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let require = |field, value: u32, wanted: u32| {
            (value == wanted)
                .then_some(())
                .ok_or_else(|| SuperblockError::Unsupported { field, value: value.to_string() })
        };
        require("version", u32_at(8), 1)?;
        require("hash type", u32_at(12), 1)?;
        let algorithm = bytes[32..64].split(|&b| b == 0).next().unwrap_or_default();
        if algorithm != b"sha256" {
            return Err(SuperblockError::Unsupported {
                field: "algorithm",
                value: String::from_utf8_lossy(algorithm).into_owned(),
            });
        }
        let (data_block, hash_block) = (u32_at(64), u32_at(68));
        for (field, value) in [("data block size", data_block), ("hash block size", hash_block)] {
            if !value.is_power_of_two() || !(512..=65536).contains(&value) {
                return Err(SuperblockError::Unsupported { field, value: value.to_string() });
            }
        }
        let salt_bytes = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
        if salt_bytes > 256 {
            return Err(SuperblockError::Unsupported { field: "salt size", value: salt_bytes.to_string() });
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            data_block,
            hash_block,
            data_blocks: u64::from(u32_at(72)) | u64::from(u32_at(76)) << 32,
            salt: bytes[88..88 + salt_bytes].to_vec(),
            uuid,
        })
    }

    /// Length of the device in sectors of 512 bytes, `None` when it overflows.
    pub(crate) fn sectors(&self) -> Option<u64> {
        self.data_blocks.checked_mul(u64::from(self.data_block / 512))
    }

    /// The parameters of the `verity` target. A block that does not verify reads as an I/O error (the kernel's default).
    pub(crate) fn params(&self, data: &str, hashes: &str, hash: &RootHash) -> String {
        let salt = match self.salt.as_slice() {
            [] => "-".to_owned(),
            salt => hex(salt),
        };
        // The tree starts at the block after the superblock.
        let Self { data_block, hash_block, data_blocks, .. } = self;
        format!("1 {data} {hashes} {data_block} {hash_block} {data_blocks} 1 sha256 {hash} {salt}")
    }

    /// The device-mapper UUID by which systemd and cryptsetup know a verity device.
    pub(crate) fn dm_uuid(&self, name: &str) -> String {
        format!("CRYPT-VERITY-{}-{name}", hex(&self.uuid))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Vec<u8> {
        let mut b = vec![0; SUPERBLOCK_BYTES];
        b[..6].copy_from_slice(b"verity");
        b[8] = 1;
        b[12] = 1;
        b[16..32].fill(0xab);
        b[32..38].copy_from_slice(b"sha256");
        b[64..68].copy_from_slice(&4096u32.to_le_bytes());
        b[68..72].copy_from_slice(&4096u32.to_le_bytes());
        b[72..80].copy_from_slice(&100u64.to_le_bytes());
        b[80] = 2;
        b[88..90].copy_from_slice(&[0x12, 0x34]);
        b
    }

    #[test]
    fn the_table_line() {
        let parsed = Superblock::parse(&superblock()).unwrap();
        let hash = RootHash([0xcd; 32]);
        assert_eq!(
            parsed.params("/dev/vda2", "/dev/vda3", &hash),
            format!("1 /dev/vda2 /dev/vda3 4096 4096 100 1 sha256 {} 1234", "cd".repeat(32))
        );
        assert_eq!(parsed.sectors(), Some(800));
        assert_eq!(parsed.dm_uuid("usr"), format!("CRYPT-VERITY-{}-usr", "ab".repeat(16)));
        let mut unsalted = superblock();
        unsalted[80] = 0;
        assert!(Superblock::parse(&unsalted).unwrap().params("a", "b", &hash).ends_with(" -"));
    }

    #[test]
    fn other_superblocks_are_refused_by_field() {
        assert_eq!(Superblock::parse(&[0; 512]), Err(SuperblockError::Missing));
        assert_eq!(Superblock::parse(b"verity\0\0"), Err(SuperblockError::Missing));
        for (at, value, field) in [
            (8, 2, "version"),
            (12, 0, "hash type"),
            (32, b'x', "algorithm"),
            (65, 0x11, "data block size"),
            (70, 1, "hash block size"),
            (81, 0xff, "salt size"),
        ] {
            let mut bytes = superblock();
            bytes[at] = value;
            match Superblock::parse(&bytes) {
                Err(SuperblockError::Unsupported { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
