//! The workstation's end of the guest agent: programs, files, clock and power of a machine, without a network.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_spec::message::PIECE_BYTES;
use agent_spec::{Call, Decoder, Reply, ReplyBody, Request, Stream, VERSION, encode};

/// An agent that does not answer `sync` may not be there yet: ask again this often.
const SYNC_EVERY: Duration = Duration::from_millis(500);

/// What an answer may take beyond the time the call itself was given.
const ANSWER_MARGIN: Duration = Duration::from_secs(20);

/// Why a call to the agent failed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// QEMU's socket cannot be reached.
    #[error("cannot reach the guest agent's port {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The machine ended, or its port broke.
    #[error("the connection to the guest agent broke")]
    Broken {
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("the guest agent did not answer {call} within {} s", after.as_secs())]
    Silent {
        /// The call.
        call: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The machine's agent speaks another protocol.
    #[error("the guest agent speaks protocol {found}, not {VERSION}")]
    Version {
        /// The agent's.
        found: u32,
    },
    /// The agent did not do it.
    #[error("the guest agent: {message}")]
    Failed {
        /// Its words.
        message: String,
    },
    /// The agent answered something that does not belong to the call.
    #[error("the guest agent answered {call} with {answer}")]
    Unexpected {
        /// The call.
        call: &'static str,
        /// The answer.
        answer: String,
    },
}

/// A program to be run in the machine.
#[derive(Debug, Clone)]
pub struct Program {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    timeout: Duration,
}

impl Program {
    /// A program and its arguments, given 60 s.
    pub fn new<I: IntoIterator<Item: Into<String>>>(argv: I) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, env: Vec::new(), stdin: Vec::new(), timeout: Duration::from_secs(60) }
    }

    /// A line for `/bin/sh`.
    #[must_use]
    pub fn shell(line: &str) -> Self {
        Self::new(["/bin/sh", "-c", line])
    }

    /// Adds to the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Gives it another time limit, after which it is killed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// How a program ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code, if it exited by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The time limit killed it.
    pub timed_out: bool,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Exit code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A connection to the agent of one machine. QEMU serves one at a time; others wait.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    decoder: Decoder,
    last_id: u64,
    boot_id: String,
}

impl Agent {
    /// Connects, and waits until the agent answers or `timeout` is over.
    ///
    /// # Errors
    /// When the machine is gone, or its agent stays silent.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, AgentError> {
        let stream = crate::socket::connect(path)
            .map_err(|source| AgentError::Connect { path: path.to_owned(), source })?;
        // Numbers of an earlier connection must not be met again: replies to it may still be on their way.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last_id = u64::try_from(since_1970.as_micros()).unwrap_or_default();
        let mut agent = Self { stream, decoder: Decoder::default(), last_id, boot_id: String::new() };
        agent.sync(timeout)?;
        Ok(agent)
    }

    /// The boot that the agent runs in: another one after each reboot.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it cannot be started, or the connection breaks. An exit code is no error.
    pub fn exec(&mut self, program: &Program) -> Result<Output, AgentError> {
        let request = Request::Exec {
            argv: program.argv.clone(),
            env: program.env.clone(),
            stdin: program.stdin.clone(),
            timeout_ms: u64::try_from(program.timeout.as_millis()).unwrap_or(u64::MAX),
        };
        let mut output =
            Output { code: None, signal: None, timed_out: false, stdout: Vec::new(), stderr: Vec::new() };
        let end = self.call(request, "exec", program.timeout, &mut |stream, data| match stream {
            Stream::Stdout => output.stdout.extend(data),
            Stream::Stderr => output.stderr.extend(data),
        })?;
        match end {
            ReplyBody::Exited { code, signal, timed_out } => Ok(Output { code, signal, timed_out, ..output }),
            other => Err(unexpected("exec", &other)),
        }
    }

    /// A file's contents.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, AgentError> {
        let mut bytes = Vec::new();
        let request = Request::Read { path: path.to_owned() };
        let end = self.call(request, "read", ANSWER_MARGIN, &mut |_, data| bytes.extend(data))?;
        done("read", &end).map(|()| bytes)
    }

    /// Writes a file whole; its folder must be there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), AgentError> {
        let mut rest = bytes;
        let mut append = false;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PIECE_BYTES));
            let request = Request::Write { path: path.to_owned(), mode, append, data: piece.to_vec() };
            done("write", &self.call(request, "write", ANSWER_MARGIN, &mut |_, _| ())?)?;
            (rest, append) = (after, true);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sets the machine's clock; a restored machine's stands where it was saved.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn set_clock(&mut self, time: SystemTime) -> Result<(), AgentError> {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        done(
            "set_clock",
            &self.call(Request::SetClock { unix_ms }, "set_clock", ANSWER_MARGIN, &mut |_, _| ())?,
        )
    }

    /// Asks the service manager to power off or reboot.
    ///
    /// # Errors
    /// When it refuses.
    pub fn power(&mut self, reboot: bool) -> Result<(), AgentError> {
        done("power", &self.call(Request::Power { reboot }, "power", ANSWER_MARGIN, &mut |_, _| ())?)
    }

    /// Asks again for a first answer, as after a reboot; old replies are dropped.
    ///
    /// # Errors
    /// When the agent stays silent for `timeout`.
    pub fn sync(&mut self, timeout: Duration) -> Result<(), AgentError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.last_id += 1;
            let nonce = self.last_id;
            self.send(Request::Sync { nonce })?;
            let round = (Instant::now() + SYNC_EVERY).min(deadline);
            while let Some(reply) = self.receive(round)? {
                let ReplyBody::Synced { nonce: answered, version, boot_id } = reply.body else { continue };
                if version != VERSION {
                    return Err(AgentError::Version { found: version });
                }
                if answered == nonce {
                    self.boot_id = boot_id;
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                return Err(AgentError::Silent { call: "sync", after: timeout });
            }
        }
    }

    fn call(
        &mut self,
        request: Request,
        name: &'static str,
        timeout: Duration,
        data: &mut dyn FnMut(Stream, Vec<u8>),
    ) -> Result<ReplyBody, AgentError> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(request)?;
        let deadline = Instant::now() + timeout + ANSWER_MARGIN;
        while let Some(reply) = self.receive(deadline)? {
            match reply.body {
                _ if reply.id != id => {} // of an earlier call or connection
                ReplyBody::Data { stream, data: bytes } => data(stream, bytes),
                ReplyBody::Failed { message } => return Err(AgentError::Failed { message }),
                end => return Ok(end),
            }
        }
        Err(AgentError::Silent { call: name, after: timeout + ANSWER_MARGIN })
    }

    fn send(&mut self, request: Request) -> Result<(), AgentError> {
        let frame = encode(&Call { id: self.last_id, request }.encode());
        self.stream.write_all(&frame).map_err(|source| AgentError::Broken { source })
    }

    /// The next reply, or nothing by the deadline. Frames that are cut or make no sense are skipped.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Reply>, AgentError> {
        let broken = |source| AgentError::Broken { source };
        let mut buffer = [0; 64 * 1024];
        loop {
            while let Some(frame) = self.decoder.next_frame() {
                if let Some(reply) = frame.ok().and_then(|payload| Reply::decode(&payload).ok()) {
                    return Ok(Some(reply));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(broken)?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return Err(broken(error)),
                },
            }
        }
    }
}

fn done(call: &'static str, end: &ReplyBody) -> Result<(), AgentError> {
    match end {
        ReplyBody::Done => Ok(()),
        other => Err(unexpected(call, other)),
    }
}

fn unexpected(call: &'static str, answer: &ReplyBody) -> AgentError {
    AgentError::Unexpected { call, answer: format!("{answer:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// An agent that answers what the table says, after noise of an earlier connection.
    fn serve(replies: fn(&Request) -> Vec<ReplyBody>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let stale = Reply { id: 1, body: ReplyBody::Done }.encode();
            stream.write_all(&encode(&stale)[4..]).unwrap();
            stream.write_all(&encode(&stale)).unwrap();
            let mut decoder = Decoder::default();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                decoder.push(&buffer[..count]);
                while let Some(frame) = decoder.next_frame() {
                    let Call { id, request } = Call::decode(&frame.unwrap()).unwrap();
                    let bodies = match request {
                        Request::Sync { nonce } => {
                            vec![ReplyBody::Synced { nonce, version: VERSION, boot_id: "b".into() }]
                        }
                        other => replies(&other),
                    };
                    for body in bodies {
                        stream.write_all(&encode(&Reply { id, body }.encode())).unwrap();
                    }
                }
            }
        });
        (folder, path)
    }

    #[test]
    fn output_is_gathered_past_stale_replies() {
        let (_folder, path) = serve(|_| {
            vec![
                ReplyBody::Data { stream: Stream::Stdout, data: b"a".to_vec() },
                ReplyBody::Data { stream: Stream::Stderr, data: b"b".to_vec() },
                ReplyBody::Data { stream: Stream::Stdout, data: b"c".to_vec() },
                ReplyBody::Exited { code: Some(2), signal: None, timed_out: false },
            ]
        });
        let mut agent = Agent::connect(&path, Duration::from_secs(10)).unwrap();
        assert_eq!(agent.boot_id(), "b");
        let output = agent.exec(&Program::shell("x")).unwrap();
        assert_eq!((output.stdout(), output.stderr(), output.code), ("ac".into(), "b".into(), Some(2)));
    }

    #[test]
    fn refusals_carry_the_agents_words() {
        let (_folder, path) = serve(|_| vec![ReplyBody::Failed { message: "cannot read /a".into() }]);
        let mut agent = Agent::connect(&path, Duration::from_secs(10)).unwrap();
        assert_eq!(agent.read("/a").unwrap_err().to_string(), "the guest agent: cannot read /a");
    }

    #[test]
    fn a_silent_agent_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let error = Agent::connect(&path, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, AgentError::Silent { call: "sync", .. }));
    }
}
