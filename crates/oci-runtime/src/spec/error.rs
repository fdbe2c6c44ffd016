//! What can be wrong with a config, and where.

/// One fault in a config.json (or a process.json), with the JSON path of the value at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if .path.is_empty() { String::new() } else { format!("{}: ", .path) })]
pub struct SpecError {
    /// `process.capabilities.bounding[3]`; empty for the document itself.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// The kinds of fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is not JSON.
    #[error("not JSON: {message} (line {line}, column {column})")]
    Json {
        /// What the parser says.
        message: String,
        /// 1-based line.
        line: usize,
        /// 1-based column.
        column: usize,
    },
    /// A value of another JSON type or range.
    #[error("expected {want}, found {found}")]
    Expected {
        /// The type wanted.
        want: &'static str,
        /// The value or type found.
        found: String,
    },
    /// A required member is not there.
    #[error("missing")]
    Missing,
    /// A name that no table has.
    #[error("unknown {what} {name}")]
    Unknown {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A value that is read but makes no sense.
    #[error("{value}: {why}")]
    Invalid {
        /// The value.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// Two statements that contradict each other, or one that another needs.
    #[error("{why}")]
    Conflict {
        /// The rule.
        why: &'static str,
    },
    /// Something the spec has and this runtime does not do.
    #[error("not supported by orun: {hint}")]
    Unsupported {
        /// What to do instead.
        hint: &'static str,
    },
}

impl SpecError {
    pub(crate) fn new(problem: Problem) -> Self {
        Self { path: String::new(), problem }
    }

    pub(crate) fn unknown(what: &'static str, name: &str) -> Self {
        Self::new(Problem::Unknown { what, name: name.to_owned() })
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers give numbers and borrowed text alike")]
    pub(crate) fn invalid(value: impl ToString, why: &'static str) -> Self {
        Self::new(Problem::Invalid { value: value.to_string(), why })
    }

    pub(crate) fn conflict(why: &'static str) -> Self {
        Self::new(Problem::Conflict { why })
    }

    /// The same error, seen from the object that holds the value under `key`.
    pub(crate) fn under(mut self, key: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{separator}{}", self.path);
        self
    }

    pub(crate) fn under_index(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
        self
    }
}
