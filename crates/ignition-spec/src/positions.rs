//! Where in the text each path of a document is.

use crate::report::{Position, Report};
use crate::tree::{Member, Node, Value};

/// The positions of a document's values, without the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    root: Mark,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mark {
    position: Position,
    /// Reports point behind the first character.
    inside: bool,
    children: Children,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Children {
    #[default]
    None,
    List(Vec<Mark>),
    Keys(Vec<(Box<str>, Mark)>),
}

impl Positions {
    /// The positions of `tree`.
    ///
    /// `bracketed` says that objects and lists start with a bracket, as in JSON.
    pub fn of(tree: &Node<'_>, bracketed: bool) -> Self {
        Self { root: mark(tree, bracketed) }
    }

    /// The position of `path` (`$.storage.files.0.path`), if the text has it.
    pub fn exact(&self, path: &str) -> Option<Position> {
        match self.descend(path) {
            (mark, true) => Some(mark.position),
            (_, false) => None,
        }
    }

    /// The position of `path`, else of the nearest section around it that the text has.
    pub fn nearest(&self, path: &str) -> Position {
        self.descend(path).0.position
    }

    /// Gives every entry that has none the position of its path, as upstream counts it: that of an object or a list in
    /// JSON is just inside its bracket.
    pub fn locate(&self, report: &mut Report) {
        for entry in &mut report.entries {
            if entry.position.is_none() && entry.path.starts_with('$') {
                let (mark, _) = self.descend(&entry.path);
                let (line, col) = mark.position;
                entry.position = Some((line, col + u32::from(mark.inside)));
            }
        }
    }

    fn descend(&self, path: &str) -> (&Mark, bool) {
        let mut mark = &self.root;
        let rest = path.strip_prefix('$').unwrap_or(path);
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return (mark, true);
        }
        for segment in rest.split('.') {
            let child = match &mark.children {
                Children::None => None,
                Children::List(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
                Children::Keys(keys) => {
                    keys.iter().rev().find(|(key, _)| **key == *segment).map(|(_, mark)| mark)
                }
            };
            match child {
                Some(child) => mark = child,
                None => return (mark, false),
            }
        }
        (mark, true)
    }
}

fn mark(node: &Node<'_>, bracketed: bool) -> Mark {
    let children = match &node.value {
        Value::Seq(items) => Children::List(items.iter().map(|item| mark(item, bracketed)).collect()),
        Value::Map(members) => {
            let member = |member: &Member<'_>| (member.key.as_ref().into(), mark(&member.value, bracketed));
            Children::Keys(members.iter().map(member).collect())
        }
        _ => Children::None,
    };
    let inside = bracketed && matches!(node.value, Value::Seq(_) | Value::Map(_));
    Mark { position: node.position, inside, children }
}
