//! Rules of what is fetched: URLs, headers, hashes, proxies.

use crate::rule_pages;

rule_pages! {
    /// The compression is not known.
    COMPRESSION = "compression", "invalid compression method";
    why "Contents are given as they are or compressed with gzip. An empty string says: not compressed, whatever a parent config has.";
    allowed "\"gzip\" or \"\"";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a.zst", "compression": "zstd"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a.gz", "compression": "gzip"}}]}"#;

    /// There is a hash, but nothing to check against it.
    VERIFICATION_SOURCE = "verification-without-source", "source must be specified if verification is specified";
    why "A hash without source would check nothing. Name the source beside it.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"verification": {"hash": "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;

    /// Nothing is fetched by this scheme of URLs.
    INVALID_SCHEME = "url-scheme", "invalid url scheme";
    why "The machine fetches by the schemes below and by no other; a tang server answers http and https only. Files of the machine that writes the config are embedded as `data:` (Butane: `local`).";
    allowed "http, https, tftp, s3, gs, data; arn since spec 3.4.0";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "ftp://example.com/a"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://example.com/a"}}]}"#;

    /// The text is no URL.
    INVALID_URL = "url", "unable to parse url";
    why "A URL starts with its scheme; what is special in it must be percent-encoded.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://example.com/%zz"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://example.com/%20"}}]}"#;

    /// The `data:` URL does not decode.
    DATA_URL = "data-url", "invalid data url";
    why "A data URL is `data:`, an optional type, `;base64` if so encoded, a comma, the content. A missing comma and base64 that was cut are the usual faults.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:;base64,aGVsbG8"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:;base64,aGVsbG8="}}]}"#;

    /// The ARN names no object of S3.
    S3_ARN = "s3-arn", "invalid S3 ARN format";
    why "An object is named by its bucket or by an access point.";
    allowed "arn:PARTITION:s3:::BUCKET/KEY, arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME/object/KEY";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "arn:aws:s3:::bucket"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "arn:aws:s3:::bucket/key"}}]}"#;

    /// `versionId` names no version.
    S3_VERSION = "s3-version", "invalid S3 object VersionId";
    why "`?versionId=` must be followed by the id of the version; leave it out for the newest one.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "s3://bucket/key?versionId="}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "s3://bucket/key?versionId=3HL4kqtJ"}}]}"#;

    /// Headers are given for a source that is not HTTP.
    HEADERS_SCHEME = "headers-scheme", "cannot use HTTP headers with this source scheme";
    why "Only http and https requests have headers.";
    allowed "http, https";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "tftp://h/a", "httpHeaders": [{"name": "X-Key", "value": "k"}]}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a", "httpHeaders": [{"name": "X-Key", "value": "k"}]}}]}"#;

    /// A header has no name.
    HEADER_NAME = "header-name", "HTTP header name can't be empty";
    why "Give the name of the header.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a", "httpHeaders": [{"name": "", "value": "k"}]}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a", "httpHeaders": [{"name": "X-Key", "value": "k"}]}}]}"#;

    /// A header has an empty value.
    HEADER_VALUE = "header-value", "unable to parse HTTP header";
    why "A header without `value` removes the parent config's header of that name; an empty value means nothing.";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a", "httpHeaders": [{"name": "X-Key", "value": ""}]}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "https://h/a", "httpHeaders": [{"name": "X-Key"}]}}]}"#;

    /// A config or certificate to fetch has no source.
    SOURCE_REQUIRED = "source-missing", "source is required";
    why "An entry of `merge` or `certificateAuthorities` is there to be fetched: name its URL or remove it.";
    wrong ignition r#""config": {"merge": [{"compression": "gzip"}]}"#;
    mended ignition r#""config": {"merge": [{"source": "https://example.com/base.ign.gz", "compression": "gzip"}]}"#;

    /// A hash has no function before its sum.
    HASH_MALFORMED = "hash-malformed", "malformed hash specifier";
    why "A hash is the function, a dash, the sum in hexadecimal. `sha512sum FILE` prints the sum; put `sha512-` before it.";
    allowed "sha512-HEX; sha256-HEX since spec 3.1.0";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;

    /// The sum of a hash has the wrong length.
    HASH_SIZE = "hash-size", "incorrect size for hash sum";
    why "The sum was cut, or is of another function.";
    allowed "128 hexadecimal digits after sha512-, 64 after sha256-";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "sha512-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;

    /// The hash function is not known.
    HASH_FUNCTION = "hash-function", "unrecognized hash function";
    why "Weaker functions prove nothing, others are not in the spec.";
    allowed "sha512; sha256 since spec 3.1.0";
    wrong top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "md5-900150983cd24fb0d6963f7d28e17f72"}}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "contents": {"source": "data:,abc", "verification": {"hash": "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}]}"#;

    /// The proxy is no HTTP proxy.
    PROXY = "proxy-scheme", "proxies must be http(s)";
    why "Requests go through HTTP proxies only; SOCKS is not spoken.";
    allowed "http, https";
    wrong ignition r#""proxy": {"httpProxy": "socks5://proxy:1080"}"#;
    mended ignition r#""proxy": {"httpProxy": "http://proxy:3128"}"#;

    /// Requests by HTTPS would go through a proxy that is spoken to in plain text.
    PROXY_PLAIN = "proxy-plaintext", "insecure plaintext HTTP proxy specified for HTTPS resources";
    why "Whoever listens on the way to the proxy sees which hosts are asked. What is fetched stays encrypted. Use a proxy that is reached by https, if there is one.";
    wrong ignition r#""proxy": {"httpsProxy": "http://proxy:3128"}"#;
    mended ignition r#""proxy": {"httpsProxy": "https://proxy:3129"}"#;
}
