//! A language server (LSP 3.17) over standard input and output: diagnostics with codes, hover from the docs of fields,
//! completion of keys and values, for Ignition JSON and Butane YAML.
//!
//! [`Server::handle`] takes one message and gives the answers: no I/O, so a script can drive it. [`serve`] is the loop
//! around it. Documents are kept whole; each change is judged anew, which takes milliseconds.

mod answers;
mod context;
mod document;
mod framing;
mod text;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use document::Document;
pub use framing::FrameError;
use text::Place;

/// JSON-RPC's codes of errors.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
/// LSP's own: a request before `initialize`.
const NOT_INITIALIZED: i64 = -32002;

/// Why serving ended in failure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client's stream.
    #[error("the client's messages cannot be read")]
    Frame {
        /// Why.
        #[source]
        source: FrameError,
    },
    /// The stream to the client.
    #[error("cannot answer the client")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `exit`, or the end of the stream, without `shutdown` before it.
    #[error("the client left without shutdown")]
    NoShutdown,
}

/// Serves one client until it says `exit` or its stream ends.
///
/// # Errors
/// A stream fails, a message is malformed, or the client did not shut down first.
pub fn serve(input: &mut impl BufRead, output: &mut impl Write) -> Result<(), ServeError> {
    let mut server = Server::default();
    while let Some(bytes) = framing::read(input).map_err(|source| ServeError::Frame { source })? {
        for answer in server.handle(&bytes) {
            framing::write(output, answer.to_string().as_bytes())
                .map_err(|source| ServeError::Write { source })?;
        }
        if server.exited {
            break;
        }
    }
    if server.phase == Phase::ShutDown { Ok(()) } else { Err(ServeError::NoShutdown) }
}

/// The life of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    New,
    Running,
    ShutDown,
}

/// The state of a connection.
#[derive(Debug, Default)]
pub struct Server {
    phase: Phase,
    exited: bool,
    documents: HashMap<String, Document>,
}

impl Server {
    /// Takes one message; gives what is to be sent.
    pub fn handle(&mut self, message: &[u8]) -> Vec<Value> {
        let Ok(message) = serde_json::from_slice::<Value>(message) else {
            return vec![refusal(&Value::Null, PARSE_ERROR, "the message is no JSON")];
        };
        let Some(method) = message["method"].as_str() else {
            // Answers to requests that were never sent, and what is no message at all.
            let answer = message.get("result").or(message.get("error")).is_some();
            let bad = !answer && (message.get("id").is_some() || !message.is_object());
            return if bad {
                vec![refusal(&message["id"], INVALID_REQUEST, "no method")]
            } else {
                Vec::new()
            };
        };
        match message.get("id") {
            Some(id) => vec![self.request(id, method, &message["params"])],
            None => self.notification(method, &message["params"]),
        }
    }

    fn request(&mut self, id: &Value, method: &str, params: &Value) -> Value {
        let result = match (self.phase, method) {
            (Phase::New, "initialize") => {
                self.phase = Phase::Running;
                capabilities()
            }
            (Phase::New, _) => return refusal(id, NOT_INITIALIZED, "the first request is initialize"),
            (Phase::ShutDown, _) => return refusal(id, INVALID_REQUEST, "the server was shut down"),
            (_, "shutdown") => {
                self.phase = Phase::ShutDown;
                Value::Null
            }
            (_, "textDocument/hover") => self.at(params, answers::hover).unwrap_or_default(),
            (_, "textDocument/completion") => self.at(params, answers::completion).unwrap_or_default(),
            _ => return refusal(id, METHOD_NOT_FOUND, &format!("{method} is not offered")),
        };
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    }

    /// The answer of `make` about the place that `params` name.
    fn at(&self, params: &Value, make: fn(&Document, usize) -> Option<Value>) -> Option<Value> {
        let document = self.documents.get(params["textDocument"]["uri"].as_str()?)?;
        make(document, Place::of(&params["position"]).offset(&document.text))
    }

    fn notification(&mut self, method: &str, params: &Value) -> Vec<Value> {
        let document = &params["textDocument"];
        let uri = document["uri"].as_str().unwrap_or_default().to_owned();
        match method {
            "exit" => {
                self.exited = true;
                Vec::new()
            }
            _ if self.phase != Phase::Running => Vec::new(),
            "textDocument/didOpen" => {
                let text = document["text"].as_str().unwrap_or_default().to_owned();
                let language = document["languageId"].as_str().unwrap_or_default();
                self.documents.insert(uri.clone(), Document::new(&uri, language, text));
                self.publish(&uri, &document["version"])
            }
            "textDocument/didChange" => {
                let Some(open) = self.documents.get_mut(&uri) else { return Vec::new() };
                for change in params["contentChanges"].as_array().into_iter().flatten() {
                    let text = changed(&open.text, change);
                    open.set(text);
                }
                self.publish(&uri, &document["version"])
            }
            "textDocument/didClose" => {
                self.documents.remove(&uri);
                vec![diagnostics(&uri, &Value::Null, &[])]
            }
            _ => Vec::new(),
        }
    }

    fn publish(&self, uri: &str, version: &Value) -> Vec<Value> {
        let Some(document) = self.documents.get(uri) else { return Vec::new() };
        vec![diagnostics(uri, version, &answers::diagnostics(document))]
    }
}

/// The text after one change: of a range, or of the whole.
fn changed(text: &str, change: &Value) -> String {
    let new = change["text"].as_str().unwrap_or_default();
    match change.get("range") {
        None => new.to_owned(),
        Some(range) => {
            let start = Place::of(&range["start"]).offset(text);
            let end = Place::of(&range["end"]).offset(text).max(start);
            format!("{}{new}{}", &text[..start], &text[end..])
        }
    }
}

fn capabilities() -> Value {
    json!({
        "serverInfo": {"name": "orlop-config", "version": env!("CARGO_PKG_VERSION")},
        "capabilities": {
            "positionEncoding": "utf-16",
            // Documents are opened and closed; changes come as ranges.
            "textDocumentSync": {"openClose": true, "change": 2},
            "hoverProvider": true,
            "completionProvider": {"triggerCharacters": ["\"", ":", " "]},
        },
    })
}

fn diagnostics(uri: &str, version: &Value, found: &[Value]) -> Value {
    let mut params = json!({"uri": uri, "diagnostics": found});
    if version.is_number() {
        params["version"] = version.clone();
    }
    json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params})
}

fn refusal(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// For fuzzing: everything that is asked of a document, at the end of each of its lines.
#[doc(hidden)]
pub fn exercise(text: &str, language: &str) {
    let document = Document::new("file:///fuzz", language, text.to_owned());
    let _ = answers::diagnostics(&document);
    let ends = text.char_indices().filter(|(_, char)| *char == '\n').map(|(at, _)| at);
    for offset in ends.take(50).chain([text.len()]) {
        let _ = answers::hover(&document, offset);
        let _ = answers::completion(&document, offset);
    }
}
