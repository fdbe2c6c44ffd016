//! The lines of a text around a position, with a caret.

use std::fmt::Write as _;

use crate::report::{Position, Report};

/// How columns of a position count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Bytes, as in reports about JSON.
    Bytes,
    /// Characters, as in reports about YAML.
    Characters,
}

/// Longest part of a line that is shown, in characters; generated configs have lines of megabytes.
const WIDTH_MAX: usize = 100;

/// Up to two lines before `position`, its line, and a caret below the column:
///
/// ```text
///   4 | storage:
///   5 |   files:
///   6 |     - pth: /etc/motd
///     |       ^
/// ```
pub fn excerpt(text: &str, position: Position, columns: Columns) -> String {
    let (line, col) = (position.0 as usize, position.1 as usize);
    let numbered = text.lines().enumerate().map(|(index, text)| (index + 1, text));
    let lines: Vec<_> = numbered.skip(line.saturating_sub(3)).take(3.min(line)).collect();
    let Some((number, last)) = lines.last() else { return String::new() };
    let before = match columns {
        Columns::Bytes => last.char_indices().take_while(|(at, _)| at + 1 < col).count(),
        Columns::Characters => last.chars().count().min(col.saturating_sub(1)),
    };
    let skipped = before.saturating_sub(WIDTH_MAX / 2);
    let width = line.to_string().len().max(3);
    let mut out = String::new();
    for (number, shown) in &lines {
        let window: String = shown.chars().skip(skipped).take(WIDTH_MAX).map(visible).collect();
        let _ = writeln!(out, "{:width$} | {}", number, window.trim_end());
    }
    // A text that ends too early is wrong on a line that it does not have.
    if *number == line {
        let _ = writeln!(out, "{:width$} | {:>caret$}", "", "^", caret = before - skipped + 1);
    }
    out
}

/// A report for people: for each entry `FILE:LINE:COL: SEVERITY: MESSAGE`, the excerpt of `text`, the path and the code,
/// what is allowed, the hint.
/// An entry about a fragment is shown with the fragment's name and text, and with who merged it.
pub fn render(report: &Report, file: &str, text: &str, columns: Columns) -> String {
    let mut out = String::new();
    for entry in &report.entries {
        let (file, text, columns) = match &entry.fragment {
            Some(fragment) => (fragment.name.as_str(), fragment.text.as_str(), Columns::Characters),
            None => (file, text, columns),
        };
        match entry.position {
            Some((line, col)) => {
                let _ = writeln!(out, "{file}:{line}:{col}: {}: {}", entry.severity, entry.message);
                out.push_str(&excerpt(text, (line, col), columns));
            }
            None => {
                let _ = writeln!(out, "{file}: {}: {}", entry.severity, entry.message);
            }
        }
        match entry.path.as_str() {
            "" | "$" => drop(writeln!(out, "  [{}]", entry.code)),
            path => drop(writeln!(out, "  at {path} [{}]", entry.code)),
        }
        if let Some(fragment) = &entry.fragment {
            for (name, line) in &fragment.merged_by {
                let _ = writeln!(out, "  merged by {name} line {line}");
            }
        }
        // Some messages and hints say what is allowed.
        let told =
            matches!(entry.code, "wrong-type" | "unused-key" | "version-unsupported" | "version-malformed");
        if let Some(allowed) = entry.allowed.as_deref().filter(|_| !told) {
            let _ = writeln!(out, "  allowed: {allowed}");
        }
        if let Some(hint) = &entry.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

/// Control characters would move the caret, or worse.
fn visible(char: char) -> char {
    if char.is_control() { ' ' } else { char }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_below_the_column() {
        let text = "a:\n  b:\n    c: ä x\n";
        let shown = excerpt(text, (3, 10), Columns::Characters);
        assert_eq!(shown, "  1 | a:\n  2 |   b:\n  3 |     c: ä x\n    |          ^\n");
        assert_eq!(excerpt(text, (9, 1), Columns::Bytes), "");
    }
}
