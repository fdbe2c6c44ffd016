//! Paths into a config: `$.storage.files.0.path`.

use std::fmt;

/// How the keys of a document are spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Ignition JSON: `httpHeaders`.
    #[default]
    Camel,
    /// Butane YAML: `http_headers`.
    Snake,
}

/// One step of a [`Path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key of a section.
    Key(&'static str),
    /// An index into a list, from 0.
    Index(usize),
}

/// Where a walk over a config stands: a stack of keys and indices under the root `$`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    naming: Naming,
    segments: Vec<Segment>,
}

impl Path {
    /// The root of a document whose keys are spelt in `naming`.
    pub fn new(naming: Naming) -> Self {
        Self { naming, segments: Vec::new() }
    }

    /// The spelling that this path uses.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Goes down by the field that is `camel` in Ignition and `snake` in Butane.
    pub fn push_field(&mut self, camel: &'static str, snake: &'static str) {
        let key = match self.naming {
            Naming::Camel => camel,
            Naming::Snake => snake,
        };
        self.segments.push(Segment::Key(key));
    }

    /// Goes down by a key that is spelt as given.
    pub fn push_key(&mut self, key: &'static str) {
        self.segments.push(Segment::Key(key));
    }

    /// Goes down by a list index.
    pub fn push_index(&mut self, index: usize) {
        self.segments.push(Segment::Index(index));
    }

    /// Goes up by one step; nothing happens at the root.
    pub fn pop(&mut self) {
        self.segments.pop();
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// This path and `keys` below it, as text.
    pub fn join(&self, keys: &[&dyn fmt::Display]) -> String {
        let mut text = self.to_string();
        for key in keys {
            text.push('.');
            text.push_str(&key.to_string());
        }
        text
    }

    /// True when the first step is the key `key`.
    pub fn starts_with_key(&self, key: &str) -> bool {
        matches!(self.segments.first(), Some(Segment::Key(first)) if *first == key)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.segments {
            match segment {
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, ".{index}")?,
            }
        }
        Ok(())
    }
}

/// The path one step up from `path`: `$.a.0` for `$.a.0.b`, nothing for `$`.
pub fn parent(path: &str) -> Option<&str> {
    path.rfind('.').map(|end| &path[..end])
}
