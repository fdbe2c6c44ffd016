//! QEMU machines and the test harness over them.
