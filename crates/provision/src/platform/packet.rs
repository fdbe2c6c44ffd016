//! Equinix Metal (Packet): user data, and a timeline that wants to hear how the boot went.

use serde::Deserialize;

use super::{Env, NETWORK, Needs, PlatformError, Provider, Status, UserData};
use crate::net::http::{HttpSettings, Method, Request};

const ORIGIN: &str = "https://metadata.packet.net";
/// The boot does not wait longer for somebody to listen.
const TELL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Packet;

/// The part of the metadata that is used.
#[derive(Debug, Deserialize)]
struct Metadata {
    phone_home_url: String,
}

fn get(path: &str) -> Request {
    Request { url: format!("{ORIGIN}{path}"), accept: Some("*/*"), ..Request::default() }
}

impl Provider for Packet {
    fn name(&self) -> &'static str {
        "packet"
    }

    fn needs(&self) -> Needs {
        NETWORK
    }

    fn source(&self) -> String {
        format!("{ORIGIN}/userdata")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let request = get("/userdata");
        match env.ask(&request)? {
            Some(bytes) => env.user_data(request.url, bytes),
            None => Ok(None),
        }
    }

    /// Posts to `/events`, the neighbour of the address in the metadata's `phone_home_url`.
    fn tell(&self, env: &mut Env<'_, '_, '_>, status: Status<'_>) -> Result<(), PlatformError> {
        let settings = HttpSettings { total_timeout: Some(TELL_TIMEOUT), ..HttpSettings::default() };
        let request = get("/metadata");
        let answer = |what: String| PlatformError::Answer { from: request.url.clone(), what };
        let bytes = env.ask_with(&request, &settings)?.unwrap_or_default();
        let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| answer(error.to_string()))?;
        let base = metadata.phone_home_url.trim_end_matches("/phone-home");
        let (state, words) = match status.error {
            Some(error) => ("failed", format!("[{}] Ignition error: {error}", status.stage)),
            None => ("running", format!("[{}] Ignition status: finished successfully", status.stage)),
        };
        let body = serde_json::json!({"state": state, "message": words}).to_string().into_bytes();
        let post = Request {
            method: Method::Post { content_type: "application/json", body },
            url: format!("{base}/events"),
            ..Request::default()
        };
        env.ask_with(&post, &settings).map(drop)
    }
}
