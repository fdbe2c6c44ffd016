//! The front door: a table of verbs, each naming the program that does it, in the manner of git and cargo.
//!
//! `orlop up web.bu` runs `orlop-os up web.bu`. The same word works on a workstation and on a machine;
//! `orlop help` lists what is installed here. The door only opens: the program takes its place (`execve`),
//! so signals, terminals and exit codes are the program's own.

mod table;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cli::{Error, Format, Global, Kind};
use table::{Request, TABLE, Verb, closest, request};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    cli::main(Global { format: Format::Human, verbose: 0 }, || open(&args))
}

fn open(args: &[OsString]) -> Result<ExitCode, Error> {
    let rows = match request(args) {
        Request::Help => {
            cli::out(&help(|program| find(program).is_some()));
            return Ok(ExitCode::SUCCESS);
        }
        Request::Version => {
            cli::out(&format!("orlop {}\n", env!("CARGO_PKG_VERSION")));
            return Ok(ExitCode::SUCCESS);
        }
        Request::Verb(rows) => rows,
        Request::Unknown(word) => {
            let error = Error::message(Kind::Usage, format!("no verb `{word}`"));
            return Err(match closest(&word) {
                Some(near) => error.hint(format!("did you mean `orlop {near}`?")),
                None => error.hint("`orlop help` lists the verbs"),
            });
        }
    };
    let Some(program) = rows.iter().find_map(|row| find(row.program)) else {
        let verb = rows[0];
        return Err(Error::message(
            Kind::NotFound,
            format!("`orlop {}` is done by {}, which is not installed here", verb.word, verb.program),
        )
        .hint(verb.place.hint()));
    };
    // `exec` only returns when it failed.
    let error = Command::new(&program).args(args).exec();
    Err(Error::new(
        Kind::System,
        anyhow::Error::new(error).context(format!("cannot run {}", program.display())),
    ))
}

/// The program beside this one, else on PATH: a checkout's `orlop` must not run the host's `orlop-os`.
fn find(program: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The list of verbs, those of programs that are here first.
fn help(installed: impl Fn(&str) -> bool) -> String {
    let (here, elsewhere): (Vec<&Verb>, Vec<&Verb>) = TABLE.iter().partition(|verb| installed(verb.program));
    let line = |verb: &&Verb| format!("  {:<12} {}\n", verb.word, verb.about);
    let mut text = String::from("Orlop: the front door\n\nUsage: orlop VERB [ARGS]...\n\nVerbs:\n");
    text.extend(here.iter().map(line));
    if !elsewhere.is_empty() {
        text.push_str("\nNot installed here:\n");
        text.extend(elsewhere.iter().map(line));
    }
    text.push_str("\nOptions:\n  -h, --help     Print this\n  -V, --version  Print the version\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_what_is_here_from_what_is_not() {
        let text = help(|program| program == "orlop-pod");
        let (here, elsewhere) = text.split_once("Not installed here:").unwrap();
        assert!(here.contains("  run ") && !here.contains("  up "));
        assert!(elsewhere.contains("  up ") && !elsewhere.contains("  run "));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
