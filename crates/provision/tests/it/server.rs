//! An HTTP server on loopback: with a script of what it answers to the n-th request for a path, or with a mind of its
//! own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    /// Bytes of the body that are sent before the connection is cut.
    cut: Option<usize>,
    delay: Duration,
}

pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: body.into(), cut: None, delay: Duration::ZERO }
}

pub(crate) fn status(status: u16) -> Answer {
    Answer { status, ..ok("") }
}

impl Answer {
    pub(crate) fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(crate) fn delay(mut self, time: Duration) -> Self {
        self.delay = time;
        self
    }
}

/// A request as a handler sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Port of the client.
    pub(crate) port: u16,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Handler = Box<dyn FnMut(&Asked) -> Answer + Send>;

#[derive(Default)]
struct State {
    handler: Option<Handler>,
    script: HashMap<String, Vec<Answer>>,
    requests: Vec<String>,
}

/// The server; it lives as long as the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url, state }
    }

    /// A server that answers by a function.
    pub(crate) fn with(handler: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let server = Self::new();
        server.state.lock().unwrap().handler = Some(Box::new(handler));
        server
    }

    /// The answers for a path, in order; the last stays.
    pub(crate) fn on(&self, path: &str, answers: impl Into<Vec<Answer>>) {
        self.state.lock().unwrap().script.insert(path.to_owned(), answers.into());
    }

    /// What was asked: request line and headers of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn parse(request: &str, port: u16) -> Option<Asked> {
    let mut lines = request.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Asked { method, path, headers, body: Vec::new(), port })
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut request = String::new();
    loop {
        let start = request.len();
        reader.read_line(&mut request).ok()?;
        if request[start..].trim().is_empty() {
            break;
        }
    }
    let mut asked = parse(&request, stream.peer_addr().ok()?.port())?;
    let length = asked.header("content-length").parse().unwrap_or(0);
    asked.body.resize(length, 0);
    reader.read_exact(&mut asked.body).ok()?;
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request);
        let handled = state.handler.as_mut().map(|handler| handler(&asked));
        let answers = state.script.get_mut(&asked.path);
        match (handled, answers) {
            (Some(answer), _) => answer,
            (None, Some(answers)) if answers.len() > 1 => answers.remove(0),
            (None, Some(answers)) => answers[0].clone(),
            (None, None) => status(404),
        }
    };
    std::thread::sleep(answer.delay);
    let mut stream = stream;
    let headers: String = answer.headers.iter().map(|line| format!("{line}\r\n")).collect();
    let (status, length) = (answer.status, answer.body.len());
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&answer.body[..answer.cut.unwrap_or(length)]).ok()
}
