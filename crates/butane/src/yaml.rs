//! From YAML text to the untyped tree: anchors, aliases, merge keys, tags; one document.
//!
//! Aliases are copied where they stand. Their number of nodes is limited, so that a small text cannot grow without end.

use std::borrow::Cow;
use std::collections::HashMap;

use ignition_spec::report::{Entry, Position, Report};
use ignition_spec::tree::{Member, Node, Plain, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use crate::goyaml;
use crate::rules::SYNTAX;
use crate::scalar;

/// How many nodes aliases may add to a document. A config of 5 MB has some 100,000 nodes in all.
const ALIASED_NODES_MAX: usize = 400_000;

/// Depth beyond which containers come out as null: configs nest about ten deep, and what walks a tree may recurse.
const DEPTH_MAX: usize = 64;

/// Parses the first document of `text`; nothing when there is none.
pub fn document(text: &str) -> Result<Option<Node<'_>>, Report> {
    parse(text)
}

/// Prints `node` as a document: keys sorted, strings quoted where they must be. What is printed reads back as the same
/// values.
pub fn print(node: &Node<'_>) -> String {
    goyaml::write(node)
}

/// Parses the first document of `text`; nothing when there is none.
pub(crate) fn parse(text: &str) -> Result<Option<Node<'_>>, Report> {
    let lines = text.lines().collect();
    let mut reader =
        Reader { parser: Parser::new_from_str(text), lines, anchors: HashMap::new(), aliased: 0 };
    reader.document().map_err(|fail| Report::of(fail.entry()))
}

/// The text of a YAML stream: UTF-8, or UTF-16 when a byte order mark says so; without that mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Report> {
    let units = |pair: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..].chunks_exact(2).map(|chunk| pair([chunk[0], chunk[1]])).collect()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => Cow::Owned(String::from_utf16_lossy(&units(u16::from_le_bytes))),
        [0xfe, 0xff, ..] => Cow::Owned(String::from_utf16_lossy(&units(u16::from_be_bytes))),
        _ => Cow::Borrowed(utf8(bytes)?),
    };
    check_characters(&text)?;
    Ok(text)
}

fn refusal<T>(position: Position, message: &'static str) -> Result<T, Report> {
    Err(Report::of(Entry::error(SYNTAX, "").at(position).message(message)))
}

fn utf8(text: &[u8]) -> Result<&str, Report> {
    let text = text.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(text);
    std::str::from_utf8(text)
        .or_else(|bad| refusal(position_at(&text[..bad.valid_up_to()]), "the text is not UTF-8"))
}

fn check_characters(text: &str) -> Result<(), Report> {
    let control = |char: char| matches!(char, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    // Nearly all text is ASCII without control characters: look at bytes first.
    let suspect =
        text.bytes().any(|byte| byte >= 0x7f || (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')));
    if suspect && let Some(at) = text.find(control) {
        return refusal(position_at(&text.as_bytes()[..at]), "control characters are not allowed");
    }
    Ok(())
}

fn position_at(before: &[u8]) -> Position {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let col = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(col).unwrap_or(u32::MAX))
}

struct Fail {
    position: Position,
    message: String,
}

impl Fail {
    fn entry(self) -> Entry {
        Entry::error(SYNTAX, "").at(self.position).message(self.message)
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines: Vec<&'a str>,
    /// Anchored nodes by number, with their sizes in nodes.
    anchors: HashMap<usize, (Node<'a>, usize)>,
    aliased: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node<'a>>, Fail> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                (event, span) => {
                    let node = self.node(event, span, 0)?;
                    // The document's end is looked for, so that garbage behind it is seen.
                    self.next()?;
                    return Ok(Some(node));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fail> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let mark = error.marker();
                Err(Fail { position: position(mark.line(), mark.col()), message: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node<'a>, Fail> {
        let mut position = position(span.start.line(), span.start.col());
        let (value, anchor) = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= DEPTH_MAX => (self.skip()?, 0),
            Event::Alias(anchor) => return self.alias(anchor, position),
            Event::Scalar(text, style, anchor, tag) => {
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && anchor == 0 && tag.is_none()
                {
                    position = self.block_indicator(position);
                }
                (scalar_value(text, style, tag.as_deref(), position)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let value = self.sequence(depth)?;
                if anchor == 0 && tag.is_none() {
                    position = self.dash(position, &value);
                }
                (value, anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err(Fail { position, message: "unexpected end of the document".into() }),
        };
        let node = Node { position, value };
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    /// Passes over a container without recursion and without keeping it.
    fn skip(&mut self) -> Result<Value<'a>, Fail> {
        let mut open = 1;
        while open > 0 {
            match self.next()?.0 {
                Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                Event::SequenceEnd | Event::MappingEnd => open -= 1,
                _ => {}
            }
        }
        Ok(Value::Null)
    }

    /// The `|` or `>` of a block scalar whose content starts at `content`, where the parser reports it.
    fn block_indicator(&self, content: Position) -> Position {
        let above = self.lines.iter().take(content.0 as usize - 1).enumerate().rev();
        let Some((line, text)) = above.into_iter().find(|(_, text)| !text.trim().is_empty()) else {
            return content;
        };
        let header = |at: usize| {
            let rest =
                text[at + 1..].trim_start_matches(|char: char| char.is_ascii_digit() || "+-".contains(char));
            let comment = rest.trim_start();
            (at == 0 || text[..at].ends_with([' ', '\t']))
                && (comment.is_empty() || (comment.starts_with('#') && rest != comment))
        };
        match text.match_indices(['|', '>']).find(|(at, _)| header(*at)) {
            Some((at, _)) => position(line + 1, text[..at].chars().count()),
            None => content,
        }
    }

    /// The first dash of a list that is indented no further than its key; the parser reports its first entry.
    fn dash(&self, start: Position, list: &Value<'_>) -> Position {
        let Value::Seq(items) = list else { return start };
        if items.first().is_none_or(|item| item.position != start) {
            return start;
        }
        let before: Vec<char> =
            self.lines.get(start.0 as usize - 1).map_or("", |line| line).chars().collect();
        let until = before.len().min(start.1 as usize - 1);
        match before[..until].iter().rposition(|char| *char == '-') {
            Some(at) => position(start.0 as usize, at),
            None => start,
        }
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Result<Node<'a>, Fail> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(Fail { position, message: "an anchor cannot contain its own alias".into() });
        };
        self.aliased += size;
        if self.aliased > ALIASED_NODES_MAX {
            return Err(Fail { position, message: "document contains excessive aliasing".into() });
        }
        Ok(Node { position, value: node.value.clone() })
    }

    fn sequence(&mut self, depth: usize) -> Result<Value<'a>, Fail> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Seq(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value<'a>, Fail> {
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut merged = None;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let position = key.position;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match key.value {
                _ if merge => merged = Some(value),
                Value::Text(key) | Value::Plain(key, _) => members.push(Member { key, position, value }),
                _ => return Err(Fail { position, message: "keys must be strings".into() }),
            }
        }
        if let Some(merged) = merged {
            merge_into(&mut members, merged)?;
        }
        Ok(Value::Map(members))
    }
}

/// Adds the members of the map, or maps, under a merge key; what is there wins, then earlier maps.
fn merge_into<'a>(members: &mut Vec<Member<'a>>, merged: Node<'a>) -> Result<(), Fail> {
    match merged.value {
        Value::Map(more) => {
            let here: std::collections::HashSet<String> =
                members.iter().map(|member| member.key.to_string()).collect();
            members.extend(more.into_iter().filter(|member| !here.contains(member.key.as_ref())));
            Ok(())
        }
        Value::Seq(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
            maps.into_iter().try_for_each(|map| merge_into(members, map))
        }
        _ => {
            let message = "map merge requires map or sequence of maps as the value".into();
            Err(Fail { position: merged.position, message })
        }
    }
}

fn scalar_value<'a>(
    text: Cow<'a, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    position: Position,
) -> Result<Value<'a>, Fail> {
    let Some(tag) = tag.filter(|tag| tag.handle == "tag:yaml.org,2002:" || tag.handle == "!!") else {
        let plain = matches!(style, ScalarStyle::Plain) && tag.is_none();
        let meaning = if plain { scalar::meaning(&text) } else { Plain::Text };
        return Ok(if plain { Value::Plain(text, meaning) } else { Value::Text(text) });
    };
    let meaning = scalar::meaning(&text);
    let fits = match (tag.suffix.as_str(), meaning) {
        ("int", Plain::Int(_))
        | ("float", Plain::Float(_) | Plain::Int(_))
        | ("bool", Plain::Bool(_))
        | ("null", Plain::Null) => true,
        ("int" | "float" | "bool" | "null", _) => false,
        ("binary", _) => return binary(&text, position),
        _ => return Ok(Value::Text(text)),
    };
    match fits {
        true => Ok(Value::Plain(text, meaning)),
        false => Err(Fail { position, message: format!("cannot decode {text:?} as a !!{}", tag.suffix) }),
    }
}

fn binary<'a>(text: &str, position: Position) -> Result<Value<'a>, Fail> {
    let joined: String = text.split(['\r', '\n']).collect();
    let bytes = ignition_spec::dataurl::decode(&format!("data:;base64,{joined}"));
    let bytes = bytes
        .map_err(|_| Fail { position, message: "!!binary value contains invalid base64 data".into() })?;
    Ok(Value::Text(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())))
}

fn size(node: &Node<'_>) -> usize {
    1 + match &node.value {
        Value::Seq(items) => items.iter().map(size).sum(),
        Value::Map(members) => members.iter().map(|member| size(&member.value)).sum(),
        _ => 0,
    }
}

/// The parser counts lines from 1 and columns from 0.
fn position(line: usize, col: usize) -> Position {
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(col + 1).unwrap_or(u32::MAX))
}
