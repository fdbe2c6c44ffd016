//! HTTP(S) that does not give up: a machine on first boot has nobody else to ask.
//!
//! Server errors (5xx), timeouts and connection errors are tried again after 200 ms, doubling to 5 s, for ever or
//! until the config's `timeouts.httpTotal` (the spec's `ignition.timeouts`). Every other answer is final. Headers of
//! the config go to the server it names only: they are dropped on a redirect.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

use super::dial::{Always, Dial, Dialer};
use super::proxy::Proxies;
pub use super::retry::{BACKOFF_FIRST, BACKOFF_MAX, Retry};
use super::retry::{Failed, GaveUp, consume_body, persist};
use super::{Clock, Names};

/// Default of `timeouts.httpResponseHeaders`.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A body that stalls this long counts as a broken connection.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// As many as Go's client follows.
const REDIRECTS_MAX: u32 = 10;
/// How the server sees us. The prefix is the one that servers of Ignition configs know.
const USER_AGENT: &str = concat!("Ignition/2.26.0 (orlop ", env!("CARGO_PKG_VERSION"), ")");

/// What a config sets for its fetches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// `timeouts.httpResponseHeaders`; `None` is [`HEADERS_TIMEOUT`].
    pub headers_timeout: Option<Duration>,
    /// `timeouts.httpTotal` over all attempts of one resource; `None` is no limit.
    pub total_timeout: Option<Duration>,
    /// `proxy`.
    pub proxies: Proxies,
    /// `security.tls.certificateAuthorities`: PEM bundles trusted beside the machine's.
    pub authorities: Vec<Vec<u8>>,
    /// Whose services around the machine give credentials.
    pub identity: Identity,
}

/// The cloud around the machine, as `ignition.platform.id` names it: where credentials for its storage are had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// None that is known.
    #[default]
    None,
    /// Amazon EC2: the instance's role.
    Aws,
    /// Google Compute Engine: the instance's service account.
    Gcp,
    /// Microsoft Azure: the machine's managed identity.
    Azure,
}

impl Identity {
    /// Of a platform.
    pub fn of_platform(name: &str) -> Self {
        match name {
            "aws" => Self::Aws,
            "gcp" => Self::Gcp,
            "azure" => Self::Azure,
            _ => Self::None,
        }
    }
}

/// What is asked of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// PUT without a body: how metadata services hand out tokens.
    Put,
    /// POST of a body of the named media type.
    Post {
        /// Media type.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Absolute `http:` or `https:` URL.
    pub url: String,
    /// Headers of the config; they override the default ones of the same name.
    pub headers: Vec<(String, String)>,
    /// `Accept` header.
    pub accept: Option<&'static str>,
    /// Answers below 500 that are no final word from this server, such as 429.
    pub retry: &'static [u16],
    /// How the server is reached.
    pub dial: Dial,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server's final word.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The URL asked last (after redirects).
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// `timeouts.httpTotal` passed.
    #[error("{url}: nothing after {attempts} attempts in {seconds} s: {why}")]
    TimedOut {
        /// The URL.
        url: String,
        /// Attempts made.
        attempts: u32,
        /// Seconds allowed by the config.
        seconds: u64,
        /// Why the last attempt failed.
        why: String,
    },
    /// The certificate is not trusted, or TLS cannot be spoken with this server.
    #[error("{url}: TLS: {why}")]
    Tls {
        /// The URL.
        url: String,
        /// The TLS library's words.
        why: String,
    },
    /// A certificate of the config or of the machine's bundle cannot be read.
    #[error("certificate authorities from {name} cannot be used: {why}")]
    Authorities {
        /// Where they are from.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing answered at the one attempt that was made.
    #[error("{url}: {why}")]
    Attempt {
        /// The URL.
        url: String,
        /// Why the attempt failed.
        why: String,
    },
    /// The request cannot be made at all.
    #[error("{url}: {why}")]
    Request {
        /// The URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// More redirects than anybody means.
    #[error("{url}: more than {REDIRECTS_MAX} redirects")]
    Redirects {
        /// The URL asked first.
        url: String,
    },
    /// The content came but could not be used.
    #[error("{url}: the content cannot be stored")]
    Content {
        /// The URL.
        url: String,
        /// What went wrong with it.
        #[source]
        source: io::Error,
    },
}

impl HttpError {
    /// The error of attempts that were given up.
    pub(crate) fn of(url: &str, gave_up: GaveUp<Self>) -> Self {
        match gave_up {
            GaveUp::Final(error) => error,
            GaveUp::TimedOut { attempts, seconds, why } => {
                Self::TimedOut { url: url.to_owned(), attempts, seconds, why }
            }
        }
    }

    /// Whether the server says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether another attempt may go better.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Attempt { .. })
    }
}

/// What the server said beside the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How one attempt failed.
type Failure = Failed<HttpError>;

/// The client: the machine's part of a fetch. What a config adds is in [`HttpSettings`].
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The machine's certificate bundle, PEM; read at the first `https:` URL. Missing is an error only then, and only
    /// when the config gives no authorities of its own.
    pub bundle: Option<PathBuf>,
    /// Name look-up.
    pub names: Names,
    /// Origins (`http://169.254.169.254`) that are reached at another one: how tests stand in for the services of a
    /// cloud. Servers are still asked for the host that the URL names.
    pub endpoints: BTreeMap<String, String>,
}

impl Client {
    /// Fetches `request` and gives the body to `consume`, once per attempt that got a 2xx answer. An error of reading
    /// the body is tried again; an error of `consume` itself is final.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get<T>(
        &self,
        request: &Request,
        settings: &HttpSettings,
        clock: &dyn Clock,
        retrying: &mut dyn FnMut(Retry),
        mut consume: impl FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, HttpError> {
        let tls = self.tls(&request.url, settings)?;
        let done = persist(&request.url, settings.total_timeout, clock, retrying, |left| {
            self.attempt(request, settings, &tls, left, &mut consume)
        });
        done.map_err(|gave_up| HttpError::of(&request.url, gave_up))
    }

    /// One attempt, for callers with a rhythm of their own.
    ///
    /// # Errors
    /// [`HttpError`]; see [`HttpError::is_transient`].
    pub fn once(
        &self,
        request: &Request,
        settings: &HttpSettings,
        bytes_max: u64,
    ) -> Result<Vec<u8>, HttpError> {
        let tls = self.tls(&request.url, settings)?;
        let mut consume = |body: &mut dyn Read| read_limited(body, bytes_max);
        self.attempt(request, settings, &tls, settings.total_timeout, &mut consume).map_err(|failure| {
            match failure {
                Failure::Final(error) => error,
                Failure::Again(why) => HttpError::Attempt { url: request.url.clone(), why },
            }
        })
    }

    /// One answer of whatever status, without following redirects: for services that speak by status and headers.
    ///
    /// # Errors
    /// [`HttpError`]; a status is none.
    pub fn ask(&self, request: &Request, settings: &HttpSettings) -> Result<Answer, HttpError> {
        let tls = self.tls(&request.url, settings)?;
        let url = &request.url;
        let response = self.exchange(request, url, true, settings, &tls, settings.total_timeout);
        let response = response.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Again(why) => HttpError::Attempt { url: url.clone(), why },
        })?;
        let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        Ok(Answer { status: response.status().as_u16(), headers: headers.collect() })
    }

    fn attempt<T>(
        &self,
        request: &Request,
        settings: &HttpSettings,
        tls: &TlsConfig,
        left: Option<Duration>,
        consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let mut url = request.url.clone();
        for redirects in 0..=REDIRECTS_MAX {
            let mut response = self.exchange(request, &url, redirects == 0, settings, tls, left)?;
            match response.status().as_u16() {
                200..=299 => {
                    let unusable = |source| HttpError::Content { url: url.clone(), source };
                    return consume_body(response.body_mut().as_reader(), consume, unusable);
                }
                301 | 302 | 303 | 307 | 308 => {
                    let location = response.headers().get("location").and_then(|value| value.to_str().ok());
                    let location = location.ok_or_else(|| {
                        Failure::Final(HttpError::Request {
                            url: url.clone(),
                            why: "redirect without a location".into(),
                        })
                    })?;
                    url = join(&url, location);
                }
                status if status >= 500 || request.retry.contains(&status) => {
                    return Err(Failure::Again(format!("the server answers {status}")));
                }
                status => return Err(Failure::Final(HttpError::Status { url, status })),
            }
        }
        Err(Failure::Final(HttpError::Redirects { url: request.url.clone() }))
    }

    /// Sends the request to `url`, which is the request's own or where it was redirected to.
    fn exchange(
        &self,
        request: &Request,
        url: &str,
        first: bool,
        settings: &HttpSettings,
        tls: &TlsConfig,
        left: Option<Duration>,
    ) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let reached = self.reached(url, &request.dial);
        // What stands in for a vsock or a link is reached as anything else.
        let dial = match request.dial {
            Dial::Vsock { .. } | Dial::Link(_) if reached != url => Dial::Tcp,
            dial => dial,
        };
        let agent = self.agent(&reached, dial, settings, tls.clone(), left)?;
        let mut headers = if first { request.headers.clone() } else { Vec::new() };
        let has = |headers: &[(String, String)], wanted: &str| {
            headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        if let Some(accept) = request.accept
            && !has(&headers, "accept")
        {
            headers.push(("accept".into(), accept.into()));
        }
        if let Some(credentials) = proxy_credentials(&reached, settings) {
            headers.push(("proxy-authorization".into(), credentials));
        }
        if reached != url && !has(&headers, "host") {
            headers.push(("host".into(), authority(url).to_owned()));
        }
        let mut call = ureq::http::Request::builder().uri(reached.as_ref());
        call = call.method(match &request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post { .. } => "POST",
        });
        for (name, value) in &headers {
            call = call.header(name, value);
        }
        let bad = |error: &ureq::http::Error| {
            Failure::Final(HttpError::Request { url: url.to_owned(), why: error.to_string() })
        };
        let result = match &request.method {
            Method::Get | Method::Head => agent.run(call.body(()).map_err(|error| bad(&error))?),
            Method::Put => agent.run(call.body(Vec::new()).map_err(|error| bad(&error))?),
            Method::Post { content_type, body } => agent.run(
                call.header("content-type", *content_type).body(body.clone()).map_err(|error| bad(&error))?,
            ),
        };
        result.map_err(|error| failure(url, error))
    }

    /// The URL that stands in for `url`.
    fn reached<'u>(&self, url: &'u str, dial: &Dial) -> std::borrow::Cow<'u, str> {
        let end = url.find("://").map_or(0, |at| at + 3);
        let path = url[end..].find(['/', '?', '#']).map_or(url.len(), |at| end + at);
        let origin = dial.origin().unwrap_or_else(|| url[..path].to_owned());
        match self.endpoints.get(&origin) {
            Some(other) => format!("{other}{}", &url[path..]).into(),
            None => url.into(),
        }
    }

    fn agent(
        &self,
        url: &str,
        dial: Dial,
        settings: &HttpSettings,
        tls: TlsConfig,
        left: Option<Duration>,
    ) -> Result<ureq::Agent, Failure> {
        let bad = |why: String| Failure::Final(HttpError::Request { url: url.to_owned(), why });
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        if !matches!(scheme, "http" | "https") || host.is_empty() {
            return Err(bad("not an http or https URL".into()));
        }
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let wanted = settings.proxies.for_url(scheme, host, port);
        // `http:` URLs go through a plain proxy as whole URLs; everything else by CONNECT, which ureq does.
        let plain = wanted.filter(|proxy| scheme == "http" && proxy.starts_with("http://"));
        let through = match plain {
            Some(proxy) => {
                let uri = proxy.parse().map_err(|error| bad(format!("proxy {proxy}: {error}")))?;
                Some(Always { names: self.names.clone(), uri })
            }
            None => None,
        };
        let proxy = match wanted.filter(|_| plain.is_none()) {
            Some(proxy) => {
                Some(ureq::Proxy::new(proxy).map_err(|error| bad(format!("proxy {proxy}: {error}")))?)
            }
            None => None,
        };
        let headers_timeout = settings.headers_timeout.unwrap_or(HEADERS_TIMEOUT);
        let some = |time: Duration| (!time.is_zero()).then_some(time);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .proxy(proxy)
            .tls_config(tls)
            .timeout_connect(some(headers_timeout))
            .timeout_recv_response(some(headers_timeout))
            .timeout_per_read(Some(STALL_TIMEOUT))
            // No time left still gets one attempt, so that the error says what is wrong.
            .timeout_global(left.map(|left| left.max(Duration::from_secs(1))))
            .build();
        if let Some(through) = through {
            let before_path = Some(format!("http://{}", authority(url)));
            let dialer = Dialer { dial: Dial::Tcp, before_path };
            return Ok(ureq::Agent::with_parts(config, dialer, through));
        }
        Ok(match dial {
            Dial::Tcp => ureq::Agent::with_parts(config, super::tls::connector(), self.names.clone()),
            dial => {
                let dialer = Dialer { dial, before_path: None };
                ureq::Agent::with_parts(config, dialer, self.names.clone())
            }
        })
    }

    fn tls(&self, url: &str, settings: &HttpSettings) -> Result<TlsConfig, HttpError> {
        // A redirect may lead from http to https, so only configs without any bundle at hand go without.
        let mut certificates = Vec::new();
        if let Some(path) = &self.bundle {
            match std::fs::read(path) {
                Ok(pem) => add_certificates(&mut certificates, &path.display().to_string(), &pem)?,
                Err(error) if url.starts_with("https:") && settings.authorities.is_empty() => {
                    let name = path.display().to_string();
                    return Err(HttpError::Authorities { name, why: error.to_string() });
                }
                Err(_) => {}
            }
        }
        for pem in &settings.authorities {
            add_certificates(&mut certificates, "ignition.security.tls", pem)?;
        }
        Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build())
    }
}

/// The credentials in the URL of the plain proxy that `url` goes through (RFC 7617).
fn proxy_credentials(url: &str, settings: &HttpSettings) -> Option<String> {
    use base64::Engine as _;
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let uri: Uri = format!("http://{authority}/").parse().ok()?;
    let proxy = settings.proxies.for_url("http", uri.host()?, uri.port_u16().unwrap_or(80))?;
    let proxy = proxy.strip_prefix("http://")?.split('/').next()?;
    let (user, _) = proxy.rsplit_once('@')?;
    let plain: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
}

/// Host and port of a URL as they stand in it, without credentials.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Reads a body of at most `bytes_max` bytes.
pub(crate) fn read_limited(body: &mut dyn Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = body.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if length as u64 > bytes_max {
        return Err(io::Error::other(format!("more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Takes the certificates of a PEM bundle.
fn add_certificates(list: &mut Vec<Certificate<'static>>, name: &str, pem: &[u8]) -> Result<(), HttpError> {
    let before = list.len();
    for item in ureq::tls::parse_pem(pem) {
        let item =
            item.map_err(|error| HttpError::Authorities { name: name.to_owned(), why: error.to_string() })?;
        if let PemItem::Certificate(certificate) = item {
            list.push(certificate);
        }
    }
    if list.len() == before {
        return Err(HttpError::Authorities { name: name.to_owned(), why: "no certificate in it".into() });
    }
    Ok(())
}

fn failure(url: &str, error: ureq::Error) -> Failure {
    let url = url.to_owned();
    match error {
        ureq::Error::Rustls(error) => Failure::Final(HttpError::Tls { url, why: error.to_string() }),
        ureq::Error::Tls(why) => Failure::Final(HttpError::Tls { url, why: why.to_owned() }),
        ureq::Error::Io(error) if is_certificate_error(&error) => {
            Failure::Final(HttpError::Tls { url, why: error.to_string() })
        }
        ureq::Error::BadUri(why) => Failure::Final(HttpError::Request { url, why }),
        ureq::Error::Http(error) => Failure::Final(HttpError::Request { url, why: error.to_string() }),
        ureq::Error::InvalidProxyUrl => {
            Failure::Final(HttpError::Request { url, why: "the proxy's URL is bad".into() })
        }
        error => Failure::Again(error.to_string()),
    }
}

/// rustls hands its certificate errors through `io::Error` as `InvalidData`; broken connections have other kinds.
fn is_certificate_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Resolves the `Location` of a redirect (RFC 3986 section 5.2, without dot segments, which servers resolve).
fn join(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    if let Some(host) = location.strip_prefix("//") {
        return format!("{scheme}://{host}");
    }
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let authority = path.split('/').next().unwrap_or(path);
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}");
    }
    if location.starts_with('?') {
        return format!("{scheme}://{path}{location}");
    }
    let directory = path.rsplit_once('/').map_or(path, |(directory, _)| directory);
    format!("{scheme}://{directory}/{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_targets() {
        let base = "http://a:8/b/c?d";
        for (location, url) in [
            ("https://x/y", "https://x/y"),
            ("//x/y", "http://x/y"),
            ("/y?z", "http://a:8/y?z"),
            ("y", "http://a:8/b/y"),
            ("?q", "http://a:8/b/c?q"),
        ] {
            assert_eq!(join(base, location), url, "{location}");
        }
    }
}
