//! PID 1 of a test initramfs (`vm::initramfs`): loads modules, runs the tested program, tells its exit code on
//! the console, powers off.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

fn main() -> ExitCode {
    let code = match run() {
        Ok(code) => code,
        Err(error) => {
            say(&format!("vm-init: {error}"));
            125
        }
    };
    say(&format!("{}{code}", vm::initramfs::EXIT_LINE));
    // The line has to leave the serial port before the power does.
    let _ = io::stdout().flush();
    rustix::fs::sync();
    match reboot(RebootCommand::PowerOff) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("vm-init: cannot power off: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<i32> {
    for (kind, place) in
        [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")]
    {
        mount(kind, place, kind, MountFlags::empty(), None)?;
    }
    fs::create_dir_all("/sys/fs/cgroup")?;
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None)?;
    load_modules()?;
    let arguments = fs::read_to_string("/test/arguments")?;
    let status = Command::new("/test/program")
        .args(arguments.lines())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("RUST_BACKTRACE", "1")
        .process_group(0)
        .status()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

fn load_modules() -> io::Result<()> {
    let mut modules: Vec<_> = fs::read_dir("/modules")?.collect::<Result<_, _>>()?;
    modules.sort_by_key(fs::DirEntry::file_name);
    for module in modules {
        let file = File::open(module.path())?;
        match finit_module(&file, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => {
                let name = module.file_name();
                return Err(io::Error::other(format!("cannot load {}: {error}", name.to_string_lossy())));
            }
        }
    }
    Ok(())
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
