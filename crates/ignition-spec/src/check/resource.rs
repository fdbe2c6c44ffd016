//! Rules of what is fetched: URLs, headers, hashes, proxies; and of the version.

use super::{Checker, non_empty};
use crate::config::{COMPRESSIONS, HttpHeader, Ignition, IgnitionConfig, Proxy, Resource, Tls, Verification};
use crate::report::Entry;
pub use crate::rules::resource::*;
use crate::rules::text::{INVALID_VERSION, UNKNOWN_VERSION};
use crate::url::{self, Fault, Url};
use crate::version::{Spec, VersionError};

fn report(checker: &mut Checker<'_>, keys: &[&dyn std::fmt::Display], fault: Fault) {
    match fault {
        Fault::Url => checker.error(keys, INVALID_URL),
        Fault::Scheme => checker.error(keys, INVALID_SCHEME),
        Fault::Arn => checker.error(keys, S3_ARN),
        Fault::VersionId => checker.error(keys, S3_VERSION),
        Fault::Data(text) => {
            let entry = Entry::error(DATA_URL, checker.path.join(keys)).message(text);
            checker.push(entry);
        }
    }
}

/// Rules of the version.
pub fn version(ignition: &Ignition, checker: &mut Checker<'_>) {
    match Spec::parse(&ignition.version) {
        Err(VersionError::Malformed) => checker.error(&[&"version"], INVALID_VERSION),
        Ok(spec) if spec == checker.spec => {}
        _ => checker.error(&[&"version"], UNKNOWN_VERSION),
    }
}

/// Rules of references to configs.
pub fn config(config: &IgnitionConfig, checker: &mut Checker<'_>) {
    for (index, resource) in config.merge.iter().enumerate().filter(|_| checker.since(1)).collect::<Vec<_>>()
    {
        required_source(resource, &[&"merge", &index], checker);
    }
}

/// Rules of certificate authorities.
pub fn tls(tls: &Tls, checker: &mut Checker<'_>) {
    for (index, resource) in tls.certificate_authorities.iter().enumerate() {
        if checker.since(1) {
            required_source(resource, &[&"certificateAuthorities", &index], checker);
        } else if non_empty(&resource.source).is_none() {
            checker.error(&[&"certificateAuthorities", &index, &"source"], INVALID_SCHEME);
        }
    }
}

fn required_source(resource: &Resource, keys: &[&dyn std::fmt::Display], checker: &mut Checker<'_>) {
    match non_empty(&resource.source) {
        None => checker.error(keys, SOURCE_REQUIRED),
        Some(source) => {
            if let Some(fault) = url::resource_fault(source, checker.spec) {
                report(checker, keys, fault);
            }
        }
    }
}

/// Rules of a resource.
pub fn resource(resource: &Resource, checker: &mut Checker<'_>) {
    if resource.compression.as_deref().is_some_and(|method| !checker.offers(&COMPRESSIONS, method)) {
        checker.error(&[&"compression"], COMPRESSION);
    }
    // In 3.0 the references to configs and certificates had no such rule.
    let reference = checker.path.starts_with_key("ignition") && !checker.since(1);
    if resource.verification.hash.is_some() && resource.source.is_none() && !reference {
        checker.error(&[&"verification", &"hash"], VERIFICATION_SOURCE);
    }
    if let Some(fault) =
        non_empty(&resource.source).and_then(|source| url::resource_fault(source, checker.spec))
    {
        report(checker, &[&"source"], fault);
    }
    if !resource.http_headers.is_empty() {
        match non_empty(&resource.source).and_then(Url::parse) {
            None => checker.error(&[&"httpHeaders"], INVALID_URL),
            Some(url) if matches!(url.scheme.as_str(), "http" | "https") => {}
            Some(_) => checker.error(&[&"httpHeaders"], HEADERS_SCHEME),
        }
    }
}

/// Rules of a header.
pub fn header(header: &HttpHeader, checker: &mut Checker<'_>) {
    if header.name.is_empty() {
        checker.error(&[&"name"], HEADER_NAME);
    }
    if header.value.as_deref() == Some("") {
        checker.error(&[&"value"], HEADER_VALUE);
    }
}

/// Rules of a hash.
pub fn verification(verification: &Verification, checker: &mut Checker<'_>) {
    let Some(hash) = &verification.hash else { return };
    let Some((function, sum)) = hash.split_once('-') else {
        return checker.error(&[&"hash"], HASH_MALFORMED);
    };
    let hex_digits = match function {
        "sha512" => 128,
        "sha256" if checker.since(1) => 64,
        _ => return checker.error(&[&"hash"], HASH_FUNCTION),
    };
    if sum.len() != hex_digits {
        checker.error(&[&"hash"], HASH_SIZE);
    }
}

/// Rules of proxies.
pub fn proxy(proxy: &Proxy, checker: &mut Checker<'_>) {
    for (key, url, plain_is_fine) in
        [("httpProxy", &proxy.http_proxy, true), ("httpsProxy", &proxy.https_proxy, false)]
    {
        let Some(text) = url else { continue };
        match Url::parse(text).as_ref().map(|url| url.scheme.as_str()) {
            None => checker.error(&[&key], INVALID_URL),
            Some("https") => {}
            Some("http") if plain_is_fine => {}
            Some("http") => checker.warning(&[&key], PROXY_PLAIN),
            Some(_) => checker.error(&[&key], PROXY),
        }
    }
}
