//! From a manifest and a lock to a tree and its disk images.

pub mod tree;
