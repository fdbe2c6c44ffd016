//! Block-device ioctls: sizes, partitions known to the kernel, and ext4's online growth.
//!
//! Numbers and layouts are those of `linux/fs.h`, `linux/blkpg.h` and `fs/ext4/ext4.h`.

use std::ffi::c_void;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::ioctl::{Getter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, opcode};

/// `BLKRRPART`.
const REREAD: Opcode = opcode::none(0x12, 95);
/// `BLKPG`.
const PARTITION: Opcode = opcode::none(0x12, 105);
/// `BLKSSZGET`: declared without a size, yet it writes an `int`.
const SECTOR_SIZE: Opcode = opcode::none(0x12, 104);
/// `BLKGETSIZE64`.
const SIZE: Opcode = opcode::read::<usize>(0x12, 114);
/// `EXT4_IOC_RESIZE_FS`.
const EXT4_RESIZE: Opcode = opcode::write::<u64>(b'f', 16);

/// What to do with one partition of an open disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `BLKPG_ADD_PARTITION`.
    Add,
    /// `BLKPG_DEL_PARTITION`; start and length are ignored.
    Delete,
    /// `BLKPG_RESIZE_PARTITION`: the start stays, the length changes; works while the partition is in use.
    Resize,
}

/// Makes the kernel read the partition table again (`BLKRRPART`).
///
/// # Errors
/// `EBUSY` when a partition of the disk is in use: then use [`change_partition`].
pub fn reread_partitions(disk: impl AsFd) -> Result<(), Errno> {
    // SAFETY: the call takes no argument.
    unsafe { rustix::ioctl::ioctl(disk, NoArg::<REREAD>::new()) }
}

/// Tells the kernel of one partition (`BLKPG`), without reading the table again.
///
/// # Errors
/// `ENXIO` no such partition, `EBUSY` in use or overlapping, `EINVAL` a range that is not whole logical sectors.
pub fn change_partition(
    disk: impl AsFd,
    change: Change,
    number: u32,
    start_bytes: u64,
    length_bytes: u64,
) -> Result<(), Errno> {
    let signed = |value: u64| i64::try_from(value).map_err(|_| Errno::OVERFLOW);
    let mut partition = BlkpgPartition {
        start: signed(start_bytes)?,
        length: signed(length_bytes)?,
        number: i32::try_from(number).map_err(|_| Errno::OVERFLOW)?,
        names: [0; 128],
    };
    let argument = BlkpgArgument {
        operation: match change {
            Change::Add => 1,
            Change::Delete => 2,
            Change::Resize => 3,
        },
        flags: 0,
        length: i32::try_from(size_of::<BlkpgPartition>()).map_err(|_| Errno::OVERFLOW)?,
        data: &raw mut partition,
    };
    // SAFETY: the argument is a `blkpg_ioctl_arg` whose data outlives the call; the kernel only reads both.
    unsafe { rustix::ioctl::ioctl(disk, Blkpg(argument)) }
}

/// The device's size in bytes (`BLKGETSIZE64`).
///
/// # Errors
/// `ENOTTY` when it is not a block device.
pub fn size_bytes(device: impl AsFd) -> Result<u64, Errno> {
    // SAFETY: `BLKGETSIZE64` writes a `u64` in spite of the `size_t` in its number.
    unsafe { rustix::ioctl::ioctl(device, Getter::<SIZE, u64>::new()) }
}

/// The logical sector size in bytes (`BLKSSZGET`).
///
/// # Errors
/// `ENOTTY` when it is not a block device.
pub fn sector_bytes(device: impl AsFd) -> Result<u32, Errno> {
    // SAFETY: `BLKSSZGET` writes an `int`.
    unsafe { rustix::ioctl::ioctl(device, Getter::<SECTOR_SIZE, u32>::new()) }
}

/// Grows a mounted ext4 to `blocks` of its own block size (`EXT4_IOC_RESIZE_FS`); `mounted` is any file of it.
///
/// # Errors
/// `EPERM` without `CAP_SYS_RESOURCE`, `EINVAL` beyond the device or when shrinking, `ENOTTY` when it is not ext4.
pub fn resize_ext4(mounted: impl AsFd, blocks: u64) -> Result<(), Errno> {
    // SAFETY: the call reads one `u64`.
    unsafe { rustix::ioctl::ioctl(mounted, Setter::<EXT4_RESIZE, u64>::new(blocks)) }
}

#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    /// `devname` and `volname`, unused by the kernel.
    names: [u8; 128],
}

#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut BlkpgPartition,
}

struct Blkpg(BlkpgArgument);

// SAFETY: the pointer is to a whole `blkpg_ioctl_arg`; the kernel writes nothing back.
unsafe impl Ioctl for Blkpg {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        PARTITION
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_layouts_are_those_of_the_headers() {
        assert_eq!(u64::from(SIZE), 0x8008_1272);
        assert_eq!(u64::from(REREAD), 0x125f);
        assert_eq!(u64::from(PARTITION), 0x1269);
        assert_eq!(u64::from(EXT4_RESIZE), 0x4008_6610);
        assert_eq!(size_of::<BlkpgPartition>(), 152);
        assert_eq!(size_of::<BlkpgArgument>(), 24);
    }

    #[test]
    fn a_plain_file_is_no_disk() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(size_bytes(&file), Err(Errno::NOTTY));
        assert_eq!(reread_partitions(&file), Err(Errno::NOTTY));
        assert_eq!(change_partition(&file, Change::Resize, 1, 0, u64::MAX), Err(Errno::OVERFLOW));
    }
}
