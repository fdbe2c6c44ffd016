//! Unified kernel images: sections appended to systemd's EFI stub (UAPI.5, "Unified Kernel Image"; PE/COFF
//! specification for the headers).

use super::BootError;

/// Bytes of one section header.
const HEADER_BYTES: usize = 40;
/// `IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_READ`: kernels that use the EFI handover are run in place.
const CODE: u32 = 0x4000_0020;
/// `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`.
const DATA: u32 = 0x4000_0040;
/// `IMAGE_DLLCHARACTERISTICS_NX_COMPAT`.
const NX_COMPAT: u16 = 0x0100;

/// A section to append: its name (at most eight bytes, with the dot) and its bytes.
pub type Section<'a> = (&'static str, &'a [u8]);

/// Where the fields are that change.
struct Headers {
    /// Offset of the COFF header.
    coff: usize,
    /// Offset of the optional header.
    optional: usize,
    /// Offset of the first section header.
    sections: usize,
    /// Number of sections.
    count: usize,
    file_alignment: usize,
    section_alignment: usize,
    /// Bytes that headers may use.
    headers_max: usize,
}

/// Appends the sections to the stub, in order.
///
/// # Errors
/// [`BootError::Pe`] when the stub is no unsigned 64-bit PE file with room for the headers.
pub fn assemble(stub: &[u8], sections: &[Section<'_>]) -> Result<Vec<u8>, BootError> {
    let mut pe = stub.to_vec();
    let mut headers = parse(&pe)?;
    // Data directory 4: the certificate table of a signed file.
    if u32_at(&pe, headers.optional + 112 + 4 * 8) != Some(0) {
        return Err(BootError::Pe { what: "it is signed" });
    }
    let kernel = sections.iter().find(|(name, _)| *name == ".linux").map(|(_, bytes)| *bytes);
    // Stub and kernel have to agree, or firmware that enforces it refuses to run the kernel.
    if kernel.is_some_and(|kernel| !nx_compatible(kernel).unwrap_or(true)) {
        let at = headers.optional + 70;
        let flags = u16_at(&pe, at).unwrap_or(0) & !NX_COMPAT;
        put(&mut pe, at, &flags.to_le_bytes());
    }
    for section in sections {
        append(&mut pe, &mut headers, section)?;
    }
    let end = section_end(&pe, &headers, headers.count - 1).ok_or(BootError::Pe { what: "no sections" })?;
    let image_bytes = end.next_multiple_of(headers.section_alignment);
    put(&mut pe, headers.coff + 2, &(headers.count as u16).to_le_bytes());
    put(&mut pe, headers.optional + 56, &number(image_bytes)?);
    put(&mut pe, headers.optional + 64, &[0; 4]); // check sum: unused by UEFI
    Ok(pe)
}

/// The names, and the bytes, of all sections: what `ukify inspect` shows.
///
/// # Errors
/// [`BootError::Pe`] when the file is no PE file or a section lies outside it.
pub fn inspect(pe: &[u8]) -> Result<Vec<(String, &[u8])>, BootError> {
    let wrong = BootError::Pe { what: "a section lies outside the file" };
    let headers = parse(pe)?;
    let section = |index: usize| {
        let at = headers.sections + index * HEADER_BYTES;
        let name = pe.get(at..at + 8)?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let bytes = u32_at(pe, at + 8)?.min(u32_at(pe, at + 16)?) as usize;
        let start = u32_at(pe, at + 20)? as usize;
        Some((name, pe.get(start..start.checked_add(bytes)?)?))
    };
    (0..headers.count).map(section).collect::<Option<_>>().ok_or(wrong)
}

fn append(pe: &mut Vec<u8>, headers: &mut Headers, (name, bytes): &Section<'_>) -> Result<(), BootError> {
    let at = headers.sections + headers.count * HEADER_BYTES;
    if at + HEADER_BYTES > headers.headers_max || name.len() > 8 {
        return Err(BootError::Pe { what: "no room for a section header" });
    }
    let end = section_end(pe, headers, headers.count - 1).ok_or(BootError::Pe { what: "no sections" })?;
    let address = end.next_multiple_of(headers.section_alignment);
    let start = pe.len().next_multiple_of(headers.file_alignment);
    let raw_bytes = bytes.len().next_multiple_of(headers.file_alignment);
    let flags = if *name == ".linux" { CODE } else { DATA };
    let mut header = [0; HEADER_BYTES];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (offset, value) in [(8, bytes.len()), (12, address), (16, raw_bytes), (20, start)] {
        header[offset..offset + 4].copy_from_slice(&number(value)?);
    }
    header[36..].copy_from_slice(&flags.to_le_bytes());
    put(pe, at, &header);
    pe.resize(start, 0);
    pe.extend_from_slice(bytes);
    pe.resize(start + raw_bytes, 0);
    let data_bytes = u32_at(pe, headers.optional + 8).unwrap_or(0) as usize + bytes.len();
    put(pe, headers.optional + 8, &number(data_bytes)?);
    headers.count += 1;
    Ok(())
}

fn parse(pe: &[u8]) -> Result<Headers, BootError> {
    let wrong = |what| BootError::Pe { what };
    let short = || wrong("too short");
    if pe.get(..2) != Some(b"MZ") {
        return Err(wrong("no DOS header"));
    }
    let coff = (u32_at(pe, 60).ok_or_else(short)? as usize).checked_add(4).ok_or_else(short)?;
    let optional = coff + 20;
    if pe.get(coff - 4..coff) != Some(b"PE\0\0") || u16_at(pe, optional) != Some(0x20b) {
        return Err(wrong("no 64-bit PE header"));
    }
    let field = |offset: usize| u32_at(pe, optional + offset).map(|value| value as usize).ok_or_else(short);
    let (section_alignment, file_alignment) = (field(32)?, field(36)?);
    if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
        return Err(wrong("an alignment that is no power of two"));
    }
    let sections = optional + usize::from(u16_at(pe, coff + 16).ok_or_else(short)?);
    let count = usize::from(u16_at(pe, coff + 2).ok_or_else(short)?);
    let headers_max = field(60)?.next_multiple_of(file_alignment).min(pe.len());
    if count == 0 || sections + count * HEADER_BYTES > headers_max {
        return Err(wrong("sections outside the headers"));
    }
    Ok(Headers { coff, optional, sections, count, file_alignment, section_alignment, headers_max })
}

/// The address behind a section in memory.
fn section_end(pe: &[u8], headers: &Headers, index: usize) -> Option<usize> {
    let at = headers.sections + index * HEADER_BYTES;
    (u32_at(pe, at + 12)? as usize).checked_add(u32_at(pe, at + 8)? as usize)
}

fn nx_compatible(pe: &[u8]) -> Option<bool> {
    let headers = parse(pe).ok()?;
    Some(u16_at(pe, headers.optional + 70)? & NX_COMPAT != 0)
}

fn number(value: usize) -> Result<[u8; 4], BootError> {
    u32::try_from(value).map(u32::to_le_bytes).map_err(|_| BootError::Pe { what: "more than 4 GiB" })
}

fn put(pe: &mut [u8], at: usize, bytes: &[u8]) {
    pe[at..at + bytes.len()].copy_from_slice(bytes);
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
