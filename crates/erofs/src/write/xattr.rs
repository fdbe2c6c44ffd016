//! Extended attributes: behind the inode, or once for all in the shared area when several inodes have the same.

use std::collections::BTreeMap;

use super::WriteError;
use crate::format::{Put, XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES, XATTR_PREFIXES};
use crate::tree::{Meta, text};

/// An attribute that so many inodes have goes into the shared area.
const SHARED_FROM: u32 = 3;

/// `h_shared_count` is one byte.
const SHARED_PER_INODE_MAX: usize = 255;

/// `i_xattr_icount` counts units of four bytes in 16 bits.
const BODY_BYTES_MAX: usize = XATTR_HEADER_BYTES + 4 * (u16::MAX as usize - 1);

type Attribute<'t> = (&'t [u8], &'t [u8]);

/// The shared area, and which attributes are in it.
#[derive(Debug, Default)]
pub(super) struct SharedXattrs<'t> {
    /// Attribute to its id: offset in the area, in units of four bytes.
    ids: BTreeMap<Attribute<'t>, u32>,
    /// The area's bytes.
    pub(super) area: Vec<u8>,
}

impl<'t> SharedXattrs<'t> {
    /// Counts the attributes of all inodes and fills the area, in the order of names and values.
    pub(super) fn collect(metas: impl Iterator<Item = &'t Meta>) -> Result<Self, WriteError> {
        let mut counts: BTreeMap<Attribute<'t>, u32> = BTreeMap::new();
        for (name, value) in metas.flat_map(|meta| &meta.xattrs) {
            *counts.entry((name, value)).or_default() += 1;
        }
        let mut shared = Self::default();
        for ((name, value), _) in counts.into_iter().filter(|&(_, count)| count >= SHARED_FROM) {
            let id =
                u32::try_from(shared.area.len() / 4).map_err(|_| WriteError::TooLarge { what: "xattrs" })?;
            encode_entry(name, value, &mut shared.area).map_err(|reason| refuse(b"", name, reason))?;
            shared.ids.insert((name, value), id);
        }
        Ok(shared)
    }

    /// The bytes behind the inode: header, ids of shared attributes, the others themselves; nothing without any.
    pub(super) fn body(&self, path: &[u8], meta: &Meta) -> Result<Vec<u8>, WriteError> {
        if meta.xattrs.is_empty() {
            return Ok(Vec::new());
        }
        let (mut ids, mut entries) = (Vec::new(), Vec::new());
        for (name, value) in &meta.xattrs {
            match self.ids.get(&(name.as_slice(), value.as_slice())) {
                Some(&id) if ids.len() < SHARED_PER_INODE_MAX => ids.push(id),
                _ => encode_entry(name, value, &mut entries).map_err(|reason| refuse(path, name, reason))?,
            }
        }
        let mut body = vec![0; XATTR_HEADER_BYTES + 4 * ids.len()];
        body[4] = u8::try_from(ids.len()).unwrap_or(u8::MAX);
        let mut put = Put { out: &mut body, at: XATTR_HEADER_BYTES };
        for id in ids {
            put.u32(id);
        }
        body.extend_from_slice(&entries);
        if body.len() > BODY_BYTES_MAX {
            return Err(refuse(path, b"", "all of the file's together are too large"));
        }
        Ok(body)
    }
}

/// `i_xattr_icount` of a body of this length.
pub(super) fn count_field(body_bytes: usize) -> u16 {
    match body_bytes.checked_sub(XATTR_HEADER_BYTES) {
        Some(entries) => u16::try_from(entries / 4 + 1).unwrap_or(u16::MAX),
        None => 0,
    }
}

fn refuse(path: &[u8], name: &[u8], reason: &'static str) -> WriteError {
    WriteError::Xattr { path: text(path), name: text(name), reason }
}

/// Appends an entry, padded to four bytes.
fn encode_entry(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (index, prefix) = XATTR_PREFIXES
        .into_iter()
        .find(
            |&(index, prefix)| if matches!(index, 2 | 3) { name == prefix } else { name.starts_with(prefix) },
        )
        .ok_or("EROFS has no namespace for it")?;
    let suffix = &name[prefix.len()..];
    let name_len = u8::try_from(suffix.len()).map_err(|_| "the name is too long")?;
    let value_len = u16::try_from(value.len()).map_err(|_| "the value is too long")?;
    out.reserve(XATTR_ENTRY_BYTES + suffix.len() + value.len() + 3);
    out.extend_from_slice(&[name_len, index]);
    out.extend_from_slice(&value_len.to_le_bytes());
    out.extend_from_slice(suffix);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(XATTR_ENTRY_BYTES), 0);
    Ok(())
}
