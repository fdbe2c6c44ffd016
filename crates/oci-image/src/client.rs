//! A registry over HTTP (distribution-spec 1.1, "Pull").
//!
//! One client asks one endpoint. It answers challenges (Basic, Bearer tokens, which are kept and renewed), follows
//! redirects without leaking credentials to another host, and asks for the rest of a blob by `Range`. Whether an
//! error is worth another try is told by [`Transient`]; the trying is the puller's.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

use crate::auth::{self, Challenge, Credentials};
use crate::manifest::{DOCUMENT_BYTES_MAX, Descriptor, media};
use crate::registries::Endpoint;
use crate::source::{BlobStream, RawDocument, Source, Transient};

/// A host that does not take a connection in this time is down.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// A server has this long to begin its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A connection that gives nothing for this long is lost; a slow one that gives a little is not.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Redirects followed for one request.
const REDIRECTS_MAX: u32 = 5;

/// Why a registry does not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, no TLS, no HTTP.
    #[error("cannot reach {url}")]
    Transport {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server answered with an error.
    #[error("{url} answered {status}{}", .message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Status {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
        /// What the registry says about it.
        message: Option<String>,
    },
    /// The server wants credentials that there are none for, or does not take them.
    #[error("{url} wants credentials{}", if *.given { " and does not take those from auth.json" } else { "; none are in auth.json" })]
    Unauthorized {
        /// What was asked for.
        url: String,
        /// Whether there were some.
        given: bool,
    },
    /// The token server's answer has no token.
    #[error("{url} gave no token")]
    NoToken {
        /// The token server.
        url: String,
    },
    /// A document is too large.
    #[error("{url} gave more than {DOCUMENT_BYTES_MAX} bytes where a manifest was expected")]
    TooLarge {
        /// What was asked for.
        url: String,
    },
    /// The roots of trust cannot be read.
    #[error("cannot read the certificates in {path:?}")]
    Roots {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Transient for ClientError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !matches!(
                **source,
                ureq::Error::BadUri(_)
                    | ureq::Error::Tls(_)
                    | ureq::Error::Rustls(_)
                    | ureq::Error::TooManyRedirects
            ),
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

impl ClientError {
    /// Whether the registry says that there is no such image.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }
}

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM bundle of the authorities to trust.
    pub roots: PathBuf,
    /// User names and passwords.
    pub credentials: Credentials,
    /// Who resolves names.
    pub resolver: resolve::Resolver,
}

impl Options {
    /// Options of the machine below `root`.
    ///
    /// # Errors
    /// [`auth::CredentialsError`] where an auth.json is broken.
    pub fn load(root: &Path) -> Result<Self, auth::CredentialsError> {
        Ok(Self {
            roots: root.join("etc/ssl/certs/ca-certificates.crt"),
            credentials: Credentials::load(root)?,
            resolver: resolve::Resolver::at(root),
        })
    }
}

/// Asks one endpoint.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    endpoint: Endpoint,
    credentials: Option<String>,
    scheme: Mutex<Scheme>,
    authorization: Mutex<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    /// An insecure endpoint that was not asked yet: HTTPS first, HTTP if that is not spoken.
    Either,
    Http,
}

impl Client {
    /// A client of `endpoint`.
    ///
    /// # Errors
    /// [`ClientError::Roots`] where the bundle is broken; a missing one is told when TLS is needed.
    pub fn new(endpoint: &Endpoint, options: &Options) -> Result<Self, ClientError> {
        let roots = if endpoint.insecure { Vec::new() } else { read_roots(&options.roots)? };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .disable_verification(endpoint.insecure)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS_MAX)
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_per_read(Some(STALL_LIMIT))
            .user_agent(concat!("orlop/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        let resolver = resolve::HttpResolver { resolver: options.resolver.clone() };
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            credentials: options.credentials.find(endpoint).map(str::to_owned),
            endpoint: endpoint.clone(),
            scheme: Mutex::new(if endpoint.insecure { Scheme::Either } else { Scheme::Https }),
            authorization: Mutex::default(),
        })
    }

    /// Whom it asks.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// GET below the repository, with a challenge answered once.
    fn get(&self, path: &str, headers: &[(&str, String)]) -> Result<Response<Body>, ClientError> {
        let response = self.get_any_scheme(path, headers)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.checked(path, response);
        }
        self.answer_challenge(path, &response)?;
        drop(response);
        let response = self.get_any_scheme(path, headers)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized(path));
        }
        self.checked(path, response)
    }

    /// GET over HTTPS, or over HTTP where the endpoint is insecure and speaks no TLS.
    fn get_any_scheme(&self, path: &str, headers: &[(&str, String)]) -> Result<Response<Body>, ClientError> {
        let scheme = *self.scheme.lock().unwrap_or_else(PoisonError::into_inner);
        if scheme != Scheme::Either {
            return self.get_once(scheme, path, headers);
        }
        let (scheme, result) = match self.get_once(Scheme::Https, path, headers) {
            Ok(response) => (Scheme::Https, Ok(response)),
            Err(first) => match self.get_once(Scheme::Http, path, headers) {
                Ok(response) => (Scheme::Http, Ok(response)),
                // Which of the two is meant to work is not known: the plain one names the cause best.
                Err(ClientError::Transport { url, source }) => {
                    tracing::debug!(error = %first, "HTTPS failed too");
                    return Err(ClientError::Transport { url, source });
                }
                Err(other) => return Err(other),
            },
        };
        *self.scheme.lock().unwrap_or_else(PoisonError::into_inner) = scheme;
        result
    }

    fn get_once(
        &self,
        scheme: Scheme,
        path: &str,
        headers: &[(&str, String)],
    ) -> Result<Response<Body>, ClientError> {
        let url = self.url(scheme, path);
        let mut request = self.agent.get(&url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(value) = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            request = request.header(header::AUTHORIZATION, value);
        }
        tracing::debug!(url, "GET");
        request.call().map_err(|source| ClientError::Transport { url, source: Box::new(source) })
    }

    fn url(&self, scheme: Scheme, path: &str) -> String {
        let scheme = if scheme == Scheme::Http { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}/{path}", self.endpoint.host, self.endpoint.repository)
    }

    /// The URL as far as it is known, for messages.
    fn shown(&self, path: &str) -> String {
        self.url(*self.scheme.lock().unwrap_or_else(PoisonError::into_inner), path)
    }

    fn checked(&self, path: &str, mut response: Response<Body>) -> Result<Response<Body>, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.body_mut().with_config().limit(8 << 10).read_to_string().unwrap_or_default();
        Err(ClientError::Status {
            url: self.shown(path),
            status: status.as_u16(),
            message: registry_message(&text),
        })
    }

    fn unauthorized(&self, path: &str) -> ClientError {
        ClientError::Unauthorized { url: self.shown(path), given: self.credentials.is_some() }
    }

    /// Gets what the server wants and keeps it for the requests that follow.
    fn answer_challenge(&self, path: &str, response: &Response<Body>) -> Result<(), ClientError> {
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge = headers.iter().filter_map(|value| auth::parse_challenge(value.to_str().ok()?)).next();
        let value = match challenge {
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.endpoint.repository));
                format!("Bearer {}", self.token(&realm, service.as_deref(), &scope)?)
            }
            Some(Challenge::Basic) => {
                auth::basic(self.credentials.as_deref().ok_or_else(|| self.unauthorized(path))?)
            }
            None => return Err(self.unauthorized(path)),
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    /// A token of the token server (distribution's "Token Authentication Specification").
    fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Shape {
            token: Option<String>,
            access_token: Option<String>,
        }
        let url = realm.to_owned();
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = service {
            request = request.query("service", service);
        }
        if let Some(pair) = &self.credentials {
            request = request.header(header::AUTHORIZATION, auth::basic(pair));
        }
        let response = request.call();
        let mut response = response
            .map_err(|source| ClientError::Transport { url: url.clone(), source: Box::new(source) })?;
        match response.status().as_u16() {
            200..=299 => {}
            401 | 403 => return Err(ClientError::Unauthorized { url, given: self.credentials.is_some() }),
            status => return Err(ClientError::Status { url, status, message: None }),
        }
        let text = response.body_mut().with_config().limit(64 << 10).read_to_vec().unwrap_or_default();
        let shape: Option<Shape> = serde_json::from_slice(&text).ok();
        shape.and_then(|shape| shape.token.or(shape.access_token)).ok_or(ClientError::NoToken { url })
    }
}

impl Source for Client {
    type Error = ClientError;

    fn document(&self, selector: &str) -> Result<RawDocument, ClientError> {
        let path = format!("manifests/{selector}");
        let accept = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_INDEX].join(", ");
        let mut response = self.get(&path, &[("Accept", accept)])?;
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type =
            media_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_owned());
        let mut bytes = Vec::new();
        let url = || self.shown(&path);
        response.body_mut().as_reader().take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(
            |error| ClientError::Transport { url: url(), source: Box::new(ureq::Error::Io(error)) },
        )?;
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(ClientError::TooLarge { url: url() });
        }
        Ok(RawDocument { bytes, media_type })
    }

    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobStream, ClientError> {
        let path = format!("blobs/{}", descriptor.digest);
        // Layers are compressed already; an encoding on top would make offsets and sizes meaningless.
        let mut headers = vec![("Accept-Encoding", "identity".to_owned())];
        if offset > 0 {
            headers.push(("Range", format!("bytes={offset}-")));
        }
        let response = self.get(&path, &headers)?;
        let offset = if response.status() == StatusCode::PARTIAL_CONTENT { offset } else { 0 };
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(BlobStream { reader: Box::new(reader), offset })
    }
}

/// The first error in the shape of the distribution-spec, `CODE: message`.
fn registry_message(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Shape {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let shape: Shape = serde_json::from_str(text).ok()?;
    let first = shape.errors.into_iter().next()?;
    Some(format!("{}: {}", first.code, first.message))
}

/// The certificates of a PEM bundle; none if there is no such file.
fn read_roots(path: &Path) -> Result<Vec<Certificate<'static>>, ClientError> {
    let broken = |source| ClientError::Roots { path: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(broken(error.into())),
    };
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| broken(error.into()))? {
            roots.push(certificate);
        }
    }
    Ok(roots)
}
