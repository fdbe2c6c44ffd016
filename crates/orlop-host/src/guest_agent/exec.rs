//! Programs run for the workstation: output sent while they run, killed as a group when their time is up.

use std::collections::HashMap;
use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_spec::{Reply, ReplyBody, Stream, message::PIECE_BYTES};
use rustix::process::{Pid, Signal, kill_process_group};

use super::port::Replies;

/// A daemon left behind may hold the pipes for ever: its parent's answer waits so long for the last output.
const DRAIN: Duration = Duration::from_millis(500);

/// One `exec` call.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin: Vec<u8>,
    pub(super) timeout: Duration,
}

/// Process groups of the programs that run, by call.
#[derive(Default)]
pub(super) struct Running {
    groups: Mutex<HashMap<u64, Pid>>,
}

impl Running {
    fn groups(&self) -> MutexGuard<'_, HashMap<u64, Pid>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every program; each still gets its `exited` reply.
    pub(super) fn kill_all(&self) {
        for group in self.groups().values() {
            let _ = kill_process_group(*group, Signal::KILL); // it may have ended this moment
        }
    }
}

/// Runs the job in a thread of its own, which sends all its replies.
pub(super) fn spawn(job: Job, replies: Arc<Replies>, running: Arc<Running>) {
    std::thread::spawn(move || {
        let id = job.id;
        let body = run(job, &replies, &running).unwrap_or_else(|message| ReplyBody::Failed { message });
        replies.send(&Reply { id, body });
    });
}

fn run(job: Job, replies: &Arc<Replies>, running: &Running) -> Result<ReplyBody, String> {
    let (program, arguments) = job.argv.split_first().ok_or("exec needs a program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(job.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let group = Pid::from_child(&child);
    running.groups().insert(job.id, group);

    if let Some(mut stdin) = child.stdin.take() {
        // A program need not read its input; a full pipe must not block the call.
        std::thread::spawn(move || stdin.write_all(&job.stdin));
    }
    let (done, pumps_done) = mpsc::channel();
    if let Some(pipe) = child.stdout.take() {
        pump(job.id, Stream::Stdout, pipe, Arc::clone(replies), done.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        pump(job.id, Stream::Stderr, pipe, Arc::clone(replies), done);
    }
    let (status, timed_out) = wait(&mut child, group, job.timeout);
    running.groups().remove(&job.id);
    let status = status.map_err(|error| format!("cannot wait for {program}: {error}"))?;

    let deadline = Instant::now() + DRAIN;
    for _ in 0..2 {
        let _ = pumps_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
    Ok(ReplyBody::Exited { code: status.code(), signal: status.signal(), timed_out })
}

/// Sends a pipe's bytes as they come, then says so.
fn pump(
    id: u64,
    stream: Stream,
    mut pipe: impl Read + Send + 'static,
    replies: Arc<Replies>,
    done: Sender<()>,
) {
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            let body = ReplyBody::Data { stream, data: piece[..count].to_vec() };
            replies.send(&Reply { id, body });
        }
        let _ = done.send(());
    });
}

/// Waits for the end, looking at first often and then every 20 ms; past the deadline kills the group.
fn wait(child: &mut Child, group: Pid, timeout: Duration) -> (std::io::Result<ExitStatus>, bool) {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return (Ok(status), false),
            Ok(None) => {}
            Err(error) => return (Err(error), false),
        }
        if Instant::now() >= deadline {
            let _ = kill_process_group(group, Signal::KILL);
            return (child.wait(), true);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
