//! The OVF environment (DMTF DSP0243): an XML document of which the properties are wanted, and removed.
//!
//! Elements are found by their local name and attributes by theirs, whatever the prefix; comments and CDATA hold none.

/// One `Property` element: its range in the document, key and value.
struct Property {
    range: std::ops::Range<usize>,
    key: String,
    value: String,
}

/// The value of a property.
pub(super) fn property(document: &str, key: &str) -> Option<String> {
    properties(document).into_iter().find(|property| property.key == key).map(|property| property.value)
}

/// The document without some properties; `None` when it has none of them.
pub(super) fn without(document: &str, keys: &[String]) -> Option<String> {
    let mut kept = String::new();
    let mut at = 0;
    for property in properties(document) {
        if keys.contains(&property.key) {
            kept.push_str(&document[at..property.range.start]);
            at = property.range.end;
        }
    }
    (at > 0).then(|| kept + &document[at..])
}

fn properties(document: &str) -> Vec<Property> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = document[at..].find('<').map(|offset| at + offset) {
        let rest = &document[start..];
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        if let Some((_, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(length) = rest.find(end) else { break };
            at = start + length + end.len();
            continue;
        }
        let Some(length) = tag_length(rest) else { break };
        at = start + length;
        let inside = rest[1..length - 1].trim_end();
        let (inside, empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let name = inside.split_ascii_whitespace().next().unwrap_or_default();
        if local(name) != "Property" {
            continue;
        }
        let (mut key, mut value) = (None, None);
        for (attribute, text) in attributes(&inside[name.len()..]) {
            match local(attribute) {
                "key" => key = Some(text),
                "value" => value = Some(text),
                _ => {}
            }
        }
        let end = if empty { Some(at) } else { close(document, at, name) };
        let (Some(key), Some(end)) = (key, end) else { continue };
        found.push(Property { range: start..end, key, value: value.unwrap_or_default() });
        at = end;
    }
    found
}

/// The length of the tag at the start of `text`; a `>` in quotes does not end it.
fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// The end of the element `name` whose content begins at `at`.
fn close(document: &str, at: usize, name: &str) -> Option<usize> {
    let start = at + document[at..].find(&format!("</{name}"))?;
    Some(start + document[start..].find('>')? + 1)
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn attributes(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, behind)) = after[1..].split_once(quote) else { break };
        found.push((name.trim(), unescape(value)));
        rest = behind;
    }
    found
}

/// The five named entities and characters by number; anything else stays.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').and_then(|end| Some((end, entity(&rest[1..end])?)));
        match entity {
            Some((end, c)) => {
                plain.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain + rest
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Fuzz entry: any document.
pub fn fuzz_ovf(bytes: &[u8]) {
    let document = String::from_utf8_lossy(bytes);
    let key = property(&document, "guestinfo.ignition.config.data").unwrap_or_default();
    let _ = without(&document, &[key, "guestinfo.ignition.config.data".into()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1">
  <!-- <Property oe:key="a" oe:value="commented"/> -->
  <PropertySection>
    <Property oe:key="a" oe:value="1 &lt;&#x41;&amp; &gt; >"/>
    <Property oe:value='two' oe:key='b'></Property>
  </PropertySection>
</Environment>
"#;

    #[test]
    fn properties_are_read_and_removed() {
        assert_eq!(property(DOCUMENT, "a").unwrap(), "1 <A& > >");
        assert_eq!(property(DOCUMENT, "b").unwrap(), "two");
        assert_eq!(property(DOCUMENT, "c"), None);
        assert_eq!(without(DOCUMENT, &["c".into()]), None);
        let pruned = without(DOCUMENT, &["b".into(), "c".into()]).unwrap();
        assert_eq!(pruned, DOCUMENT.replace("<Property oe:value='two' oe:key='b'></Property>", ""));
        assert_eq!(property("<Property key=\"x\" value=\"&nothing; &", "x"), None);
    }
}
