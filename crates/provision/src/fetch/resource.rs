//! A resource of a config: bytes named by a URL, perhaps compressed, perhaps with a digest to match.
//!
//! Bytes stream from the network through gzip and the digest into a [`Sink`]; nothing is held in memory but what the
//! sink keeps, since a config may name images larger than the machine's RAM.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::cloud::{self, CloudError};
use super::data_url::{self, DataUrlError};
use super::spool::Spool;
use super::verify::{Hashing, Verifier, VerifyError};
use crate::event::{Event, Phase};
use crate::net::Clock;
use crate::net::http::{Client, HttpError, HttpSettings, Identity, Request};
use crate::net::retry::{GaveUp, consume_body, persist};
use crate::net::tftp::{self, TftpError};

/// Schemes that are fetched: those of the spec.
pub const SCHEMES: [&str; 7] = ["http", "https", "tftp", "s3", "arn", "gs", "data"];

/// A resource of the config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// URL.
    pub source: String,
    /// Whether the bytes of the URL are gzip of the content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gzip: bool,
    /// HTTP headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Digest of the content: `sha256-HEX` or `sha512-HEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Why a resource of a config cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// A compression that no spec has.
    #[error("compression {name:?} is unknown; gzip is the only one")]
    Compression {
        /// The name in the config.
        name: String,
    },
    /// A URL scheme that is not fetched.
    #[error("URLs of scheme {scheme:?} cannot be fetched")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A malformed `data:` URL.
    #[error(transparent)]
    Data(#[from] DataUrlError),
    /// HTTP failed for good.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// TFTP failed for good.
    #[error(transparent)]
    Tftp(#[from] TftpError),
    /// An object of a cloud cannot be asked for.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The content is not what the config says.
    #[error("{url}: {error}")]
    Verify {
        /// The URL, shortened.
        url: String,
        /// The two digests.
        error: VerifyError,
    },
    /// The content is not gzip although the config says so.
    #[error("{url}: the content is not gzip, or not all of it")]
    Gzip {
        /// The URL, shortened.
        url: String,
        /// What the decoder found.
        #[source]
        source: io::Error,
    },
    /// The content cannot be stored.
    #[error("{url}: the content cannot be stored")]
    Store {
        /// The URL, shortened.
        url: String,
        /// What the destination said.
        #[source]
        source: io::Error,
    },
    /// The network could not be brought up.
    #[error("{url}: no network: {why}")]
    Network {
        /// The URL.
        url: String,
        /// Why.
        why: String,
    },
}

impl ResourceError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Scheme { .. } => Some(format!("use one of {}", SCHEMES.join(", "))),
            Self::Verify { error: VerifyError::Mismatch { .. }, .. } => {
                Some("the digest is over the decompressed content; correct it, or the file at the URL".into())
            }
            Self::Http(HttpError::Tls { .. }) => {
                Some("add the server's authority under ignition.security.tls.certificateAuthorities".into())
            }
            _ => None,
        }
    }
}

impl ResourceError {
    /// The path in the config that is wrong, given that of the resource.
    pub(crate) fn place(&self, resource: &str) -> String {
        match self {
            Self::Verify { .. } => format!("{resource}.verification.hash"),
            _ => format!("{resource}.source"),
        }
    }
}

/// Where content goes. An attempt that broke off is taken back by `restart`.
pub trait Sink: Write {
    /// Forgets everything that was written through this sink.
    ///
    /// # Errors
    /// Whatever the destination says.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// Appends to a file from where it stood.
#[derive(Debug)]
pub struct FileSink<'a> {
    file: &'a mut File,
    start: u64,
}

impl<'a> FileSink<'a> {
    /// # Errors
    /// When the position cannot be told.
    pub fn new(file: &'a mut File) -> io::Result<Self> {
        let start = file.stream_position()?;
        Ok(Self { file, start })
    }
}

impl Write for FileSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for FileSink<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(self.start)?;
        self.file.seek(SeekFrom::Start(self.start)).map(drop)
    }
}

/// A sink as a writer that has a size.
struct WriteSink<'a>(&'a mut dyn Sink);

impl Write for WriteSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Brings the network up when the first URL needs it; says why not.
pub type BringUp<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// What fetching needs of the machine.
pub struct Net<'a> {
    /// The HTTP client with the machine's certificates and name servers.
    pub client: Client,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Called with the URL before the first fetch from the network, once.
    pub bring_up: BringUp<'a>,
    /// What was fetched before it was wanted.
    pub spool: Spool,
    /// The cloud around the machine; goes into the settings of every config that is read with this.
    pub identity: Identity,
    /// Credentials of the cloud.
    pub(crate) known: cloud::Known,
    is_up: bool,
}

impl std::fmt::Debug for Net<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("client", &self.client)
            .field("is_up", &self.is_up)
            .finish_non_exhaustive()
    }
}

impl<'a> Net<'a> {
    /// A network that is not up yet.
    pub fn new(client: Client, clock: &'a dyn Clock, bring_up: BringUp<'a>) -> Self {
        Self {
            client,
            clock,
            bring_up,
            spool: Spool::default(),
            identity: Identity::None,
            known: cloud::Known::default(),
            is_up: false,
        }
    }

    /// Fetches and verifies a resource and keeps it for [`Net::copy`]. Says how long it is and where it is kept;
    /// `None` when that was done before or it is at hand.
    ///
    /// # Errors
    /// As [`Net::copy`].
    pub fn prefetch(
        &mut self,
        resource: &Resource,
        settings: &HttpSettings,
        phase: Phase,
        events: &mut dyn FnMut(Event),
    ) -> Result<Option<String>, ResourceError> {
        if !resource.is_remote() || self.spool.has(resource) {
            return Ok(None);
        }
        let mut sink = self.spool.sink();
        self.copy(resource, settings, Some(super::ACCEPT_CONFIG), &mut sink, phase, events)?;
        let bytes = sink.bytes;
        let kept = self.spool.keep(resource.clone(), sink.kept);
        Ok(Some(format!("fetched {} ({bytes} bytes, {kept})", resource.short())))
    }

    /// Brings the network up for `url`, unless it is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn up(&mut self, url: &str) -> Result<(), String> {
        if !self.is_up {
            (self.bring_up)(url)?;
            self.is_up = true;
        }
        Ok(())
    }

    /// Writes the content of `resource` to `sink`, decompressed and verified.
    ///
    /// # Errors
    /// [`ResourceError`]; the sink then holds rubbish.
    pub fn copy(
        &mut self,
        resource: &Resource,
        settings: &HttpSettings,
        accept: Option<&'static str>,
        sink: &mut dyn Sink,
        phase: Phase,
        events: &mut dyn FnMut(Event),
    ) -> Result<(), ResourceError> {
        let stored = |source| ResourceError::Store { url: resource.short(), source };
        if let Some(mut content) = self.spool.open(resource).map_err(stored)? {
            return io::copy(&mut content, &mut WriteSink(sink)).map(drop).map_err(stored);
        }
        let scheme = resource.scheme();
        match scheme.as_str() {
            "data" => {
                let bytes = data_url::decode(&resource.source)?;
                return resource.pass(&mut bytes.as_slice(), sink);
            }
            known if SCHEMES.contains(&known) => {}
            _ => return Err(ResourceError::Scheme { scheme }),
        }
        let url = resource.source.clone();
        self.up(&url).map_err(|why| ResourceError::Network { url, why })?;
        if scheme == "tftp" {
            return self.by_tftp(resource, settings, sink, phase, events);
        }
        let started = self.clock.elapsed();
        loop {
            let ready = cloud::prepare(self, resource, settings, accept, phase, events)?;
            let left =
                settings.total_timeout.map(|total| total.saturating_sub(self.clock.elapsed() - started));
            // What is signed for a while is made anew when that is over and the config allows more.
            let round = match (ready.fresh_for, left) {
                (Some(fresh), left) if left.is_none_or(|left| left > fresh) => Some(fresh),
                _ => None,
            };
            let limited = HttpSettings { total_timeout: round.or(left), ..settings.clone() };
            match self.by_http(&ready.request, &limited, resource, sink, phase, events) {
                Err(ResourceError::Http(HttpError::TimedOut { .. })) if round.is_some() => {}
                Err(ResourceError::Http(HttpError::Status { url, status })) if ready.instead.is_some() => {
                    let text = format!("{url}: the server answers {status}; asking without credentials");
                    events(Event::Step(phase, text));
                    let Some(plain) = ready.instead else { unreachable!("it was there above") };
                    return self.by_http(&plain, settings, resource, sink, phase, events);
                }
                result => return result,
            }
        }
    }

    fn by_http(
        &mut self,
        request: &Request,
        settings: &HttpSettings,
        resource: &Resource,
        sink: &mut dyn Sink,
        phase: Phase,
        events: &mut dyn FnMut(Event),
    ) -> Result<(), ResourceError> {
        let mut retrying = |retry| events(Event::Retry(phase, retry));
        // The errors of our own making pass the client as they are; a broken connection makes it try again.
        let mut refused = None;
        let result = self.client.get(request, settings, self.clock, &mut retrying, |body| {
            sink.restart()?;
            resource.pass(body, sink).map_err(|error| {
                refused = Some(error);
                io::Error::other("refused")
            })
        });
        match (result, refused) {
            (Err(HttpError::Content { .. }), Some(error)) => Err(error),
            (result, _) => Ok(result?),
        }
    }

    fn by_tftp(
        &mut self,
        resource: &Resource,
        settings: &HttpSettings,
        sink: &mut dyn Sink,
        phase: Phase,
        events: &mut dyn FnMut(Event),
    ) -> Result<(), ResourceError> {
        let url = &resource.source;
        let mut retrying = |retry| events(Event::Retry(phase, retry));
        let mut refused = None;
        let names = &self.client.names;
        let result = persist(url, settings.total_timeout, self.clock, &mut retrying, |left| {
            let transfer = tftp::open(url, names, left)?;
            let mut consume = |body: &mut dyn Read| {
                sink.restart()?;
                resource.pass(body, sink).map_err(|error| {
                    refused = Some(error);
                    io::Error::other("refused")
                })
            };
            consume_body(transfer, &mut consume, |source| TftpError::Content { url: url.clone(), source })
        });
        match (result, refused) {
            (Ok(()), _) => Ok(()),
            (Err(GaveUp::Final(TftpError::Content { .. })), Some(error)) => Err(error),
            (Err(GaveUp::Final(error)), _) => Err(error.into()),
            (Err(GaveUp::TimedOut { attempts, seconds, why }), _) => {
                Err(TftpError::TimedOut { url: url.clone(), attempts, seconds, why }.into())
            }
        }
    }
}

impl Resource {
    /// Content at hand, as a `data:` URL.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        Self { source: format!("data:;base64,{encoded}"), ..Self::default() }
    }

    /// The URL's scheme in lower case; empty when there is none.
    pub fn scheme(&self) -> String {
        self.source.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default()
    }

    /// Whether fetching it takes the network.
    pub fn is_remote(&self) -> bool {
        self.scheme() != "data"
    }

    /// The URL for people: `data:` URLs are long.
    pub fn short(&self) -> String {
        shorten(&self.source)
    }

    /// The content of a `data:` resource, decompressed and verified; `None` for others, which are not at hand.
    ///
    /// # Errors
    /// [`ResourceError`] as of [`Net::copy`].
    pub fn at_hand(&self) -> Result<Option<Vec<u8>>, ResourceError> {
        if self.is_remote() {
            return Ok(None);
        }
        let bytes = data_url::decode(&self.source)?;
        let mut content = Vec::new();
        self.pass(&mut bytes.as_slice(), &mut content)?;
        Ok(Some(content))
    }

    fn pass(&self, mut body: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), ResourceError> {
        let verify = |error| ResourceError::Verify { url: self.short(), error };
        let mut verifier = Verifier::new(self.hash.as_deref()).map_err(verify)?;
        let hashing = Hashing { inner: sink, verifier: &mut verifier };
        if self.gzip {
            self.copy_all(&mut MultiGzDecoder::new(body), hashing)?;
        } else {
            self.copy_all(&mut body, hashing)?;
        }
        verifier.finish().map_err(verify)
    }

    fn copy_all(&self, from: &mut dyn Read, mut to: impl Write) -> Result<(), ResourceError> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(source) => return Err(ResourceError::Gzip { url: self.short(), source }),
            };
            to.write_all(&buffer[..length])
                .map_err(|source| ResourceError::Store { url: self.short(), source })?;
        }
    }
}

/// A URL as far as it tells people something.
pub fn shorten(url: &str) -> String {
    const SHOWN: usize = 60;
    let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    match url.char_indices().nth(SHOWN) {
        Some((end, _)) if is_data => format!("{}… ({} characters)", &url[..end.min(32)], url.len()),
        _ => url.to_owned(),
    }
}

impl Resource {
    /// From a config's section.
    ///
    /// # Errors
    /// [`ResourceError::Compression`].
    pub fn of(section: &ignition_spec::config::Resource) -> Result<Self, ResourceError> {
        let gzip = match section.compression.as_deref() {
            None | Some("") => false,
            Some("gzip") => true,
            Some(name) => return Err(ResourceError::Compression { name: name.to_owned() }),
        };
        let headers = section.http_headers.iter();
        let headers = headers.filter_map(|header| Some((header.name.clone(), header.value.clone()?)));
        Ok(Self {
            source: section.source.clone().unwrap_or_default(),
            gzip,
            headers: headers.collect(),
            hash: section.verification.hash.clone(),
        })
    }
}
