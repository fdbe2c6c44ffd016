//! A JSON parser that keeps positions and duplicate keys, with the verdicts of Go's `encoding/json`, which upstream
//! uses: no byte order mark, no comments, no trailing commas, nothing after the value; bytes that are no UTF-8 and
//! lone surrogates inside strings become U+FFFD.

mod recover;

use std::borrow::Cow;

use crate::report::{Entry, Position, Report};
pub use crate::rules::text::{SYNTAX, TOO_LARGE};
use crate::tree::{Member, Node, Value};
pub use crate::write::write_string;
pub use recover::recover;

/// Depth beyond which nesting is refused; Go's limit.
pub const DEPTH_MAX: usize = 10_000;

/// Depth beyond which only the syntax is checked and containers come out empty: configs nest about ten deep, and what
/// walks a tree may recurse on a small stack.
pub const TREE_DEPTH_MAX: usize = 64;

/// Size in bytes above which a config is refused: no platform hands out more, and positions are kept in 32 bits.
pub const SIZE_MAX_BYTES: usize = 256 << 20;

/// Parses `text` into a tree. The report of a refusal has one entry, with its position.
pub fn parse(text: &[u8]) -> Result<Node<'_>, Report> {
    if text.len() > SIZE_MAX_BYTES {
        return Err(Report::of(Entry::error(TOO_LARGE, "")));
    }
    Parser::new(text, false).document().map_err(|fail| Report::of(fail.entry()))
}

/// Why a text is no JSON, at one place.
struct Fail {
    position: Position,
    message: String,
    /// What could stand there.
    allowed: Option<&'static str>,
    hint: Option<&'static str>,
}

impl Fail {
    fn entry(self) -> Entry {
        let mut entry = Entry::error(SYNTAX, "").at(self.position).message(self.message);
        entry.allowed = self.allowed.map(Into::into);
        entry.hint = self.hint.map(str::to_owned);
        entry
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    /// Goes on behind faults, and keeps them in `faults`; see [`recover`].
    tolerant: bool,
    faults: Vec<Fail>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], tolerant: bool) -> Self {
        Self { text, at: 0, line: 1, line_start: 0, tolerant, faults: Vec::new() }
    }

    fn document(&mut self) -> Result<Node<'a>, Fail> {
        let node = self.value(0)?;
        self.space();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Fail> {
        self.space();
        let position = self.position();
        let value = match self.peek() {
            Some(b'{' | b'[') if depth >= TREE_DEPTH_MAX => self.skip(depth)?,
            Some(b'{') => self.map(depth + 1)?,
            Some(b'[') => self.seq(depth + 1)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => {
                self.number().map(Value::Number).or_else(|fail| self.mend_word(fail))?
            }
            Some(first @ (b't' | b'f' | b'n')) => {
                let (word, value) = match first {
                    b't' => ("true", Value::Bool(true)),
                    b'f' => ("false", Value::Bool(false)),
                    _ => ("null", Value::Null),
                };
                self.literal(word, value).or_else(|fail| self.mend_word(fail))?
            }
            _ => self.mend_value()?,
        };
        Ok(Node { position, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Fail> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Map(members));
        }
        loop {
            self.space();
            let position = self.position();
            if self.mend_end(b'}')? {
                return Ok(Value::Map(members));
            }
            let key = self.key()?;
            let value = self.value(depth)?;
            members.push(Member { key, position, value });
            self.space();
            if self.take(b'}') {
                return Ok(Value::Map(members));
            }
            if !self.take(b',') && self.mend_separator("after object key:value pair", b'}')? {
                return Ok(Value::Map(members));
            }
        }
    }

    fn seq(&mut self, depth: usize) -> Result<Value<'a>, Fail> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Seq(items));
        }
        loop {
            if self.mend_end(b']')? {
                return Ok(Value::Seq(items));
            }
            items.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Seq(items));
            }
            if !self.take(b',') && self.mend_separator("after array element", b']')? {
                return Ok(Value::Seq(items));
            }
        }
    }

    /// Checks the syntax of a container without recursion and without keeping it.
    fn skip(&mut self, depth: usize) -> Result<Value<'a>, Fail> {
        let mut open = Vec::new();
        loop {
            // A value starts here.
            self.space();
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    open.push(bracket);
                    if depth + open.len() > DEPTH_MAX {
                        return Err(self.unexpected("exceeded max depth"));
                    }
                    self.space();
                    if !self.take(bracket + 2) {
                        self.skip_key(bracket)?;
                        continue;
                    }
                    open.pop();
                }
                _ => drop(self.value(depth)?),
            }
            // A value ended here; brackets may close, then another value starts.
            loop {
                let Some(&bracket) = open.last() else { return Ok(Value::Null) };
                self.space();
                if self.take(bracket + 2) {
                    open.pop();
                } else if self.take(b',') {
                    self.skip_key(bracket)?;
                    break;
                } else {
                    let place =
                        if bracket == b'{' { "after object key:value pair" } else { "after array element" };
                    return Err(self.unexpected(place));
                }
            }
        }
    }

    /// The key and colon before a value, if the value is in an object.
    fn skip_key(&mut self, bracket: u8) -> Result<(), Fail> {
        if bracket == b'{' {
            self.space();
            self.key()?;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Fail> {
        let key = match self.peek() {
            Some(b'"') => self.string()?,
            _ => self.mend_key()?,
        };
        self.space();
        if !self.take(b':') {
            self.tolerate("after object key")?;
        }
        Ok(key)
    }

    fn literal(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, Fail> {
        for (index, byte) in word.bytes().enumerate() {
            if self.peek() != Some(byte) {
                return Err(match index {
                    0 => self.unexpected("looking for beginning of value"),
                    _ => self.unexpected(&format!("in literal {word} (expecting {:?})", char::from(byte))),
                });
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<&'a str, Fail> {
        let start = self.at;
        self.take(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.take(b'.') {
            self.some_digits("after decimal point in numeric literal")?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        // Only ASCII was taken.
        Ok(std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default())
    }

    fn some_digits(&mut self, place: &str) -> Result<(), Fail> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected(place));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// A string, borrowed when it has no escape and is UTF-8.
    fn string(&mut self) -> Result<Cow<'a, str>, Fail> {
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let text = String::from_utf8_lossy(&self.text[start..self.at]);
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => return self.string_with_escapes(start),
                0..=0x1f => {
                    self.tolerate("in string literal")?;
                    return Ok(String::from_utf8_lossy(&self.text[start..self.at]));
                }
                _ => self.at += 1,
            }
        }
        self.tolerate("")?;
        Ok(String::from_utf8_lossy(&self.text[start..self.at]))
    }

    fn string_with_escapes(&mut self, start: usize) -> Result<Cow<'a, str>, Fail> {
        let mut out = self.text[start..self.at].to_vec();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(lossy(out));
                }
                b'\\' => self.escape(&mut out)?,
                0..=0x1f => {
                    self.tolerate("in string literal")?;
                    return Ok(lossy(out));
                }
                _ => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
        self.tolerate("")?;
        Ok(lossy(out))
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Fail> {
        self.at += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let char = self.unicode()?;
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.tolerate("in string escape code"),
        };
        out.push(plain);
        self.at += 1;
        Ok(())
    }

    /// The character of `\uXXXX`, a surrogate pair taken together.
    fn unicode(&mut self) -> Result<char, Fail> {
        let first = self.hex4()?;
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, Fail> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                self.tolerate("in \\u hexadecimal character escape")?;
                return Ok(u32::from(char::REPLACEMENT_CHARACTER));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.line_start = self.at + 1;
                }
                b' ' | b'\t' | b'\r' => {}
                b'/' | b'#' if self.tolerant && self.mend_comment() => continue,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn position(&self) -> Position {
        (self.line, u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX))
    }

    fn unexpected(&self, place: &str) -> Fail {
        let position = self.position();
        let allowed = allowed_at(place);
        let Some(byte) = self.peek() else {
            return Fail { position, message: "unexpected end of JSON input".into(), allowed, hint: None };
        };
        let text = String::from_utf8_lossy(&self.text[self.at..self.text.len().min(self.at + 4)]);
        let char = text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
        let hint = match (self.at, byte) {
            (0, 0xef) if self.text.starts_with(&[0xef, 0xbb, 0xbf]) => {
                Some("remove the byte order mark: JSON is plain UTF-8")
            }
            (0, 0xff | 0xfe) => Some("save the file as UTF-8, not as UTF-16"),
            (_, b'#' | b'/') => Some("JSON has no comments; Butane has"),
            (_, b'}' | b']') if place.starts_with("looking") => {
                Some("JSON allows no comma before a closing bracket")
            }
            (_, b'\'') => Some("JSON strings are in double quotes"),
            (_, b'\n' | b'\r') if place == "in string literal" => {
                Some("the string is not closed on its line; a line end inside is written \\n")
            }
            (_, b'0'..=b'9') if place.starts_with("after") && self.text[..self.at].ends_with(b"0") => {
                Some("JSON numbers have no leading zero: octal 0644 is 420")
            }
            _ => None,
        };
        Fail { position, message: format!("invalid character {char:?} {place}"), allowed, hint }
    }
}

/// What can stand where reading stopped at `place`.
fn allowed_at(place: &str) -> Option<&'static str> {
    Some(match place {
        "after top-level value" => "nothing more",
        "looking for beginning of value" => {
            "a value: {, [, a string in double quotes, a number, true, false, null"
        }
        "looking for beginning of object key string" => "a key in double quotes",
        "after object key" => "a colon",
        "after object key:value pair" => "a comma or }",
        "after array element" => "a comma or ]",
        "in string escape code" => r#"one of " \ / b f n r t u"#,
        "in string literal" => "any character from the blank up",
        "" => "a closing double quote",
        _ => return None,
    })
}

/// The string of `bytes`, which may be no UTF-8.
fn lossy<'a>(bytes: Vec<u8>) -> Cow<'a, str> {
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
    })
}
