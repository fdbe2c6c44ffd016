//! The console: every line that this program says, in the forms that `orlop up` reads.
//!
//! Lines go to `/dev/console` as they are, and to the kernel's log at debug level, so that the journal of the machine
//! has them too and the console does not show them twice.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use crate::phase::Phase;

static KERNEL_LOG: OnceLock<File> = OnceLock::new();

/// Makes `/dev/console` the standard streams, once `/dev` is mounted, and opens the kernel's log.
pub(crate) fn adopt() -> io::Result<()> {
    let console = open()?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    // Without it the kernel drops all but ten of our lines in five seconds. Absent under a kernel without printk.
    let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    if let Ok(log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = KERNEL_LOG.set(log);
    }
    Ok(())
}

/// The console, opened for keys and for a shell.
pub(crate) fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/console")
}

/// Prints one line. A console that cannot be written to is no reason to stop a boot.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
    if let Some(mut log) = KERNEL_LOG.get() {
        // One write is one record; 7 is the debug level.
        let _ = log.write_all(format!("<7>{text}").as_bytes());
    }
}

/// Prints one line for a caller who used a flag wrongly.
pub(crate) fn error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `orlop: PHASE: TEXT`.
pub(crate) fn say(phase: Phase, text: impl Display) {
    line(&format!("orlop: {phase}: {text}"));
}

/// `done in 0.123 s`.
pub(crate) fn done(took: Duration) -> String {
    format!("done in {:.3} s", took.as_secs_f64())
}
