//! Starts programs of the tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::make::at;
use crate::{Error, Sdk};

/// The tree's dynamic loader, relative to its root.
pub const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// Where the tree's shared libraries are, in search order.
const LIBRARIES: &[&str] = &[
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/swtpm",
    "usr/lib/x86_64-linux-gnu/systemd",
    "usr/lib",
];

/// Where the tree's programs are, in search order.
const PROGRAMS: &[&str] = &["usr/bin", "usr/sbin", "usr/lib/systemd"];

/// How a program file has to be started.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// Has an interpreter segment: through the tree's loader.
    Dynamic,
    /// A static program: as it is.
    Static,
    /// A script: through its interpreter (file name) of the tree, with the arguments of its first line.
    Script(String, Vec<String>),
}

impl Sdk {
    /// The path of a program of the tree, looked for by name in its `bin` and `sbin` directories.
    ///
    /// # Errors
    /// [`Error::NoProgram`].
    pub fn program(&self, name: &str) -> Result<PathBuf, Error> {
        PROGRAMS
            .iter()
            .map(|dir| self.root.join(dir).join(name))
            .find(|path| path.exists())
            .ok_or_else(|| Error::NoProgram { path: self.root.clone(), name: name.to_owned() })
    }

    /// A command that runs a program of the tree with the tree's own libraries; `argv[0]` is the program's path.
    ///
    /// The program sees the host's file system: data files of the tree have to be named (QEMU's `-L`). The environment
    /// is the caller's, with `LC_ALL=C`. No variable leads the program's own children to the tree.
    ///
    /// # Errors
    /// [`Error::NoProgram`], or [`Error::Path`] when its file cannot be read.
    pub fn command(&self, name: &str) -> Result<Command, Error> {
        let path = self.program(name)?;
        // mtools and ld.so both choose by name: the link's name is kept for argv[0], its target is what is loaded.
        let bytes = fs::read(&path).map_err(at("read", &path))?;
        let mut command = match start(&bytes) {
            Start::Static => Command::new(&path),
            Start::Dynamic => {
                let mut command = Command::new(self.root.join(LOADER));
                command.arg("--library-path").arg(self.library_path()).arg("--argv0").arg(&path).arg(&path);
                command
            }
            Start::Script(interpreter, arguments) => {
                let mut command = self.command(&self.interpreter(&interpreter))?;
                command.args(arguments).arg(&path);
                if interpreter.starts_with("python") {
                    command.env("PYTHONHOME", self.root.join("usr")).env("PYTHONDONTWRITEBYTECODE", "1");
                    command.env("PYTHONPATH", self.root.join("usr/lib/python3/dist-packages"));
                }
                command
            }
        };
        command.env("LC_ALL", "C");
        Ok(command)
    }

    /// The value of `ld.so --library-path`.
    #[must_use]
    pub fn library_path(&self) -> std::ffi::OsString {
        let list: Vec<PathBuf> = LIBRARIES.iter().map(|dir| self.root.join(dir)).collect();
        std::env::join_paths(list).unwrap_or_default()
    }

    /// Debian's `python3` is a link made by a package; its absolute form would lead to the host.
    fn interpreter(&self, name: &str) -> String {
        let target = fs::read_link(self.root.join("usr/bin").join(name)).ok();
        let file =
            target.as_deref().and_then(Path::file_name).map(|file| file.to_string_lossy().into_owned());
        file.unwrap_or_else(|| name.to_owned())
    }
}

/// Decides by the first bytes of a program file. Anything that is not a script and has no interpreter is static.
fn start(bytes: &[u8]) -> Start {
    if let Some(rest) = bytes.strip_prefix(b"#!") {
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let mut program = words.next().unwrap_or("sh");
        if program.ends_with("/env") {
            program = words.next().unwrap_or("sh");
        }
        let name = program.rsplit('/').next().unwrap_or(program).to_owned();
        return Start::Script(name, words.map(str::to_owned).collect());
    }
    if has_interpreter(bytes).unwrap_or(false) { Start::Dynamic } else { Start::Static }
}

/// Whether a 64-bit little-endian ELF file has a `PT_INTERP` segment (`elf(5)`); `None` when it is not such a file.
fn has_interpreter(bytes: &[u8]) -> Option<bool> {
    const PT_INTERP: [u8; 4] = 3u32.to_le_bytes();
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(bytes.get(56..58)?.try_into().ok()?));
    let headers = (0..count).map(|index| offset.checked_add(index * size));
    Some(headers.flatten().any(|at| bytes.get(at..).is_some_and(|header| header.starts_with(&PT_INTERP))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_interpreter() {
        let expected = Start::Script("python3".to_owned(), vec!["-E".to_owned()]);
        assert_eq!(start(b"#!/usr/bin/env python3 -E\nimport sys\n"), expected);
        assert_eq!(start(b"#! /bin/sh"), Start::Script("sh".to_owned(), vec![]));
    }

    #[test]
    fn this_test_program_is_dynamic_and_junk_is_left_alone() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(start(&own), Start::Dynamic);
        assert_eq!(start(b"\x7fELF\x02\x01short"), Start::Static);
        assert_eq!(start(b""), Start::Static);
    }
}
