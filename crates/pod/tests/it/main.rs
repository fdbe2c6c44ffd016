//! Integration tests of `pod`.

mod docs;
mod spec;
