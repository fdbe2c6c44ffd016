//! Pods and images on a machine, without a daemon.

fn main() {}
