//! Configs: transpile, validate, plan, explain. Also answers to `butane` and `ignition-validate`.

fn main() {}
