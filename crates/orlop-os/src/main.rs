//! The workstation side: build images, run machines, run tests.

fn main() {}
