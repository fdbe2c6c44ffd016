//! The one error of provisioning: what, where in the user's config, why, and what to do.

use std::error::Error as StdError;
use std::fmt;

use crate::event::Phase;
use crate::place::Place;

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// What is wrong, in one line.
    pub message: String,
    /// Why, from the nearest cause to the deepest.
    pub causes: Vec<String>,
    /// Where in the config.
    pub place: Option<Place>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Something wrong with no cause beneath it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), place: None, hint: None }
    }

    /// Takes an error and its chain of causes.
    pub fn of(error: &dyn StdError) -> Self {
        let mut problem = Self::new(error.to_string());
        problem.add_causes(error.source());
        problem
    }

    /// Something that went wrong while `what` was done.
    pub fn while_doing(what: impl Into<String>, error: &dyn StdError) -> Self {
        let mut problem = Self::new(what);
        problem.add_causes(Some(error));
        problem
    }

    fn add_causes(&mut self, mut cause: Option<&dyn StdError>) {
        while let Some(error) = cause {
            self.causes.push(error.to_string());
            cause = error.source();
        }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place);
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = self.hint.or(hint.map(Into::into));
        self
    }

    /// Message and causes in one line.
    pub fn line(&self) -> String {
        let mut line = self.message.clone();
        for cause in &self.causes {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }
}

/// Several lines: the message, the place with its excerpt, the hint.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.line())?;
        if let Some(place) = &self.place {
            write!(f, "\n{place}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Why a machine was not provisioned: all problems that were found in a phase.
#[derive(Debug)]
pub struct Error {
    /// The phase that failed.
    pub phase: Phase,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Error {
    /// One problem.
    pub fn new(phase: Phase, problem: Problem) -> Self {
        Self { phase, problems: vec![problem] }
    }

    /// One line: the first problem with its place.
    pub fn line(&self) -> String {
        let Some(first) = self.problems.first() else { return format!("{} failed", self.phase.name()) };
        let place = first.place.as_ref().map(|place| format!("{}: ", place.short())).unwrap_or_default();
        let more = match self.problems.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("{place}{}{more}", first.line())
    }

    /// The whole text, for a console.
    pub fn text(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl StdError for Error {}
