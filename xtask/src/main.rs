//! Every automation of the repository.

fn main() {}
