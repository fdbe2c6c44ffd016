//! Device mapper: create, load, resume and remove devices by ioctl on `/dev/mapper/control`.
//!
//! Layouts are those of `linux/dm-ioctl.h` (interface 4.x). The buffer that each call carries is built and read by
//! pure functions; only [`Control::call`] enters the kernel.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

/// The control node that devtmpfs makes when `dm-mod` is loaded.
pub const CONTROL: &str = "/dev/mapper/control";

/// `sizeof(struct dm_ioctl)`: the fixed head of every call.
const HEAD_BYTES: usize = 312;
/// `sizeof(struct dm_target_spec)`.
const SPEC_BYTES: usize = 40;
/// `DM_NAME_LEN`, with its NUL.
const NAME_BYTES: usize = 128;
/// `DM_UUID_LEN`, with its NUL.
const UUID_BYTES: usize = 129;
/// `DM_MAX_TYPE_NAME`, with its NUL.
const TYPE_BYTES: usize = 16;
/// `_IOWR(DM_IOCTL, …)`.
const GROUP: u8 = 0xfd;
/// `DM_READONLY_FLAG`.
const READ_ONLY: u32 = 1;
const OFFSET_DATA_SIZE: usize = 12;
const OFFSET_DATA_START: usize = 16;
const OFFSET_TARGET_COUNT: usize = 20;
const OFFSET_FLAGS: usize = 28;
const OFFSET_DEV: usize = 40;
const OFFSET_NAME: usize = 48;
const OFFSET_UUID: usize = 176;

/// The commands used here, by their numbers in `linux/dm-ioctl.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Create = 3,
    Remove = 4,
    /// `DM_DEV_SUSPEND`; without the suspend flag it resumes.
    Resume = 6,
    Load = 9,
}

/// One line of a device's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// First sector (512 bytes) of the device that this target serves.
    pub start_sectors: u64,
    /// Length in sectors of 512 bytes.
    pub length_sectors: u64,
    /// Target type, e.g. `verity`; at most 15 bytes.
    pub kind: String,
    /// Parameters in the words of the kernel's `Documentation/admin-guide/device-mapper`.
    pub params: String,
}

/// A live device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Major number (dynamic).
    pub major: u32,
    /// Minor number; devtmpfs names the node `/dev/dm-MINOR`.
    pub minor: u32,
}

impl Device {
    /// The node that devtmpfs makes.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(format!("dm-{}", self.minor))
    }
}

/// An open `/dev/mapper/control`.
#[derive(Debug)]
pub struct Control {
    file: File,
}

impl Control {
    /// Opens the control node.
    ///
    /// # Errors
    /// What `open(2)` says: `ENOENT` when `dm-mod` is not loaded.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(CONTROL)? })
    }

    /// Creates a device with a table and makes it live; a device whose table is refused is removed again.
    ///
    /// # Errors
    /// `EBUSY` when the name or uuid is taken, `EINVAL` when the kernel refuses the table (its log says why), `E2BIG`
    /// when a name does not fit its field.
    pub fn create(
        &self,
        name: &str,
        uuid: &str,
        targets: &[Target],
        read_only: bool,
    ) -> Result<Device, Errno> {
        let flags = if read_only { READ_ONLY } else { 0 };
        let mut buffer = request(name, uuid, flags, &[])?;
        self.call(Command::Create, &mut buffer)?;
        let device = device_of(&buffer);
        let loaded = request(name, "", flags, targets)
            .and_then(|mut buffer| self.call(Command::Load, &mut buffer))
            .and_then(|()| request(name, "", flags, &[]))
            .and_then(|mut buffer| self.call(Command::Resume, &mut buffer));
        if let Err(errno) = loaded {
            // The first error is the one to tell; a device that stays is only a leftover name.
            let _ = self.remove(name);
            return Err(errno);
        }
        Ok(device)
    }

    /// Removes a device by name.
    ///
    /// # Errors
    /// `ENXIO` when there is none, `EBUSY` when it is open.
    pub fn remove(&self, name: &str) -> Result<(), Errno> {
        let mut buffer = request(name, "", 0, &[])?;
        self.call(Command::Remove, &mut buffer)
    }

    fn call(&self, command: Command, buffer: &mut [u8]) -> Result<(), Errno> {
        // SAFETY: `buffer` is a whole `dm_ioctl` whose `data_size` is its length, so the kernel stays inside it.
        unsafe { rustix::ioctl::ioctl(&self.file, Call { command, buffer }) }
    }
}

struct Call<'a> {
    command: Command,
    buffer: &'a mut [u8],
}

// SAFETY: the opcode carries the head's size, the pointer a buffer that `request` built, and nothing is returned.
unsafe impl Ioctl for Call<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<[u8; HEAD_BYTES]>(GROUP, self.command as u8)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.buffer.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Builds `struct dm_ioctl` and the targets after it.
fn request(name: &str, uuid: &str, flags: u32, targets: &[Target]) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; HEAD_BYTES];
    put(&mut buffer, 0, &4u32.to_ne_bytes());
    put_text(&mut buffer, OFFSET_NAME, NAME_BYTES, name)?;
    put_text(&mut buffer, OFFSET_UUID, UUID_BYTES, uuid)?;
    put(&mut buffer, OFFSET_FLAGS, &flags.to_ne_bytes());
    put(&mut buffer, OFFSET_DATA_START, &size(HEAD_BYTES)?.to_ne_bytes());
    put(&mut buffer, OFFSET_TARGET_COUNT, &size(targets.len())?.to_ne_bytes());
    for target in targets {
        let mut spec = vec![0; SPEC_BYTES];
        put(&mut spec, 0, &target.start_sectors.to_ne_bytes());
        put(&mut spec, 8, &target.length_sectors.to_ne_bytes());
        put_text(&mut spec, 24, TYPE_BYTES, &target.kind)?;
        spec.extend_from_slice(target.params.as_bytes());
        spec.push(0);
        spec.resize(spec.len().next_multiple_of(8), 0);
        let next = size(spec.len())?;
        put(&mut spec, 20, &next.to_ne_bytes());
        buffer.extend_from_slice(&spec);
    }
    let total = size(buffer.len())?;
    put(&mut buffer, OFFSET_DATA_SIZE, &total.to_ne_bytes());
    Ok(buffer)
}

/// The device number that the kernel wrote back (`huge_encode_dev`: 12 bits of major, minor split 8 + 12).
fn device_of(buffer: &[u8]) -> Device {
    let mut raw = [0; 8];
    raw.copy_from_slice(&buffer[OFFSET_DEV..OFFSET_DEV + 8]);
    let dev = u64::from_ne_bytes(raw);
    Device { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev) }
}

fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    buffer[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_text(buffer: &mut [u8], at: usize, room: usize, text: &str) -> Result<(), Errno> {
    if text.len() >= room {
        return Err(Errno::TOOBIG);
    }
    put(buffer, at, text.as_bytes());
    Ok(())
}

fn size(bytes: usize) -> Result<u32, Errno> {
    u32::try_from(bytes).map_err(|_| Errno::TOOBIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(buffer: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_request_without_targets_is_the_bare_head() {
        let buffer = request("usr", "CRYPT-VERITY-x", READ_ONLY, &[]).unwrap();
        assert_eq!(buffer.len(), HEAD_BYTES);
        assert_eq!(u32_at(&buffer, 0), 4);
        assert_eq!(u32_at(&buffer, OFFSET_DATA_SIZE) as usize, HEAD_BYTES);
        assert_eq!(u32_at(&buffer, OFFSET_FLAGS), READ_ONLY);
        assert_eq!(&buffer[OFFSET_NAME..OFFSET_NAME + 4], b"usr\0");
        assert_eq!(&buffer[OFFSET_UUID..OFFSET_UUID + 15], b"CRYPT-VERITY-x\0");
    }

    #[test]
    fn a_target_follows_the_head_padded_to_eight() {
        let target =
            Target { start_sectors: 0, length_sectors: 4096, kind: "verity".into(), params: "1 2 3".into() };
        let buffer = request("usr", "", 0, &[target.clone(), target]).unwrap();
        assert_eq!(buffer.len(), HEAD_BYTES + 2 * 48);
        assert_eq!(u32_at(&buffer, OFFSET_TARGET_COUNT), 2);
        assert_eq!(u32_at(&buffer, HEAD_BYTES + 20), 48);
        assert_eq!(&buffer[HEAD_BYTES + 24..HEAD_BYTES + 31], b"verity\0");
        assert_eq!(&buffer[HEAD_BYTES + 40..HEAD_BYTES + 46], b"1 2 3\0");
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        assert_eq!(request(&"n".repeat(128), "", 0, &[]), Err(Errno::TOOBIG));
        assert!(request(&"n".repeat(127), &"u".repeat(128), 0, &[]).is_ok());
    }

    #[test]
    fn the_opcode_is_that_of_the_header() {
        // DM_DEV_CREATE = _IOWR(0xfd, 3, struct dm_ioctl)
        let call = Call { command: Command::Create, buffer: &mut [] };
        assert_eq!(u64::from(call.opcode()), 0xc138_fd03);
    }

    #[test]
    fn device_numbers_are_decoded() {
        let mut buffer = vec![0; HEAD_BYTES];
        put(&mut buffer, OFFSET_DEV, &0xfd05u64.to_ne_bytes());
        assert_eq!(device_of(&buffer), Device { major: 253, minor: 5 });
        assert_eq!(device_of(&buffer).node(), Path::new("/dev/dm-5"));
    }
}
