//! Bytes to lines, lines without terminal escapes.

/// Longest line kept, in bytes; what follows up to the line end is dropped.
const LINE_MAX_BYTES: usize = 8192;

/// Cuts a stream at its line ends. A carriage return ends a line too: the firmware uses it alone.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    told: bool,
}

impl Lines {
    /// The lines completed by these bytes, without their ends, empty ones left out.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                if !self.partial.is_empty() {
                    lines.push(String::from_utf8_lossy(&self.partial).into_owned());
                }
                self.partial.clear();
                self.told = false;
            } else if self.partial.len() < LINE_MAX_BYTES {
                self.partial.push(byte);
            }
        }
        lines
    }

    /// The beginning of a line that has not ended.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// True the first time it is asked about the unfinished line.
    pub fn once(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}

/// The line without CSI (`ESC [ … letter`), OSC (`ESC ] … BEL`) and two-byte escapes (ECMA-48 §5.4), and
/// without other control characters.
#[must_use]
pub fn strip_escapes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\x1b' {
            skip_escape(&mut chars);
        } else if !char.is_control() || char == '\t' {
            out.push(char);
        }
    }
    out
}

fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.by_ref().find(|char| ('@'..='~').contains(char));
        }
        Some(']') => skip_string(chars),
        Some('(' | ')') => {
            chars.next();
        }
        _ => {}
    }
}

/// An operating system command ends in BEL or in `ESC \`.
fn skip_string(chars: &mut std::str::Chars<'_>) {
    while let Some(char) = chars.next() {
        if char == '\x07' {
            return;
        }
        if char == '\x1b' {
            chars.next();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_text_stays() {
        let cases = [
            ("\x1b[0;32m  OK  \x1b[0m] a", "  OK  ] a"),
            ("\x1b]0;title\x07a\tb", "a\tb"),
            ("\x1b]3008;start=x\x1b\\a", "a"),
            ("\x1b(Ba\x1b=b", "ab"),
            ("a\x1b[", "a"),
            ("ä\u{8}b", "äb"),
        ];
        for (line, text) in cases {
            assert_eq!(strip_escapes(line), text);
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let mut lines = Lines::default();
        lines.push(&[b'a'; 3 * LINE_MAX_BYTES]);
        assert_eq!(lines.push(b"\nb\n").iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX_BYTES, 1]);
    }
}
