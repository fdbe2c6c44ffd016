//! The table of verbs. A word may stand twice: `orlop stop` stops a machine on a workstation and a pod on a machine;
//! the first row whose program is installed counts.

use std::ffi::OsString;

/// One verb of the front door.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) word: &'static str,
    pub(crate) program: &'static str,
    pub(crate) place: Place,
    pub(crate) about: &'static str,
}

/// Where a program belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Anywhere,
    Workstation,
    Machine,
}

impl Place {
    /// How to come by a program that is not here.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Place::Anywhere => "build it with `cargo build -p orlop-config`",
            Place::Workstation => "it belongs to a workstation: build it with `cargo build -p orlop-os`",
            Place::Machine => "it belongs to a machine: `orlop ssh` takes you to one",
        }
    }
}

const fn verb(word: &'static str, program: &'static str, place: Place, about: &'static str) -> Verb {
    Verb { word, program, place, about }
}

/// All verbs, in the order of `orlop help`.
pub(crate) const TABLE: &[Verb] = &[
    verb("transpile", "orlop-config", Place::Anywhere, "Turn Butane into an Ignition config"),
    verb("validate", "orlop-config", Place::Anywhere, "Check a Butane or Ignition config"),
    verb("plan", "orlop-config", Place::Anywhere, "Show everything that a config would change"),
    verb("build", "orlop-os", Place::Workstation, "Build the OS image from its manifest"),
    verb("up", "orlop-os", Place::Workstation, "Boot a machine from a config"),
    verb("ssh", "orlop-os", Place::Workstation, "Log in to a machine"),
    verb("console", "orlop-os", Place::Workstation, "Sit at a machine's serial console"),
    verb("stop", "orlop-os", Place::Workstation, "Stop a machine that `up` started"),
    verb("test", "orlop-os", Place::Workstation, "Test an OS image in virtual machines"),
    verb("status", "orlop-host", Place::Machine, "Say how this machine is"),
    verb("apply", "orlop-host", Place::Machine, "Apply a config to this machine"),
    verb("confirm", "orlop-host", Place::Machine, "Keep the change that waits for it"),
    verb("revert", "orlop-host", Place::Machine, "Take back the change that waits"),
    verb("diff", "orlop-host", Place::Machine, "Show what differs from what was applied"),
    verb("observe", "orlop-host", Place::Machine, "Write this machine's state down"),
    verb("reset", "orlop-host", Place::Machine, "Provision this machine anew"),
    verb("fetch", "orlop-pod", Place::Machine, "Fetch container images"),
    verb("run", "orlop-pod", Place::Machine, "Run a pod"),
    verb("list", "orlop-pod", Place::Machine, "List pods"),
    verb("logs", "orlop-pod", Place::Machine, "Print what a pod's containers wrote"),
    verb("exec", "orlop-pod", Place::Machine, "Run a command in a container"),
    verb("stop", "orlop-pod", Place::Machine, "Stop a pod"),
    verb("rm", "orlop-pod", Place::Machine, "Remove an exited pod"),
    verb("image", "orlop-pod", Place::Machine, "List and remove images"),
];

/// What the first argument asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Help,
    Version,
    /// The rows of the verb, at least one.
    Verb(Vec<&'static Verb>),
    Unknown(String),
}

pub(crate) fn request(args: &[OsString]) -> Request {
    let Some(word) = args.first() else { return Request::Help };
    match word.to_str() {
        Some("help" | "-h" | "--help") => Request::Help,
        Some("-V" | "--version") => Request::Version,
        Some(text) => {
            let rows: Vec<&Verb> = TABLE.iter().filter(|verb| verb.word == text).collect();
            if rows.is_empty() { Request::Unknown(text.to_owned()) } else { Request::Verb(rows) }
        }
        None => Request::Unknown(word.to_string_lossy().into_owned()),
    }
}

/// The verb that a mistyped word is closest to, if one is near.
pub(crate) fn closest(word: &str) -> Option<&'static str> {
    let near = TABLE.iter().map(|verb| (distance(word, verb.word), verb.word)).min()?;
    (near.0 <= 2 && near.0 < word.chars().count()).then_some(near.1)
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_has_a_word_twice() {
        let mut words: Vec<(&str, &str)> = TABLE.iter().map(|verb| (verb.word, verb.program)).collect();
        words.sort_unstable();
        let all = words.len();
        words.dedup();
        assert_eq!(words.len(), all);
    }

    #[test]
    fn requests() {
        let of = |word: &str| request(&[word.into()]);
        assert!(matches!(request(&[]), Request::Help));
        assert!(matches!(of("--version"), Request::Version));
        assert!(matches!(of("up"), Request::Verb(rows) if rows[0].program == "orlop-os"));
        assert!(matches!(of("stop"), Request::Verb(rows) if rows.len() == 2));
        assert!(matches!(of("upp"), Request::Unknown(word) if word == "upp"));
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        assert_eq!(closest("transpil"), Some("transpile"));
        assert_eq!(closest("lgos"), Some("logs"));
        assert_eq!(closest("frobnicate"), None);
        assert_eq!(closest("x"), None);
    }
}
