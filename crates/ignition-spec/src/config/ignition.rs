//! Metadata about the config itself, and what is fetched.

use std::borrow::Cow;

use crate::check::resource;
use crate::schema::Choice;
use crate::section;

/// How a content may be compressed; empty for not at all.
pub const COMPRESSIONS: [Choice; 2] = [Choice::new("gzip", 0), Choice::new("", 0)];

section! {
    /// Metadata about the config itself.
    Ignition [check resource::version] {
        /// Further configs.
        config: IgnitionConfig = "config",
        /// HTTP(S) proxies for fetching.
        proxy: Proxy = "proxy" since 1,
        /// What to trust when fetching.
        security: Security = "security",
        /// How long to wait when fetching.
        timeouts: Timeouts = "timeouts",
        /// The spec version of the config.
        version: String = "version",
    }
}

section! {
    /// Further configs.
    IgnitionConfig [check resource::config] {
        /// Configs to merge over this one, in this order.
        merge: Vec<Resource> = "merge",
        /// The config that takes this one's place.
        replace: Resource = "replace",
    }
}

section! {
    /// HTTP(S) proxies.
    Proxy [check resource::proxy] {
        /// URL of the proxy for http URLs.
        http_proxy: Option<String> = "httpProxy" since 1,
        /// URL of the proxy for https URLs.
        https_proxy: Option<String> = "httpsProxy" since 1,
        /// Hosts that are reached without proxy.
        no_proxy: Vec<String> = "noProxy" since 1,
    }
}

section! {
    /// What to trust.
    Security {
        /// TLS.
        tls: Tls = "tls",
    }
}

section! {
    /// TLS.
    Tls [check resource::tls] {
        /// Certificates (PEM bundles) to trust beside the system's.
        certificate_authorities: Vec<Resource> = "certificateAuthorities",
    }
}

section! {
    /// How long to wait when fetching over HTTP.
    Timeouts {
        /// Seconds until response headers must have come; 10 when not given.
        http_response_headers: Option<i64> = "httpResponseHeaders",
        /// Seconds for a whole request; no limit when 0 or not given.
        http_total: Option<i64> = "httpTotal",
    }
}

section! {
    /// Something to fetch.
    Resource [key |r| Cow::Borrowed(r.source.as_deref().unwrap_or_default())] [check resource::resource] {
        /// `gzip`, or empty for none.
        compression: Option<String> = "compression" of COMPRESSIONS,
        /// Headers for http and https.
        http_headers: Vec<HttpHeader> = "httpHeaders" since 1,
        /// URL: http, https, tftp, s3, arn, gs, data.
        source: Option<String> = "source",
        /// What the content must be.
        verification: Verification = "verification",
    }
}

section! {
    /// A header of a request.
    HttpHeader [key |h| Cow::Borrowed(&h.name)] [check resource::header] [cancels |h| h.value.is_none()] {
        /// Name.
        name: String = "name" since 1,
        /// Value; when merging, a header without value removes the parent's.
        value: Option<String> = "value" since 1,
    }
}

section! {
    /// What a content must be.
    Verification [check resource::verification] {
        /// `sha512-HEX` or `sha256-HEX` of the decompressed content.
        hash: Option<String> = "hash",
    }
}
