//! [`ConfigValue`] for strings, integers, booleans, optional values and lists.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::check::Checker;
use crate::merge::{Foreign, Merger};
use crate::read::Reader;
use crate::schema::{ConfigValue, Listing, Shape};
use crate::tree::{Node, Value};
use crate::write::Writer;

impl ConfigValue for String {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        if let Some(text) = reader.text(node) {
            *self = text;
        }
    }

    fn write(&self, out: &mut Writer) {
        out.string(self);
    }

    /// A string that is not optional is required: it is written even when empty.
    fn is_absent(&self) -> bool {
        false
    }

    fn merge(_: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        merger.from_child();
        child.clone()
    }

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

impl ConfigValue for i64 {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        if let Some(number) = reader.integer(node) {
            *self = number;
        }
    }

    fn write(&self, out: &mut Writer) {
        out.integer(*self);
    }

    fn is_absent(&self) -> bool {
        *self == 0
    }

    fn merge(_: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        merger.from_child();
        *child
    }

    fn shape() -> Shape {
        Shape::Integer
    }
}

impl ConfigValue for bool {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        if let Some(value) = reader.boolean(node) {
            *self = value;
        }
    }

    fn write(&self, out: &mut Writer) {
        out.boolean(*self);
    }

    fn is_absent(&self) -> bool {
        !*self
    }

    fn merge(_: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        merger.from_child();
        *child
    }

    fn shape() -> Shape {
        Shape::Boolean
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        *self = if node.value.is_null() {
            None
        } else {
            let mut value = T::default();
            value.read(node, reader);
            Some(value)
        };
    }

    fn write(&self, out: &mut Writer) {
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn walk(&self, checker: &mut Checker<'_>) {
        if let Some(value) = self {
            value.walk(checker);
        }
    }

    fn merge(parent: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        match (parent, child) {
            (parent, None) => {
                merger.from_parent();
                parent.clone()
            }
            (_, child) => {
                merger.from_child();
                child.clone()
            }
        }
    }

    fn key(&self) -> Cow<'_, str> {
        self.as_ref().map(T::key).unwrap_or_default()
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: ConfigValue> ConfigValue for Vec<T> {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        self.clear();
        let Value::Seq(items) = &node.value else {
            if !node.value.is_null() {
                reader.mismatch(node, "a list");
            }
            return;
        };
        self.reserve(items.len());
        for (index, item) in items.iter().enumerate() {
            if reader.skips(item) {
                continue;
            }
            let mut value = T::default();
            reader.path.push_index(index);
            value.read(item, reader);
            reader.path.pop();
            self.push(value);
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open(b'[');
        for item in self {
            out.item();
            item.write(out);
        }
        out.close(b']');
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn walk(&self, checker: &mut Checker<'_>) {
        for (index, item) in self.iter().enumerate() {
            checker.path.push_index(index);
            item.walk(checker);
            checker.path.pop();
        }
    }

    fn merge(
        parent: &Self,
        child: &Self,
        listing: Listing,
        foreign: &Foreign<'_>,
        merger: &mut Merger,
    ) -> Self {
        if parent.is_empty() {
            merger.from_child();
            return child.clone();
        }
        match listing {
            Listing::Appended => append(parent, child, merger),
            Listing::Keyed => merge_keyed(parent, child, &Foreign::default(), merger),
            Listing::Shared => merge_keyed(parent, child, foreign, merger),
        }
    }

    fn for_each_key<'a>(&'a self, visit: &mut dyn FnMut(usize, Cow<'a, str>)) {
        for (index, item) in self.iter().enumerate() {
            visit(index, item.key());
        }
    }

    fn shape() -> Shape {
        Shape::List(T::shape)
    }
}

impl ConfigValue for BTreeMap<String, String> {
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>) {
        let Value::Map(members) = &node.value else {
            if !node.value.is_null() {
                reader.mismatch(node, "an object");
            }
            return;
        };
        for member in members {
            if let Some(text) = reader.text(&member.value) {
                self.insert(member.key.clone().into_owned(), text);
            }
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open(b'{');
        for (key, value) in self {
            out.key(key);
            out.string(value);
        }
        out.close(b'}');
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn merge(parent: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        merger.from_child();
        parent.iter().chain(child).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn shape() -> Shape {
        Shape::Map(String::shape)
    }
}

fn append<T: ConfigValue>(parent: &[T], child: &[T], merger: &mut Merger) -> Vec<T> {
    for index in 0..parent.len() {
        merger.item_from_parent(index, index);
    }
    for index in 0..child.len() {
        merger.item_from_child(index, parent.len() + index);
    }
    parent.iter().chain(child).cloned().collect()
}

/// Parent's entries, each merged with the child's of the same key, then the child's others. A key that the child has
/// in another list of the same key space removes the parent's entry.
fn merge_keyed<T: ConfigValue>(
    parent: &[T],
    child: &[T],
    foreign: &Foreign<'_>,
    merger: &mut Merger,
) -> Vec<T> {
    let of_child: HashMap<_, _> = child.iter().enumerate().map(|(index, item)| (item.key(), index)).collect();
    let of_parent: HashSet<_> = parent.iter().map(T::key).collect();
    let mut merged = Vec::with_capacity(parent.len() + child.len());
    for (index, item) in parent.iter().enumerate() {
        let key = item.key();
        match of_child.get(&key) {
            Some(&other) if child[other].cancels() => {}
            Some(&other) => {
                merger.item(index, other, merged.len());
                merged.push(T::merge(item, &child[other], Listing::Keyed, &Foreign::default(), merger));
                merger.up();
            }
            None if foreign.has(&key) => {}
            None => {
                merger.item_from_parent(index, merged.len());
                merged.push(item.clone());
            }
        }
    }
    for (index, item) in child.iter().enumerate() {
        if !of_parent.contains(&item.key()) {
            merger.item_from_child(index, merged.len());
            merged.push(item.clone());
        }
    }
    merged
}
