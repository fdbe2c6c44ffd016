//! Storage of clouds: S3, Google Cloud Storage, Azure Blob Storage, with what the cloud around the machine gives it as
//! credentials, or anonymously.
//!
//! Modules: [`sigv4`] signs, [`s3`] reads `s3:` URLs and ARNs; requests of all three are made here.

pub mod s3;
pub mod sigv4;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::resource::{Net, Resource, ResourceError};
use crate::event::{Event, Phase};
use crate::net::http::{Answer, HttpError, HttpSettings, Identity, Method, Request, read_limited};
use crate::net::retry::{Failed, persist};
use sigv4::Credentials;

/// The metadata service of all three.
const IMDS: &str = "http://169.254.169.254";
/// A metadata service that gives no credentials in this time gives none: the fetch goes on without.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
/// Credentials are asked for again after this; they live for an hour at least.
const CREDENTIALS_KEPT: Duration = Duration::from_secs(600);
/// A signature is worth 15 minutes; a fetch that takes longer to come through is signed again.
const SIGNATURE_USED: Duration = Duration::from_secs(600);
/// What credentials take.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Everything but the unreserved characters of RFC 3986, as Google's API wants object names.
const OBJECT_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The first version of Azure's storage service that takes tokens.
const AZURE_VERSION: &str = "2019-12-12";
const AZURE_BLOB: &str = ".blob.core.windows.net";

/// Why an object of a cloud cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// A URL or ARN that names no object.
    #[error("{url}: {what}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No such bucket.
    #[error("{url}: there is no bucket {bucket}")]
    NoBucket {
        /// The URL.
        url: String,
        /// The bucket.
        bucket: String,
    },
    /// A service said no, or nothing in time.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// What was asked of the metadata service, and when.
#[derive(Debug, Default)]
pub struct Known {
    aws: Option<(Duration, Option<Credentials>)>,
    aws_region: Option<Option<String>>,
    bearer: Option<(Duration, Option<String>)>,
}

/// A request that is ready to go, and the one to try if it is refused.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) request: Request,
    /// How long it may be tried before it has to be made anew.
    pub(crate) fresh_for: Option<Duration>,
    pub(crate) instead: Option<Request>,
}

/// Makes the request for a resource.
pub(crate) fn prepare(
    net: &mut Net<'_>,
    resource: &Resource,
    settings: &HttpSettings,
    accept: Option<&'static str>,
    phase: Phase,
    events: &mut dyn FnMut(Event),
) -> Result<Prepared, ResourceError> {
    let mut asker = Asker { net, settings, phase, events };
    let plain =
        |url: String| Request { url, headers: resource.headers.clone(), accept, ..Request::default() };
    match resource.scheme().as_str() {
        "s3" | "arn" => Ok(asker.s3(&resource.source)?),
        "gs" => Ok(asker.gcs(&resource.source)?),
        _ if settings.identity == Identity::Azure && is_azure_blob(&resource.source) => {
            Ok(asker.azure(plain(resource.source.clone())))
        }
        _ => {
            let request = plain(resource.source.clone());
            Ok(Prepared { request, fresh_for: None, instead: None })
        }
    }
}

fn is_azure_blob(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    host.to_ascii_lowercase().ends_with(AZURE_BLOB)
}

struct Asker<'a, 'n> {
    net: &'a mut Net<'n>,
    settings: &'a HttpSettings,
    phase: Phase,
    events: &'a mut dyn FnMut(Event),
}

#[derive(Deserialize)]
struct Bearer {
    access_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

/// A token in the answer of Google's or Azure's service.
pub(crate) fn bearer(answer: &[u8]) -> Option<String> {
    let token: Bearer = serde_json::from_slice(answer).ok()?;
    (!token.access_token.is_empty()).then_some(token.access_token)
}

/// Credentials in the answer of EC2's service.
pub(crate) fn role(answer: &[u8]) -> Option<Credentials> {
    let role: Role = serde_json::from_slice(answer).ok()?;
    Some(Credentials {
        key_id: role.access_key_id,
        secret: role.secret_access_key,
        token: Some(role.token).filter(|token| !token.is_empty()),
    })
}

impl Asker<'_, '_> {
    /// The metadata service's answer; `None` when it has none, with a word about why.
    fn metadata(&mut self, method: Method, path: &str, headers: &[(&str, &str)]) -> Option<Vec<u8>> {
        let request = Request {
            method,
            url: format!("{IMDS}{path}"),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            retry: &[410, 429],
            ..Request::default()
        };
        let settings = HttpSettings { total_timeout: Some(CREDENTIALS_TIMEOUT), ..HttpSettings::default() };
        let (phase, events) = (self.phase, &mut *self.events);
        let mut retrying = |retry| events(Event::Retry(phase, retry));
        let read = |body: &mut dyn std::io::Read| read_limited(body, ANSWER_BYTES_MAX);
        match self.net.client.get(&request, &settings, self.net.clock, &mut retrying, read) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                events(Event::Step(phase, format!("no credentials: {error}")));
                None
            }
        }
    }

    /// A header that shows an EC2 session; empty before IMDSv2.
    fn aws_session(&mut self) -> Vec<(String, String)> {
        let lifetime = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
        let token = self.metadata(Method::Put, "/latest/api/token", &[lifetime]).unwrap_or_default();
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        let header = ("X-aws-ec2-metadata-token".to_owned(), token);
        Some(header).filter(|(_, token)| !token.is_empty()).into_iter().collect()
    }

    fn aws_get(&mut self, path: &str, session: &[(String, String)]) -> Option<Vec<u8>> {
        let headers: Vec<(&str, &str)> =
            session.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.metadata(Method::Get, path, &headers)
    }

    /// The credentials of the instance's role.
    fn aws_credentials(&mut self) -> Option<Credentials> {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        if self.settings.identity != Identity::Aws {
            return None;
        }
        let now = self.net.clock.elapsed();
        if let Some((when, known)) = &self.net.known.aws
            && now - *when < CREDENTIALS_KEPT
        {
            return known.clone();
        }
        let session = self.aws_session();
        let names = self.aws_get(ROLES, &session);
        let name = names.and_then(|names| String::from_utf8_lossy(&names).lines().next().map(str::to_owned));
        let credentials = name
            .filter(|name| !name.is_empty())
            .and_then(|name| self.aws_get(&format!("{ROLES}{name}"), &session))
            .and_then(|answer| role(&answer));
        self.net.known.aws = Some((now, credentials.clone()));
        credentials
    }

    /// The region of the instance.
    fn aws_region(&mut self) -> Option<String> {
        if self.settings.identity != Identity::Aws {
            return None;
        }
        if let Some(known) = &self.net.known.aws_region {
            return known.clone();
        }
        let session = self.aws_session();
        let region = self.aws_get("/latest/meta-data/placement/region", &session);
        let region = region.map(|region| String::from_utf8_lossy(&region).trim().to_owned());
        let region = region.filter(|region| s3::is_region(region));
        self.net.known.aws_region = Some(region.clone());
        region
    }

    /// A request for an object of S3, signed if the machine has a role.
    fn s3(&mut self, url: &str) -> Result<Prepared, CloudError> {
        let object = s3::parse(url).map_err(|what| CloudError::Url { url: url.to_owned(), what })?;
        let region = match &object.region {
            Some(region) => region.clone(),
            None => {
                let hint = object.region_hint().map(str::to_owned);
                let hint = hint.or_else(|| self.aws_region()).unwrap_or_else(|| s3::REGION_DEFAULT.into());
                self.bucket_region(url, &object, &hint)?
            }
        };
        let target = object.target(&region);
        let mut headers = Vec::new();
        let credentials = self.aws_credentials();
        if let Some(credentials) = &credentials {
            let date = sigv4::date(self.net.clock.now());
            headers = sigv4::sign_s3(&target.host, &target.path, &target.query, &region, &date, credentials);
        }
        let request = Request { url: target.url(), headers, ..Request::default() };
        Ok(Prepared { request, fresh_for: credentials.map(|_| SIGNATURE_USED), instead: None })
    }

    /// Asks S3 where a bucket is: any answer but 404 names its region.
    fn bucket_region(&mut self, url: &str, object: &s3::Object, hint: &str) -> Result<String, CloudError> {
        let request = Request { method: Method::Head, url: object.bucket_url(hint), ..Request::default() };
        let (phase, events) = (self.phase, &mut *self.events);
        let mut retrying = |retry| events(Event::Retry(phase, retry));
        let (client, settings) = (&self.net.client, self.settings);
        let answer = persist(&request.url, settings.total_timeout, self.net.clock, &mut retrying, |left| {
            let settings = HttpSettings { total_timeout: left, ..settings.clone() };
            match client.ask(&request, &settings) {
                Ok(Answer { status: 500.., .. }) => Err(Failed::Again("the server has an error".into())),
                Ok(answer) => Ok(answer),
                Err(HttpError::Attempt { why, .. }) => Err(Failed::Again(why)),
                Err(error) => Err(Failed::Final(error)),
            }
        });
        let answer = answer.map_err(|gave_up| HttpError::of(&request.url, gave_up))?;
        let region = answer.header("x-amz-bucket-region").filter(|region| s3::is_region(region));
        match (answer.status, region) {
            (404, _) => Err(CloudError::NoBucket { url: url.to_owned(), bucket: object.bucket.clone() }),
            (_, Some(region)) => Ok(region.to_owned()),
            _ => Ok(hint.to_owned()),
        }
    }

    /// A request for an object of Google's storage, with the token of the machine's service account if it has one.
    fn gcs(&mut self, url: &str) -> Result<Prepared, CloudError> {
        let bad = |what| CloudError::Url { url: url.to_owned(), what };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let (bucket, path) = rest.split_once('/').ok_or_else(|| bad("not gs://BUCKET/OBJECT"))?;
        let path = path.split(['?', '#']).next().unwrap_or(path).trim_start_matches('/');
        let object = percent_encoding::percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| bad("the object's name is not UTF-8"))?;
        if bucket.is_empty() || object.is_empty() {
            return Err(bad("not gs://BUCKET/OBJECT"));
        }
        let name = |text: &str| utf8_percent_encode(text, OBJECT_NAME).to_string();
        let (bucket, object) = (name(bucket), name(&object));
        let url = format!("https://storage.googleapis.com/storage/v1/b/{bucket}/o/{object}?alt=media");
        let token = self.bearer(
            Identity::Gcp,
            "/computeMetadata/v1/instance/service-accounts/default/token\
             ?scopes=https://www.googleapis.com/auth/devstorage.read_only",
            ("Metadata-Flavor", "Google"),
        );
        let headers = token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        let headers: Vec<_> = headers.into_iter().collect();
        let fresh_for = (!headers.is_empty()).then_some(SIGNATURE_USED);
        Ok(Prepared { request: Request { url, headers, ..Request::default() }, fresh_for, instead: None })
    }

    /// A request for a blob of Azure with the token of the machine's identity; without, the request as it is.
    fn azure(&mut self, plain: Request) -> Prepared {
        let token = self.bearer(
            Identity::Azure,
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F",
            ("Metadata", "true"),
        );
        let Some(token) = token else { return Prepared { request: plain, fresh_for: None, instead: None } };
        let mut request = plain.clone();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        request.headers.push(("Authorization".into(), format!("Bearer {token}")));
        request.headers.push(("x-ms-version".into(), AZURE_VERSION.into()));
        // As upstream: the blob may be public, or the URL carry its own signature.
        Prepared { request, fresh_for: Some(SIGNATURE_USED), instead: Some(plain) }
    }

    fn bearer(&mut self, of: Identity, path: &str, header: (&str, &str)) -> Option<String> {
        if self.settings.identity != of {
            return None;
        }
        let now = self.net.clock.elapsed();
        if let Some((when, known)) = &self.net.known.bearer
            && now - *when < CREDENTIALS_KEPT
        {
            return known.clone();
        }
        let token = self.metadata(Method::Get, path, &[header]).and_then(|answer| bearer(&answer));
        self.net.known.bearer = Some((now, token.clone()));
        token
    }
}
