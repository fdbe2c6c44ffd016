//! Integration tests of `butane`.
#![allow(clippy::print_stderr, reason = "tests say what they skip and measure")]

mod differences;
mod fields;
mod orlop;
mod properties;
mod transpile;
mod verdicts;
