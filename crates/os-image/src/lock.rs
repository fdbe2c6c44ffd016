//! `os/orlop.lock`: the exact packages of an image. Written by `--refresh-lock`, never by hand.
//!
//! ```text
//! # orlop lock 1
//! time 1795219200
//! package base-files 13.8+deb13u1 SHA256 pool/main/b/base-files/base-files_13.8+deb13u1_amd64.deb
//! ```
//! One line a package, sorted by name, so that a diff says what moved.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// First line of the file.
const HEAD: &str = "# orlop lock 1";

/// Why a lock cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LockError {
    /// Another format, or another file.
    #[error("line 1: not a lock of format 1 (`{HEAD}`)")]
    Head,
    /// A line that is none.
    #[error("line {line}: {what}")]
    Line {
        /// Number from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The time is missing: nothing that is made from the lock could be dated.
    #[error("no `time` line")]
    NoTime,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Full version, with epoch.
    pub version: String,
    /// SHA-256 of the .deb, 64 hex digits.
    pub sha256: String,
    /// Place of the .deb in the archive, relative to its base.
    pub path: String,
}

impl Package {
    /// File name in the cache of packages.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// When it was refreshed, in seconds since 1970: the time of everything that is built from it.
    pub time_secs: u64,
    /// By name.
    pub packages: BTreeMap<String, Package>,
}

impl Lock {
    /// Reads a lock's text.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, line)| line.trim_end() != HEAD) {
            return Err(LockError::Head);
        }
        let (mut time, mut packages) = (None, BTreeMap::new());
        for (index, line) in lines {
            let wrong = |what| LockError::Line { line: index + 1, what };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [word, ..] if word.starts_with('#') => {}
                ["time", secs] => {
                    time = Some(secs.parse().map_err(|_| wrong("`time` wants seconds since 1970"))?);
                }
                ["package", name, version, sha256, path] => {
                    let package = package(name, version, sha256, path).map_err(wrong)?;
                    if packages.insert((*name).to_owned(), package).is_some() {
                        return Err(wrong("the package is listed twice"));
                    }
                }
                ["package", ..] => return Err(wrong("`package` wants name, version, sha256 and path")),
                _ => return Err(wrong("neither `time` nor `package`")),
            }
        }
        Ok(Self { time_secs: time.ok_or(LockError::NoTime)?, packages })
    }

    /// The text of the lock; [`Lock::parse`] gives the same lock back.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "{HEAD}\n# Made by `orlop build --refresh-lock`; do not edit.\ntime {}\n",
            self.time_secs
        );
        for Package { name, version, sha256, path } in self.packages.values() {
            let _ = writeln!(text, "package {name} {version} {sha256} {path}");
        }
        text
    }

    /// What changes from this lock to `new`, by name.
    #[must_use]
    pub fn moves(&self, new: &Self) -> Vec<Move> {
        let mut names: Vec<&String> = self.packages.keys().chain(new.packages.keys()).collect();
        names.sort();
        names.dedup();
        let version =
            |lock: &Self, name: &str| lock.packages.get(name).map(|package| package.version.clone());
        names
            .into_iter()
            .map(|name| Move { name: name.clone(), from: version(self, name), to: version(new, name) })
            .filter(|step| step.from != step.to)
            .collect()
    }
}

/// A package that comes, goes or changes its version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Move {
    /// Name.
    pub name: String,
    /// Version before; `None` when the package is new.
    pub from: Option<String>,
    /// Version now; `None` when the package is gone.
    pub to: Option<String>,
}

/// A package line's fields, checked: the path becomes part of a URL and of a file name.
fn package(name: &str, version: &str, sha256: &str, path: &str) -> Result<Package, &'static str> {
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err("the sha256 has not 64 lower-case hex digits");
    }
    if !path.starts_with("pool/")
        || !path.ends_with(".deb")
        || path.split('/').any(|part| part.is_empty() || part == "..")
    {
        return Err("the path is not one below pool/ that ends in .deb");
    }
    Ok(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: sha256.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(list: &[(&str, &str)]) -> Lock {
        let packages = list.iter().map(|&(name, version)| {
            let path = format!("pool/main/x/{name}/{name}_{version}_amd64.deb");
            (name.to_owned(), package(name, version, &"ab".repeat(32), &path).unwrap())
        });
        Lock { time_secs: 1_700_000_000, packages: packages.collect() }
    }

    #[test]
    fn text_and_lock_are_the_same() {
        let lock = lock(&[("bash", "5.2"), ("zstd", "1:1.5")]);
        assert_eq!(Lock::parse(&lock.render()).unwrap(), lock);
    }

    #[test]
    fn errors_name_the_line() {
        let sha = "ab".repeat(32);
        let line = |what| LockError::Line { line: 2, what };
        for (text, expected) in [
            (String::new(), LockError::Head),
            ("# orlop lock 2\n".to_owned(), LockError::Head),
            (HEAD.to_owned(), LockError::NoTime),
            (format!("{HEAD}\ntime soon"), line("`time` wants seconds since 1970")),
            (format!("{HEAD}\npackage a 1 {sha}"), line("`package` wants name, version, sha256 and path")),
            (
                format!("{HEAD}\npackage a 1 abc pool/a.deb"),
                line("the sha256 has not 64 lower-case hex digits"),
            ),
            (
                format!("{HEAD}\npackage a 1 {sha} pool/../a.deb"),
                line("the path is not one below pool/ that ends in .deb"),
            ),
            (format!("{HEAD}\nrelease 1"), line("neither `time` nor `package`")),
        ] {
            assert_eq!(Lock::parse(&text).unwrap_err(), expected, "{text}");
        }
        let twice = format!("{HEAD}\npackage a 1 {sha} pool/a.deb\npackage a 2 {sha} pool/a.deb");
        assert_eq!(
            Lock::parse(&twice).unwrap_err(),
            LockError::Line { line: 3, what: "the package is listed twice" }
        );
    }

    #[test]
    fn moves_name_what_came_went_and_changed() {
        let (old, new) =
            (lock(&[("a", "1"), ("b", "1"), ("c", "1")]), lock(&[("b", "2"), ("c", "1"), ("d", "1")]));
        let moves: Vec<_> = old.moves(&new).into_iter().map(|step| (step.name, step.from, step.to)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            moves,
            [
                ("a".to_owned(), text("1"), None),
                ("b".to_owned(), text("1"), text("2")),
                ("d".to_owned(), None, text("1")),
            ]
        );
    }
}
