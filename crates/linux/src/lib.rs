//! The kernel interfaces that no safe library gives: the one crate with `unsafe`.
//!
//! Each module wraps one interface, names its header or man page, and builds its arguments by pure functions.
//!
//! - [`disk`]: partitions, sizes, ext4 growth
//! - [`dm`]: device mapper
//! - [`session`]: programs with a session and a terminal of their own

pub mod disk;
pub mod dm;
pub mod session;
