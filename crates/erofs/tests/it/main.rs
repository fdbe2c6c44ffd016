//! Integration tests of the crate, in one binary.

#![expect(
    clippy::print_stdout,
    reason = "reasons of skipped tests and measured ratios go to the test's output"
)]

mod peers;
mod properties;
mod sample;
mod scan;
mod stability;
mod tools;
