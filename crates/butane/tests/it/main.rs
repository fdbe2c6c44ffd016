//! The crate's tests, one binary.

mod differences;
mod properties;
mod transpile;
mod verdicts;
