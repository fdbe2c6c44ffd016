//! A writer of cpio archives in the kernel's "newc" form (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Deterministic: inode numbers count up, times are zero, owners are root.

use super::BootError;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;
const TRAILER: &str = "TRAILER!!!";
/// The kernel wants nothing of this; other readers of cpio archives want whole blocks.
const BLOCK_BYTES: usize = 512;

/// An archive that grows.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    /// Adds a directory (0755). Parents are the caller's business and come first.
    ///
    /// # Errors
    /// [`BootError::TooLarge`].
    pub fn dir(&mut self, path: &str) -> Result<(), BootError> {
        self.entry(path, DIRECTORY, (0, 0), &[])
    }

    /// Adds a regular file.
    ///
    /// # Errors
    /// [`BootError::TooLarge`] from 4 GiB on.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), BootError> {
        self.entry(path, FILE | mode, (0, 0), content)
    }

    /// Adds a character device (0600).
    ///
    /// # Errors
    /// [`BootError::TooLarge`].
    pub fn device(&mut self, path: &str, major: u32, minor: u32) -> Result<(), BootError> {
        self.entry(path, CHARACTER_DEVICE, (major, minor), &[])
    }

    /// The finished archive.
    ///
    /// # Errors
    /// [`BootError::TooLarge`], in theory.
    pub fn finish(mut self) -> Result<Vec<u8>, BootError> {
        self.inodes = 0;
        self.entry(TRAILER, 0, (0, 0), &[])?;
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<(), BootError> {
        let size = u32::try_from(content.len()).map_err(|_| BootError::TooLarge { path: path.to_owned() })?;
        let number = if path == TRAILER { 0 } else { self.inodes + 1 };
        self.inodes += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let name_bytes = path.len() as u32 + 1;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [number, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_bytes, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_aligned_entries_and_a_trailer() {
        let mut archive = Archive::default();
        archive.dir("dev").unwrap();
        archive.device("dev/console", 5, 1).unwrap();
        archive.file("init", 0o755, b"#!").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("07070100000001000041ed"));
        // Device numbers, name size and check end the header before the name.
        let console = text.find("dev/console").unwrap();
        assert_eq!(&text[console - 32..console], "00000005000000010000000c00000000");
        assert!(text.contains("TRAILER!!!"));
        let init = text.find("init\0").unwrap();
        assert_eq!(init % 4, 110 % 4);
    }
}
