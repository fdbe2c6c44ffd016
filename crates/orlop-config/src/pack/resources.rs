//! The forms of embedded contents: text, base64, gzip.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ignition_spec::config::Resource;
use ignition_spec::{Config, Spec, dataurl};

use super::PackError;

/// What `"compression":"gzip"` adds to a resource, in bytes.
const GZIP_COST_BYTES: usize = 21;

/// Gives each embedded content its shortest form.
pub fn shorten(config: &mut Config, spec: Spec) -> Result<(), PackError> {
    each(config, &mut |resource, path, reference| {
        let Some(content) = content(resource, path)? else { return Ok(()) };
        let (plain, base64) = (text_url(&content), base64_url(&content));
        let shortest = if plain.len() <= base64.len() { plain } else { base64 };
        let packed = base64_url(&gzip(&content));
        // References have a compression since 3.1.
        if packed.len() + GZIP_COST_BYTES < shortest.len() && !(reference && spec == Spec::OLDEST) {
            set(resource, packed, true);
        } else {
            set(resource, shortest, false);
        }
        Ok(())
    })
}

/// Makes each embedded content plain text.
pub fn unpack(config: &mut Config) -> Result<(), PackError> {
    each(config, &mut |resource, path, _| {
        if let Some(content) = content(resource, path)? {
            set(resource, text_url(&content), false);
        }
        Ok(())
    })
}

/// Makes each embedded content plain text without a word about compression: for comparing.
pub fn normalise(config: &mut Config) -> Result<(), PackError> {
    each(config, &mut |resource, path, _| {
        if let Some(content) = content(resource, path)? {
            resource.source = Some(text_url(&content));
            resource.compression = None;
        }
        Ok(())
    })
}

/// A compression that was given stays given: an empty one keeps a parent's from being inherited.
fn set(resource: &mut Resource, source: String, gzip: bool) {
    resource.source = Some(source);
    resource.compression = match (gzip, &resource.compression) {
        (true, _) => Some("gzip".into()),
        (false, None) => None,
        (false, Some(_)) => Some(String::new()),
    };
}

/// The embedded content of `resource`; nothing where it has to be fetched.
fn content(resource: &Resource, path: &str) -> Result<Option<Vec<u8>>, PackError> {
    let Some(Ok(bytes)) = resource.source.as_deref().map(dataurl::decode) else { return Ok(None) };
    if resource.compression.as_deref() != Some("gzip") {
        return Ok(Some(bytes));
    }
    let mut out = Vec::new();
    match GzDecoder::new(bytes.as_slice()).read_to_end(&mut out) {
        Ok(_) => Ok(Some(out)),
        Err(source) => Err(PackError::Gzip { path: path.to_owned(), source }),
    }
}

type Visit<'v> = dyn FnMut(&mut Resource, &str, bool) -> Result<(), PackError> + 'v;

/// Visits every resource, with its path and whether it is a reference below `ignition`.
fn each(config: &mut Config, visit: &mut Visit<'_>) -> Result<(), PackError> {
    let ignition = &mut config.ignition;
    for (at, resource) in ignition.config.merge.iter_mut().enumerate() {
        visit(resource, &format!("$.ignition.config.merge.{at}"), true)?;
    }
    visit(&mut ignition.config.replace, "$.ignition.config.replace", true)?;
    for (at, resource) in ignition.security.tls.certificate_authorities.iter_mut().enumerate() {
        visit(resource, &format!("$.ignition.security.tls.certificateAuthorities.{at}"), true)?;
    }
    for (at, luks) in config.storage.luks.iter_mut().enumerate() {
        visit(&mut luks.key_file, &format!("$.storage.luks.{at}.keyFile"), false)?;
    }
    for (at, file) in config.storage.files.iter_mut().enumerate() {
        visit(&mut file.contents, &format!("$.storage.files.{at}.contents"), false)?;
        for (index, resource) in file.append.iter_mut().enumerate() {
            visit(resource, &format!("$.storage.files.{at}.append.{index}"), false)?;
        }
    }
    Ok(())
}

/// `content` as gzip, as small as it gets, the same bytes at every run.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(content);
    encoder.finish().unwrap_or_default()
}

/// A data URL in base64.
pub fn base64_url(content: &[u8]) -> String {
    format!("data:;base64,{}", STANDARD.encode(content))
}

/// A data URL in percent-encoding (RFC 2397, RFC 3986).
pub fn text_url(content: &[u8]) -> String {
    let mut out = String::from("data:,");
    for byte in content {
        if byte.is_ascii_alphanumeric() || b"-_.~/:=,;@".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
