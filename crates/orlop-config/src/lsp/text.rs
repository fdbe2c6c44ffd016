//! Positions: the protocol counts lines from 0 and columns in UTF-16 units; reports count both from 1, columns in bytes
//! (JSON) or characters (YAML).

use ignition_spec::excerpt::Columns;
use ignition_spec::report;
use serde_json::{Value, json};

/// A place as the protocol has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Line, from 0.
    pub(crate) line: u32,
    /// UTF-16 units before it on the line.
    pub(crate) character: u32,
}

impl Place {
    /// The place that a message names; the start of the text where it names none.
    pub(crate) fn of(value: &Value) -> Self {
        let number = |key| value[key].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        Self { line: number("line"), character: number("character") }
    }

    /// As a message has it.
    pub(crate) fn json(self) -> Value {
        json!({"line": self.line, "character": self.character})
    }

    /// Its offset in `text`, in bytes; a place beyond a line's end is the end.
    pub(crate) fn offset(self, text: &str) -> usize {
        let mut start = 0;
        for line in text.split_inclusive('\n').take(self.line as usize) {
            start += line.len();
        }
        let line = text[start..].split('\n').next().unwrap_or_default();
        let mut units = 0;
        for (at, char) in line.char_indices() {
            if units >= self.character as usize {
                return start + at;
            }
            units += char.len_utf16();
        }
        start + line.len()
    }

    /// The place of byte `offset` of `text`.
    pub(crate) fn at(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            line: count(before.matches('\n').count()),
            character: count(before[start..].encode_utf16().count()),
        }
    }
}

/// The offset in bytes of a report's position in `text`.
pub(crate) fn offset(text: &str, (line, column): report::Position, columns: Columns) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n').take(line.saturating_sub(1) as usize) {
        start += line.len();
    }
    let rest = text[start..].split('\n').next().unwrap_or_default();
    let before = column.saturating_sub(1) as usize;
    start
        + match columns {
            Columns::Bytes => rest.floor_char_boundary(before.min(rest.len())),
            Columns::Characters => rest.char_indices().nth(before).map_or(rest.len(), |(at, _)| at),
        }
}

/// Where the token at byte `start` of `text` ends: a string with its closing quote, else a word; at least a character.
pub(crate) fn token_end(text: &str, start: usize) -> usize {
    let line = text[start..].split('\n').next().unwrap_or_default();
    let mut chars = line.char_indices();
    let Some((_, first)) = chars.next() else { return start };
    if first == '"' || first == '\'' {
        let mut escaped = false;
        for (at, char) in chars {
            if char == first && !escaped {
                return start + at + 1;
            }
            escaped = char == '\\' && !escaped && first == '"';
        }
        return start + line.trim_end().len().max(1);
    }
    let stops = |char: char| char.is_whitespace() || ",]}:".contains(char);
    // A colon inside of a word is of the word, as in a URL.
    let end = line.char_indices().skip(1).find(|(at, char)| {
        stops(*char) && (*char != ':' || line[at + 1..].starts_with([' ', '\r']) || at + 1 == line.len())
    });
    start + end.map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_utf16_units() {
        let text = "a\n😀x\n";
        let place = Place { line: 1, character: 2 };
        assert_eq!(place.offset(text), 6);
        assert_eq!(Place::at(text, 6), place);
        assert_eq!(Place { line: 9, character: 9 }.offset(text), text.len());
        assert_eq!(Place { line: 1, character: 99 }.offset(text), 7);
    }

    #[test]
    fn tokens_end() {
        assert_eq!(token_end("\"a\\\"b\": 1", 0), 6);
        assert_eq!(token_end("path: /a", 0), 4);
        assert_eq!(token_end("x: http://h/a, y", 3), 13);
        assert_eq!(token_end("{}", 0), 1);
    }
}
