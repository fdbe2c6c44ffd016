//! The reader. Everything in an image is checked before it is used: an image may come from anywhere.

mod dir;
mod error;
mod file;
mod fuzz;
mod image;
mod inode;
mod map;

pub use dir::Entry;
pub use error::ReadError;
pub use file::FileReader;
pub use fuzz::fuzz_image;
pub use image::{Image, ReadAt};
pub use inode::{Inode, InodeKind};
