//! Reading on behind faults, so that all of them are told at once, and an editor has a tree of a half-written text.

use std::borrow::Cow;

use super::{Fail, Parser};
use crate::report::Report;
use crate::tree::{Node, Value};

/// Faults that are told of one text: the more there are, the more of them follow from others.
const FAULTS_MAX: usize = 20;

/// What could be read of `text`, and its faults. A value that could not be read is null.
///
/// The first fault is that of [`parse`](super::parse); a text without faults gives what `parse` gives.
pub fn recover(text: &[u8]) -> (Option<Node<'_>>, Report) {
    if text.len() > super::SIZE_MAX_BYTES {
        return (None, super::parse(text).err().unwrap_or_default());
    }
    let mut parser = Parser::new(text, true);
    if text.starts_with(&[0xef, 0xbb, 0xbf]) {
        let fail = parser.unexpected("looking for beginning of value");
        parser.faults.push(fail);
        parser.at = 3;
    }
    let node = match parser.value(0) {
        Ok(node) => {
            parser.space();
            let unread = node.value.is_null() && !parser.faults.is_empty();
            if parser.peek().is_some() && !unread {
                let fail = parser.unexpected("after top-level value");
                parser.faults.push(fail);
            }
            Some(node)
        }
        Err(fail) => {
            parser.faults.push(fail);
            None
        }
    };
    (node, Report { entries: parser.faults.into_iter().map(Fail::entry).collect() })
}

impl<'a> Parser<'a> {
    /// Keeps the fault at `place` and goes on; returns it when this reader does not, or had enough.
    pub(super) fn tolerate(&mut self, place: &str) -> Result<(), Fail> {
        let fail = self.unexpected(place);
        if !self.tolerant || self.faults.len() >= FAULTS_MAX {
            return Err(fail);
        }
        // Faults at one place follow from each other.
        if self.faults.last().is_none_or(|last| last.position != fail.position) {
            self.faults.push(fail);
        }
        Ok(())
    }

    /// In place of a value: a word, a string in single quotes, or nothing. What is there becomes null.
    pub(super) fn mend_value(&mut self) -> Result<Value<'a>, Fail> {
        self.tolerate("looking for beginning of value")?;
        match self.peek() {
            Some(b'\'') => Ok(Value::Text(self.single_quoted())),
            Some(byte) if is_word(byte) => {
                self.word();
                Ok(Value::Null)
            }
            None | Some(b',' | b'}' | b']') => Ok(Value::Null),
            Some(_) => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// In place of a number or a word of JSON: keeps `fail`, passes over what is there.
    pub(super) fn mend_word(&mut self, fail: Fail) -> Result<Value<'a>, Fail> {
        if !self.tolerant || self.faults.len() >= FAULTS_MAX {
            return Err(fail);
        }
        self.faults.push(fail);
        self.word();
        Ok(Value::Null)
    }

    /// Where an entry must follow: true when the container ends here all the same.
    pub(super) fn mend_end(&mut self, bracket: u8) -> Result<bool, Fail> {
        if !self.tolerant {
            return Ok(false);
        }
        self.space();
        if self.peek().is_some_and(|byte| byte != bracket) {
            return Ok(false);
        }
        self.tolerate(match bracket {
            b'}' => "looking for beginning of object key string",
            _ => "looking for beginning of value",
        })?;
        self.take(bracket);
        Ok(true)
    }

    /// Where a comma or `bracket` must follow: true when the container ends here, false when an entry follows.
    pub(super) fn mend_separator(&mut self, place: &str, bracket: u8) -> Result<bool, Fail> {
        self.tolerate(place)?;
        let digits = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        if digits(self.peek()) && self.at > 0 && digits(self.text.get(self.at - 1).copied()) {
            // The rest of a number with a leading zero.
            self.digits();
            self.space();
            if self.take(bracket) {
                return Ok(true);
            }
            if self.take(b',') {
                return Ok(false);
            }
        }
        match self.peek() {
            None | Some(b'}' | b']') => Ok(true),
            Some(b'"' | b'\'' | b'{' | b'[') => Ok(false),
            Some(byte) if is_word(byte) => Ok(false),
            Some(_) => Err(self.unexpected(place)),
        }
    }

    /// In place of a key: a word, or a string in single quotes.
    pub(super) fn mend_key(&mut self) -> Result<Cow<'a, str>, Fail> {
        self.tolerate("looking for beginning of object key string")?;
        match self.peek() {
            Some(b'\'') => Ok(self.single_quoted()),
            Some(byte) if is_word(byte) => Ok(self.word()),
            _ => Err(self.unexpected("looking for beginning of object key string")),
        }
    }

    /// Passes over a comment; false when there is none.
    pub(super) fn mend_comment(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let line_end = || rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let length = match rest {
            [b'#', ..] | [b'/', b'/', ..] => line_end(),
            [b'/', b'*', ..] => {
                rest.windows(2).skip(2).position(|pair| pair == b"*/").map_or(rest.len(), |at| at + 4)
            }
            _ => return false,
        };
        if self.tolerate("looking for beginning of value").is_err() {
            return false;
        }
        for byte in &self.text[self.at..self.at + length] {
            self.at += 1;
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
        true
    }

    fn single_quoted(&mut self) -> Cow<'a, str> {
        let start = self.at + 1;
        let rest = &self.text[start..];
        let length = rest.iter().position(|byte| matches!(byte, b'\'' | b'\n')).unwrap_or(rest.len());
        self.at = start + length;
        self.take(b'\'');
        String::from_utf8_lossy(&self.text[start..start + length])
    }

    fn word(&mut self) -> Cow<'a, str> {
        let start = self.at;
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at])
    }
}

/// What a word of no JSON may consist of.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(u32, u32)> {
        recover(text.as_bytes()).1.entries.iter().filter_map(|entry| entry.position).collect()
    }

    #[test]
    fn all_faults_are_told() {
        let text = "{\n  // no comments\n  \"a\": [1, 2,],\n  \"b\": 'x'\n  c: True,\n  \"d\": 0644\n}\n";
        assert_eq!(places(text), [(2, 3), (3, 14), (4, 8), (5, 3), (5, 6), (6, 9)]);
    }

    #[test]
    fn the_first_fault_is_the_one_of_parse() {
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":",
            "[1 2]",
            "{\"a\": \"x\n\"}",
            "[\"\\x\"]",
            "x",
            "{} {}",
            "[tru]",
            "[1.]",
        ] {
            let (_, faults) = recover(text.as_bytes());
            let refused = super::super::parse(text.as_bytes()).expect_err(text);
            assert_eq!(faults.entries.first(), refused.entries.first(), "{text}");
        }
    }

    #[test]
    fn what_is_whole_is_kept() {
        let (node, _) = recover(b"{\"storage\": {\"files\": [{\"path\": \"/a\", \"mode\": }");
        let node = node.expect("a tree");
        let path = node.get("storage").and_then(|node| node.get("files"));
        let Some(Value::Seq(items)) = path.map(|node| &node.value) else { panic!("a list") };
        assert_eq!(items[0].get("path").map(|node| &node.value), Some(&Value::Text("/a".into())));
        assert_eq!(items[0].get("mode").map(|node| &node.value), Some(&Value::Null));
    }
}
