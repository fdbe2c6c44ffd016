//! `orun` as callers use it: real bundles with busybox. Tests that need root or busybox say when they are skipped.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod harness;

mod compare;
mod config;
mod crash;
mod exec;
mod file_system;
mod hooks;
mod lifecycle;
mod limits;
mod namespaces;
mod safety;
mod terminal;
