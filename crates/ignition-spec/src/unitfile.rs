//! The grammar of systemd unit files as upstream checks it (coreos/go-systemd).

use std::collections::HashSet;

/// Longest line; systemd cuts what is longer, so upstream refuses it. In bytes.
const LINE_MAX_BYTES: usize = 2048;

/// Size of the window in which upstream's reader looks for a line end. In bytes.
const WINDOW_BYTES: usize = 4096;

/// Why a unit file does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A `[` without `]`.
    #[error("unable to find end of section")]
    SectionEnd,
    /// Text after `]`. (Upstream's message has an empty name.)
    #[error("found garbage after section name : {text:?}")]
    Garbage {
        /// What is there.
        text: String,
    },
    /// A line without `=`.
    #[error("unexpected newline encountered while parsing option name")]
    OptionName,
    /// The text ends within an option's name.
    #[error("EOF")]
    End,
    /// A line of more than [`LINE_MAX_BYTES`].
    #[error("line too long (max {LINE_MAX_BYTES} bytes)")]
    LongLine,
}

/// The names of the sections in which `text` sets options.
pub fn sections_with_options(text: &str) -> Result<HashSet<&str>, Fault> {
    let mut lexer = Lexer { text, at: 0, filled: 0 };
    let mut sections = HashSet::new();
    let mut section: Option<&str> = None;
    loop {
        lexer.check_line()?;
        let Some(char) = lexer.next_char() else { return Ok(sections) };
        match (char, section) {
            ('[', _) => section = Some(lexer.section_name()?),
            ('#' | ';', _) => lexer.comment()?,
            (_, None) => {}
            (char, Some(_)) if char.is_whitespace() => {}
            (char, Some(name)) => {
                lexer.at -= char.len_utf8();
                lexer.option()?;
                sections.insert(name);
            }
        }
    }
}

/// Reads as Go's `bufio.Reader` does, because the line limit is checked on what it happens to have buffered.
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    filled: usize,
}

impl<'a> Lexer<'a> {
    fn fill(&mut self) {
        self.filled = self.text.len().min(self.at + WINDOW_BYTES);
    }

    fn check_line(&self) -> Result<(), Fault> {
        let buffered = &self.text.as_bytes()[self.at..self.filled.max(self.at)];
        let line = buffered.get(..LINE_MAX_BYTES);
        match line.is_some_and(|line| !line.iter().any(|byte| b"\r\n".contains(byte))) {
            true => Err(Fault::LongLine),
            false => Ok(()),
        }
    }

    fn next_char(&mut self) -> Option<char> {
        let char = self.text[self.at..].chars().next()?;
        if self.at + char.len_utf8() > self.filled {
            self.fill();
        }
        self.at += char.len_utf8();
        Some(char)
    }

    /// Text up to `end`, which is consumed too; false when the text ended first.
    fn until(&mut self, end: u8) -> (&'a str, bool) {
        let start = self.at;
        loop {
            let window = &self.text.as_bytes()[self.at..self.filled.max(self.at)];
            if let Some(found) = window.iter().position(|byte| *byte == end) {
                self.at += found + 1;
                return (&self.text[start..self.at - 1], true);
            }
            if self.filled >= self.text.len() {
                self.at = self.text.len();
                return (&self.text[start..], false);
            }
            if window.len() >= WINDOW_BYTES {
                self.at = self.filled;
            }
            self.fill();
        }
    }

    fn line(&mut self) -> (&'a str, bool) {
        let (line, ended) = self.until(b'\n');
        // A carriage return before the line end stays, as upstream trims it before it trims the line end.
        (if ended { line } else { line.strip_suffix('\r').unwrap_or(line) }, ended)
    }

    fn section_name(&mut self) -> Result<&'a str, Fault> {
        self.check_line()?;
        let (name, true) = self.until(b']') else { return Err(Fault::SectionEnd) };
        self.check_line()?;
        match self.line().0.trim() {
            "" => Ok(name),
            text => Err(Fault::Garbage { text: text.into() }),
        }
    }

    fn comment(&mut self) -> Result<(), Fault> {
        self.check_line()?;
        loop {
            let (line, ended) = self.line();
            if !line.strip_suffix(' ').unwrap_or(line).ends_with('\\') || !ended {
                return Ok(());
            }
        }
    }

    fn option(&mut self) -> Result<(), Fault> {
        self.check_line()?;
        loop {
            match self.next_char() {
                None => return Err(Fault::End),
                Some('\n' | '\r') => return Err(Fault::OptionName),
                Some('=') => break,
                Some(_) => {}
            }
        }
        loop {
            self.check_line()?;
            let (line, ended) = self.line();
            if line.trim().is_empty() || !line.ends_with('\\') || !ended {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_those_with_options() {
        let text = "# c \\\n still\njunk\n[Unit]\nA=b\\\n c\n\n[Empty]\n[Install]\nWantedBy=x\n";
        let sections = sections_with_options(text).unwrap();
        assert_eq!(sections, HashSet::from(["Unit", "Install"]));
    }

    #[test]
    fn faults_have_upstreams_words() {
        for (text, fault) in [
            ("[Unit", "unable to find end of section"),
            ("[Unit] x\n", "found garbage after section name : \"x\""),
            ("[Unit]\nabc\n", "unexpected newline encountered while parsing option name"),
            ("[Unit]\nabc", "EOF"),
        ] {
            assert_eq!(sections_with_options(text).unwrap_err().to_string(), fault, "{text}");
        }
        let long = format!("[Unit]\nA={}\n", "x".repeat(3000));
        assert_eq!(sections_with_options(&long), Err(Fault::LongLine));
        let fine = format!("[Unit]\nA={}\n", "x".repeat(1900));
        assert!(sections_with_options(&fine).is_ok());
    }
}
