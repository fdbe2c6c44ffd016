//! Integration tests of `pod`.

mod spec;
