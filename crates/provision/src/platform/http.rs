//! Platforms whose config is one document of a metadata service.

use super::{Env, NETWORK, Needs, PlatformError, Provider, UserData, decode};
use crate::net::dial::Dial;
use crate::net::http::{Method, Request};

/// The address of most metadata services.
pub(super) const IMDS: &str = "http://169.254.169.254";

/// How a token for the service is had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// PUT here gives it.
    path: &'static str,
    /// Header that asks for a lifetime, and the lifetime.
    lifetime: (&'static str, &'static str),
    /// Header that shows the token.
    header: &'static str,
    /// Whether a service without tokens is asked without one (AWS before IMDSv2).
    optional: bool,
}

/// AWS: a session as IMDSv2 wants it, of six hours, as upstream asks for.
pub(super) const AWS_TOKEN: Token = Token {
    path: "/latest/api/token",
    lifetime: ("X-aws-ec2-metadata-token-ttl-seconds", "21600"),
    header: "X-aws-ec2-metadata-token",
    optional: true,
};

/// A platform with such a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    name: &'static str,
    origin: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    retry: &'static [u16],
    token: Option<Token>,
    base64: bool,
    dial: Dial,
    limit_bytes: Option<u64>,
}

const PLAIN: Service = Service {
    name: "",
    origin: IMDS,
    path: "",
    headers: &[],
    retry: &[],
    token: None,
    base64: false,
    dial: Dial::Tcp,
    limit_bytes: None,
};

/// Akamai Cloud (Linode). <https://techdocs.akamai.com/cloud-computing/docs/overview-of-the-metadata-service>
pub(super) const AKAMAI: Service = Service {
    name: "akamai",
    path: "/v1/user-data",
    headers: &[("Accept", "*/*")],
    token: Some(Token {
        path: "/v1/token",
        lifetime: ("Metadata-Token-Expiry-Seconds", "300"),
        header: "Metadata-Token",
        optional: false,
    }),
    base64: true,
    limit_bytes: Some(16 << 10),
    ..PLAIN
};
/// Alibaba Cloud.
pub(super) const ALIYUN: Service =
    Service { name: "aliyun", origin: "http://100.100.100.200", path: "/latest/user-data", ..PLAIN };
/// Amazon EC2.
pub(super) const AWS: Service = Service {
    name: "aws",
    path: "/2019-10-01/user-data",
    token: Some(AWS_TOKEN),
    limit_bytes: Some(16 << 10),
    ..PLAIN
};
/// DigitalOcean.
pub(super) const DIGITALOCEAN: Service =
    Service { name: "digitalocean", path: "/metadata/v1/user-data", ..PLAIN };
/// Exoscale.
pub(super) const EXOSCALE: Service = Service { name: "exoscale", path: "/1.0/user-data", ..PLAIN };
/// Google Compute Engine.
pub(super) const GCP: Service = Service {
    name: "gcp",
    path: "/computeMetadata/v1/instance/attributes/user-data",
    headers: &[("Metadata-Flavor", "Google")],
    limit_bytes: Some(256 << 10),
    ..PLAIN
};
/// Hetzner Cloud.
pub(super) const HETZNER: Service =
    Service { name: "hetzner", path: "/hetzner/v1/userdata", limit_bytes: Some(32 << 10), ..PLAIN };
/// Oracle Cloud Infrastructure, version 2 of its service.
pub(super) const ORACLECLOUD: Service = Service {
    name: "oraclecloud",
    path: "/opc/v2/instance/metadata/user_data",
    headers: &[("Authorization", "Bearer Oracle")],
    retry: &[429],
    base64: true,
    ..PLAIN
};
/// Scaleway: root alone may use the low ports, so the service answers to them alone.
pub(super) const SCALEWAY: Service = Service {
    name: "scaleway",
    origin: "http://169.254.42.42",
    path: "/user_data/cloud-init",
    dial: Dial::LowPort,
    ..PLAIN
};
/// UpCloud.
pub(super) const UPCLOUD: Service = Service { name: "upcloud", path: "/metadata/v1/user_data", ..PLAIN };
/// Vultr.
pub(super) const VULTR: Service = Service { name: "vultr", path: "/user-data/user-data", ..PLAIN };

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The header that shows a token of the service at `origin`; nothing where there are none.
pub(super) fn token(
    env: &mut Env<'_, '_, '_>,
    origin: &str,
    token: Token,
) -> Result<Option<(String, String)>, PlatformError> {
    let url = format!("{origin}{}", token.path);
    let request = Request {
        method: Method::Put,
        url: url.clone(),
        headers: owned(&[token.lifetime, ("Accept", "text/plain, */*")]),
        ..Request::default()
    };
    let bytes = match env.ask(&request)? {
        Some(bytes) => bytes,
        None if token.optional => {
            env.say(format!("{url}: no tokens are given out here; asking without"));
            return Ok(None);
        }
        None => return Err(PlatformError::Answer { from: url, what: "no token is given out".into() }),
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() {
        return Err(PlatformError::Answer { from: url, what: "the token is empty".into() });
    }
    Ok(Some((token.header.to_owned(), text)))
}

impl Provider for Service {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        NETWORK
    }

    fn source(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    fn limit_bytes(&self) -> Option<u64> {
        self.limit_bytes
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let mut headers = owned(self.headers);
        if let Some(wanted) = self.token {
            headers.extend(token(env, self.origin, wanted)?);
        }
        let request = Request {
            url: self.source(),
            headers,
            accept: Some(crate::fetch::ACCEPT_CONFIG),
            retry: self.retry,
            dial: self.dial,
            ..Request::default()
        };
        let Some(bytes) = env.ask(&request)? else { return Ok(None) };
        let bytes = if self.base64 { decode::base64(&request.url, &bytes)? } else { bytes };
        env.user_data(request.url, bytes)
    }
}
