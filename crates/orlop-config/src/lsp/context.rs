//! What is being written at a place: the path of the object or list around it, and whether a key or a value is wanted.
//!
//! Texts are half-written while they are written, so this looks at what stands before the place only, and parses
//! nothing: JSON by its brackets, YAML by its indentation.

/// What is wanted at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// The path of the section or list around it, `$` for the root.
    pub(crate) path: String,
    /// What.
    pub(crate) slot: Slot,
    /// What of it is there already.
    pub(crate) partial: String,
    /// The partial text stands in an open quote.
    pub(crate) quoted: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A key of the object at the path; these are there before it.
    Key(Vec<String>),
    /// The value at the path.
    Value,
}

/// An open container of JSON.
enum Open {
    Object { keys: Vec<String>, key: Option<String> },
    List { index: usize },
}

/// The context at the end of the JSON `before`; nothing behind the end of the document.
pub(crate) fn json(before: &str) -> Option<Context> {
    let mut open: Vec<Open> = Vec::new();
    let mut started = false;
    let mut rest = before;
    while let Some(char) = rest.chars().next() {
        match char {
            '"' => {
                let (text, after) = string(rest);
                match after {
                    None => return Some(context(&open, text, true)),
                    Some(after) => {
                        took(&mut open, text);
                        rest = after;
                        continue;
                    }
                }
            }
            '{' => open.push(Open::Object { keys: Vec::new(), key: None }),
            '[' => open.push(Open::List { index: 0 }),
            '}' | ']' => drop(open.pop()),
            ',' => match open.last_mut() {
                Some(Open::Object { key, .. }) => *key = None,
                Some(Open::List { index }) => *index += 1,
                None => {}
            },
            char if char.is_whitespace() || char == ':' => {}
            _ => {
                let end = rest.find(|char: char| char.is_whitespace() || ",:]}".contains(char));
                match end {
                    None => return Some(context(&open, rest, false)),
                    Some(end) => {
                        rest = &rest[end.max(1)..];
                        continue;
                    }
                }
            }
        }
        started = true;
        rest = &rest[char.len_utf8()..];
    }
    (!open.is_empty() || !started).then(|| context(&open, "", false))
}

/// The text of the string that `rest` starts with, and what follows; nothing where it is not closed.
fn string(rest: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            '"' if !escaped => return (&rest[1..at], Some(&rest[at + 1..])),
            '\n' => return (&rest[1..at], Some(&rest[at..])),
            _ => escaped = char == '\\' && !escaped,
        }
    }
    (&rest[1..], None)
}

/// A whole string: a key where none is there yet.
fn took(open: &mut [Open], text: &str) {
    if let Some(Open::Object { keys, key }) = open.last_mut()
        && key.is_none()
    {
        keys.push(text.to_owned());
        *key = Some(text.to_owned());
    }
}

fn context(open: &[Open], partial: &str, quoted: bool) -> Context {
    let mut path = String::from("$");
    let mut slot = Slot::Value;
    for (depth, container) in open.iter().enumerate() {
        match container {
            Open::Object { key: Some(key), .. } => path = format!("{path}.{key}"),
            Open::Object { keys, key: None } if depth + 1 == open.len() => slot = Slot::Key(keys.clone()),
            Open::Object { .. } => {}
            Open::List { index } => path = format!("{path}.{index}"),
        }
    }
    Context { path, slot, partial: partial.to_owned(), quoted }
}

/// A step into the YAML text.
struct Level {
    /// Columns before the key, or before the dash of an entry.
    indent: usize,
    step: Step,
}

enum Step {
    /// A key, and the keys at its level so far.
    Key(String, Vec<String>),
    /// An entry of a list.
    Item(usize),
}

/// The context at the end of the YAML `before`.
pub(crate) fn yaml(before: &str) -> Option<Context> {
    let mut levels: Vec<Level> = Vec::new();
    let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
    let mut block: Option<usize> = None;
    for line in above.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        // The lines of a block scalar are text.
        if block.is_some_and(|outer| indent > outer) {
            continue;
        }
        block = None;
        let rest = enter(&mut levels, line);
        if let Some((indent, key, value)) = rest {
            let opens = value.trim_end().trim_end_matches(['-', '+']).ends_with(['|', '>']);
            set_key(&mut levels, indent, key);
            block = opens.then_some(indent);
        }
    }
    let indent = line.len() - line.trim_start().len();
    if block.is_some_and(|outer| line.trim().is_empty() || indent > outer)
        || line.trim_start().starts_with('#')
    {
        return None;
    }
    match enter(&mut levels, line) {
        Some((indent, key, value)) => {
            set_key(&mut levels, indent, key);
            let (partial, quoted) = unquoted(value.trim_start());
            Some(Context { path: path(&levels), slot: Slot::Value, partial: partial.to_owned(), quoted })
        }
        None => {
            let body = line.trim_start_matches([' ', '-']);
            let column = line.len() - body.len();
            let keys = leave(&mut levels, column);
            let (partial, quoted) = unquoted(body);
            Some(Context { path: path(&levels), slot: Slot::Key(keys), partial: partial.to_owned(), quoted })
        }
    }
}

/// Takes the dashes of `line`; its key with column and value where it has one.
fn enter<'l>(levels: &mut Vec<Level>, line: &'l str) -> Option<(usize, &'l str, &'l str)> {
    let mut indent = line.len() - line.trim_start().len();
    let mut body = line.trim_start();
    while let Some(rest) = body.strip_prefix("- ").or((body == "-").then_some("")) {
        while levels.last().is_some_and(|level| level.indent > indent) {
            levels.pop();
        }
        match levels.last_mut() {
            Some(Level { indent: at, step: Step::Item(index) }) if *at == indent => *index += 1,
            _ => levels.push(Level { indent, step: Step::Item(0) }),
        }
        let inner = rest.trim_start();
        indent += body.len() - inner.len();
        body = inner;
    }
    let (key, value) = body.split_once(':')?;
    let separates = value.is_empty() || value.starts_with([' ', '\t']);
    let key = key.trim_matches(['"', '\'']);
    (separates && !key.contains([' ', '{', '['])).then_some((indent, key, value))
}

/// The key `key` at column `indent`.
fn set_key(levels: &mut Vec<Level>, indent: usize, key: &str) {
    let mut keys = leave(levels, indent);
    keys.push(key.to_owned());
    levels.push(Level { indent, step: Step::Key(key.to_owned(), keys) });
}

/// Leaves all levels that a key at column `indent` is not below; the keys that are there before it.
fn leave(levels: &mut Vec<Level>, indent: usize) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some(level) = levels.last() {
        if level.indent < indent {
            break;
        }
        if let Some(Level { indent: at, step: Step::Key(_, siblings) }) = levels.pop()
            && at == indent
        {
            keys = siblings;
        }
    }
    keys
}

fn path(levels: &[Level]) -> String {
    let mut path = String::from("$");
    for level in levels {
        match &level.step {
            Step::Key(key, _) => path = format!("{path}.{key}"),
            Step::Item(index) => path = format!("{path}.{index}"),
        }
    }
    path
}

fn unquoted(text: &str) -> (&str, bool) {
    match text.strip_prefix(['"', '\'']) {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, keys: &[&str], partial: &str, quoted: bool) -> Option<Context> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Some(Context { path: path.into(), slot: Slot::Key(keys), partial: partial.into(), quoted })
    }

    fn value(path: &str, partial: &str, quoted: bool) -> Option<Context> {
        Some(Context { path: path.into(), slot: Slot::Value, partial: partial.into(), quoted })
    }

    #[test]
    fn json_is_followed_by_its_brackets() {
        assert_eq!(json("{\"ignition\": {"), key("$.ignition", &[], "", false));
        assert_eq!(
            json("{\"storage\": {\"files\": [{\"path\": \"/a\", \"mo"),
            key("$.storage.files.0", &["path"], "mo", true)
        );
        assert_eq!(json("{\"a\": [{\"b\": 1}, {\"c\": {\"d\": \"ex"), value("$.a.1.c.d", "ex", true));
        assert_eq!(json("{\"a\": tr"), value("$.a", "tr", false));
        assert_eq!(json("{\"a\": {}, "), key("$", &["a"], "", false));
        assert_eq!(json("{}"), None);
        assert_eq!(json("{\"a\": \"}]\\\"{\", "), key("$", &["a"], "", false));
    }

    #[test]
    fn yaml_is_followed_by_its_indentation() {
        let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /a\n      contents:\n        inline: |\n          x: y\n    - path: /b\n      ";
        assert_eq!(yaml(text), key("$.storage.files.1", &["path"], "", false));
        assert_eq!(yaml(&text[..text.len() - 6]), key("$", &["variant", "version", "storage"], "", false));
        assert_eq!(
            yaml("storage:\n  filesystems:\n    - format: ex"),
            value("$.storage.filesystems.0.format", "ex", false)
        );
        assert_eq!(
            yaml("storage:\n  files:\n  - path: /a\n    mo"),
            key("$.storage.files.0", &["path"], "mo", false)
        );
        assert_eq!(yaml("storage:\n  files:\n  - "), key("$.storage.files.0", &[], "", false));
        assert_eq!(yaml("storage:\n  "), key("$.storage", &[], "", false));
        assert_eq!(yaml("vari"), key("$", &[], "vari", false));
        assert_eq!(yaml("a: |\n  text\n  mo"), None);
        assert_eq!(
            yaml("storage:\n  files:\n    - path: /a\n  dir"),
            key("$.storage", &["files"], "dir", false)
        );
    }
}
