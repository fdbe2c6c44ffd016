//! The front door: a table of verbs, each naming the program that does it.

fn main() {}
