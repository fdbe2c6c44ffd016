//! Directory data: blocks of entries, each block sorted and searchable by itself (`fs/erofs/namei.c`, `find_target_block_classic`).

use crate::format::{BLOCK_BYTES, DIRENT_BYTES, Put};

/// One name of a directory, `.` and `..` included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'t, T> {
    pub(super) name: &'t [u8],
    pub(super) target: T,
}

/// Sorts the names of a directory and adds `.` and `..`, in byte order as the kernel's binary search wants it.
pub(super) fn with_dots<'t, T>(
    children: impl Iterator<Item = (&'t [u8], T)>,
    own: T,
    parent: T,
) -> Vec<Name<'t, T>> {
    let dots = [(b".".as_slice(), own), (b"..".as_slice(), parent)];
    let mut names: Vec<_> =
        dots.into_iter().chain(children).map(|(name, target)| Name { name, target }).collect();
    names.sort_by(|a, b| a.name.cmp(b.name));
    names
}

/// Cuts the names into runs that fill a block each.
fn blocks<'n, 't, T>(names: &'n [Name<'t, T>]) -> impl Iterator<Item = &'n [Name<'t, T>]> {
    let mut rest = names;
    std::iter::from_fn(move || {
        let mut used = 0;
        let fits = |name: &Name<'t, T>| {
            used += DIRENT_BYTES + name.name.len();
            used <= BLOCK_BYTES
        };
        let count = rest.iter().map(fits).take_while(|&fits| fits).count();
        let (block, after) = rest.split_at(count);
        rest = after;
        (!block.is_empty()).then_some(block)
    })
}

fn used_bytes<T>(block: &[Name<'_, T>]) -> usize {
    block.iter().map(|name| DIRENT_BYTES + name.name.len()).sum()
}

/// Size of the directory's data in bytes: whole blocks and what the last one uses.
pub(super) fn data_bytes<T>(names: &[Name<'_, T>]) -> u64 {
    let (mut full, mut last) = (0, 0);
    for block in blocks(names) {
        full += last;
        last = BLOCK_BYTES as u64;
        if std::ptr::eq(block.as_ptr_range().end, names.as_ptr_range().end) {
            last = used_bytes(block) as u64;
        }
    }
    full + last
}

/// The directory's data, exactly [`data_bytes`] long.
pub(super) fn encode<T>(names: &[Name<'_, T>], entry: impl Fn(&T) -> (u64, u8)) -> Vec<u8> {
    let mut out = Vec::new();
    for block in blocks(names) {
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        let start = out.len();
        out.resize(start + used_bytes(block), 0);
        let bytes = &mut out[start..];
        let mut name_at = DIRENT_BYTES * block.len();
        for (index, name) in block.iter().enumerate() {
            let (nid, file_type) = entry(&name.target);
            let name_offset = u16::try_from(name_at).expect("a block is 4096 bytes");
            Put { out: bytes, at: index * DIRENT_BYTES }.u64(nid).u16(name_offset).bytes(&[file_type, 0]);
            bytes[name_at..name_at + name.name.len()].copy_from_slice(name.name);
            name_at += name.name.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_foretells_the_encoding() {
        for count in [0usize, 1, 2, 200, 255, 256, 1000, 3000] {
            let names: Vec<_> = (0..count).map(|n| format!("name-{n:05}")).collect();
            let names = with_dots(names.iter().map(|name| (name.as_bytes(), 7u64)), 1, 1);
            assert_eq!(data_bytes(&names), encode(&names, |&nid| (nid, 1)).len() as u64, "{count}");
        }
    }

    #[test]
    fn dots_are_sorted_among_the_names() {
        let names = with_dots([(b"+x".as_slice(), 3), (b"a".as_slice(), 4)].into_iter(), 1, 2);
        let order: Vec<_> = names.iter().map(|name| name.name).collect();
        assert_eq!(order, [b"+x".as_slice(), b".", b"..", b"a"]);
    }
}
