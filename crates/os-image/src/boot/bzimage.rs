//! The kernel proper out of a `bzImage` (Linux `Documentation/arch/x86/boot.rst`, payload since protocol 2.08).
//!
//! A machine without firmware can start it by the PVH entry (`CONFIG_PVH`): under emulation, unpacking is two seconds of
//! a boot.

use std::io::Read as _;

/// `HdrS`, at 0x202 of every kernel since 1995.
const MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
/// A zstd frame (RFC 8878, section 3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The head of the ELF note `XEN_ELFNOTE_PHYS32_ENTRY` by owner `Xen`: name length, value length, type 18, name.
const PVH_NOTES: [&[u8]; 2] =
    [b"\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0", b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0"];
/// More than any kernel unpacks to.
const UNPACKED_MAX_BYTES: u64 = 1 << 29;

/// The ELF file in `image`, if it is packed by zstd and has a PVH entry; else none, and `image` itself must be started.
#[must_use]
pub fn unpack(image: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if !image.get(MAGIC.0..)?.starts_with(MAGIC.1) {
        return None;
    }
    // 0 stands for 4 sectors of real-mode code (boot.rst, setup_sects).
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + number(0x248)?;
    let payload = image.get(start..start.checked_add(number(0x24c)?)?)?;
    if !payload.starts_with(ZSTD) {
        return None;
    }
    // The payload ends with four bytes of length, which are no part of the frame.
    let frame = zstd::stream::read::Decoder::new(payload).ok()?.single_frame();
    let mut elf = Vec::new();
    frame.take(UNPACKED_MAX_BYTES).read_to_end(&mut elf).ok()?;
    let pvh = PVH_NOTES.iter().any(|note| elf.windows(note.len()).any(|window| window == *note));
    (elf.starts_with(b"\x7fELF") && pvh).then_some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(elf: &[u8]) -> Vec<u8> {
        let packed = zstd::stream::encode_all(elf, 1).unwrap();
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(packed.len() as u32 + 4).to_le_bytes());
        image.extend([0; 16]);
        image.extend(packed);
        image.extend((elf.len() as u32).to_le_bytes());
        image.extend(b"what follows the payload");
        image
    }

    #[test]
    fn the_kernel_comes_out_as_it_went_in() {
        let elf = [b"\x7fELF and code ".as_slice(), PVH_NOTES[0], b"entry"].concat();
        assert_eq!(unpack(&image(&elf)), Some(elf));
    }

    #[test]
    fn what_cannot_be_started_so_is_left() {
        assert_eq!(unpack(&image(b"\x7fELF without a PVH entry")), None);
        assert_eq!(unpack(&image(&[b"no ELF".as_slice(), PVH_NOTES[1]].concat())), None);
        assert_eq!(unpack(b"MZ"), None);
        let mut cut = image(&[b"\x7fELF".as_slice(), PVH_NOTES[1]].concat());
        cut.truncate(1050);
        assert_eq!(unpack(&cut), None);
    }
}
