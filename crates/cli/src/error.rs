//! Errors as people and scripts see them: a kind with a fixed exit code, a chain of causes, hints.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

/// What sort of failure it is. The kind alone gives the exit code, so that scripts can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The machine, a program or a device failed. Exit code 1.
    System,
    /// The command line is wrong. Exit code 2, as clap's own.
    Usage,
    /// The user's config or declaration is wrong. Exit code 3.
    Config,
    /// What was named is not there. Exit code 4.
    NotFound,
    /// What was asked for clashes with what is there. Exit code 5.
    Conflict,
    /// Known, but not done by this version or on this machine. Exit code 6.
    Unsupported,
    /// A fault of ours. Exit code 70 (`EX_SOFTWARE`, sysexits.h).
    Internal,
}

impl Kind {
    /// The exit code of a program that ends with this kind of error.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Kind::System => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::NotFound => 4,
            Kind::Conflict => 5,
            Kind::Unsupported => 6,
            Kind::Internal => 70,
        }
    }
}

/// An error on its way to a person: printed once, by [`crate::main`].
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    source: anyhow::Error,
    hints: Vec<String>,
    /// Lines printed as they are after the error line: an excerpt of the user's file, say.
    details: Option<String>,
}

impl Error {
    /// An error of `kind` around any error or message.
    pub fn new(kind: Kind, source: impl Into<anyhow::Error>) -> Self {
        let source = source.into();
        let hints =
            if denied(&source) { vec!["run it as root, or with sudo".to_owned()] } else { Vec::new() };
        Self { kind, source, hints, details: None }
    }

    /// An error of `kind` with a message of its own.
    pub fn message(kind: Kind, text: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::new(kind, anyhow::Error::msg(text))
    }

    /// Adds a way to mend it; printed as a `hint:` line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds lines that are printed as they are below the error, such as a report with excerpts.
    #[must_use]
    pub fn details(mut self, lines: impl Into<String>) -> Self {
        self.details = Some(lines.into());
        self
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text for people: `error: what: why`, details, hints. Ends in a newline.
    #[must_use]
    pub fn to_human(&self) -> String {
        let chain: Vec<String> = self.source.chain().map(ToString::to_string).collect();
        let mut text = format!("error: {}\n", chain.join(": "));
        if let Some(details) = &self.details {
            text.push_str(details.trim_end());
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }

    /// The object for scripts: `{"error","kind","causes","hints"}` and `details` where there are some.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shape<'a> {
            error: String,
            kind: Kind,
            causes: Vec<String>,
            hints: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            details: Option<&'a str>,
        }
        let shape = Shape {
            error: self.source.to_string(),
            kind: self.kind,
            causes: self.source.chain().skip(1).map(ToString::to_string).collect(),
            hints: &self.hints,
            details: self.details.as_deref(),
        };
        serde_json::to_string(&shape).expect("strings and enums always serialise")
    }
}

impl From<Error> for ExitCode {
    fn from(error: Error) -> Self {
        ExitCode::from(error.kind.code())
    }
}

/// Whether the system refused something that it would have let root do.
fn denied(error: &anyhow::Error) -> bool {
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    error.chain().any(refused) && !rustix::process::geteuid().is_root()
}

/// Gives a kind to any result: `.kind(Kind::Config)?`.
pub trait ResultExt<T> {
    /// Makes the error one of `kind`.
    ///
    /// # Errors
    /// The same error, with a kind.
    fn kind(self, kind: Kind) -> Result<T, Error>;
}

impl<T, E: Into<anyhow::Error>> ResultExt<T> for Result<T, E> {
    fn kind(self, kind: Kind) -> Result<T, Error> {
        self.map_err(|error| Error::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested() -> Error {
        let why = std::io::Error::new(std::io::ErrorKind::NotFound, "No such file");
        Error::new(Kind::Config, anyhow::Error::new(why).context("cannot read web.bu"))
            .hint("name a file that exists")
    }

    #[test]
    fn a_person_reads_what_why_and_how_to_mend() {
        assert_eq!(
            nested().to_human(),
            "error: cannot read web.bu: No such file\nhint: name a file that exists\n"
        );
    }

    #[test]
    fn a_script_reads_one_object() {
        assert_eq!(
            nested().to_json(),
            r#"{"error":"cannot read web.bu","kind":"config","causes":["No such file"],"hints":["name a file that exists"]}"#
        );
    }

    #[test]
    fn each_kind_has_a_code_of_its_own() {
        use Kind::*;
        let mut codes: Vec<u8> =
            [System, Usage, Config, NotFound, Conflict, Unsupported, Internal].map(Kind::code).into();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 70]);
    }
}
