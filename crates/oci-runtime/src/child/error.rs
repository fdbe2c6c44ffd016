//! A failed step, in words: it travels to the runtime as text.

use rustix::io::Errno;

/// What failed in a step and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Fault {
    /// For people.
    pub(crate) text: String,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// `what: why`.
pub(crate) fn fault(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Fault {
    Fault { text: format!("{what}: {why}") }
}

/// The error's words and its name, since people search for the name.
pub(crate) fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Adds what was tried.
pub(crate) trait What<T> {
    fn what(self, what: impl std::fmt::Display) -> Result<T>;
}

impl<T> What<T> for rustix::io::Result<T> {
    fn what(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|e| fault(what, words(e)))
    }
}

impl<T> What<T> for std::io::Result<T> {
    fn what(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|e| match Errno::from_io_error(&e) {
            Some(errno) => fault(what, words(errno)),
            None => fault(what, e),
        })
    }
}
