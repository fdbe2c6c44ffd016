//! dm-verity hash trees (kernel `Documentation/admin-guide/device-mapper/verity.rst`; on-disk super block as
//! cryptsetup's `verity_sb`, version 1).
//!
//! Terms: the *data* are blocks of 4096 bytes; each block of a *level* holds the digests of 128 blocks below it; the
//! top level is one block, whose digest is the *root hash*. A digest is SHA-256 over salt and block (hash type 1). On
//! disk the super block comes first, then the levels from the top down. Bytes equal those of `veritysetup format`.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// Bytes of a data block and of a hash block.
pub const BLOCK_BYTES: usize = 4096;
/// Bytes of a SHA-256 digest.
pub const DIGEST_BYTES: usize = 32;
/// Longest salt of the super block, in bytes.
pub const SALT_BYTES_MAX: usize = 256;
/// Bytes of the super block; the rest of its hash block is zero.
pub const SUPER_BYTES: usize = 512;

const MAGIC: &[u8; 8] = b"verity\0\0";
const PER_BLOCK: usize = BLOCK_BYTES / DIGEST_BYTES;

/// A root hash.
pub type RootHash = [u8; DIGEST_BYTES];

/// Why a tree cannot be made or a super block not read.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The data are empty or end inside a block.
    #[error("{bytes} bytes of data are not a whole number of {BLOCK_BYTES}-byte blocks, at least one")]
    Length {
        /// The length found.
        bytes: u64,
    },
    /// The salt is too long for the super block.
    #[error("a salt of {bytes} bytes is longer than {SALT_BYTES_MAX}")]
    Salt {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are no super block that this module writes.
    #[error("not a dm-verity super block: {what}")]
    Super {
        /// What does not hold.
        what: &'static str,
    },
    /// The data could not be read or the tree not written.
    #[error("cannot {verb}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The super block: what `veritysetup` and `orlop-init` need beside the root hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Super {
    /// Identifies the tree; no part of the hash.
    pub uuid: [u8; 16],
    /// Blocks of data.
    pub data_blocks: u64,
    /// Hashed before each block.
    pub salt: Vec<u8>,
}

impl Super {
    /// The bytes on disk.
    ///
    /// # Errors
    /// [`VerityError::Salt`].
    pub fn encode(&self) -> Result<[u8; SUPER_BYTES], VerityError> {
        let salt_bytes = u16::try_from(self.salt.len()).ok().filter(|_| self.salt.len() <= SALT_BYTES_MAX);
        let salt_bytes = salt_bytes.ok_or(VerityError::Salt { bytes: self.salt.len() })?;
        let mut raw = [0; SUPER_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            raw[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(MAGIC);
        put(&1u32.to_le_bytes()); // super block version
        put(&1u32.to_le_bytes()); // hash type: salt first
        put(&self.uuid);
        put(b"sha256");
        put(&[0; 26]); // the algorithm's name has 32 bytes
        put(&(BLOCK_BYTES as u32).to_le_bytes());
        put(&(BLOCK_BYTES as u32).to_le_bytes());
        put(&self.data_blocks.to_le_bytes());
        put(&salt_bytes.to_le_bytes());
        put(&[0; 6]);
        put(&self.salt);
        Ok(raw)
    }

    /// Reads a super block; outside bytes.
    ///
    /// # Errors
    /// [`VerityError::Super`] for anything but version 1, SHA-256, 4096-byte blocks.
    pub fn parse(raw: &[u8]) -> Result<Self, VerityError> {
        let wrong = |what| VerityError::Super { what };
        let raw = raw.get(..SUPER_BYTES).ok_or(wrong("too short"))?;
        let number = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        if &raw[..8] != MAGIC {
            return Err(wrong("no signature"));
        }
        if number(8) != 1 || number(12) != 1 {
            return Err(wrong("another version or hash type than 1"));
        }
        if &raw[32..39] != b"sha256\0" {
            return Err(wrong("another algorithm than sha256"));
        }
        if number(64) as usize != BLOCK_BYTES || number(68) as usize != BLOCK_BYTES {
            return Err(wrong("other blocks than 4096 bytes"));
        }
        let data_blocks = u64::from(number(72)) | u64::from(number(76)) << 32;
        let salt_bytes = usize::from(u16::from_le_bytes([raw[80], raw[81]]));
        if data_blocks == 0 || salt_bytes > SALT_BYTES_MAX {
            return Err(wrong("no data, or a salt that is too long"));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&raw[16..32]);
        Ok(Self { uuid, data_blocks, salt: raw[88..88 + salt_bytes].to_vec() })
    }
}

/// What [`build`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The digest of the top block: the identity of the data.
    pub root: RootHash,
    /// Blocks of data.
    pub data_blocks: u64,
    /// Bytes written: super block's block and all levels.
    pub hash_bytes: u64,
}

/// Hashes `data` to its end and writes super block and tree.
///
/// # Errors
/// [`VerityError::Length`] when the data are no whole blocks, [`VerityError::Salt`], [`VerityError::Io`].
pub fn build(
    data: &mut impl Read,
    salt: &[u8],
    uuid: [u8; 16],
    out: &mut impl Write,
) -> Result<Tree, VerityError> {
    let prefix = Sha256::new_with_prefix(salt);
    let (mut digests, data_blocks) = hash_data(data, &prefix)?;
    let header = Super { uuid, data_blocks, salt: salt.to_vec() }.encode()?;
    // From the data up: each level's blocks, zero-padded, until one digest is left.
    let mut levels = Vec::new();
    while digests.len() > DIGEST_BYTES {
        digests.resize(digests.len().next_multiple_of(BLOCK_BYTES), 0);
        let above = digests.chunks(BLOCK_BYTES).flat_map(|block| digest(&prefix, block)).collect();
        levels.push(std::mem::replace(&mut digests, above));
    }
    let mut root = [0; DIGEST_BYTES];
    root.copy_from_slice(&digests);
    let write = |source| VerityError::Io { verb: "write the hash tree", source };
    out.write_all(&header).map_err(write)?;
    out.write_all(&[0; BLOCK_BYTES - SUPER_BYTES]).map_err(write)?;
    let mut hash_bytes = BLOCK_BYTES as u64;
    for level in levels.iter().rev() {
        out.write_all(level).map_err(write)?;
        hash_bytes += level.len() as u64;
    }
    Ok(Tree { root, data_blocks, hash_bytes })
}

/// The digests of all data blocks, one after the other, and how many blocks there are.
fn hash_data(data: &mut impl Read, prefix: &Sha256) -> Result<(Vec<u8>, u64), VerityError> {
    let mut digests = Vec::new();
    // Many blocks a read: a file's system calls cost more than its hashing otherwise.
    let mut buffer = vec![0; PER_BLOCK * BLOCK_BYTES];
    let mut total: u64 = 0;
    loop {
        let filled =
            fill(data, &mut buffer).map_err(|source| VerityError::Io { verb: "read the data", source })?;
        total += filled as u64;
        if filled % BLOCK_BYTES != 0 || total == 0 {
            return Err(VerityError::Length { bytes: total });
        }
        for block in buffer[..filled].chunks(BLOCK_BYTES) {
            digests.extend_from_slice(&digest(prefix, block));
        }
        if filled < buffer.len() {
            return Ok((digests, total / BLOCK_BYTES as u64));
        }
    }
}

fn digest(prefix: &Sha256, block: &[u8]) -> RootHash {
    let mut hash = prefix.clone();
    hash.update(block);
    hash.finalize().into()
}

/// Reads until the buffer is full or the data end.
fn fill(data: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match data.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The unique GUIDs of the data and of the hash partition: the first and the last 128 bits of the root hash
/// (Discoverable Partitions Specification, "/usr/ verity partition").
#[must_use]
pub fn partition_ids(root: &RootHash) -> (crate::guid::Guid, crate::guid::Guid) {
    let (mut first, mut last) = ([0; 16], [0; 16]);
    first.copy_from_slice(&root[..16]);
    last.copy_from_slice(&root[16..]);
    (crate::guid::Guid(first), crate::guid::Guid(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_is_its_own_tree() {
        let mut out = Vec::new();
        let tree = build(&mut [7u8; BLOCK_BYTES].as_slice(), b"salt", [1; 16], &mut out).unwrap();
        let expected = Sha256::new_with_prefix(b"salt").chain_update([7u8; BLOCK_BYTES]).finalize();
        assert_eq!(tree.root.as_slice(), expected.as_slice());
        assert_eq!(out.len(), BLOCK_BYTES);
    }

    #[test]
    fn lengths_that_are_no_blocks_are_refused() {
        for bytes in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES + 1] {
            let error = build(&mut vec![0; bytes].as_slice(), b"", [0; 16], &mut io::sink()).unwrap_err();
            assert!(
                matches!(error, VerityError::Length { bytes: found } if found == bytes as u64),
                "{bytes}"
            );
        }
    }

    #[test]
    fn the_super_block_survives_both_ways_and_damage_is_refused() {
        let header = Super { uuid: [3; 16], data_blocks: 1 << 33, salt: vec![9; 32] };
        let raw = header.encode().unwrap();
        assert_eq!(Super::parse(&raw).unwrap(), header);
        for at in [0, 8, 12, 33, 64, 68] {
            let mut damaged = raw;
            damaged[at] ^= 0x40;
            assert!(Super::parse(&damaged).is_err(), "byte {at}");
        }
        assert!(Super::parse(&raw[..100]).is_err());
        assert!(matches!(
            Super { salt: vec![0; 257], ..header }.encode(),
            Err(VerityError::Salt { bytes: 257 })
        ));
    }

    #[test]
    fn partition_ids_are_the_halves_of_the_root_hash() {
        let mut root = [0; 32];
        root[0] = 0xab;
        root[31] = 0xcd;
        let (data, hash) = partition_ids(&root);
        assert_eq!(data.to_string(), "ab000000-0000-0000-0000-000000000000");
        assert_eq!(hash.to_string(), "00000000-0000-0000-0000-0000000000cd");
    }
}
