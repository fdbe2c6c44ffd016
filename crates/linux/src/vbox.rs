//! VirtualBox's guest properties by the kernel's driver: `linux/vboxguest.h`, `linux/vbox_vmmdev_types.h`.
//!
//! Written from the headers; there is no VirtualBox where this is tested. What can be tested, the layout of the
//! messages, is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// `VBG_IOCTL_HDR_VERSION`.
const HEADER_VERSION: u32 = 0x10001;
/// Bytes of `struct vbg_ioctl_hdr`, of the driver's, of `struct vbg_ioctl_hgcm_call`, of one parameter.
const HEADER_BYTES: usize = 24;
const VERSION_BYTES: usize = HEADER_BYTES + 20;
const CONNECT_BYTES: usize = HEADER_BYTES + 132;
const DISCONNECT_BYTES: usize = HEADER_BYTES + 4;
const CALL_BYTES: usize = HEADER_BYTES + 16;
const PARAMETER_BYTES: usize = 16;
/// Where a header keeps its status.
const STATUS_AT: usize = 12;
/// `VBG_IOC_VERSION`, and as the oldest that will do.
const DRIVER_VERSION: u32 = 0x0001_0000;
/// `VMMDEV_HGCM_LOC_LOCALHOST_EXISTING`.
const LOCALHOST_EXISTING: u32 = 2;
/// The service of properties and its functions (`GuestPropertySvc.h` of VirtualBox).
const SERVICE: &[u8] = b"VBoxGuestPropSvc";
const GET_PROPERTY: u32 = 1;
const DELETE_PROPERTY: u32 = 4;
/// `linux/vbox_err.h`.
const VERR_BUFFER_OVERFLOW: i32 = -41;
const VERR_NOT_FOUND: i32 = -78;
/// Parameter types.
const TYPE_32BIT: u32 = 1;
const TYPE_64BIT: u32 = 2;
const TYPE_LINADDR: u32 = 4;
const TYPE_LINADDR_IN: u32 = 5;
/// Largest value that is taken; the host keeps at most 64 KiB.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// `_IOWR('V', number, size)` of `asm-generic/ioctl.h`.
const fn request(number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | (b'V' as u32) << 8 | number
}

/// A connection to the service of properties.
#[derive(Debug)]
pub struct Properties {
    device: File,
    client: u32,
}

/// A parameter of a call.
enum Parameter<'a> {
    In(&'a [u8]),
    Out(&'a mut [u8]),
    Number64,
    Number32,
}

/// A message of `bytes` with its header.
fn message(bytes: usize, size_in: usize, size_out: usize) -> Vec<u8> {
    let mut message = vec![0; bytes];
    put(&mut message, 0, size_in as u32);
    put(&mut message, 4, HEADER_VERSION);
    put(&mut message, 16, size_out as u32);
    message
}

fn put(message: &mut [u8], at: usize, value: u32) {
    message[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn number(message: &[u8], at: usize) -> u32 {
    message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// The message of a call; the buffers of its parameters must outlive the ioctl.
fn call_message(client: u32, function: u32, parameters: &mut [Parameter<'_>]) -> Vec<u8> {
    let bytes = CALL_BYTES + parameters.len() * PARAMETER_BYTES;
    let mut message = message(bytes, bytes, bytes);
    put(&mut message, 24, client);
    put(&mut message, 28, function);
    // No time-out; may be interrupted.
    put(&mut message, 32, u32::MAX);
    message[36] = 1;
    message[38..40].copy_from_slice(&(parameters.len() as u16).to_ne_bytes());
    for (index, parameter) in parameters.iter_mut().enumerate() {
        let at = CALL_BYTES + index * PARAMETER_BYTES;
        let (kind, length, address) = match parameter {
            Parameter::In(bytes) => (TYPE_LINADDR_IN, bytes.len(), bytes.as_ptr() as u64),
            Parameter::Out(bytes) => (TYPE_LINADDR, bytes.len(), bytes.as_mut_ptr() as u64),
            Parameter::Number64 => (TYPE_64BIT, 0, 0),
            Parameter::Number32 => (TYPE_32BIT, 0, 0),
        };
        put(&mut message, at, kind);
        put(&mut message, at + 4, length as u32);
        message[at + 8..at + 16].copy_from_slice(&address.to_ne_bytes());
    }
    message
}

fn refused(what: &str, status: i32) -> io::Error {
    io::Error::other(format!("VirtualBox refuses to {what}: status {status}"))
}

impl Properties {
    /// Connects by the driver's device, `/dev/vboxguest`.
    ///
    /// # Errors
    /// As open(2) and ioctl(2); what the host refuses.
    pub fn open(device: &Path) -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open(device)?;
        let mut version = message(VERSION_BYTES, HEADER_BYTES + 16, HEADER_BYTES + 20);
        put(&mut version, 24, DRIVER_VERSION);
        put(&mut version, 28, DRIVER_VERSION);
        match exchange(&device, 0, &mut version)? {
            0 => {}
            status => return Err(refused("speak this version", status)),
        }
        let mut connect = message(CONNECT_BYTES, HEADER_BYTES + 132, HEADER_BYTES + 4);
        put(&mut connect, 24, LOCALHOST_EXISTING);
        connect[28..28 + SERVICE.len()].copy_from_slice(SERVICE);
        match exchange(&device, 4, &mut connect)? {
            0 => Ok(Self { client: number(&connect, 24), device }),
            status => Err(refused("give its properties", status)),
        }
    }

    /// The value of a property; `None` when it is not set.
    ///
    /// # Errors
    /// As ioctl(2); what the host refuses.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; 4096];
        loop {
            let name = [name.as_bytes(), b"\0"].concat();
            let mut parameters =
                [Parameter::In(&name), Parameter::Out(&mut value), Parameter::Number64, Parameter::Number32];
            let (status, answer) = self.call(GET_PROPERTY, &mut parameters)?;
            let bytes = number(&answer, CALL_BYTES + 3 * PARAMETER_BYTES + 4) as usize;
            match status {
                0 => {
                    // The value, a nul, and its flags.
                    let end = value.iter().position(|byte| *byte == 0).unwrap_or(bytes.min(value.len()));
                    value.truncate(end);
                    return Ok(Some(value));
                }
                VERR_NOT_FOUND => return Ok(None),
                VERR_BUFFER_OVERFLOW if bytes > value.len() && bytes <= VALUE_BYTES_MAX => {
                    value = vec![0; bytes];
                }
                status => return Err(refused("read a property", status)),
            }
        }
    }

    /// Removes a property.
    ///
    /// # Errors
    /// As ioctl(2); what the host refuses, read-only properties among it.
    pub fn delete(&self, name: &str) -> io::Result<()> {
        let name = [name.as_bytes(), b"\0"].concat();
        match self.call(DELETE_PROPERTY, &mut [Parameter::In(&name)])? {
            (0, _) => Ok(()),
            (status, _) => Err(refused("delete a property", status)),
        }
    }

    fn call(&self, function: u32, parameters: &mut [Parameter<'_>]) -> io::Result<(i32, Vec<u8>)> {
        let mut message = call_message(self.client, function, parameters);
        let status = exchange(&self.device, 7, &mut message)?;
        Ok((status, message))
    }
}

impl Drop for Properties {
    fn drop(&mut self) {
        let mut message = message(DISCONNECT_BYTES, DISCONNECT_BYTES, HEADER_BYTES);
        put(&mut message, 24, self.client);
        // The driver forgets the client with the descriptor anyway.
        let _ = exchange(&self.device, 5, &mut message);
    }
}

/// One ioctl with its message; the host's status.
fn exchange(device: &File, request_number: u32, message: &mut [u8]) -> io::Result<i32> {
    let request = request(request_number, message.len());
    // SAFETY: the kernel reads and writes `message.len()` bytes, as the request's number says. Addresses in it are of
    // buffers that the caller's parameters borrow until this returns, each with its length.
    let rc = unsafe { libc::ioctl(device.as_raw_fd(), request as libc::Ioctl, message.as_mut_ptr()) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(number(message, STATUS_AT).cast_signed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the header's macros give with a C compiler.
    #[test]
    fn requests_of_the_header() {
        assert_eq!(request(0, VERSION_BYTES), 0xc02c_5600);
        assert_eq!(request(4, CONNECT_BYTES), 0xc09c_5604);
        assert_eq!(request(5, DISCONNECT_BYTES), 0xc01c_5605);
        assert_eq!(request(7, CALL_BYTES + 4 * PARAMETER_BYTES), 0xc068_5607);
    }

    #[test]
    fn a_call_lies_as_the_header_has_it() {
        let mut value = [0; 8];
        let address = value.as_ptr() as u64;
        let mut parameters = [Parameter::In(b"/a\0"), Parameter::Out(&mut value), Parameter::Number32];
        let message = call_message(7, GET_PROPERTY, &mut parameters);
        assert_eq!(message.len(), 24 + 16 + 3 * 16);
        assert_eq!(number(&message, 0) as usize, message.len());
        assert_eq!(number(&message, 4), 0x10001);
        assert_eq!((number(&message, 24), number(&message, 28), number(&message, 32)), (7, 1, u32::MAX));
        assert_eq!(message[36..40], [1, 0, 3, 0]);
        assert_eq!((number(&message, 40), number(&message, 44)), (TYPE_LINADDR_IN, 3));
        assert_eq!((number(&message, 56), number(&message, 60)), (TYPE_LINADDR, 8));
        assert_eq!(message[64..72], address.to_ne_bytes());
        assert_eq!((number(&message, 72), number(&message, 76)), (TYPE_32BIT, 0));
    }

    #[test]
    fn without_virtualbox_there_is_no_device() {
        let error = Properties::open(Path::new("/dev/no-vboxguest")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
