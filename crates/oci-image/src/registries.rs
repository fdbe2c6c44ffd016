//! Where a registry really is: containers-registries.conf(5), version 2.
//!
//! Read: `[[registry]]` with `prefix`, `location`, `insecure`, `blocked`, `mirror-by-digest-only` and
//! `[[registry.mirror]]` with `location`, `insecure`, `pull-from-mirror`. Short names are completed as docker does
//! ([`crate::reference`]), so `unqualified-search-registries`, `short-name-mode` and `[aliases]` are not used.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::reference::Reference;

/// All rules of a machine, the main file's first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Rule {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Pull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pull {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

/// One place to ask for an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host and port.
    pub host: String,
    /// Repository on that host.
    pub repository: String,
    /// HTTP, and TLS with any certificate, will do.
    pub insecure: bool,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

/// Why the rules cannot be used, or forbid an image.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// A file cannot be read.
    #[error("cannot read {path:?}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not TOML, or a member has another type.
    #[error("{path:?} is not a registries.conf of version 2")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A rule without `prefix` and `location`, or with a prefix that can match nothing.
    #[error("{path:?}: a [[registry]] needs a location, or a prefix of the form *.example.com")]
    BadRule {
        /// Which file.
        path: PathBuf,
    },
    /// A rule says that nothing may be fetched from there.
    #[error("{name} is blocked by the rule for {prefix} in registries.conf")]
    Blocked {
        /// Which image.
        name: String,
        /// The rule.
        prefix: String,
    },
}

impl Registries {
    /// The rules of the machine below `root`: `etc/containers/registries.conf`, then `registries.conf.d/*.conf`
    /// by name; a later rule replaces an earlier one with the same prefix.
    ///
    /// # Errors
    /// [`RegistriesError`]; missing files are no error.
    pub fn load(root: &Path) -> Result<Self, RegistriesError> {
        let main = root.join("etc/containers/registries.conf");
        let dropins = root.join("etc/containers/registries.conf.d");
        let mut files: Vec<PathBuf> = match std::fs::read_dir(&dropins) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(RegistriesError::Io { path: dropins, source }),
        };
        files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        files.insert(0, main);
        let mut registries = Self::default();
        for path in files {
            match std::fs::read_to_string(&path) {
                Ok(text) => registries.add(&text, &path)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(RegistriesError::Io { path, source }),
            }
        }
        Ok(registries)
    }

    /// Adds the rules in `text`; `path` is for messages.
    ///
    /// # Errors
    /// [`RegistriesError::Malformed`], [`RegistriesError::BadRule`].
    pub fn add(&mut self, text: &str, path: &Path) -> Result<(), RegistriesError> {
        #[derive(Deserialize)]
        struct Shape {
            #[serde(default)]
            registry: Vec<Rule>,
        }
        let malformed = |source| RegistriesError::Malformed { path: path.to_owned(), source };
        let shape: Shape = toml::from_str(text).map_err(malformed)?;
        for mut rule in shape.registry {
            if rule.prefix.is_empty() {
                rule.prefix.clone_from(&rule.location);
            }
            let wildcard = rule.prefix.strip_prefix("*.").is_some_and(|rest| !rest.is_empty());
            if rule.prefix.is_empty() || (rule.location.is_empty() && !wildcard && !rule.blocked) {
                return Err(RegistriesError::BadRule { path: path.to_owned() });
            }
            self.rules.retain(|other| other.prefix != rule.prefix);
            self.rules.push(rule);
        }
        Ok(())
    }

    /// Where to ask for an image, in order: the mirrors of the rule with the longest prefix, then its location.
    ///
    /// # Errors
    /// [`RegistriesError::Blocked`].
    pub fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, RegistriesError> {
        let name = reference.name();
        let fits = |rule: &&Rule| matched(&rule.prefix, &name).is_some();
        let Some(rule) = self.rules.iter().filter(fits).max_by_key(|rule| rule.prefix.len()) else {
            return Ok(vec![endpoint(&name, false)]);
        };
        if rule.blocked {
            return Err(RegistriesError::Blocked { name, prefix: rule.prefix.clone() });
        }
        let matched = matched(&rule.prefix, &name).unwrap_or_default();
        let by_digest = reference.digest.is_some();
        let wanted = |mirror: &&Mirror| match mirror.pull_from_mirror {
            Pull::All => by_digest || !rule.mirror_by_digest_only,
            Pull::DigestOnly => by_digest,
            Pull::TagOnly => !by_digest,
        };
        let rewritten = |location: &str| format!("{location}{}", &name[matched..]);
        let mut all: Vec<Endpoint> = rule
            .mirrors
            .iter()
            .filter(wanted)
            .map(|mirror| endpoint(&rewritten(&mirror.location), mirror.insecure))
            .collect();
        let own = if rule.location.is_empty() { name.clone() } else { rewritten(&rule.location) };
        all.push(endpoint(&own, rule.insecure));
        Ok(all)
    }
}

/// How many bytes of `name` the prefix stands for: it ends at `/`, `:` or the end. A wildcard stands for a host.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix("*.") {
        let host = name.split('/').next()?;
        let bare = host.split(':').next()?;
        let below = bare.strip_suffix(domain)?.ends_with('.');
        return below.then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':'])).then_some(prefix.len())
}

/// `host/path` taken apart. Docker's own name is not where its registry answers.
fn endpoint(name: &str, insecure: bool) -> Endpoint {
    let (host, repository) = name.split_once('/').unwrap_or((name, ""));
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    Endpoint { host: host.to_owned(), repository: repository.to_owned(), insecure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(conf: &str, name: &str) -> Vec<String> {
        let mut registries = Registries::default();
        registries.add(conf, Path::new("registries.conf")).unwrap();
        let endpoints = registries.endpoints(&name.parse().unwrap()).unwrap();
        endpoints
            .iter()
            .map(|found| format!("{found}{}", if found.insecure { " insecure" } else { "" }))
            .collect()
    }

    #[test]
    fn without_a_rule_the_name_is_the_place() {
        assert_eq!(places("", "quay.io/a/b"), ["quay.io/a/b"]);
        assert_eq!(places("", "busybox"), ["registry-1.docker.io/library/busybox"]);
    }

    #[test]
    fn a_prefix_is_rewritten_at_boundaries_only() {
        let conf = "[[registry]]\nprefix = \"localhost\"\nlocation = \"10.0.2.2:5000\"\ninsecure = true\n";
        assert_eq!(places(conf, "localhost/web:1"), ["10.0.2.2:5000/web insecure"]);
        assert_eq!(places(conf, "localhost:80/web"), ["10.0.2.2:5000:80/web insecure"]);
        assert_eq!(places(conf, "localhost.example/web"), ["localhost.example/web"]);
    }

    #[test]
    fn the_longest_prefix_wins_and_its_mirrors_come_first() {
        let conf = r#"
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.example/hub"
            [[registry.mirror]]
            location = "digests.example"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "docker.io/team"
            location = "team.example/x"
            [[registry]]
            prefix = "*.corp.example"
            insecure = true
        "#;
        assert_eq!(
            places(conf, "busybox"),
            ["mirror.example/hub/library/busybox", "registry-1.docker.io/library/busybox"]
        );
        assert_eq!(places(conf, "team/app"), ["team.example/x/app"]);
        assert_eq!(places(conf, "a.b.corp.example:5000/app"), ["a.b.corp.example:5000/app insecure"]);
        let pinned = format!("busybox@sha256:{}", "0".repeat(64));
        assert_eq!(places(conf, &pinned).len(), 3);
    }

    #[test]
    fn blocked_and_broken_rules_are_named() {
        let mut registries = Registries::default();
        let path = Path::new("x.conf");
        registries.add("[[registry]]\nprefix = \"bad.example\"\nblocked = true\n", path).unwrap();
        let error = registries.endpoints(&"bad.example/a".parse().unwrap()).unwrap_err();
        assert!(matches!(error, RegistriesError::Blocked { .. }));
        assert!(matches!(
            registries.add("[[registry]]\ninsecure = true\n", path),
            Err(RegistriesError::BadRule { .. })
        ));
        assert!(matches!(registries.add("[[registry]", path), Err(RegistriesError::Malformed { .. })));
    }
}
