//! Integration tests of `ignition-spec`.
#![allow(clippy::print_stderr, reason = "tests say what they skip and measure")]

mod fields;
mod json_schema;
mod merging;
mod peer;
mod properties;
mod rules;
mod sample;
mod schema_checker;
mod verdicts;
