//! What tests are given: setups from Butane, comparisons that tell.

use butane::{Options, Source};
use sha2::{Digest as _, Sha256};
use vm::harness::{Failure, Setup, TestResult};

/// A machine made from a Butane text, which its errors call `test.bu`.
pub(crate) fn butane(text: &str) -> Result<Setup, Failure> {
    let output = butane::transpile(text.as_bytes(), &Options::default())?;
    let source = Source {
        config_sha256: Sha256::digest(&output.json).iter().map(|byte| format!("{byte:02x}")).collect(),
        file: "test.bu".into(),
        text: text.to_owned(),
        map: output.map,
    };
    Ok(Setup { source_map: Some(butane::map::encode(&[source])), ..Setup::with_config(output.json) })
}

/// Fails unless both are equal.
pub(crate) fn same(what: &str, found: impl AsRef<str>, expected: &str) -> TestResult {
    let found = found.as_ref();
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}").into())
    }
}

/// Fails unless the text has the part.
pub(crate) fn holds(what: &str, text: &str, part: &str) -> TestResult {
    if text.contains(part) { Ok(()) } else { Err(format!("{what}: {part:?} is not in\n{text}").into()) }
}
