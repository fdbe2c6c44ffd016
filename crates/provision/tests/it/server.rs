//! An HTTP server on loopback with a script: what it answers to the n-th request for a path.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
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

#[derive(Debug, Default)]
struct State {
    script: HashMap<String, Vec<Answer>>,
    requests: Vec<String>,
}

/// The server; it lives as long as the test's process.
#[derive(Debug)]
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

    /// The answers for a path, in order; the last stays.
    pub(crate) fn on(&self, path: &str, answers: impl Into<Vec<Answer>>) {
        self.state.lock().unwrap().script.insert(path.to_owned(), answers.into());
    }

    /// What was asked: request line and headers of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
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
    let path = request.split(' ').nth(1)?.to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request);
        let answers = state.script.get_mut(&path);
        match answers {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => status(404),
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
