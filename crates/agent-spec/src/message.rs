//! Calls of the workstation and replies of the agent, as JSON objects.
//!
//! A call has an `id` that its replies repeat. `exec` and `read` answer with any number of `data` replies
//! and one closing reply; every other call with one reply. Binary data is base64.

use serde::{Deserialize, Serialize};

/// Why a payload is not a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or not of the form in `docs/formats/guest-agent.md`.
    #[error("not a guest agent message")]
    Form {
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
}

/// One call of the workstation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the workstation, repeated in each reply.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub request: Request,
}

/// What the agent can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// First call on a connection: programs left from an earlier one are killed, then [`ReplyBody::Synced`]
    /// repeats `nonce`, so that the workstation knows which replies are old.
    Sync {
        /// Any number not used before.
        nonce: u64,
    },
    /// Run a program as root and send its output while it runs.
    Exec {
        /// Program and arguments; searched in the agent's `PATH`.
        argv: Vec<String>,
        /// Added to the agent's environment.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        env: Vec<(String, String)>,
        /// Written to the program's standard input, which is then closed.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_base64")]
        stdin: Vec<u8>,
        /// The program and its process group are killed after so many milliseconds.
        timeout_ms: u64,
    },
    /// Send a file's contents.
    Read {
        /// Absolute path.
        path: String,
    },
    /// Write a file; the folder must be there.
    Write {
        /// Absolute path.
        path: String,
        /// Permission bits for a new file.
        mode: u32,
        /// Add to the end of what is there, else replace it.
        append: bool,
        /// The bytes, at most [`PIECE_BYTES`] in one call.
        #[serde(with = "as_base64")]
        data: Vec<u8>,
    },
    /// Set the machine's clock.
    SetClock {
        /// Milliseconds since 1970 UTC.
        unix_ms: u64,
    },
    /// Ask the service manager to power off or reboot; the reply comes before it happens.
    Power {
        /// Reboot rather than power off.
        reboot: bool,
    },
}

/// Bytes of bulk data in one message: base64 grows it by a third, still far below the frame's limit.
pub const PIECE_BYTES: usize = 128 * 1024;

/// One reply of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The call's number.
    pub id: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: ReplyBody,
}

/// A program's output streams; a file's contents come as `stdout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ReplyBody {
    /// To [`Request::Sync`].
    Synced {
        /// The call's nonce.
        nonce: u64,
        /// The agent's protocol version.
        version: u32,
        /// The running boot, from `/proc/sys/kernel/random/boot_id`.
        boot_id: String,
    },
    /// A piece of output or of a file.
    Data {
        /// Which stream it came from.
        stream: Stream,
        /// The bytes.
        #[serde(with = "as_base64")]
        data: Vec<u8>,
    },
    /// The program of [`Request::Exec`] ended.
    Exited {
        /// Exit code, when it exited by itself.
        code: Option<i32>,
        /// Signal number, when one killed it.
        signal: Option<i32>,
        /// The agent killed it after `timeout_ms`.
        timed_out: bool,
    },
    /// The call was done.
    Done,
    /// The call failed.
    Failed {
        /// What failed and why.
        message: String,
    },
}

impl Call {
    /// The call's JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        to_json(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// When it is not a call of this version.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        serde_json::from_slice(payload).map_err(|source| MessageError::Form { source })
    }
}

impl Reply {
    /// The reply's JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        to_json(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// When it is not a reply of this version.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        serde_json::from_slice(payload).map_err(|source| MessageError::Form { source })
    }
}

/// Reads whatever part of a payload `T` asks for; an agent finds the number of a call it does not know so.
#[must_use]
pub fn lenient<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages hold only numbers, text and lists")
}

mod as_base64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms of version 1; a change here is a new version.
    #[test]
    fn forms_are_stable() {
        let exec = Request::Exec {
            argv: vec!["sh".into(), "-c".into(), "true".into()],
            env: vec![("A".into(), "b".into())],
            stdin: b"in".to_vec(),
            timeout_ms: 1500,
        };
        let calls = [
            (Request::Sync { nonce: 7 }, r#"{"id":1,"do":"sync","nonce":7}"#),
            (
                exec,
                r#"{"id":1,"do":"exec","argv":["sh","-c","true"],"env":[["A","b"]],"stdin":"aW4=","timeout_ms":1500}"#,
            ),
            (Request::Read { path: "/a".into() }, r#"{"id":1,"do":"read","path":"/a"}"#),
            (
                Request::Write { path: "/a".into(), mode: 420, append: false, data: vec![255] },
                r#"{"id":1,"do":"write","path":"/a","mode":420,"append":false,"data":"/w=="}"#,
            ),
            (Request::SetClock { unix_ms: 5 }, r#"{"id":1,"do":"set_clock","unix_ms":5}"#),
            (Request::Power { reboot: true }, r#"{"id":1,"do":"power","reboot":true}"#),
        ];
        for (request, json) in calls {
            let call = Call { id: 1, request };
            assert_eq!(call.encode(), json);
            assert_eq!(Call::decode(json.as_bytes()).unwrap(), call);
        }
        let replies = [
            (
                ReplyBody::Synced { nonce: 7, version: 1, boot_id: "b".into() },
                r#"{"id":1,"is":"synced","nonce":7,"version":1,"boot_id":"b"}"#,
            ),
            (
                ReplyBody::Data { stream: Stream::Stderr, data: b"x".to_vec() },
                r#"{"id":1,"is":"data","stream":"stderr","data":"eA=="}"#,
            ),
            (
                ReplyBody::Exited { code: Some(3), signal: None, timed_out: false },
                r#"{"id":1,"is":"exited","code":3,"signal":null,"timed_out":false}"#,
            ),
            (ReplyBody::Done, r#"{"id":1,"is":"done"}"#),
            (ReplyBody::Failed { message: "no".into() }, r#"{"id":1,"is":"failed","message":"no"}"#),
        ];
        for (body, json) in replies {
            let reply = Reply { id: 1, body };
            assert_eq!(reply.encode(), json);
            assert_eq!(Reply::decode(json.as_bytes()).unwrap(), reply);
        }
    }
}
