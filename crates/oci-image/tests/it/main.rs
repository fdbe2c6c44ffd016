//! Integration tests of `oci-image`.

mod peers;
mod pull;
mod serve;
mod unpack;

/// Prints why a test does nothing, in the form that all tiers use.
#[expect(clippy::print_stderr, reason = "the reason of a skipped test is for the person who runs it")]
fn skip(name: &str, reason: &str) {
    eprintln!("SKIP {name}: {reason}");
}

/// Whether the test runs as root; tells the reason where it does not.
fn is_root(name: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(name, "needs root");
    }
    root
}
