//! The add-on with kernel arguments: a PE file that systemd-stub reads, made and read here.
//!
//! Layout: DOS header, PE header for the machine's architecture (EFI application), and three sections: `.text` with two
//! instructions that refuse to be started, `.sbat` (revocation data that shims want), `.cmdline` with the arguments.
//! Sources: PE format (Microsoft), systemd-stub(7), SBAT.md of shim.

use std::path::Path;

use super::{Env, StepError};
use crate::plan::kargs::{ADDON_PATH, Arguments, HELPER, words};
use crate::root::{Attributes, Durability, Root, RootError};

/// Alignment of sections in memory and in the file.
const PAGE: u32 = 0x1000;
const SECTOR: u32 = 0x200;
const SBAT: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n\
                    orlop-config,1,Orlop,orlop-config,1,orlop\n";
/// `IMAGE_FILE_MACHINE_*` and a program that returns `EFI_UNSUPPORTED`.
#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, &[u8]) = (0x8664, &[0x48, 0xb8, 3, 0, 0, 0, 0, 0, 0, 0x80, 0xc3]);
#[cfg(not(target_arch = "x86_64"))]
const MACHINE: (u16, &[u8]) = (0xaa64, &[0x60, 0, 0x80, 0xd2, 0, 0, 0xf0, 0xf2, 0xc0, 3, 0x5f, 0xd6]);

/// The arguments of the add-on on an ESP; none when there is no add-on.
pub(super) fn read(esp: &Path) -> Result<Vec<String>, RootError> {
    match Root::open(esp, Durability::Each)?.read(ADDON_PATH) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Carries a change out. The add-on is on the disk when this returns.
pub(super) fn change(arguments: &Arguments, env: &Env<'_>) -> Result<(), StepError> {
    let Some(all) = &arguments.addon else {
        let option = |name: &str, list: &[String]| -> Vec<String> {
            list.iter().flat_map(|word| [name.to_owned(), word.clone()]).collect()
        };
        let mut args = option("--should-exist", &arguments.add);
        args.extend(option("--should-not-exist", &arguments.remove));
        return Ok(env.programs.run(HELPER, &args)?);
    };
    let Some(esp) = &env.options.kernel.esp else {
        return Err(StepError::NoDevice { device: "with the EFI system partition".into() });
    };
    let esp = Root::open(esp, Durability::Each)?;
    if all.is_empty() {
        esp.remove(ADDON_PATH)?;
    } else {
        esp.write(ADDON_PATH, Attributes { mode: 0o755, uid: 0, gid: 0 }, &build(&all.join(" ")))?;
    }
    Ok(esp.sync()?)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// An add-on with a command line.
pub(super) fn build(line: &str) -> Vec<u8> {
    let (machine, code) = MACHINE;
    let sections: [(&[u8; 8], &[u8], u32); 3] = [
        // Code, executable, readable.
        (b".text\0\0\0", code, 0x6000_0020),
        // Initialised data, readable.
        (b".sbat\0\0\0", SBAT.as_bytes(), 0x4000_0040),
        (b".cmdline", line.as_bytes(), 0x4000_0040),
    ];
    let length = |content: &[u8]| u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut file = vec![0; SECTOR as usize * 2];
    put(&mut file, 0, b"MZ");
    put(&mut file, 0x3c, &0x40_u32.to_le_bytes());
    put(&mut file, 0x40, b"PE\0\0");
    put(&mut file, 0x44, &machine.to_le_bytes());
    put(&mut file, 0x46, &3_u16.to_le_bytes());
    // Size of the optional header; executable image, large addresses, debug data stripped.
    put(&mut file, 0x54, &0xf0_u16.to_le_bytes());
    put(&mut file, 0x56, &0x0222_u16.to_le_bytes());
    let optional = 0x58;
    put(&mut file, optional, &0x20b_u16.to_le_bytes());
    put(&mut file, optional + 4, &SECTOR.to_le_bytes());
    put(&mut file, optional + 16, &PAGE.to_le_bytes());
    put(&mut file, optional + 20, &PAGE.to_le_bytes());
    put(&mut file, optional + 32, &PAGE.to_le_bytes());
    put(&mut file, optional + 36, &SECTOR.to_le_bytes());
    put(&mut file, optional + 60, &(2 * SECTOR).to_le_bytes());
    // Subsystem: EFI application; DLL characteristics: position independent, no execution of data.
    put(&mut file, optional + 68, &10_u16.to_le_bytes());
    put(&mut file, optional + 70, &0x0160_u16.to_le_bytes());
    put(&mut file, optional + 108, &16_u32.to_le_bytes());
    let mut header = optional + 0xf0;
    let mut address = PAGE;
    for (name, content, flags) in sections {
        let at = u32::try_from(file.len()).unwrap_or(u32::MAX);
        let stored = length(content).next_multiple_of(SECTOR);
        put(&mut file, header, name);
        for (offset, value) in [(8, length(content)), (12, address), (16, stored), (20, at), (36, flags)] {
            put(&mut file, header + offset, &value.to_le_bytes());
        }
        file.extend_from_slice(content);
        file.resize((at + stored) as usize, 0);
        header += 40;
        address += length(content).max(1).next_multiple_of(PAGE);
    }
    // Size of the image in memory.
    put(&mut file, optional + 56, &address.to_le_bytes());
    file
}

/// The arguments in an add-on; none in what is no add-on.
pub(crate) fn parse(bytes: &[u8]) -> Vec<String> {
    cmdline(bytes).map(|line| words(&String::from_utf8_lossy(line))).unwrap_or_default()
}

fn cmdline(bytes: &[u8]) -> Option<&[u8]> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?) as usize);
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let pe = u32_at(0x3c)?;
    if bytes.get(pe..pe.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let first = pe + 24 + u16_at(pe + 20)?;
    (0..u16_at(pe + 6)?).map(|n| first + 40 * n).find_map(|at| {
        let named = bytes.get(at..at + 8)? == b".cmdline";
        let (length, start) = (u32_at(at + 8)?.min(u32_at(at + 16)?), u32_at(at + 20)?);
        let content = bytes.get(start..start.checked_add(length)?)?;
        named.then(|| content.split(|byte| *byte == 0).next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        for line in ["debug", "a=1 b=\"x y\" c", &"long=1 ".repeat(2000)] {
            assert_eq!(parse(&build(line)), words(line));
        }
        assert_eq!(build("a").len() % SECTOR as usize, 0);
        for spoilt in [&b""[..], b"MZ", &[0xff; 4096]] {
            assert_eq!(parse(spoilt), Vec::<String>::new());
        }
        let whole = build("debug");
        for at in 0..whole.len().min(0x200) {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 0xff;
            let _ = parse(&spoilt);
            let _ = parse(&whole[..at]);
        }
    }

    /// GNU objdump as judge of the headers.
    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn objdump_reads_an_addon() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.efi");
        std::fs::write(&path, build("debug x=1")).unwrap();
        let output = std::process::Command::new("objdump").args(["-h", "-f"]).arg(&path).output();
        let Ok(output) = output else { return eprintln!("SKIP objdump_reads_an_addon: no objdump") };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("pei-x86-64") && text.contains(".cmdline      00000009"), "{text}");
    }
}
