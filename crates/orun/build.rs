//! Link flags for size: the binary is read anew for each container, and its bytes are its start-up time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relative relocations as a bitmap (glibc 2.36) instead of 24 bytes each.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // Functions with the same code once; nothing here compares addresses of functions.
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
}
