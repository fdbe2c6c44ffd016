//! The kernel interfaces that no safe library gives: the one crate with `unsafe`.
