//! QEMU machines and the test harness over them.
pub mod console;
