//! The certificate bundle that Debian's `update-ca-certificates` would make: all of `ca-certificates`, sorted by path.

use super::{Builder, TreeError};

const SOURCE: &str = "usr/share/ca-certificates";
const BUNDLE: &str = "usr/etc/ssl/certs/ca-certificates.crt";

/// Replaces the single certificates by one bundle.
pub(super) fn bundle(builder: &mut Builder) -> Result<(), TreeError> {
    let mut text = Vec::new();
    for path in builder.files_below(SOURCE) {
        if path.ends_with(".crt")
            && let Some(bytes) = builder.read(&path)?
        {
            text.extend_from_slice(&bytes);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
    }
    builder.tree.remove(Builder::inner(SOURCE));
    let content = builder.contents.memory(text);
    builder.file(BUNDLE, 0o644, content).map(|_| ())
}
