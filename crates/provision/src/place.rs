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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<(u32, u32)>,
    /// What the line says there, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// As much of a line as fits a console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The text, `…` where it was cut.
    pub text: String,
    /// Characters before the column that is meant.
    pub caret: usize,
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
        let Some(((line, _), Excerpt { text, caret })) = self.position.zip(self.excerpt.as_ref()) else {
            return write!(f, "  --> {}", self.short());
        };
        let gutter = line.to_string().len();
        writeln!(f, "{:gutter$}--> {}", "", self.short())?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{:gutter$} | {:caret$}^", "", "")
    }
}

/// Characters of an excerpt.
const EXCERPT_MAX: usize = 90;

/// A text with its lines found, so that excerpts of a long one cost little.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    text: String,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl Lines {
    /// Takes a text; what is not UTF-8 in it is replaced.
    pub fn new(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { text, starts }
    }

    /// The text around a line and a column (both from 1; the column counts bytes in long lines).
    pub fn excerpt(&self, (line, column): (u32, u32)) -> Option<Excerpt> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let line = self.text[start..end].trim_end_matches('\r');
        let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        // A generated line may have megabytes: only what is around the column is looked at.
        let from = floor(line, column.saturating_sub(4 * EXCERPT_MAX));
        let to = floor(line, column.saturating_add(8 * EXCERPT_MAX));
        let near: Vec<char> = line[from..to].chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let caret = (column - from.min(column)).min(near.len());
        let first =
            if near.len() <= EXCERPT_MAX && from == 0 { 0 } else { caret.saturating_sub(EXCERPT_MAX / 3) };
        let last = (first + EXCERPT_MAX).min(near.len());
        let head = if from + first > 0 { "…" } else { "" };
        let tail = if last < near.len() || to < line.len() { "…" } else { "" };
        let text = format!("{head}{}{tail}", near[first..last].iter().collect::<String>());
        Some(Excerpt { text, caret: caret - first + head.chars().count() })
    }
}

/// The nearest boundary of a character at or before a byte.
fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, position: (u32, u32)) -> Place {
        let excerpt = Lines::new(text.as_bytes()).excerpt(position);
        let (document, path) = ("web.bu".into(), "$.storage.files.0.path".into());
        Place { document, path, position: Some(position), excerpt }
    }

    #[test]
    fn drawn_with_a_caret() {
        let file = format!("{}    - path: etc/motd\r\n", "\n".repeat(11));
        let text =
            "  --> web.bu:12:7 ($.storage.files.0.path)\n   |\n12 |     - path: etc/motd\n   |       ^";
        assert_eq!(place(&file, (12, 7)).to_string(), text);
    }

    #[test]
    fn long_lines_are_cut_around_the_column() {
        let line = format!("{}HERE{}", "ä".repeat(2000), "y".repeat(500_000));
        let text = place(&line, (1, 4001)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].chars().count() < 100 && lines[2].ends_with("y…"), "{text}");
        let at_the_end = place(&line, (1, 504_004)).to_string();
        assert!(at_the_end.lines().nth(2).unwrap().ends_with('y'), "{at_the_end}");
        assert_eq!(Lines::new(b"a").excerpt((3, 1)), None);
        assert_eq!(Lines::new(b"").excerpt((1, 9)), Some(Excerpt::default()));
    }
}
