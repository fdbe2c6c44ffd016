//! What is wrong with a config: entries with severity, path, position, text and hint.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A place in a text: line and column, both from 1. JSON columns count bytes, as upstream's do; YAML columns count
/// characters.
pub type Position = (u32, u32);

/// How bad an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Accepted, but surely not what was meant.
    Warning,
    /// The config is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A rule of the format: a stable code and the text that upstream uses for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable name, for machines and for the page that explains it.
    pub code: &'static str,
    /// One line for people.
    pub text: &'static str,
}

/// A further text that was merged into the document: a Butane fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Its name, for people.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Who merged it: (name of the text, line there), the nearest first. The document itself is the last.
    pub merged_by: Vec<(String, u32)>,
}

/// `from base.bu, merged by web.bu line 3`
impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.name)?;
        for (name, line) in &self.merged_by {
            write!(f, ", merged by {name} line {line}")?;
        }
        Ok(())
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule.
    pub code: &'static str,
    /// Where in the document's tree, such as `$.storage.files.0.path`; empty for findings about the whole text.
    pub path: String,
    /// Where in the text.
    pub position: Option<Position>,
    /// One line for people.
    pub message: Cow<'static, str>,
    /// What stands there, shortened.
    pub found: Option<String>,
    /// What may stand there.
    pub allowed: Option<Cow<'static, str>>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The text that path and position are of, when it is not the document itself.
    pub fragment: Option<Arc<Fragment>>,
}

impl Entry {
    /// An error by `rule` at `path`, with no position yet.
    pub fn error(rule: Rule, path: impl Into<String>) -> Self {
        Self::new(Severity::Error, rule, path)
    }

    /// A warning by `rule` at `path`, with no position yet.
    pub fn warning(rule: Rule, path: impl Into<String>) -> Self {
        Self::new(Severity::Warning, rule, path)
    }

    fn new(severity: Severity, rule: Rule, path: impl Into<String>) -> Self {
        let message = Cow::Borrowed(rule.text);
        let (code, path) = (rule.code, path.into());
        Self {
            severity,
            code,
            path,
            position: None,
            message,
            found: None,
            allowed: None,
            hint: None,
            fragment: None,
        }
    }

    /// The same entry at `position`.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// The same entry with its text replaced.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// The same entry with what stands there.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// The same entry with what may stand there.
    #[must_use]
    pub fn allowed(mut self, allowed: impl Into<Cow<'static, str>>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// The same entry with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Upstream's one-line form: `error at $.storage.files.0.path, line 5 col 17: path not absolute`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.severity)?;
        match (self.path.is_empty() || self.path == "$", self.position) {
            (true, Some((line, col))) => write!(f, " at line {line} col {col}")?,
            (false, Some((line, col))) => write!(f, " at {}, line {line} col {col}", self.path)?,
            (false, None) => write!(f, " at {}", self.path)?,
            (true, None) => {}
        }
        if let Some(fragment) = &self.fragment {
            write!(f, ", {fragment}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All findings about one config, in the order in which upstream reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings.
    pub entries: Vec<Entry>,
}

impl Report {
    /// A report of one entry.
    pub fn of(entry: Entry) -> Self {
        Self { entries: vec![entry] }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// True when an entry is an error, that is when the config is refused.
    pub fn is_fatal(&self) -> bool {
        self.entries.iter().any(|entry| entry.severity == Severity::Error)
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first error, else the first entry.
    pub fn first(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.severity == Severity::Error).or(self.entries.first())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{entry}")?;
        }
        Ok(())
    }
}

/// A refused config is an error of whoever asked for it.
impl std::error::Error for Report {}
