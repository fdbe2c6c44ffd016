//! VMware: `guestinfo` properties over the hypervisor's backdoor, or the properties of an OVF environment.
//!
//! The channel is the low-bandwidth form of the message protocol of open-vm-tools (`message.c`, `guest_msg_def.h`):
//! four bytes a call. On it, `info-get` and `info-set` of the RPCI protocol.

use linux::vmware::Registers;

use super::{Deleted, Env, NOTHING, Needs, PlatformError, Provider, UserData, decode, ovf};

const DATA: &str = "ignition.config.data";
const ENCODING: &str = "ignition.config.data.encoding";
const OVF: &str = "ovfenv";
/// What upstream leaves: `{}` in base64.
const DELETED_DATA: &str = "e30K";
const DELETED_ENCODING: &str = "base64";
/// The protocol's number, `RPCI`, and the wish for a cookie.
const PROTOCOL: u32 = 0x4943_5052;
const FLAG_COOKIE: u32 = 0x8000_0000;
/// `BDOOR_CMD_MESSAGE`.
const COMMAND_MESSAGE: u32 = 0x1e;
/// Statuses in the upper half of ECX.
const STATUS_SUCCESS: u32 = 0x1;
const STATUS_RECEIVE: u32 = 0x2;
const STATUS_CHECKPOINT: u32 = 0x10;
/// A message that a checkpoint breaks off is sent again this often.
const ATTEMPTS_MAX: usize = 16;
/// Largest answer that is taken.
const ANSWER_BYTES_MAX: u32 = 16 << 20;
const HOST: &str = "VMware's backdoor";

/// Types of a message (`guest_msg_def.h`).
#[derive(Clone, Copy)]
enum Type {
    Open = 0,
    SendSize = 1,
    SendPayload = 2,
    ReceiveSize = 3,
    ReceivePayload = 4,
    ReceiveStatus = 5,
    Close = 6,
}

/// The hypervisor's port, or what stands in for it.
pub trait Backdoor {
    /// One call.
    fn call(&mut self, registers: Registers) -> Registers;
}

impl Backdoor for linux::vmware::Backdoor {
    fn call(&mut self, registers: Registers) -> Registers {
        self.call(registers)
    }
}

/// A message channel.
struct Channel<'b> {
    backdoor: &'b mut dyn Backdoor,
    id: u32,
    cookie: (u32, u32),
}

/// Why an operation did not come through.
enum Broken {
    /// The machine was saved or moved in the middle: again.
    Checkpoint,
    Failed(&'static str),
}

impl<'b> Channel<'b> {
    fn open(backdoor: &'b mut dyn Backdoor) -> Result<Self, PlatformError> {
        for flags in [FLAG_COOKIE, 0] {
            let cx = (Type::Open as u32) << 16 | COMMAND_MESSAGE;
            let answer = backdoor.call(Registers { bx: PROTOCOL | flags, cx, ..Registers::default() });
            if answer.cx >> 16 & STATUS_SUCCESS != 0 {
                let cookie = (answer.si, answer.di);
                return Ok(Self { backdoor, id: answer.dx & 0xffff_0000, cookie });
            }
        }
        Err(failed("no channel can be opened"))
    }

    /// One call on the channel; the answer and its status.
    fn call(&mut self, kind: Type, bx: u32) -> Result<Registers, Broken> {
        let (si, di) = self.cookie;
        let cx = (kind as u32) << 16 | COMMAND_MESSAGE;
        let answer = self.backdoor.call(Registers { bx, cx, dx: self.id, si, di });
        match answer.cx >> 16 {
            status if status & STATUS_SUCCESS != 0 => Ok(answer),
            status if status & STATUS_CHECKPOINT != 0 => Err(Broken::Checkpoint),
            _ => Err(Broken::Failed("the host refused a message")),
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Broken> {
        self.call(Type::SendSize, message.len() as u32)?;
        for piece in message.chunks(4) {
            let mut word = [0; 4];
            word[..piece.len()].copy_from_slice(piece);
            self.call(Type::SendPayload, u32::from_le_bytes(word))?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        let answer = self.call(Type::ReceiveSize, 0)?;
        if answer.cx >> 16 & STATUS_RECEIVE == 0 {
            return Err(Broken::Failed("the host has no answer"));
        }
        if answer.dx >> 16 != Type::SendSize as u32 || answer.bx > ANSWER_BYTES_MAX {
            return Err(Broken::Failed("the host's answer makes no sense"));
        }
        let length = answer.bx as usize;
        let mut message = Vec::with_capacity(length);
        while message.len() < length {
            let answer = self.call(Type::ReceivePayload, STATUS_SUCCESS)?;
            if answer.dx >> 16 != Type::SendPayload as u32 {
                return Err(Broken::Failed("the host's answer makes no sense"));
            }
            let word = answer.bx.to_le_bytes();
            message.extend(&word[..word.len().min(length - message.len())]);
        }
        self.call(Type::ReceiveStatus, STATUS_SUCCESS)?;
        Ok(message)
    }

    /// A command and its answer: `1 VALUE`, or `0 WHY`.
    fn command(&mut self, command: &str) -> Result<Result<Vec<u8>, String>, PlatformError> {
        let mut again = |work: &mut dyn FnMut(&mut Self) -> Result<Vec<u8>, Broken>| {
            for _ in 0..ATTEMPTS_MAX {
                match work(self) {
                    Ok(bytes) => return Ok(bytes),
                    Err(Broken::Checkpoint) => {}
                    Err(Broken::Failed(what)) => return Err(failed(what)),
                }
            }
            Err(failed("the machine is saved over and over"))
        };
        again(&mut |channel| channel.send(command.as_bytes()).map(|()| Vec::new()))?;
        let answer = again(&mut |channel| channel.receive())?;
        match answer.get(..2) {
            Some(b"1 ") => Ok(Ok(answer[2..].to_vec())),
            _ if answer == b"1" => Ok(Ok(Vec::new())),
            _ => Ok(Err(String::from_utf8_lossy(&answer).into_owned())),
        }
    }

    /// A property; `None` when it is not set.
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, PlatformError> {
        Ok(self.command(&format!("info-get guestinfo.{name}"))?.ok())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), PlatformError> {
        self.command(&format!("info-set guestinfo.{name} {value}"))?.map(drop).map_err(|why| {
            PlatformError::Answer {
                from: HOST.into(),
                what: format!("guestinfo.{name} cannot be set: {why}"),
            }
        })
    }
}

impl Drop for Channel<'_> {
    fn drop(&mut self) {
        // The host forgets a channel that is not closed after a while.
        let _ = self.call(Type::Close, 0);
    }
}

fn failed(what: &str) -> PlatformError {
    PlatformError::Answer { from: HOST.into(), what: what.to_owned() }
}

#[derive(Debug)]
pub(super) struct VmWare;

/// Opens the channel and works with it; `None` elsewhere than under VMware.
fn with_channel<T>(
    env: &mut Env<'_, '_, '_>,
    work: impl FnOnce(&mut Channel<'_>) -> Result<T, PlatformError>,
) -> Result<Option<T>, PlatformError> {
    if let Some(backdoor) = &mut env.machine.vmware {
        return work(&mut Channel::open(*backdoor)?).map(Some);
    }
    match linux::vmware::Backdoor::find() {
        Some(mut backdoor) => work(&mut Channel::open(&mut backdoor)?).map(Some),
        None => Ok(None),
    }
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

impl Provider for VmWare {
    fn name(&self) -> &'static str {
        "vmware"
    }

    fn needs(&self) -> Needs {
        NOTHING
    }

    fn source(&self) -> String {
        format!("guestinfo.{DATA} and .encoding, or these of the OVF environment (deleted afterwards)")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let found = with_channel(env, |channel| {
            let environment = text(channel.get(OVF)?);
            let property = |name: &str| ovf::property(&environment, &format!("guestinfo.{name}"));
            let (data, from) = match channel.get(DATA)? {
                Some(data) => (data, format!("guestinfo.{DATA}")),
                None => (
                    property(DATA).unwrap_or_default().into_bytes(),
                    format!("OVF property guestinfo.{DATA}"),
                ),
            };
            let encoding = match channel.get(ENCODING)? {
                Some(encoding) => text(Some(encoding)),
                None => property(ENCODING).unwrap_or_default(),
            };
            Ok((data, encoding, from))
        })?;
        let Some((data, encoding, from)) = found else {
            env.warn("this machine does not run under VMware; going on without a config");
            return Ok(None);
        };
        let bytes = match encoding.as_str() {
            "" => data,
            "b64" | "base64" => decode::base64(&from, &data)?,
            "gz" | "gzip" => decode::gunzip(&from, &data)?,
            "gz+base64" | "gzip+base64" | "gz+b64" | "gzip+b64" => {
                decode::gunzip(&from, &decode::base64(&from, &data)?)?
            }
            _ => {
                let what = format!("the encoding {encoding:?} is unknown");
                return Err(PlatformError::Answer { from, what });
            }
        };
        env.user_data(from, bytes)
    }

    fn delete(&self, env: &mut Env<'_, '_, '_>) -> Result<Deleted, PlatformError> {
        let deleted = with_channel(env, |channel| {
            let mut deleted = Deleted::Nothing;
            if channel.get(DATA)?.is_some_and(|data| data != DELETED_DATA.as_bytes()) {
                channel.set(DATA, DELETED_DATA)?;
                channel.set(ENCODING, DELETED_ENCODING)?;
                deleted = Deleted::Yes;
            }
            let environment = text(channel.get(OVF)?);
            let names = [DATA, ENCODING].map(|name| format!("guestinfo.{name}"));
            if let Some(pruned) = ovf::without(&environment, &names) {
                channel.set(OVF, &pruned)?;
                deleted = Deleted::Yes;
            }
            Ok(deleted)
        })?;
        Ok(deleted.unwrap_or(Deleted::Nothing))
    }
}
