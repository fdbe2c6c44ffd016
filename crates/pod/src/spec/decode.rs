//! From nodes to values: members by name, types, and every problem collected instead of only the first.

use super::Problem;
use super::yaml::{Member, Node, Value};

/// Collects problems while a document is decoded.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What was found wrong, in the order of decoding.
    pub problems: Vec<Problem>,
}

/// The members of one map that were not asked for yet.
#[derive(Debug)]
pub struct Fields<'a> {
    path: String,
    line: usize,
    column: usize,
    left: Vec<&'a Member>,
    asked: Vec<&'static str>,
}

/// A node and its path in the document.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// `spec.containers[0].image`
    pub path: String,
    /// The node.
    pub node: &'a Node,
}

impl Decoder {
    /// Notes a problem at a node.
    pub fn wrong(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<&str>) {
        self.problems.push(Problem {
            path: at.path.clone(),
            line: at.node.line,
            column: at.node.column,
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    /// The members of a map; empty (with a problem noted) if it is none.
    pub fn fields<'a>(&mut self, at: &At<'a>) -> Fields<'a> {
        let left = match &at.node.value {
            Value::Map(members) => members.iter().collect(),
            other => {
                self.wrong(at, format!("a map is needed here, this is {}", other.kind()), None);
                Vec::new()
            }
        };
        Fields { path: at.path.clone(), line: at.node.line, column: at.node.column, left, asked: Vec::new() }
    }

    /// The items of a list; empty (with a problem noted) if it is none. `null` is an empty list.
    pub fn items<'a>(&mut self, at: &At<'a>) -> Vec<At<'a>> {
        match &at.node.value {
            Value::List(items) => {
                let path = &at.path;
                items.iter().enumerate().map(|(i, node)| At { path: format!("{path}[{i}]"), node }).collect()
            }
            Value::Null => Vec::new(),
            other => {
                self.wrong(at, format!("a list is needed here, this is {}", other.kind()), None);
                Vec::new()
            }
        }
    }

    /// Text. A bare number or boolean is refused, as the Kubernetes API does.
    pub fn text(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                let hint = matches!(other, Value::Int(_) | Value::Float(_) | Value::Bool(_));
                let message = format!("text is needed here, this is {}", other.kind());
                self.wrong(at, message, hint.then_some("put it in quotes"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn bool(&mut self, at: &At<'_>) -> Option<bool> {
        match &at.node.value {
            Value::Bool(value) => Some(*value),
            other => {
                self.wrong(at, format!("true or false is needed here, this is {}", other.kind()), None);
                None
            }
        }
    }

    /// A whole number from `low` to `high`.
    pub fn int<T: TryFrom<i64>>(&mut self, at: &At<'_>, low: i64, high: i64) -> Option<T> {
        match &at.node.value {
            Value::Int(value) if (low..=high).contains(value) => T::try_from(*value).ok(),
            Value::Int(value) => {
                self.wrong(at, format!("{value} is not between {low} and {high}"), None);
                None
            }
            other => {
                self.wrong(at, format!("a whole number is needed here, this is {}", other.kind()), None);
                None
            }
        }
    }

    /// Each item of a list as text.
    pub fn texts(&mut self, at: &At<'_>) -> Vec<String> {
        self.items(at).iter().filter_map(|item| self.text(item)).collect()
    }

    /// One of a few words, by table.
    pub fn choice<T: Copy>(&mut self, at: &At<'_>, table: &[(&str, T)]) -> Option<T> {
        let text = self.text(at)?;
        if let Some((_, value)) = table.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = table.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
        let hint = nearest(&text, &words).map(|word| format!("did you mean {word}?"));
        self.wrong(at, format!("{text:?} is none of: {}", words.join(", ")), hint.as_deref());
        None
    }

    /// Notes every member that nobody asked for. `known` are members that Kubernetes has and Orlop does not do.
    pub fn finish(&mut self, fields: Fields<'_>, known: &[&str]) {
        for member in fields.left {
            let (message, hint) = if known.contains(&member.key.as_str()) {
                let message = format!("{} is a member of Kubernetes that Orlop does not do yet", member.key);
                (message, Some("remove it; docs/reference/pod.md lists what is supported".to_owned()))
            } else {
                let hint = nearest(&member.key, &fields.asked).map(|word| format!("did you mean {word}?"));
                let hint = hint.or_else(|| Some(format!("members here: {}", fields.asked.join(", "))));
                (format!("there is no member {}", member.key), hint)
            };
            self.problems.push(Problem {
                path: join(&fields.path, &member.key),
                line: member.line,
                column: member.column,
                message,
                hint,
            });
        }
    }
}

impl<'a> Fields<'a> {
    /// The member `name`, if it is there and not `null`.
    pub fn take(&mut self, name: &'static str) -> Option<At<'a>> {
        self.asked.push(name);
        let at = self.left.iter().position(|member| member.key == name)?;
        let member = self.left.remove(at);
        let path = join(&self.path, name);
        (member.value.value != Value::Null).then_some(At { path, node: &member.value })
    }

    /// The member `name`; its absence is a problem.
    pub fn need(&mut self, decoder: &mut Decoder, name: &'static str) -> Option<At<'a>> {
        let found = self.take(name);
        if found.is_none() {
            decoder.problems.push(Problem {
                path: self.path.clone(),
                line: self.line,
                column: self.column,
                message: format!("{name} is missing"),
                hint: None,
            });
        }
        found
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The nearest of `words`, if it is near enough to be a slip of the fingers. Case does not count.
fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    let (word, distance) =
        words.iter().map(|word| (*word, distance(&text, &word.to_lowercase()))).min_by_key(|(_, d)| *d)?;
    (distance <= 2.max(word.len() / 4) && distance < word.len()).then_some(word)
}

/// Edits (insert, delete, replace) from one word to another.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let words = ["image", "command", "containerPort", "env"];
        assert_eq!(nearest("imgae", &words), Some("image"));
        assert_eq!(nearest("containerport", &words), Some("containerPort"));
        assert_eq!(nearest("comand", &words), Some("command"));
        assert_eq!(nearest("volumes", &words), None);
        assert_eq!(nearest("x", &words), None);
    }
}
