//! Credentials (containers-auth.json(5)) and challenges (RFC 9110 section 11.6.1, distribution's token protocol).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;

use crate::registries::Endpoint;

/// User names and passwords by registry or repository.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Key as written (`quay.io`, `quay.io/team`) to `user:password`.
    by_prefix: BTreeMap<String, String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Passwords stay out of logs.
        f.debug_list().entries(self.by_prefix.keys()).finish()
    }
}

/// A credentials file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read the credentials in {path:?}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what containers-auth.json(5) describes.
    #[error("{path:?} is no auth.json")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

impl Credentials {
    /// The credentials of the machine below `root`: `run/containers/0/auth.json`, `etc/containers/auth.json`,
    /// `root/.config/containers/auth.json`, `root/.docker/config.json`; the first that names a registry counts.
    ///
    /// # Errors
    /// [`CredentialsError`]; missing files are no error.
    pub fn load(root: &Path) -> Result<Self, CredentialsError> {
        let files = [
            "root/.docker/config.json",
            "root/.config/containers/auth.json",
            "etc/containers/auth.json",
            "run/containers/0/auth.json",
        ];
        let mut all = Self::default();
        for path in files.map(|file| root.join(file)) {
            match std::fs::read(&path) {
                Ok(bytes) => all.add(&bytes, &path)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(CredentialsError::Io { path, source }),
            }
        }
        Ok(all)
    }

    /// Adds the credentials of one file's bytes, in place of earlier ones; `path` is for messages.
    ///
    /// # Errors
    /// [`CredentialsError::Malformed`].
    pub fn add(&mut self, bytes: &[u8], path: &Path) -> Result<(), CredentialsError> {
        #[derive(Deserialize)]
        struct Shape {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            auth: String,
        }
        let malformed = |source| CredentialsError::Malformed { path: path.to_owned(), source };
        let shape: Shape = serde_json::from_slice(bytes).map_err(malformed)?;
        for (key, entry) in shape.auths {
            let decoded =
                base64::engine::general_purpose::STANDARD.decode(entry.auth.trim()).unwrap_or_default();
            let pair = String::from_utf8(decoded).unwrap_or_default();
            if pair.contains(':') {
                self.by_prefix.insert(plain_key(&key), pair.trim_end_matches('\0').to_owned());
            }
        }
        Ok(())
    }

    /// `user:password` for an endpoint: of the longest key that is a prefix of `host/repository`.
    #[must_use]
    pub fn find(&self, endpoint: &Endpoint) -> Option<&str> {
        let host = if endpoint.host == "registry-1.docker.io" { "docker.io" } else { &endpoint.host };
        let mut key = format!("{host}/{}", endpoint.repository);
        loop {
            if let Some(pair) = self.by_prefix.get(&key) {
                return Some(pair);
            }
            key.truncate(key.rfind('/')?);
        }
    }
}

/// docker writes `https://index.docker.io/v1/` where it means `docker.io`.
fn plain_key(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    match key {
        "index.docker.io/v1" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        key => key.to_owned(),
    }
}

/// The value of an `Authorization` header for `user:password`.
#[must_use]
pub fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// What a server wants before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A user and a password.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where it is to be had.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

/// Reads a `WWW-Authenticate` header; none if it wants something that is not done here.
#[must_use]
pub fn parse_challenge(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut values = parameters(rest);
    let realm = values.remove("realm")?;
    Some(Challenge::Bearer { realm, service: values.remove("service"), scope: values.remove("scope") })
}

/// `key="value"` pairs; a comma inside of quotes belongs to the value.
fn parameters(mut rest: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        all.insert(key, value.trim().to_owned());
        rest = after;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read() {
        let header =
            r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#;
        assert_eq!(
            parse_challenge(header),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".into(),
                service: Some("reg".into()),
                scope: Some("repository:a/b:pull,push".into()),
            })
        );
        assert_eq!(parse_challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(parse_challenge("Negotiate"), None);
        assert_eq!(parse_challenge("Bearer"), None);
    }

    #[test]
    fn the_nearest_credentials_count_and_stay_out_of_logs() {
        let mut credentials = Credentials::default();
        let text = r#"{"auths":{"quay.io":{"auth":"YTox"},"quay.io/team":{"auth":"Yjoy"},"https://index.docker.io/v1/":{"auth":"Yzoz"},"x":{}}}"#;
        credentials.add(text.as_bytes(), Path::new("auth.json")).unwrap();
        let find = |host: &str, repository: &str| {
            let endpoint = Endpoint { host: host.into(), repository: repository.into(), insecure: false };
            credentials.find(&endpoint).map(str::to_owned)
        };
        assert_eq!(find("quay.io", "other/app").as_deref(), Some("a:1"));
        assert_eq!(find("quay.io", "team/app").as_deref(), Some("b:2"));
        assert_eq!(find("registry-1.docker.io", "library/a").as_deref(), Some("c:3"));
        assert_eq!(find("x", "a"), None);
        assert!(!format!("{credentials:?}").contains("a:1"));
        assert_eq!(basic("a:1"), "Basic YTox");
    }
}
