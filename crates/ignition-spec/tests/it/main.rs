//! Integration tests of `ignition-spec`.
#![allow(clippy::print_stderr, reason = "tests say what they skip and measure")]

mod merging;
mod properties;
mod verdicts;
