//! Checks that every shared library which a program of the tree needs is in the tree: what `debian.omit` and `tree.drop`
//! leave out is left out on purpose, and a mistake there should fail the build, not the machine.

use std::collections::BTreeSet;

use erofs::Kind;

use super::{Builder, TreeError};

/// `p_type` of loadable segments and of the dynamic section (`elf(5)`).
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
/// `d_tag` of entries of the dynamic section.
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// Fails with the first program whose library is missing.
pub(super) fn check(builder: &Builder) -> Result<(), TreeError> {
    let mut names = BTreeSet::new();
    let mut programs = Vec::new();
    for (path, id) in builder.tree.walk() {
        let path = String::from_utf8_lossy(&path).into_owned();
        if path.starts_with("lib/modules/") {
            continue;
        }
        let kind = &builder.tree.node(id).kind;
        if matches!(kind, Kind::File(_) | Kind::Symlink(_)) && path.starts_with("lib") && path.contains(".so")
        {
            names.insert(path.rsplit('/').next().unwrap_or_default().to_owned());
        }
        if let Kind::File(content) = kind
            && content.size_bytes > 64
        {
            programs.push((path, content.id));
        }
    }
    for (path, id) in programs {
        let bytes = builder.contents.read(id).map_err(TreeError::at("read", std::path::Path::new(&path)))?;
        if let Some(library) = needed(&bytes).into_iter().find(|library| !names.contains(library)) {
            return Err(TreeError::Library { path: format!("usr/{path}"), library });
        }
    }
    Ok(())
}

/// The `DT_NEEDED` names of a 64-bit little-endian ELF file; none of another file.
fn needed(bytes: &[u8]) -> Vec<String> {
    parse(bytes).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<Vec<String>> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let headers = number(bytes, 32, 8)?;
    let (size, count) = (number(bytes, 54, 2)?, number(bytes, 56, 2)?);
    let segments: Vec<[u64; 4]> = (0..count)
        .map(|index| {
            let at = headers.checked_add(index * size)?;
            // type, offset in the file, address, bytes in the file
            Some([
                number(bytes, at, 4)?,
                number(bytes, at + 8, 8)?,
                number(bytes, at + 16, 8)?,
                number(bytes, at + 32, 8)?,
            ])
        })
        .collect::<Option<_>>()?;
    let dynamic = segments.iter().find(|segment| segment[0] == PT_DYNAMIC)?;
    let mut offsets = Vec::new();
    let mut strings = None;
    for at in (dynamic[1]..dynamic[1].checked_add(dynamic[3])?).step_by(16) {
        match (number(bytes, at, 8)?, number(bytes, at + 8, 8)?) {
            (0, _) => break,
            (DT_NEEDED, offset) => offsets.push(offset),
            (DT_STRTAB, address) => strings = Some(address),
            _ => {}
        }
    }
    let strings = strings?;
    let load = segments.iter().find(|segment| {
        segment[0] == PT_LOAD && (segment[2]..segment[2].saturating_add(segment[3])).contains(&strings)
    })?;
    let table = strings - load[2] + load[1];
    offsets.into_iter().map(|offset| text(bytes, table.checked_add(offset)?)).collect()
}

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: u64, width: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A text that ends with a NUL.
fn text(bytes: &[u8], at: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_needs_the_c_library() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let list = needed(&own);
        assert!(list.iter().any(|name| name.starts_with("libc.so")), "{list:?}");
        for length in [0, 6, 64, 200, own.len() / 2] {
            let _ = needed(&own[..length]);
        }
    }
}
