//! PID 1 of the initramfs: opens `/usr`, provisions, switches root.

fn main() {}
