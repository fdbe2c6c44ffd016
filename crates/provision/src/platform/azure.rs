//! Microsoft Azure and Azure Stack: user data of the metadata service, custom data of a CD-ROM.

use super::http::IMDS;
use super::{DEVICES, Env, NETWORK, Needs, PlatformError, Provider, UserData, decode};
use crate::drive::Format;
use crate::net::http::Request;

const PATH: &str = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text";
/// The service gives these while it is not ready for a new machine: missing, gone, too many requests.
const NOT_READY: &[u16] = &[404, 410, 429];
/// What makes a CD-ROM the provisioning one, and the custom data on it.
const OVF_FILE: &str = "/ovf-env.xml";
const CUSTOM_DATA: &str = "/CustomData.bin";
/// Limit of user data and of custom data each, before base64
/// (<https://learn.microsoft.com/azure/virtual-machines/user-data>).
const LIMIT_BYTES: u64 = 64 << 10;

/// Azure.
#[derive(Debug)]
pub(super) struct Azure;

/// Azure Stack Hub, which has no user data in its service.
#[derive(Debug)]
pub(super) struct AzureStack;

impl Provider for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn needs(&self) -> Needs {
        NETWORK
    }

    fn source(&self) -> String {
        format!("{IMDS}{PATH}; if that is empty, CD-ROM (UDF), {CUSTOM_DATA}")
    }

    fn limit_bytes(&self) -> Option<u64> {
        Some(LIMIT_BYTES)
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let request = Request {
            url: format!("{IMDS}{PATH}"),
            headers: vec![("Metadata".into(), "true".into())],
            retry: NOT_READY,
            ..Request::default()
        };
        let answer = env.ask(&request)?.unwrap_or_default();
        if answer.iter().all(u8::is_ascii_whitespace) {
            env.say("the metadata service has no user data; looking for custom data on a CD-ROM");
            return custom_data(env, &[Format::Udf]);
        }
        let bytes = decode::base64(&request.url, &answer)?;
        env.user_data(request.url, bytes)
    }
}

impl Provider for AzureStack {
    fn name(&self) -> &'static str {
        "azurestack"
    }

    fn needs(&self) -> Needs {
        DEVICES
    }

    fn source(&self) -> String {
        format!("CD-ROM (UDF or ISO 9660), {CUSTOM_DATA}")
    }

    fn limit_bytes(&self) -> Option<u64> {
        Some(LIMIT_BYTES)
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        custom_data(env, &[Format::Udf, Format::Iso9660])
    }
}

/// The custom data of the first CD-ROM that has an OVF environment; such a disc without them has no config.
fn custom_data(env: &mut Env<'_, '_, '_>, formats: &[Format]) -> Result<Option<UserData>, PlatformError> {
    env.wake_devices()?;
    let found = env.await_some("a CD-ROM with ovf-env.xml", None, |env| {
        for drive in env.drives(&|volume| formats.contains(&volume.format()))? {
            // A disc that cannot be read is another one.
            if drive.read(OVF_FILE).is_ok_and(|file| file.is_some()) {
                return Ok(Some(drive));
            }
        }
        Ok(None)
    })?;
    let Some(drive) = found else { return Ok(None) };
    match drive.read(CUSTOM_DATA)? {
        Some(bytes) => env.user_data(drive.name(CUSTOM_DATA), bytes),
        None => Ok(None),
    }
}
