//! Names of images, by the rules of the distribution project's `reference` grammar and docker's normalisation:
//! `busybox` means `docker.io/library/busybox:latest`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A repository path is at most so long (distribution/reference `NameTotalLengthMax`).
const NAME_BYTES_MAX: usize = 255;
/// A tag is at most so long (distribution-spec, "Pulling manifests").
const TAG_BYTES_MAX: usize = 128;

/// Where an image is to be found: registry, repository, and a tag or a digest or both (then the digest decides).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Host and port of the registry: `docker.io`, `localhost`, `10.0.2.2:5000`.
    pub registry: String,
    /// Path of the repository: `library/busybox`.
    pub repository: String,
    /// The tag; `latest` if neither tag nor digest was given.
    pub tag: Option<String>,
    /// The manifest's digest.
    pub digest: Option<Digest>,
}

/// Text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the name of an image: {why}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl Reference {
    /// `registry/repository` without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What to ask a registry for: the digest, else the tag.
    #[must_use]
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError { text: text.chars().take(300).collect(), why })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            (rest, Some(digest.parse::<Digest>().map_err(|_| "the part after @ is no digest")?))
        }
        None => (text, None),
    };
    let (name, tag) = match rest.rfind(':') {
        // A colon before the last slash belongs to the registry's port.
        Some(colon) if !rest[colon..].contains('/') => (&rest[..colon], Some(&rest[colon + 1..])),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has 1-128 letters, digits, _ . - and does not begin with . or -");
    }
    let (registry, repository) = split_registry(name);
    if !is_host(&registry) {
        return Err("the registry is no host name with an optional port");
    }
    if repository.len() + registry.len() > NAME_BYTES_MAX {
        return Err("it is longer than 255 bytes");
    }
    if !repository.split('/').all(is_component) {
        return Err("each part of the path has lower-case letters and digits, joined by . _ __ or -");
    }
    let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Reference { registry, repository, tag, digest })
}

/// The first part is a registry if it looks like a host: it has a dot or a colon, or is `localhost`.
fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", name),
    };
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    let official = registry == "docker.io" && !repository.contains('/');
    let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
    (registry.to_owned(), repository)
}

fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let rest = tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    first && rest && tag.len() <= TAG_BYTES_MAX
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, port)) => {
            let sound = inner.parse::<std::net::Ipv6Addr>().is_ok();
            (if sound { "v6" } else { "" }, port.strip_prefix(':').or(port.is_empty().then_some("1")))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("1")),
        },
    };
    let label = |label: &str| {
        let sound = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !label.is_empty() && sound && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// `[a-z0-9]+(([._]|__|[-]+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(|b| word(*b)) || !bytes.last().is_some_and(|b| word(*b)) {
        return false;
    }
    bytes.split(|b| word(*b)).all(|joint| match joint {
        [] | b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|b| *b == b'-'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_as_docker_does() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let table = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("user/app", "docker.io/user/app:latest"),
            ("index.docker.io/app", "docker.io/library/app:latest"),
            ("localhost/web:1", "localhost/web:1"),
            ("localhost:5000/web", "localhost:5000/web:latest"),
            ("quay.io/a/b/c:x_y", "quay.io/a/b/c:x_y"),
            ("[::1]:5000/web:1", "[::1]:5000/web:1"),
            ("docker://10.0.2.2:5000/a__b/c--d", "10.0.2.2:5000/a__b/c--d:latest"),
        ];
        for (text, full) in table {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full, "{text}");
        }
        let both: Reference = format!("web:1@{digest}").parse().unwrap();
        assert_eq!(both.selector(), digest);
        assert_eq!(both.to_string(), format!("docker.io/library/web:1@{digest}"));
        let pinned: Reference = format!("web@{digest}").parse().unwrap();
        assert_eq!(pinned.tag, None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a/".repeat(200) + "b";
        for text in [
            "",
            "Web",
            "web:",
            "web:.x",
            "a//b",
            "../x",
            "a/../b",
            "web@sha256:12",
            "localhost:x/a",
            "-a.b/c",
            "a___b",
            &long,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
