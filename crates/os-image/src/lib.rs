//! From a manifest and a lock to a tree and its disk images.
//!
//! ```text
//! orlop.toml ─ lock ─▶ packages ─▶ tree ─▶ usr.erofs ─▶ usr.verity ─▶ root hash ─▶ command line
//!                         our programs ┘                                              │
//!                         orlop-init + modules ─▶ initramfs ─▶ UKI ◀──────────────────┘
//!                                                              └▶ ESP ─▶ disk.raw ─▶ disk.qcow2
//! ```
//!
//! Principles: equal inputs give equal bytes (times come from the lock, ids from names and digests, order from sorting);
//! nothing needs root, a loop device or a chroot; packages are never unpacked or configured, their files are read from
//! their archives; a build with nothing changed does nothing.
//!
//! Modules: [`manifest`] and [`lock`] are the inputs, [`debian`] brings packages, [`tree`] makes the OS tree, [`boot`]
//! the initramfs and the UKI, [`disk`] the images, [`build`] runs all stages, [`product`] describes the result
//! (`docs/formats/image-dir.md`), [`scan`] reads a tree from a directory.

pub mod boot;
pub mod build;
pub mod content;
pub mod debian;
pub mod disk;
pub mod lock;
pub mod manifest;
pub mod pattern;
pub mod product;
pub mod scan;
mod stages;
pub mod tree;

pub use build::{BuildError, Event, Options, Stage, build, refresh_lock};
pub use product::Product;

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
