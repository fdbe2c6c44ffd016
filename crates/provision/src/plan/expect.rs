//! What a tree will be after a plan, told without carrying it out.
//!
//! The steps are played over the observed nodes. What comes out is shown by `plan`, compared with the machine by day 2,
//! and digested: the same digest taken of the tree afterwards must be equal ([`digest`]).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::action::{Access, Base, Id};
use super::{Action, Plan, Step};
use crate::fetch::resource::Resource;
use crate::fetch::verify::hex;
use crate::observe::Observed;
use crate::resolve::{Kind, Node, Nodes};

/// The content that a file will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// SHA-256 in hexadecimal.
    Digest(String),
    /// Whatever it has; an empty file where there is none.
    Any,
    /// What a URL gives when the plan is carried out.
    Fetched,
}

/// What will be at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A file.
    File(Content),
    /// A directory; `implied` when only something below it asks for it.
    Directory {
        /// Whether nothing declares it.
        implied: bool,
    },
    /// A symlink to this target.
    Symlink(String),
    /// Another name of the file at this true path.
    HardLink(String),
    /// A device, socket or FIFO.
    Special,
}

/// A node as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What it is.
    pub shape: Shape,
    /// Mode and owner; a symlink's mode means nothing.
    pub access: Access,
}

/// What changes or is confirmed, by true path; `None` is gone.
pub type Expectation = BTreeMap<String, Option<Expected>>;

/// Plays the steps of `plan` that are about the tree over what is observed. Homes and keys are not in it: they are
/// made by programs of the machine.
pub fn expect(plan: &Plan, observed: &Observed) -> Expectation {
    let mut world = World { observed, touched: Expectation::new() };
    for step in &plan.steps {
        world.play(step);
    }
    world.touched
}

struct World<'a> {
    observed: &'a Observed,
    touched: Expectation,
}

impl World<'_> {
    fn play(&mut self, step: &Step) {
        match &step.action {
            Action::Remove { path, .. } => self.remove(path),
            Action::Directory { path, access, .. } => {
                self.put(path, Shape::Directory { implied: false }, access.clone());
            }
            Action::File { path, access, base, append, .. } => {
                let content = self.content(path, base, append);
                self.put(path, Shape::File(content), access.clone());
            }
            Action::KeepFile { path, access, .. } => {
                let content = match self.at(path).map(|node| node.shape) {
                    Some(Shape::File(content)) => content,
                    _ => Content::Any,
                };
                self.put(path, Shape::File(content), access.clone());
            }
            Action::Link { path, target, user, group } => {
                let access = Access { mode: 0o777, user: user.clone(), group: group.clone() };
                self.put(path, Shape::Symlink(target.clone()), access);
            }
            Action::HardLink { path, target } => {
                let nobody = Access { mode: 0, user: Id::Number(0), group: Id::Number(0) };
                let of_target = self.at(target);
                // Another name of another name is one of the file.
                let shape = match &of_target {
                    Some(Expected { shape: shape @ Shape::HardLink(_), .. }) => shape.clone(),
                    _ => Shape::HardLink(target.clone()),
                };
                self.put(path, shape, of_target.map_or(nobody, |node| node.access));
            }
            _ => {}
        }
    }

    fn at(&self, path: &str) -> Option<Expected> {
        match self.touched.get(path) {
            Some(known) => known.clone(),
            None => self.observed.nodes.get(path).map(of_node),
        }
    }

    fn put(&mut self, path: &str, shape: Shape, access: Access) {
        let mut parent = path;
        while let Some((above, _)) = parent.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            parent = above;
            if self.at(parent).is_none() {
                let access =
                    Access { mode: crate::root::PARENT_MODE, user: Id::Number(0), group: Id::Number(0) };
                let node = Expected { shape: Shape::Directory { implied: true }, access };
                self.touched.insert(parent.to_owned(), Some(node));
            }
        }
        self.touched.insert(path.to_owned(), Some(Expected { shape, access }));
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        let known: Vec<String> = self
            .observed
            .nodes
            .keys()
            .chain(self.touched.keys())
            .filter(|place| *place == path || place.starts_with(&below))
            .cloned()
            .collect();
        self.touched.extend(known.into_iter().map(|place| (place, None)));
        self.touched.insert(path.to_owned(), None);
    }

    fn content(&self, path: &str, base: &Base, append: &[Resource]) -> Content {
        if append.is_empty() {
            // The digest that the planner found, without decoding again.
            match base {
                Base::Existing => {
                    return match self.at(path).map(|node| node.shape) {
                        Some(Shape::File(content)) => content,
                        _ => Content::Any,
                    };
                }
                Base::Empty => return Content::Any,
                _ => {}
            }
        }
        match self.bytes(path, base, append) {
            Some(digest) => Content::Digest(digest),
            None => match base {
                Base::Resource(Resource { hash: Some(hash), .. }) if append.is_empty() => hash
                    .strip_prefix("sha256-")
                    .map_or(Content::Fetched, |hash| Content::Digest(hash.to_ascii_lowercase())),
                _ => Content::Fetched,
            },
        }
    }

    /// The SHA-256 of a file whose parts are all at hand.
    fn bytes(&self, path: &str, base: &Base, append: &[Resource]) -> Option<String> {
        let mut hasher = Sha256::new();
        match base {
            Base::Empty => {}
            Base::Existing => hasher.update(self.observed.texts.get(path)?),
            Base::Copy(from) | Base::Original(from) => hasher.update(self.observed.texts.get(from)?),
            Base::Text(text) => hasher.update(text),
            Base::Resource(resource) => hasher.update(resource.at_hand().ok()??),
        }
        for resource in append {
            hasher.update(resource.at_hand().ok()??);
        }
        Some(hex(&hasher.finalize()))
    }
}

/// A node that is there, as an expectation.
pub fn of_node(node: &Node) -> Expected {
    let shape = match &node.kind {
        Kind::File(Some(digest)) => Shape::File(Content::Digest(digest.clone())),
        Kind::File(None) => Shape::File(Content::Any),
        Kind::Directory => Shape::Directory { implied: false },
        Kind::Symlink(target) => Shape::Symlink(target.clone()),
        Kind::Special => Shape::Special,
    };
    let access = Access { mode: node.mode, user: Id::Number(node.uid), group: Id::Number(node.gid) };
    Expected { shape, access }
}

/// The nodes as they will be: observed ones with the expectation over them. Contents that cannot be told are `None`;
/// owners known by name only are looked up among the observed.
pub fn apply(expectation: &Expectation, observed: &Observed) -> Nodes {
    let mut nodes = observed.nodes.clone();
    let is_hard =
        |node: &Option<Expected>| node.as_ref().is_some_and(|node| matches!(node.shape, Shape::HardLink(_)));
    let (hard, plain): (Vec<_>, Vec<_>) = expectation.iter().partition(|(_, node)| is_hard(node));
    // Hard links last: what they are names of must be known.
    for (path, expected) in plain.into_iter().chain(hard) {
        match expected {
            None => drop(nodes.remove(path)),
            Some(expected) => {
                let (kind, access) = match &expected.shape {
                    Shape::HardLink(target) => match nodes.get(target) {
                        Some(node) => (
                            node.kind.clone(),
                            Access {
                                mode: node.mode,
                                user: Id::Number(node.uid),
                                group: Id::Number(node.gid),
                            },
                        ),
                        None => continue,
                    },
                    shape => (kind_of(shape, nodes.get(path)), expected.access.clone()),
                };
                let (uid, gid) = (uid(&access.user, observed), gid(&access.group, observed));
                nodes.insert(path.clone(), Node { kind, mode: access.mode, uid, gid, id: (0, 0) });
            }
        }
    }
    nodes
}

fn kind_of(shape: &Shape, found: Option<&Node>) -> Kind {
    match shape {
        Shape::File(Content::Digest(digest)) => Kind::File(Some(digest.clone())),
        Shape::File(Content::Any) => match found.map(|node| &node.kind) {
            Some(Kind::File(digest)) => Kind::File(digest.clone()),
            _ => Kind::File(Some(hex(&Sha256::digest(b"")))),
        },
        Shape::File(Content::Fetched) | Shape::HardLink(_) => Kind::File(None),
        Shape::Directory { .. } => Kind::Directory,
        Shape::Symlink(target) => Kind::Symlink(target.clone()),
        Shape::Special => Kind::Special,
    }
}

fn uid(id: &Id, observed: &Observed) -> u32 {
    match id {
        Id::Number(number) => *number,
        Id::Name(name) => observed.users.get(name).map_or(u32::MAX, |user| user.uid),
    }
}

fn gid(id: &Id, observed: &Observed) -> u32 {
    match id {
        Id::Number(number) => *number,
        Id::Name(name) => observed.groups.get(name).copied().unwrap_or(u32::MAX),
    }
}

/// A digest over nodes: one line each in the order of paths, `PATH\0KIND MODE UID GID DIGEST-OR-TARGET\n`, hashed with
/// SHA-256. Of a symlink the mode does not count.
pub fn digest(nodes: &Nodes) -> String {
    let mut hasher = Sha256::new();
    for (path, node) in nodes {
        let (kind, mode, what) = match &node.kind {
            Kind::File(digest) => ("file", node.mode, digest.as_deref().unwrap_or("unknown")),
            Kind::Directory => ("directory", node.mode, ""),
            Kind::Symlink(target) => ("link", 0, target.as_str()),
            Kind::Special => ("special", node.mode, ""),
        };
        let line = format!("{path}\0{kind} {mode:04o} {} {} {what}\n", node.uid, node.gid);
        hasher.update(line);
    }
    hex(&hasher.finalize())
}
