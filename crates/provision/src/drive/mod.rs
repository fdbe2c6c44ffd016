//! Config drives: small read-only volumes that a platform attaches to a machine, and one file on them.
//!
//! The volumes are read here and not mounted. In the initramfs no driver of ISO 9660, UDF or FAT is at hand, and a
//! file system from outside is safer in a parser with bounds than in the kernel. Only what config drives are made of
//! is read: [`iso9660`] with Rock Ridge and Joliet names, [`udf`] as on CD-ROMs, [`fat`] with long names.
//!
//! A volume is recognised by its content. Everything in it is a stranger's: every length and every chain is bounded.

pub mod fat;
pub mod iso9660;
mod parse;
pub mod udf;

use std::io;

use block::probe::ReadAt;

/// Largest file that is read of a drive: user data are kilobytes; this stops a hostile length.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Largest directory that is read.
pub(crate) const DIRECTORY_BYTES_MAX: u64 = 4 << 20;

/// Why a volume cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The device gave an error.
    #[error("cannot read {bytes} bytes at {offset}")]
    Read {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        bytes: usize,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The volume contradicts its format.
    #[error("the {format} volume is damaged: {what}")]
    Damaged {
        /// The format.
        format: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The volume uses a part of its format that is not read here.
    #[error("the {format} volume has {what}, which is not read")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// The part.
        what: &'static str,
    },
    /// A file is larger than anybody means.
    #[error("{path} has {bytes} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge {
        /// The file's path on the drive.
        path: String,
        /// Its length.
        bytes: u64,
    },
}

/// The format of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ISO 9660.
    Iso9660,
    /// UDF.
    Udf,
    /// FAT12, FAT16, FAT32.
    Fat,
}

impl Format {
    /// The name that mount(8) uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso9660 => "iso9660",
            Self::Udf => "udf",
            Self::Fat => "vfat",
        }
    }
}

/// A volume of one of the formats.
#[derive(Debug)]
pub enum Volume {
    /// ISO 9660.
    Iso9660(iso9660::Iso9660),
    /// UDF.
    Udf(udf::Udf),
    /// FAT.
    Fat(fat::Fat),
}

impl Volume {
    /// Recognises the volumes on a device: none, one, or two, as a disc may be ISO 9660 and UDF at once.
    ///
    /// # Errors
    /// Only those of the device; what is damaged at its very head is not recognised.
    pub fn on(device: &dyn ReadAt, size_bytes: u64) -> Result<Vec<Self>, VolumeError> {
        let mut found = Vec::new();
        found.extend(iso9660::Iso9660::open(device, size_bytes)?.map(Self::Iso9660));
        found.extend(udf::Udf::open(device, size_bytes)?.map(Self::Udf));
        found.extend(fat::Fat::open(device, size_bytes)?.map(Self::Fat));
        Ok(found)
    }

    /// Its format.
    pub fn format(&self) -> Format {
        match self {
            Self::Iso9660(_) => Format::Iso9660,
            Self::Udf(_) => Format::Udf,
            Self::Fat(_) => Format::Fat,
        }
    }

    /// Its labels: more than one where the format keeps it twice.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Iso9660(volume) => &volume.labels,
            Self::Udf(volume) => &volume.labels,
            Self::Fat(volume) => &volume.labels,
        }
    }

    /// The content of a file by its path, `/user-data`. `None` when there is no such file.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn read(&self, device: &dyn ReadAt, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        match self {
            Self::Iso9660(volume) => volume.read(device, path),
            Self::Udf(volume) => volume.read(device, path),
            Self::Fat(volume) => volume.read(device, path),
        }
    }
}

/// The names of a path's steps.
pub(crate) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !step.is_empty() && *step != ".")
}

/// Reads bytes, with the place in the error.
pub(crate) fn read_at(device: &dyn ReadAt, offset: u64, bytes: usize) -> Result<Vec<u8>, VolumeError> {
    let mut buffer = vec![0; bytes];
    device.read_exact_at(&mut buffer, offset).map_err(|source| VolumeError::Read {
        offset,
        bytes,
        source,
    })?;
    Ok(buffer)
}

/// Reads the head of a format that may not be there at all: beyond the end there is nothing.
pub(crate) fn peek(
    device: &dyn ReadAt,
    offset: u64,
    bytes: usize,
    size_bytes: u64,
) -> Result<Option<Vec<u8>>, VolumeError> {
    match offset.checked_add(bytes as u64) {
        Some(end) if end <= size_bytes => read_at(device, offset, bytes).map(Some),
        _ => Ok(None),
    }
}

/// An image in memory.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a>(pub &'a [u8]);

impl ReadAt for Image<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}
