//! The language server as an editor drives it: one process, messages both ways.

#![allow(clippy::needless_pass_by_value, reason = "`json!` makes values")]

use std::io::{BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A scripted client.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    next: u64,
}

impl Client {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orlop-config"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, output, next: 1 }
    }

    /// Starts and says `initialize` and `initialized`.
    fn ready() -> Self {
        let mut client = Self::start();
        let answer = client.request("initialize", json!({"capabilities": {}}));
        assert_eq!(answer["result"]["capabilities"]["hoverProvider"], true, "{answer}");
        client.notify("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let input = self.input.as_mut().expect("open");
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("it reads");
    }

    fn receive(&mut self) -> Value {
        let mut header = String::new();
        while !header.ends_with("\r\n\r\n") {
            let mut byte = [0];
            self.output.read_exact(&mut byte).expect("it answers");
            header.push(char::from(byte[0]));
        }
        let length =
            header.trim().strip_prefix("Content-Length: ").expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("the body");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let answer = self.receive();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Opens a document; its diagnostics.
    fn open(&mut self, uri: &str, language: &str, text: &str) -> Vec<Value> {
        let document = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
        self.diagnostics(uri)
    }

    fn change(&mut self, uri: &str, changes: Value) -> Vec<Value> {
        let params = json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": changes});
        self.notify("textDocument/didChange", params);
        self.diagnostics(uri)
    }

    fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        let message = self.receive();
        assert_eq!(message["method"], "textDocument/publishDiagnostics", "{message}");
        assert_eq!(message["params"]["uri"], uri);
        message["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    fn ask(&mut self, method: &str, uri: &str, line: u32, character: u32) -> Value {
        let place = json!({"line": line, "character": character});
        let answer = self.request(method, json!({"textDocument": {"uri": uri}, "position": place}));
        answer["result"].clone()
    }

    fn labels(&mut self, uri: &str, line: u32, character: u32) -> Vec<String> {
        let result = self.ask("textDocument/completion", uri, line, character);
        let items = result["items"].as_array().unwrap_or_else(|| panic!("items: {result}"));
        items.iter().map(|item| item["label"].as_str().expect("a label").to_owned()).collect()
    }

    /// `shutdown`, `exit`; the exit code.
    fn stop(mut self) -> Option<i32> {
        assert_eq!(self.request("shutdown", Value::Null)["result"], Value::Null);
        self.notify("exit", Value::Null);
        self.input = None;
        self.child.wait().expect("it ends").code()
    }
}

const URI: &str = "file:///tmp/a.ign";

#[test]
fn ignition_json_has_diagnostics_hover_and_completion() {
    let mut client = Client::ready();
    let text = "{\"ignition\": {\"version\": \"3.6.0\"},\n \"storage\": {\"filesystems\": [\n  {\"device\": \"/dev/ü\", \"format\": \"etx4\"}\n]}}\n";
    let found = client.open(URI, "json", text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&"filesystem-format".into(), &1.into()));
    // The columns are UTF-16 units, whatever the report counts.
    let range = json!({"start": {"line": 2, "character": 33}, "end": {"line": 2, "character": 39}});
    assert_eq!(found[0]["range"], range);
    assert!(found[0]["message"].as_str().expect("text").contains("did you mean `ext4`?"));

    let range = json!({"start": {"line": 2, "character": 34}, "end": {"line": 2, "character": 38}});
    let found = client.change(URI, json!([{"range": range, "text": "xfs"}]));
    assert_eq!(found, Vec::<Value>::new());

    let hover = client.ask("textDocument/hover", URI, 2, 26);
    let shown = hover["contents"]["value"].as_str().expect("markdown");
    assert!(shown.starts_with("**format**: string") && shown.contains("Allowed: ext4, btrfs"), "{shown}");
    assert_eq!(client.ask("textDocument/hover", URI, 2, 0), Value::Null);

    let inside =
        "{\"ignition\": {\"version\": \"3.2.0\"}, \"storage\": {\"filesystems\": [{\"device\": \"/d\", ";
    let found = client.change(URI, json!([{"text": inside}]));
    assert_eq!(found[0]["code"], "json-syntax");
    let labels = client.labels(URI, 0, inside.len() as u32);
    assert!(labels.contains(&"format".into()) && !labels.contains(&"device".into()), "{labels:?}");
    let inside = format!("{inside}\"format\": \"e");
    client.change(URI, json!([{"text": inside}]));
    let labels = client.labels(URI, 0, inside.len() as u32);
    assert_eq!(labels, ["ext4", "btrfs", "xfs", "vfat", "swap"], "`none` came later than 3.2");
    assert_eq!(client.stop(), Some(0));
}

#[test]
fn butane_has_diagnostics_hover_and_completion() {
    let uri = "file:///tmp/a.bu";
    let mut client = Client::ready();
    let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: motd\n      mod: 0644\n";
    let found = client.open(uri, "yaml", text);
    let codes: Vec<_> = found.iter().map(|found| found["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["unused-key", "path-relative"]);
    assert_eq!(found[1]["range"]["start"], json!({"line": 4, "character": 12}));
    let hover = client.ask("textDocument/hover", uri, 4, 7);
    assert!(
        hover["contents"]["value"].as_str().is_some_and(|text| text.contains("Absolute path")),
        "{hover}"
    );
    let half = "variant: fcos\nversion: 1.5.0\nstorage:\n  trees:\n    - local: x\n      ";
    client.change(uri, json!([{"text": half}]));
    assert_eq!(client.labels(uri, 5, 6), ["path"]);
    let half = "variant: fcos\nversion: 1.5.0\nsystemd:\n  units:\n    - name: a.service\n      enabled: ";
    client.change(uri, json!([{"text": half}]));
    assert_eq!(client.labels(uri, 5, 15), ["true", "false"]);
    let half = "variant: ";
    client.change(uri, json!([{"text": half}]));
    assert!(client.labels(uri, 0, 9).contains(&"fcos".into()));
    assert_eq!(client.stop(), Some(0));
}

#[test]
fn the_protocol_is_kept() {
    let mut client = Client::start();
    assert_eq!(client.request("textDocument/hover", json!({}))["error"]["code"], -32002);
    client.request("initialize", json!({}));
    assert_eq!(client.request("workspace/nonsense", json!({}))["error"]["code"], -32601);
    client.notify("$/setTrace", json!({"value": "off"}));
    assert_eq!(client.ask("textDocument/hover", "file:///nowhere", 0, 0), Value::Null);
    client.open(URI, "json", "");
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    assert_eq!(client.diagnostics(URI), Vec::<Value>::new());
    client.send(&json!("no message"));
    assert_eq!(client.receive()["error"]["code"], -32600);
    assert_eq!(client.stop(), Some(0));

    let mut client = Client::ready();
    client.notify("exit", Value::Null);
    assert_eq!(client.child.wait().expect("it ends").code(), Some(1), "exit without shutdown");
}
