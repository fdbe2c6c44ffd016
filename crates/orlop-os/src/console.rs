//! `orlop console`: the serial console, on this terminal.

use std::io::{self, IsTerminal as _, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context as _;
use cli::{Error, Kind, ResultExt as _};
use rustix::termios::{self, OptionalActions, Termios};

use crate::place;

/// Ctrl-], as telnet has it: not a key that a shell or an editor uses.
const ESCAPE: u8 = 0x1d;

/// What is shown of the past, in bytes: about a screen.
const PAST_BYTES: usize = 4096;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine [default: the only one that runs]
    name: Option<String>,
    /// Print everything the console said so far, and end
    #[arg(long)]
    log: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.log {
        let machine = place::machine(args.name.as_deref())?;
        let log = machine.console_log();
        let bytes = std::fs::read(&log)
            .with_context(|| format!("cannot read {}", log.display()))
            .kind(Kind::System)?;
        cli::out(&String::from_utf8_lossy(&bytes));
        return Ok(ExitCode::SUCCESS);
    }
    let machine = place::running_machine(args.name.as_deref())?;
    let past = std::fs::read(machine.console_log()).unwrap_or_default();
    let stream = machine.console().kind(Kind::System)?;
    cli::say(&format!("Console of {}. Ctrl-] ends it.", machine.record().name));
    cli::out(&String::from_utf8_lossy(&past[past.len().saturating_sub(PAST_BYTES)..]));
    attach(stream).kind(Kind::System)?;
    Ok(ExitCode::SUCCESS)
}

fn attach(mut console: UnixStream) -> anyhow::Result<()> {
    let raw = RawTerminal::enter().context("cannot set the terminal up")?;
    let mut output = console.try_clone().context("cannot share the console's socket")?;
    // Keys go to the machine from a thread of their own; this one ends when the machine or the user does.
    let keys = std::thread::spawn(move || forward_keys(&mut io::stdin().lock(), &mut output));
    let mut buffer = [0; 4096];
    let mut stdout = io::stdout().lock();
    loop {
        let count = console.read(&mut buffer).context("cannot read the console")?;
        if count == 0 {
            break;
        }
        stdout
            .write_all(&buffer[..count])
            .and_then(|()| stdout.flush())
            .context("cannot write the terminal")?;
    }
    drop(raw);
    if keys.is_finished() {
        cli::say("");
    }
    Ok(())
}

/// Copies keys until the escape key or the end of input, then ends the connection.
fn forward_keys(keys: &mut impl Read, console: &mut UnixStream) {
    let mut buffer = [0; 256];
    while let Ok(count @ 1..) = keys.read(&mut buffer) {
        let typed = &buffer[..count];
        let until = typed.iter().position(|key| *key == ESCAPE);
        if console.write_all(&typed[..until.unwrap_or(count)]).is_err() || until.is_some() {
            break;
        }
    }
    let _ = console.shutdown(Shutdown::Both); // wakes the reader
}

/// A terminal that passes each key on; as it was when dropped.
struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self { before: None });
        }
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_ends_and_is_not_sent() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        forward_keys(&mut &b"ls\r\x1dnever"[..], &mut ours);
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).unwrap();
        assert_eq!(sent, "ls\r");
    }
}
