//! Hyper-V: key-value pairs that the host hands to whoever registers first with the kernel's driver.
//!
//! Messages: `struct hv_kvp_msg` of `linux/hyperv.h`. The host sends its pairs once, so that the machine's own daemon
//! would miss them: they are also written as the daemon's pool files, as upstream does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Env, NOTHING, Needs, OutputFile, PlatformError, Provider, UserData};

/// The whole config, or the start of the names of its pieces: `.0`, `.1`, …
const KEY: &str = "ignition.config";
/// The pool of the host's own pairs (`KVP_POOL_EXTERNAL`).
const POOL: u8 = 0;
/// Operations: `KVP_OP_SET`, `KVP_OP_REGISTER1`.
const SET: u8 = 1;
const REGISTER: u8 = 100;
/// Answers: `HV_S_OK`, `HV_E_FAIL`.
const OK: u32 = 0;
const FAIL: u32 = 0x8000_4005;
const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 2048;
/// Bytes of the head (operation, pool) and of a value's three sizes.
const HEAD_BYTES: usize = 4;
const KEY_AT: usize = HEAD_BYTES + 12;
const VALUE_AT: usize = KEY_AT + KEY_BYTES;
/// Bytes of `struct hv_kvp_msg`: its largest member is an address, rounded up to the union's alignment.
pub const KVP_MESSAGE_BYTES: usize = HEAD_BYTES + 7428;
/// When the host says nothing for so long it has said everything.
const SILENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// More messages than any host has pairs.
const MESSAGES_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct HyperV;

/// Pairs by pool, in the order of arrival.
type Pools = BTreeMap<u8, Vec<(String, String)>>;

impl Provider for HyperV {
    fn name(&self) -> &'static str {
        "hyperv"
    }

    fn needs(&self) -> Needs {
        Needs { modules: &["hv_utils"], ..NOTHING }
    }

    fn source(&self) -> String {
        format!("KVP {KEY}, or {KEY}.0, {KEY}.1, … (about 1 KiB each) in one")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let path = env.machine.devices.dev.join("vmbus/hv_kvp");
        let failed = |source| PlatformError::Read { path: path.clone(), source };
        let device = File::options().read(true).write(true).open(&path).map_err(failed)?;
        let pools = pairs(device).map_err(failed)?;
        let files = pools.iter().map(|(pool, pairs)| pool_file(*pool, pairs)).collect();
        let from = format!("KVP {KEY}");
        let found = match config(pools.get(&POOL).map_or(&[], Vec::as_slice)) {
            Some(text) => env.user_data(from.clone(), text.into_bytes())?,
            None => None,
        };
        Ok(Some(UserData { files, ..found.unwrap_or(UserData { from, ..UserData::default() }) }))
    }
}

/// Registers and takes the pairs until the host is silent.
fn pairs(mut device: impl Read + Write + AsFd) -> io::Result<Pools> {
    let mut message = vec![0; KVP_MESSAGE_BYTES];
    message[0] = REGISTER;
    device.write_all(&message)?;
    // The driver shows the daemon's files of every pool, empty ones too.
    let mut pools: Pools = (0..5).map(|pool| (pool, Vec::new())).collect();
    for _ in 0..MESSAGES_MAX {
        let mut wanted = [PollFd::new(&device, PollFlags::IN)];
        if poll(&mut wanted, Some(&SILENCE))? == 0 {
            break;
        }
        let length = device.read(&mut message)?;
        if length == 0 {
            break;
        }
        let Some(answer) = take(&message[..length], &mut pools) else { continue };
        let mut reply = vec![0; KVP_MESSAGE_BYTES];
        reply[..4].copy_from_slice(&answer.to_ne_bytes());
        device.write_all(&reply)?;
    }
    Ok(pools)
}

/// Takes one message; `None` when it wants no answer.
fn take(message: &[u8], pools: &mut Pools) -> Option<u32> {
    let number =
        |at: usize| message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    match *message.first()? {
        REGISTER => None,
        SET => {
            let text = |at: usize, length: Option<u32>, max: usize| {
                // The lengths count a nul at the end.
                let length = (length? as usize).min(max).saturating_sub(1);
                Some(String::from_utf8_lossy(message.get(at..at + length)?).into_owned())
            };
            let key = text(KEY_AT, number(HEAD_BYTES + 4), KEY_BYTES);
            let value = text(VALUE_AT, number(HEAD_BYTES + 8), VALUE_BYTES);
            let (Some(key), Some(value), Some(pool)) = (key, value, message.get(1)) else {
                return Some(FAIL);
            };
            pools.entry(*pool).or_default().push((key, value));
            Some(OK)
        }
        _ => Some(FAIL),
    }
}

fn config(pairs: &[(String, String)]) -> Option<String> {
    let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if let Some(whole) = get(KEY).filter(|whole| !whole.is_empty()) {
        return Some(whole.to_owned());
    }
    let pieces: Vec<&str> = (0..).map_while(|number| get(&format!("{KEY}.{number}"))).collect();
    (!pieces.is_empty()).then(|| pieces.concat())
}

/// `/var/lib/hyperv/.kvp_pool_N`: keys and values in fields of fixed length.
fn pool_file(pool: u8, pairs: &[(String, String)]) -> OutputFile {
    let mut bytes = Vec::new();
    for (key, value) in pairs {
        for (text, length) in [(key, KEY_BYTES), (value, VALUE_BYTES)] {
            let mut field = text.clone().into_bytes();
            field.resize(length, 0);
            bytes.extend(field);
        }
    }
    OutputFile { path: format!("/var/lib/hyperv/.kvp_pool_{pool}"), mode: 0o600, bytes }
}

/// Fuzz entry: any message of the host.
pub fn fuzz_kvp(bytes: &[u8]) {
    let mut pools = Pools::new();
    let _ = take(bytes, &mut pools);
    for (pool, pairs) in &pools {
        let _ = (config(pairs), pool_file(*pool, pairs));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn set(pool: u8, key: &str, value: &str) -> Vec<u8> {
        let mut message = vec![0; KVP_MESSAGE_BYTES];
        (message[0], message[1]) = (SET, pool);
        message[8..12].copy_from_slice(&(key.len() as u32 + 1).to_ne_bytes());
        message[12..16].copy_from_slice(&(value.len() as u32 + 1).to_ne_bytes());
        message[KEY_AT..KEY_AT + key.len()].copy_from_slice(key.as_bytes());
        message[VALUE_AT..VALUE_AT + value.len()].copy_from_slice(value.as_bytes());
        message
    }

    /// The driver: takes the registration and answers it, sends the pairs one by one and waits for each answer.
    fn driver(messages: Vec<Vec<u8>>) -> (UnixStream, std::thread::JoinHandle<Vec<u32>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut theirs = theirs;
            let mut buffer = vec![0; KVP_MESSAGE_BYTES];
            theirs.read_exact(&mut buffer).unwrap();
            assert_eq!(buffer[0], REGISTER);
            theirs.write_all(&buffer).unwrap();
            let mut answers = Vec::new();
            for message in messages {
                theirs.write_all(&message).unwrap();
                theirs.read_exact(&mut buffer).unwrap();
                answers.push(u32::from_ne_bytes(buffer[..4].try_into().unwrap()));
            }
            answers
        });
        (ours, thread)
    }

    #[test]
    fn a_config_in_pieces_and_pool_files() {
        let mut other = vec![0; KVP_MESSAGE_BYTES];
        other[0] = 3;
        let (device, thread) = driver(vec![
            set(0, "ignition.config.0", "{\"ignition\": "),
            set(0, "hello", "host"),
            set(0, "ignition.config.1", "{}}"),
            set(1, "x", "y"),
            other,
        ]);
        let pools = pairs(device).unwrap();
        assert_eq!(thread.join().unwrap(), [OK, OK, OK, OK, FAIL]);
        assert_eq!(config(&pools[&0]).unwrap(), "{\"ignition\": {}}");
        let file = pool_file(1, &pools[&1]);
        assert_eq!(file.path, "/var/lib/hyperv/.kvp_pool_1");
        assert_eq!(file.bytes.len(), 2560);
        assert_eq!((&file.bytes[..2], &file.bytes[512..514]), (&b"x\0"[..], &b"y\0"[..]));
        assert_eq!(pool_file(2, &pools[&2]).bytes, b"");
    }

    #[test]
    fn the_whole_goes_before_pieces() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(config(&[pair("ignition.config.0", "a"), pair(KEY, "b")]).unwrap(), "b");
        assert_eq!(config(&[pair("ignition.config.0", "a"), pair(KEY, "")]).unwrap(), "a");
        assert_eq!(config(&[pair("ignition.config.1", "a")]), None);
    }
}
