//! The program: found, given its environment, and run.

use std::ffi::CString;
use std::fs;

use rustix::fs::Access;
use rustix::io::Errno;

use super::error::{Result, What, fault, words};
use crate::spec::Process;

/// A program ready to be run.
#[derive(Debug)]
pub(crate) struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| fault(format_args!("{text:?}"), "holds a nul byte"))
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>> {
    texts.iter().map(|t| c_string(t)).collect()
}

/// The value of a variable; the last one counts, as in a shell.
fn variable<'e>(env: &'e [String], name: &str) -> Option<&'e str> {
    env.iter().rev().find_map(|e| e.strip_prefix(name)?.strip_prefix('='))
}

/// The home directory of a user by the text of `/etc/passwd`.
fn home_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(uid)).then(|| fields.nth(2)).flatten()
    })
}

/// Tries one path. A directory is not a program, though it may be "executable".
fn executable(path: &str) -> rustix::io::Result<()> {
    let stat = rustix::fs::stat(path)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        return Err(Errno::ISDIR);
    }
    rustix::fs::access(path, Access::EXEC_OK)
}

/// Finds `name` as execvp(3) would, by the container's PATH.
fn find(name: &str, path: Option<&str>) -> Result<String> {
    if name.contains('/') {
        executable(name).what(name)?;
        return Ok(name.to_owned());
    }
    let path = path.ok_or_else(|| fault(name, "no PATH in process.env to look for it in"))?;
    let mut why = Errno::NOENT;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => why = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(fault(
        name,
        if why == Errno::NOENT { "executable file not found in $PATH".to_owned() } else { words(why) },
    ))
}

impl Program {
    /// Finds the program as the user it runs as. `extra` are variables that the runtime adds.
    pub(crate) fn prepare(process: &Process, extra: &[String]) -> Result<Self> {
        let name = process.args.first().map_or("", String::as_str);
        let path = find(name, variable(&process.env, "PATH"))?;
        let mut env = c_strings(&process.env)?;
        if variable(&process.env, "HOME").is_none() {
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let home = home_of(&passwd, process.user.uid).filter(|h| !h.is_empty()).unwrap_or("/");
            env.push(c_string(&format!("HOME={home}"))?);
        }
        env.extend(c_strings(extra)?);
        Ok(Self { path: c_string(&path)?, args: c_strings(&process.args)?, env })
    }

    /// Becomes the program; returns only if that failed.
    pub(crate) fn run(&self) -> super::error::Fault {
        let errno = linux::exec::execve(&self.path, &self.args, &self.env);
        fault(format_args!("exec {}", self.path.to_string_lossy()), words(errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nodd\nweb:x:33:33::/var/www:\n";
        assert_eq!(home_of(passwd, 33), Some("/var/www"));
        assert_eq!(home_of(passwd, 0), Some("/root"));
        assert_eq!(home_of(passwd, 7), None);
    }

    #[test]
    fn variables_and_search() {
        let env = ["PATH=/x".to_owned(), "PATHS=/y".to_owned(), "PATH=/usr/bin:/bin".to_owned()];
        assert_eq!(variable(&env, "PATH"), Some("/usr/bin:/bin"));
        assert!(find("sh", variable(&env, "PATH")).unwrap().ends_with("bin/sh"));
        assert!(find("no-such-program", Some("/bin")).unwrap_err().text.contains("not found in $PATH"));
        assert!(find("/etc", None).unwrap_err().text.contains("/etc: Is a directory"));
        assert!(find("/etc/passwd", None).is_err());
    }
}
