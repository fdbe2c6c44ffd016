//! LUKS volumes: made, bound, opened, and their keys kept. Keys are in memory only until they are in the tree.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use rustix::fs::MemfdFlags;
use rustix::rand::GetRandomFlags;

use super::{Env, StepError, disks};
use crate::event::{Events, Phase};
use crate::fetch::ACCEPT_CONFIG;
use crate::fetch::resource::Resource;
use crate::fetch::verify::hex;
use crate::net::http::HttpSettings;
use crate::notes;
use crate::plan::volumes::Volume;
use crate::root::Attributes;

/// Random bytes of a key that is drawn; in hexadecimal, since clevis reads keys as text.
const KEY_BYTES: usize = 4096;

/// A file that is in memory, and the path by which other programs open it.
pub(super) struct InMemory {
    _file: File,
    pub(super) path: String,
}

pub(super) fn in_memory(name: &str, bytes: &[u8]) -> io::Result<InMemory> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    Ok(InMemory { _file: file, path })
}

fn random(bytes: &mut [u8]) -> Result<(), StepError> {
    let mut filled = 0;
    while filled < bytes.len() {
        let drawn = rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty());
        filled += drawn.map_err(|errno| StepError::MakeKey { source: errno.into() })?;
    }
    Ok(())
}

fn random_uuid() -> Result<String, StepError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

/// The volume's key: of the config, or drawn.
fn key(
    volume: &Volume,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<InMemory, StepError> {
    let mut key = Vec::new();
    match &volume.key {
        Some(resource) => {
            env.net.copy(resource, settings, Some(ACCEPT_CONFIG), &mut key, Phase::Disks, events)?;
        }
        None => {
            let mut bytes = vec![0; KEY_BYTES];
            random(&mut bytes)?;
            key = hex(&bytes).into_bytes();
        }
    }
    let file = in_memory("luks", &key).map_err(|source| StepError::MakeKey { source })?;
    env.keys.insert(volume.name.clone(), key);
    Ok(file)
}

pub(super) fn make(
    volume: &Volume,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<(), StepError> {
    let node = disks::wait_for(&volume.device, env)?.node.display().to_string();
    let key = key(volume, settings, env, events)?;
    let mut volume = volume.clone();
    if env.options.notes.is_some() {
        // A first boot that is cut short here recognises the volume as its own by the UUID.
        let uuid = volume.uuid.take().map_or_else(random_uuid, Ok)?;
        notes::before_volume(env.options.notes.as_deref(), &volume.name, &uuid, &env.root)?;
        volume.uuid = Some(uuid);
    }
    env.programs.run("cryptsetup", &volume.format_args(&node, &key.path))?;
    env.programs.run("cryptsetup", &volume.open_args(&node, &key.path))?;
    for url in volume.pin.iter().flat_map(|pin| &pin.advertisements) {
        let advertisement = Resource { source: url.clone(), ..Resource::default() };
        env.net.copy(&advertisement, settings, None, &mut Vec::new(), Phase::Disks, events)?;
    }
    for (program, args) in volume.pin_commands(&node, &key.path) {
        env.programs.run(program, &args)?;
    }
    if volume.pin.is_some() {
        env.keys.remove(&volume.name);
    }
    Ok(())
}

pub(super) fn open(
    volume: &Volume,
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<(), StepError> {
    let node = disks::wait_for(&volume.device, env)?.node.display().to_string();
    let key = key(volume, settings, env, events)?;
    Ok(env.programs.run("cryptsetup", &volume.open_args(&node, &key.path))?)
}

pub(super) fn keep(
    name: &str,
    path: &str,
    attributes: Attributes,
    env: &mut Env<'_>,
) -> Result<(), StepError> {
    let key = env.keys.remove(name).ok_or_else(|| StepError::NoKey { name: name.to_owned() })?;
    Ok(env.root.write(path, attributes, &key)?)
}
