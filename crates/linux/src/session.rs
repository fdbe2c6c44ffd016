//! Starting programs with a session of their own, on a terminal if one is given.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Makes `command` a session leader whose standard streams and controlling terminal are `terminal`, so that job
/// control and the interrupt key work in a shell.
///
/// # Errors
/// When the terminal's descriptor cannot be duplicated. A failing `setsid` or `TIOCSCTTY` shows when it is spawned.
pub fn on_terminal(command: &mut Command, terminal: &File) -> io::Result<()> {
    command
        .stdin(Stdio::from(terminal.try_clone()?))
        .stdout(Stdio::from(terminal.try_clone()?))
        .stderr(Stdio::from(terminal.try_clone()?));
    // SAFETY: both calls are plain system calls, safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_the_spawn_fails() {
        let null = File::open("/dev/null").unwrap();
        let mut command = Command::new("true");
        on_terminal(&mut command, &null).unwrap();
        let error = command.spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOTTY.raw_os_error()));
    }
}
