//! The machine's side of an administrator's commands.

fn main() {}
