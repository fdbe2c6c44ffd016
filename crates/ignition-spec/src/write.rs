//! Writing a config as JSON.

use crate::schema::ConfigValue;

/// Collects JSON text.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    indent: Option<usize>,
    fresh: bool,
}

/// `value` as JSON, compact or with two spaces per level.
pub fn to_json(value: &impl ConfigValue, pretty: bool) -> Vec<u8> {
    let mut writer = Writer::new(pretty);
    value.write(&mut writer);
    writer.finish()
}

impl Writer {
    /// A writer of compact JSON, or with two spaces per level.
    pub fn new(pretty: bool) -> Self {
        Self { out: Vec::new(), indent: pretty.then_some(0), fresh: true }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Opens an object (`{`) or a list (`[`).
    pub fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.indent = self.indent.map(|indent| indent + 1);
        self.fresh = true;
    }

    /// Closes what [`open`](Self::open) opened.
    pub fn close(&mut self, bracket: u8) {
        self.indent = self.indent.map(|indent| indent - 1);
        if !self.fresh {
            self.line();
        }
        self.out.push(bracket);
        self.fresh = false;
    }

    /// Starts a member of an object.
    pub fn key(&mut self, key: &str) {
        self.item();
        write_string(&mut self.out, key);
        self.out.push(b':');
        if self.indent.is_some() {
            self.out.push(b' ');
        }
    }

    /// Starts an entry of a list.
    pub fn item(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
        self.line();
    }

    fn line(&mut self) {
        if let Some(indent) = self.indent {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * indent, b' ');
        }
    }

    /// A string.
    pub fn string(&mut self, text: &str) {
        write_string(&mut self.out, text);
    }

    /// An integer.
    pub fn integer(&mut self, number: i64) {
        self.out.extend_from_slice(number.to_string().as_bytes());
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut from = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f | 0x7f => &control(byte),
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..index]);
        out.extend_from_slice(escape);
        from = index + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

fn control(byte: u8) -> [u8; 6] {
    let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    [b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]
}
