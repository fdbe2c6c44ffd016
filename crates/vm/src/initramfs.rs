//! Small initramfs archives around one program: the quickest way to run it on a kernel of ours.
//!
//! ```text
//! /init            the program that starts things (crate vm-tests: `vm-init`)
//! /modules/NN-NAME kernel modules, loaded in the order of their names
//! /test/program    what is tested, /test/arguments its arguments, one a line
//! ```
//!
//! Programs may be dynamic: what their loader lists comes along, at the same paths.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpio::Archive;

/// Line by which `/init` tells how the program ended; the machine powers off after it.
pub const EXIT_LINE: &str = "orlop-test: exit ";

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The loader of a dynamic program cannot say what it needs.
    #[error("{} cannot list the libraries of {}: {reason}", loader.display(), program.display())]
    Libraries {
        /// The loader.
        loader: PathBuf,
        /// The program.
        program: PathBuf,
        /// Its words.
        reason: String,
    },
}

/// What goes into the archive.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Becomes `/init`.
    pub init: PathBuf,
    /// Becomes `/test/program`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Kernel modules in load order, uncompressed.
    pub modules: Vec<PathBuf>,
    /// More files: path in the archive, permission bits, contents.
    pub files: Vec<(String, u32, Vec<u8>)>,
}

impl Contents {
    /// Makes the archive, uncompressed.
    ///
    /// # Errors
    /// When a file cannot be read, or a program's libraries cannot be found.
    pub fn build(&self) -> Result<Vec<u8>, InitramfsError> {
        let mut tree = Tree::default();
        tree.folders(&["proc", "sys", "dev", "run", "tmp", "modules", "test", "mnt"]);
        tree.archive.character_device("dev/console", 5, 1);
        tree.program("init", &self.init)?;
        tree.program("test/program", &self.program)?;
        tree.archive.file("test/arguments", 0o644, self.arguments.join("\n").as_bytes());
        for (index, module) in self.modules.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            tree.archive.file(&format!("modules/{index:02}-{name}"), 0o644, &read(module)?);
        }
        for (path, permissions, contents) in &self.files {
            tree.folders_above(path);
            tree.archive.file(path, *permissions, contents);
        }
        Ok(tree.archive.finish())
    }
}

#[derive(Default)]
struct Tree {
    archive: Archive,
    present: BTreeSet<String>,
}

impl Tree {
    fn folders(&mut self, names: &[&str]) {
        for name in names {
            if self.present.insert((*name).to_owned()) {
                self.archive.folder(name);
            }
        }
    }

    fn folders_above(&mut self, path: &str) {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            self.folders(&[&path[..at]]);
        }
    }

    fn program(&mut self, name: &str, path: &Path) -> Result<(), InitramfsError> {
        let bytes = read(path)?;
        for library in libraries(path, &bytes)? {
            let inside = library.to_string_lossy().into_owned();
            self.folders_above(&inside);
            if self.present.insert(inside.clone()) {
                self.archive.file(&inside, 0o755, &read(&library)?);
            }
        }
        self.archive.file(name, 0o755, &bytes);
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InitramfsError> {
    fs::read(path).map_err(|source| InitramfsError::Read { path: path.to_owned(), source })
}

/// The loader and the libraries of a dynamic program; nothing for a static one.
fn libraries(path: &Path, bytes: &[u8]) -> Result<Vec<PathBuf>, InitramfsError> {
    let Some(loader) = interpreter(bytes) else { return Ok(Vec::new()) };
    let loader = PathBuf::from(loader);
    let failed = |reason: String| InitramfsError::Libraries {
        loader: loader.clone(),
        program: path.to_owned(),
        reason,
    };
    let output =
        Command::new(&loader).arg("--list").arg(path).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mut found = listed(&String::from_utf8_lossy(&output.stdout));
    found.push(loader.clone());
    found.dedup();
    Ok(found)
}

/// Paths in the output of `ld.so --list`: `libc.so.6 => /lib/…/libc.so.6 (0x…)`.
fn listed(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| Some(PathBuf::from(line.split_once("=> ")?.1.split(" (0x").next()?));
    text.lines().filter_map(path).filter(|path| path.is_absolute()).collect()
}

/// The path in the `PT_INTERP` segment of a 64-bit little-endian ELF file (elf(5)).
fn interpreter(bytes: &[u8]) -> Option<String> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at.checked_add(size)?)?;
        Some(field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let place = |at: usize, size: usize| usize::try_from(number(at, size)?).ok();
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (place(32, 8)?, place(54, 2)?, place(56, 2)?);
    let header = (0..count).map(|index| table + index * size).find(|at| number(*at, 4) == Some(PT_INTERP))?;
    let (offset, length) = (place(header + 8, 8)?, place(header + 32, 8)?);
    let text = bytes.get(offset..offset.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_listing_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgcc_s.so.1 => /lib/x/libgcc_s.so.1 (0x00007f1)\n\
                    \tlibc.so.6 => /lib/x/libc.so.6 (0x00007f0)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        assert_eq!(listed(text), [PathBuf::from("/lib/x/libgcc_s.so.1"), PathBuf::from("/lib/x/libc.so.6")]);
    }

    #[test]
    fn a_dynamic_program_brings_its_libraries() {
        let own = std::env::current_exe().unwrap();
        let contents = Contents { init: own.clone(), program: own, ..Contents::default() };
        let archive = contents.build().unwrap();
        let names = String::from_utf8_lossy(&archive);
        for name in ["libc.so.6\0", "init\0", "test/program\0", "dev/console\0"] {
            assert!(names.contains(name), "{name:?}");
        }
    }

    #[test]
    fn junk_is_no_program() {
        assert_eq!(interpreter(b"#!/bin/sh"), None);
        assert_eq!(interpreter(b"\x7fELF\x02\x01"), None);
    }
}
