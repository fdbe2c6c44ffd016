//! URLs by the rules of Go's `net/url`, as far as verdicts depend on them, and the rules for a resource's source.

use crate::dataurl;
use crate::version::Spec;

/// The parts of a URL that decide whether a config is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Scheme in lower case; empty when there is none.
    pub scheme: String,
    /// What follows the scheme when no slash does.
    pub opaque: String,
    /// Between `?` and `#`.
    pub query: String,
}

/// Why a source is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No URL.
    Url,
    /// A scheme that this spec does not fetch.
    Scheme,
    /// Not the ARN of an S3 object.
    Arn,
    /// An empty `versionId`.
    VersionId,
    /// A data URL that does not decode, and why.
    Data(String),
}

impl Url {
    /// Parses `text`; nothing when Go's parser refuses it.
    pub fn parse(text: &str) -> Option<Url> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let url = |opaque: &str| Url {
            scheme: scheme.to_ascii_lowercase(),
            opaque: opaque.into(),
            query: query.into(),
        };
        if !escapes_are_fine(fragment, &|_| true) {
            return None;
        }
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                return Some(url(rest));
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return None;
            }
        }
        let mut path = rest;
        if (!scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//") {
            let end = rest[2..].find('/').map_or(rest.len(), |slash| slash + 2);
            if !authority_is_fine(&rest[2..end]) {
                return None;
            }
            path = &rest[end..];
        }
        escapes_are_fine(path, &|_| true).then(|| url(""))
    }

    /// The first value of `name` in the query.
    fn query_value(&self, name: &str) -> Option<String> {
        self.query.split('&').filter(|pair| !pair.contains(';')).find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape_query(key)? == name).then(|| unescape_query(value)).flatten()
        })
    }
}

/// Scheme and rest; nothing when a colon comes first.
fn scheme(text: &str) -> Option<(&str, &str)> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return None,
            b':' => return Some((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

/// True when each `%` starts an escape and `allowed` takes every other ASCII byte.
fn escapes_are_fine(text: &str, allowed: &dyn Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == b'%' {
            let digits = bytes.get(index + 1..index + 3);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return false;
            }
            index += 3;
        } else if bytes[index] < 0x80 && !allowed(bytes[index]) {
            return false;
        } else {
            index += 1;
        }
    }
    true
}

fn authority_is_fine(authority: &str) -> bool {
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let user_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if user.is_some_and(|user| !user.bytes().all(user_byte) || !escapes_are_fine(user, &|_| true)) {
        return false;
    }
    if let Some(inner) = host.strip_prefix('[') {
        let Some((address, port)) = inner.rsplit_once(']') else { return false };
        let address = address.split_once("%25").map_or(address, |(address, _zone)| address);
        return port_is_fine(port) && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
    port_is_fine(port) && host_is_fine(name)
}

/// An empty port, or a colon and digits.
fn port_is_fine(port: &str) -> bool {
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn host_is_fine(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
    // An escape may stand for a byte beyond ASCII or for a percent sign.
    let escapes = host.match_indices('%').all(|(at, _)| {
        let digit = host.as_bytes().get(at + 1).copied().unwrap_or_default();
        host[at..].starts_with("%25") || matches!(digit, b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F')
    });
    escapes && escapes_are_fine(host, &allowed)
}

fn unescape_query(text: &str) -> Option<String> {
    escapes_are_fine(text, &|_| true).then(|| {
        let bytes = dataurl::percent_decode(text.replace('+', " ").as_bytes());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    })
}

/// What is wrong with the source of a resource in a config of `spec`.
pub fn resource_fault(source: &str, spec: Spec) -> Option<Fault> {
    let Some(url) = Url::parse(source) else { return Some(Fault::Url) };
    let since = |minor| spec.minor_number() >= minor;
    let version = || (url.query_value("versionId").as_deref() == Some("")).then_some(Fault::VersionId);
    match url.scheme.as_str() {
        "http" | "https" | "tftp" => None,
        "s3" => version(),
        "gs" if since(2) => None,
        "arn" if since(4) => arn_fault(&url).or_else(version),
        "data" => dataurl::decode(source).err().map(|fault| Fault::Data(fault.to_string())),
        _ => Some(Fault::Scheme),
    }
}

/// `arn:PARTITION:s3:REGION:ACCOUNT:RESOURCE`, the resource with a slash, an access point's with two.
fn arn_fault(url: &Url) -> Option<Fault> {
    let sections: Vec<&str> = url.opaque.splitn(5, ':').collect();
    let [_, "s3", _, _, resource] = sections[..] else { return Some(Fault::Arn) };
    let slashes = url.opaque.matches('/').count();
    let needed = if resource.starts_with("accesspoint/") { 2 } else { 1 };
    (slashes < needed).then_some(Fault::Arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_urls_get_gos_verdict() {
        for text in
            ["http://a/%zz", ":x", "http://[::1", "http://a:b/", "a b:c/d:", "http://a b/", "http://a/\u{1}"]
        {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        for text in
            ["", "http://[::1]:80/x", "http://user:pw@host/p?q#f", "data:,%zz", "x y", "mailto:a%", "//h/p"]
        {
            assert!(Url::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn sources_depend_on_the_spec() {
        let fault = |source, minor| resource_fault(source, Spec::minor(minor).unwrap());
        assert_eq!(fault("gs://b/o", 1), Some(Fault::Scheme));
        assert_eq!(fault("gs://b/o", 2), None);
        assert_eq!(fault("arn:aws:s3:::b/o", 3), Some(Fault::Scheme));
        assert_eq!(fault("arn:aws:s3:::b/o", 4), None);
        assert_eq!(fault("arn:aws:s3:::b", 4), Some(Fault::Arn));
        assert_eq!(fault("arn:aws:s3:r:1:accesspoint/n", 4), Some(Fault::Arn));
        assert_eq!(fault("s3://b/o?versionId=", 4), Some(Fault::VersionId));
    }
}
