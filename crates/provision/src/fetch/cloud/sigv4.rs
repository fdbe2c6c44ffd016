//! Signatures of AWS, version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>), for requests without
//! a body.

use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};

use crate::fetch::verify::{hex, sha256_hex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Block of SHA-256 (FIPS 180-4), which HMAC fills its key up to.
const BLOCK_BYTES: usize = 64;
/// Everything but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Whose requests these are.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id.
    pub key_id: String,
    /// Secret access key.
    pub secret: String,
    /// Session token, for credentials that end.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path, not encoded.
    pub path: &'a str,
    /// Query, not encoded.
    pub query: &'a [(String, String)],
    /// Headers, names in lower case, `host` and `x-amz-date` among them.
    pub headers: &'a [(String, String)],
    /// Region of the service.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// `YYYYMMDDTHHMMSSZ`, as in `x-amz-date`.
    pub date: &'a str,
}

/// A time as `YYYYMMDDTHHMMSSZ`.
pub fn date(time: SystemTime) -> String {
    crate::report::rfc3339(time).replace(['-', ':'], "")
}

/// HMAC (RFC 2104) with SHA-256.
fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|key| key ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(data).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// A path as it is signed and sent.
pub fn encode_path(path: &str) -> String {
    percent_encode(path.as_bytes(), PATH).to_string()
}

/// A query as it is signed and sent: sorted by name, then value.
pub fn encode_query(query: &[(String, String)]) -> String {
    let encode = |text: &str| percent_encode(text.as_bytes(), QUERY).to_string();
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.sort();
    pairs.join("&")
}

impl Signing<'_> {
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The request in the one form that both sides sign.
    fn canonical(&self) -> String {
        let values = |name: &str| {
            let of_name = self.headers.iter().filter(|(other, _)| other == name);
            let trimmed =
                of_name.map(|(_, value)| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
            trimmed.collect::<Vec<_>>().join(",")
        };
        let headers: String = self.names().iter().map(|name| format!("{name}:{}\n", values(name))).collect();
        let payload = self.headers.iter().find(|(name, _)| name == "x-amz-content-sha256");
        [
            self.method,
            &encode_path(self.path),
            &encode_query(self.query),
            &headers,
            &self.names().join(";"),
            payload.map_or(&sha256_hex(b""), |(_, hash)| hash),
        ]
        .join("\n")
    }

    /// The `Authorization` header.
    pub fn authorization(&self, credentials: &Credentials) -> String {
        let day = self.date.get(..8).unwrap_or(self.date);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = [ALGORITHM, self.date, &scope, &sha256_hex(self.canonical().as_bytes())].join("\n");
        let first = format!("AWS4{}", credentials.secret).into_bytes();
        let key = [day, self.region, self.service, "aws4_request"]
            .iter()
            .fold(first, |key, part| hmac(&key, part.as_bytes()).to_vec());
        let signature = hex(&hmac(&key, text.as_bytes()));
        let (key_id, names) = (&credentials.key_id, self.names().join(";"));
        format!("{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

/// The headers of a signed GET of S3; `host` is not among them, the client sends it.
pub fn sign_s3(
    host: &str,
    path: &str,
    query: &[(String, String)],
    region: &str,
    date: &str,
    credentials: &Credentials,
) -> Vec<(String, String)> {
    let mut headers = vec![
        ("x-amz-content-sha256".to_owned(), sha256_hex(b"")),
        ("x-amz-date".to_owned(), date.to_owned()),
    ];
    headers.extend(credentials.token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
    let mut signed = headers.clone();
    signed.push(("host".into(), host.into()));
    let signing = Signing { method: "GET", path, query, headers: &signed, region, service: "s3", date };
    headers.push(("authorization".into(), signing.authorization(credentials)));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn credentials(key_id: &str, secret: &str) -> Credentials {
        Credentials { key_id: key_id.into(), secret: secret.into(), token: None }
    }

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn hmac_of_the_rfc() {
        for (key, data, mac) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(key, data)), mac);
        }
    }

    /// Of AWS's published test suite for this version, whose requests have no body.
    #[test]
    fn published_suite() {
        let date = "20150830T123600Z";
        let owner = credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let headers = pairs(&[("host", "example.amazonaws.com"), ("x-amz-date", date)]);
        for (name, path, query, signature) in [
            ("get-vanilla", "/", &[][..], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "get-vanilla-query-order-key-case",
                "/",
                &[("Param2", "value2"), ("Param1", "value1")],
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-empty-query-key",
                "/",
                &[("Param1", "value1")],
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-utf8",
                "/\u{1234}",
                &[],
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
        ] {
            let signing = Signing {
                method: "GET",
                path,
                query: &pairs(query),
                headers: &headers,
                region: "us-east-1",
                service: "service",
                date,
            };
            assert_eq!(
                signing.authorization(&owner),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={signature}"
                ),
                "{name}"
            );
        }
    }

    /// The examples of S3's documentation ("Signature Calculations for the Authorization Header").
    #[test]
    fn examples_of_s3() {
        let date = "20130524T000000Z";
        let owner = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let empty = sha256_hex(b"");
        let plain = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", date),
        ];
        let ranged = [&plain[..], &[("range", "bytes=0-9")]].concat();
        for (path, query, headers, signature) in [
            (
                "/test.txt",
                &[][..],
                &ranged[..],
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/",
                &[("lifecycle", "")],
                &plain,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "/",
                &[("prefix", "J"), ("max-keys", "2")],
                &plain,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let signing = Signing {
                method: "GET",
                path,
                query: &pairs(query),
                headers: &pairs(headers),
                region: "us-east-1",
                service: "s3",
                date,
            };
            let authorization = signing.authorization(&owner);
            assert!(
                authorization.ends_with(&format!("Signature={signature}")),
                "{path} {query:?} {authorization}"
            );
        }
    }
}
