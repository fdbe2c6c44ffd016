//! `orlop-host guest-agent`: does what a workstation asks over the virtio-serial port `io.orlop.agent`.
//!
//! The protocol is crate `agent-spec`'s. One thread reads calls; each `exec` has a thread of its own, so
//! that a long program blocks nothing. The unit that runs it is shipped disabled; only machines made by
//! `orlop up` and `orlop test` enable it, and without the port it ends at once.

mod exec;
mod port;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use agent_spec::{Call, Decoder, Reply, ReplyBody, Request, Stream, VERSION, message::PIECE_BYTES};
use cli::{Error, Kind, ResultExt as _};

use exec::Running;
use port::Replies;

/// While no workstation is connected, reads of the port return nothing at once: look again this often.
const LISTEN_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Device of the port [default: found by its name]
    #[arg(long, value_name = "DEVICE")]
    port: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let device = match &args.port {
        Some(device) => device.clone(),
        None => port::find().kind(Kind::System)?.ok_or_else(|| {
            Error::message(Kind::NotFound, format!("no virtio-serial port is named {}", agent_spec::PORT))
                .hint("the agent serves virtual machines that `orlop up` or `orlop test` made")
        })?,
    };
    let port = port::open(&device).kind(Kind::System)?;
    serve(port).kind(Kind::System)?;
    Ok(ExitCode::SUCCESS)
}

/// Serves calls for as long as the machine runs.
fn serve(mut port: fs::File) -> io::Result<()> {
    let agent = Agent { replies: Arc::new(Replies::new(port.try_clone()?)), running: Arc::default() };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match port.read(&mut buffer) {
            Ok(0) => std::thread::sleep(LISTEN_EVERY),
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        while let Some(frame) = decoder.next_frame() {
            // A cut frame, or noise: the workstation's next `sync` puts things right.
            let Ok(payload) = frame else { continue };
            match Call::decode(&payload) {
                Ok(call) => agent.answer(call),
                Err(error) => agent.refuse(&payload, &error),
            }
        }
    }
}

struct Agent {
    replies: Arc<Replies>,
    running: Arc<Running>,
}

impl Agent {
    fn answer(&self, call: Call) {
        let id = call.id;
        let result = match call.request {
            Request::Sync { nonce } => self.sync(nonce),
            Request::Exec { argv, env, stdin, timeout_ms } => {
                let job = exec::Job { id, argv, env, stdin, timeout: Duration::from_millis(timeout_ms) };
                exec::spawn(job, Arc::clone(&self.replies), Arc::clone(&self.running));
                return;
            }
            Request::Read { path } => self.read(id, &path),
            Request::Write { path, mode, append, data } => write(&path, mode, append, &data),
            Request::SetClock { unix_ms } => set_clock(unix_ms),
            Request::Power { reboot } => power(reboot),
        };
        let body = result.unwrap_or_else(|message| ReplyBody::Failed { message });
        self.replies.send(&Reply { id, body });
    }

    /// A call of a later version has an id all the same: say that it is not known.
    fn refuse(&self, payload: &[u8], error: &agent_spec::MessageError) {
        #[derive(serde::Deserialize)]
        struct Numbered {
            id: u64,
        }
        let numbered: Option<Numbered> = agent_spec::message::lenient(payload);
        let Some(Numbered { id }) = numbered else { return };
        let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let message = format!("the agent (protocol {VERSION}) does not know this call: {why}");
        self.replies.send(&Reply { id, body: ReplyBody::Failed { message } });
    }

    fn sync(&self, nonce: u64) -> Result<ReplyBody, String> {
        self.running.kill_all();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|error| format!("cannot read the boot id: {error}"))?;
        Ok(ReplyBody::Synced { nonce, version: VERSION, boot_id: boot_id.trim().to_owned() })
    }

    fn read(&self, id: u64, path: &str) -> Result<ReplyBody, String> {
        let cannot = |error: io::Error| format!("cannot read {path}: {error}");
        let mut file = fs::File::open(path).map_err(cannot)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = file.read(&mut piece).map_err(cannot)?;
            if count == 0 {
                return Ok(ReplyBody::Done);
            }
            let body = ReplyBody::Data { stream: Stream::Stdout, data: piece[..count].to_vec() };
            self.replies.send(&Reply { id, body });
        }
    }
}

fn write(path: &str, mode: u32, append: bool, data: &[u8]) -> Result<ReplyBody, String> {
    let mut options = fs::OpenOptions::new();
    options.create(true).mode(mode);
    let options = if append { options.append(true) } else { options.write(true).truncate(true) };
    options
        .open(path)
        .and_then(|mut file| file.write_all(data))
        .map_err(|error| format!("cannot write {path}: {error}"))?;
    Ok(ReplyBody::Done)
}

fn set_clock(unix_ms: u64) -> Result<ReplyBody, String> {
    let seconds = i64::try_from(unix_ms / 1000).map_err(|_| format!("no such time: {unix_ms} ms"))?;
    let nanoseconds = i64::try_from(unix_ms % 1000).unwrap_or_default() * 1_000_000;
    let time = rustix::time::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    rustix::time::clock_settime(rustix::time::ClockId::Realtime, time)
        .map_err(|error| format!("cannot set the clock: {error}"))?;
    Ok(ReplyBody::Done)
}

fn power(reboot: bool) -> Result<ReplyBody, String> {
    let verb = if reboot { "reboot" } else { "poweroff" };
    let status = Command::new("systemctl")
        .args(["--no-block", verb])
        .status()
        .map_err(|error| format!("cannot run systemctl: {error}"))?;
    if status.success() { Ok(ReplyBody::Done) } else { Err(format!("systemctl {verb}: {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A workstation's end over a socket pair, standing for the port.
    struct Peer {
        stream: UnixStream,
        decoder: Decoder,
    }

    impl Peer {
        fn new() -> Self {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let port = fs::File::from(std::os::fd::OwnedFd::from(theirs));
            std::thread::spawn(move || serve(port));
            ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Self { stream: ours, decoder: Decoder::default() }
        }

        fn call(&mut self, id: u64, request: Request) {
            self.stream.write_all(&agent_spec::encode(&Call { id, request }.encode())).unwrap();
        }

        fn reply(&mut self) -> Reply {
            let mut buffer = [0; 4096];
            loop {
                if let Some(frame) = self.decoder.next_frame() {
                    return Reply::decode(&frame.unwrap()).unwrap();
                }
                let count = self.stream.read(&mut buffer).unwrap();
                assert!(count > 0, "agent closed the port");
                self.decoder.push(&buffer[..count]);
            }
        }

        /// Output and end of one exec.
        fn exec(&mut self, argv: &[&str], stdin: &[u8], timeout_ms: u64) -> (String, ReplyBody) {
            let argv = argv.iter().map(ToString::to_string).collect();
            self.call(5, Request::Exec { argv, env: vec![], stdin: stdin.to_vec(), timeout_ms });
            let mut output = String::new();
            loop {
                match self.reply().body {
                    ReplyBody::Data { data, .. } => output.push_str(&String::from_utf8(data).unwrap()),
                    end => return (output, end),
                }
            }
        }
    }

    fn exited(code: i32) -> ReplyBody {
        ReplyBody::Exited { code: Some(code), signal: None, timed_out: false }
    }

    #[test]
    fn exec_gives_output_and_code() {
        let mut peer = Peer::new();
        assert_eq!(peer.exec(&["sh", "-c", "cat; exit 3"], b"in", 5000), ("in".into(), exited(3)));
        assert_eq!(peer.exec(&["sh", "-c", "echo no >&2"], b"", 5000), ("no\n".into(), exited(0)));
    }

    #[test]
    fn a_missing_program_and_a_slow_one_are_told() {
        let mut peer = Peer::new();
        let (_, end) = peer.exec(&["/nonexistent/program"], b"", 5000);
        assert!(matches!(end, ReplyBody::Failed { message } if message.contains("/nonexistent/program")));
        let (_, end) = peer.exec(&["sleep", "60"], b"", 100);
        assert_eq!(end, ReplyBody::Exited { code: None, signal: Some(9), timed_out: true });
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_hold_the_answer() {
        let mut peer = Peer::new();
        let (output, end) = peer.exec(&["sh", "-c", "sleep 30 & echo up"], b"", 20_000);
        assert_eq!((output.as_str(), end), ("up\n", exited(0)));
    }

    #[test]
    fn files_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f").to_str().unwrap().to_owned();
        let mut peer = Peer::new();
        for (append, data) in [(false, b"one"), (true, b"two")] {
            peer.call(1, Request::Write { path: path.clone(), mode: 0o600, append, data: data.to_vec() });
            assert_eq!(peer.reply(), Reply { id: 1, body: ReplyBody::Done });
        }
        peer.call(2, Request::Read { path });
        let body = ReplyBody::Data { stream: Stream::Stdout, data: b"onetwo".to_vec() };
        assert_eq!(peer.reply(), Reply { id: 2, body });
        assert_eq!(peer.reply(), Reply { id: 2, body: ReplyBody::Done });
    }

    #[test]
    fn sync_kills_what_an_earlier_connection_left() {
        let mut peer = Peer::new();
        let argv = vec!["sleep".into(), "60".into()];
        peer.call(8, Request::Exec { argv, env: vec![], stdin: vec![], timeout_ms: 60_000 });
        std::thread::sleep(Duration::from_millis(200));
        peer.stream.write_all(b"\xff000000").unwrap(); // a frame cut by a restore
        peer.call(9, Request::Sync { nonce: 42 });
        let mut bodies = [peer.reply(), peer.reply()];
        bodies.sort_by_key(|reply| reply.id);
        assert_eq!(bodies[0].body, ReplyBody::Exited { code: None, signal: Some(9), timed_out: false });
        assert!(matches!(bodies[1].body, ReplyBody::Synced { nonce: 42, version: VERSION, .. }));
    }

    #[test]
    fn unknown_calls_are_refused_by_number() {
        let mut peer = Peer::new();
        peer.stream.write_all(&agent_spec::encode(r#"{"id":4,"do":"fly"}"#)).unwrap();
        let reply = peer.reply();
        assert_eq!(reply.id, 4);
        assert!(matches!(reply.body, ReplyBody::Failed { message } if message.contains("fly")));
    }
}
