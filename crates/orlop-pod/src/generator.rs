//! As systemd's generator: `orlop-pod-generator NORMAL EARLY LATE`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes the units of the declared pods in the first directory. What is wrong is said on standard error, which is
/// the kernel's log at that time of the boot.
pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(normal) = args.next().map(PathBuf::from) else {
        cli::say("orlop-pod-generator: the directory for units is missing; systemd gives it");
        return ExitCode::from(2);
    };
    let declared = pod::dirs::Dirs::default().declared;
    match pod::generator::generate(&declared, &normal) {
        Ok(passed_over) => {
            for path in passed_over {
                cli::say(&format!(
                    "orlop-pod-generator: {} is no declaration: its name must end in .yaml",
                    path.display()
                ));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            cli::say(&format!("orlop-pod-generator: cannot make units of {}: {error}", declared.display()));
            ExitCode::FAILURE
        }
    }
}
