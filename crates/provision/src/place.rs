//! From a path of the final config back to the line that somebody wrote.
//!
//! A final config is merged from documents, and a document may have been made from Butane. A [`Place`] names the
//! document, the path in it, and the line: of the user's Butane file where a source map tells it, else of the
//! document itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in the user's text something was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the document: a file name, a URL, `fw_cfg opt/com.coreos/config`.
    pub document: String,
    /// JSON path in it: `$.storage.files.0.path`.
    pub path: String,
    /// Line and column from 1, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<(u32, u32)>,
    /// The line's text, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl Place {
    /// One line: `web.bu:12:7 ($.storage.files.0.path)`.
    pub fn short(&self) -> String {
        match self.position {
            Some((line, column)) => format!("{}:{line}:{column} ({})", self.document, self.path),
            None if self.path.is_empty() => self.document.clone(),
            None => format!("{} ({})", self.document, self.path),
        }
    }
}

/// ```text
///   --> web.bu:12:7 ($.storage.files.0.path)
///    |
/// 12 |     - path: etc/motd
///    |       ^
/// ```
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(((line, column), excerpt)) = self.position.zip(self.excerpt.as_deref()) else {
            return write!(f, "  --> {}", self.short());
        };
        let gutter = line.to_string().len();
        let (text, caret) = window(excerpt, column);
        writeln!(f, "{:gutter$}--> {}", "", self.short())?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{:gutter$} | {:caret$}^", "", "")
    }
}

/// As much of a line as fits a console, and the caret's offset in it.
const EXCERPT_MAX: usize = 90;

fn window(line: &str, column: u32) -> (String, usize) {
    let line = line.replace('\t', " ");
    let caret = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    let total = line.chars().count();
    if total <= EXCERPT_MAX {
        return (line, caret.min(total));
    }
    let start = caret.saturating_sub(EXCERPT_MAX / 3).min(total - EXCERPT_MAX);
    let text: String = line.chars().skip(start).take(EXCERPT_MAX).collect();
    let (head, tail) = (if start > 0 { "…" } else { "" }, if start + EXCERPT_MAX < total { "…" } else { "" });
    (format!("{head}{text}{tail}"), caret - start + usize::from(start > 0))
}

/// The text of line `number` (from 1).
pub fn line(text: &str, number: u32) -> Option<String> {
    text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_with_a_caret() {
        let place = Place {
            document: "web.bu".into(),
            path: "$.storage.files.0.path".into(),
            position: Some((12, 7)),
            excerpt: Some("    - path: etc/motd".into()),
        };
        let text =
            "  --> web.bu:12:7 ($.storage.files.0.path)\n   |\n12 |     - path: etc/motd\n   |       ^";
        assert_eq!(place.to_string(), text);
        let long = Place { excerpt: Some("x".repeat(500)), position: Some((1, 400)), ..place };
        assert!(long.to_string().lines().all(|line| line.chars().count() < 100));
    }
}
