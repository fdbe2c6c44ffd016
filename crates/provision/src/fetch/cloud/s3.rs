//! `s3:` URLs and ARNs of S3, and the host and path that an object is asked for at.

use percent_encoding::percent_decode_str;

use super::sigv4::{encode_path, encode_query};

/// Where a bucket is asked about when nothing tells better.
pub(crate) const REGION_DEFAULT: &str = "us-east-1";
/// A region to ask in for each partition.
const HINTS: [(&str, &str); 3] =
    [("aws", "us-east-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")];

/// An object of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bucket, or the access point.
    pub bucket: String,
    /// Owner of the access point.
    pub account: Option<String>,
    /// Its key.
    pub key: String,
    /// Region, where the URL tells it.
    pub region: Option<String>,
    /// Partition, where the URL tells it.
    pub partition: Option<String>,
    /// One version of it.
    pub version: Option<String>,
}

/// Where an object is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host.
    pub host: String,
    /// Path, not encoded.
    pub path: String,
    /// Query, not encoded.
    pub query: Vec<(String, String)>,
}

impl Target {
    /// The URL.
    pub fn url(&self) -> String {
        let mut url = format!("https://{}{}", self.host, encode_path(&self.path));
        if !self.query.is_empty() {
            url.push('?');
            url.push_str(&encode_query(&self.query));
        }
        url
    }
}

/// Whether a text can be a region; it becomes part of a host name.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(is_label_byte)
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Reads `s3://BUCKET/KEY`, `arn:PARTITION:s3:::BUCKET/KEY` or
/// `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME/object/KEY`, each with `?versionId=` if one is wanted.
///
/// # Errors
/// What is wrong with it.
pub fn parse(url: &str) -> Result<Object, &'static str> {
    let (scheme, rest) = url.split_once(':').ok_or("not a URL")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let rest = rest.split('#').next().unwrap_or(rest);
    let version = query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
    let version = version.map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned());
    let object = match scheme.to_ascii_lowercase().as_str() {
        "s3" => {
            let rest = rest.strip_prefix("//").ok_or("not s3://BUCKET/KEY")?;
            let (bucket, key) = rest.split_once('/').ok_or("not s3://BUCKET/KEY")?;
            let key = percent_decode_str(key.trim_start_matches('/')).decode_utf8_lossy().into_owned();
            let bucket = bucket.to_owned();
            Object { bucket, account: None, key, region: None, partition: None, version }
        }
        "arn" => Object { version, ..arn(rest)? },
        _ => return Err("not an s3: or arn: URL"),
    };
    let named = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if object.bucket.is_empty() || object.key.is_empty() || !named(&object.bucket) {
        return Err("it names no bucket and key");
    }
    Ok(object)
}

/// What follows `arn:`.
fn arn(text: &str) -> Result<Object, &'static str> {
    const BAD: &str = "not an ARN of an object of S3";
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    let [partition, "s3", region, account, resource] = parts[..] else { return Err(BAD) };
    let partition = Some(partition.to_owned());
    let object = |bucket: &str, key: &str| Object {
        bucket: bucket.to_owned(),
        account: None,
        key: key.to_owned(),
        region: None,
        partition: partition.clone(),
        version: None,
    };
    let Some(point) = resource.strip_prefix("accesspoint/") else {
        let (bucket, key) = resource.split_once('/').ok_or(BAD)?;
        return Ok(object(bucket, key));
    };
    let (name, rest) = point.split_once('/').ok_or(BAD)?;
    let key = rest.strip_prefix("object/").ok_or(BAD)?;
    let digits = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    if !is_region(region) || !digits || name.is_empty() || !name.bytes().all(is_label_byte) {
        return Err(BAD);
    }
    Ok(Object { account: Some(account.to_owned()), region: Some(region.to_owned()), ..object(name, key) })
}

/// The domain of a region's services.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

impl Object {
    /// A region of the partition that the URL names.
    pub(crate) fn region_hint(&self) -> Option<&'static str> {
        let partition = self.partition.as_deref()?;
        HINTS.iter().find(|(name, _)| *name == partition).map(|(_, region)| *region)
    }

    /// Whether the bucket can be part of a host name that a certificate covers.
    fn is_label(&self) -> bool {
        self.bucket.bytes().all(is_label_byte)
    }

    /// Where to ask for the bucket's region.
    pub(crate) fn bucket_url(&self, region: &str) -> String {
        let (bucket, domain) = (&self.bucket, domain(region));
        if self.is_label() {
            format!("https://{bucket}.s3.{region}.{domain}/")
        } else {
            format!("https://s3.{region}.{domain}/{bucket}")
        }
    }

    /// Where to ask for the object, over IPv4 or IPv6.
    pub fn target(&self, region: &str) -> Target {
        let (bucket, key, domain) = (&self.bucket, &self.key, domain(region));
        let (host, path) = match &self.account {
            Some(account) => {
                (format!("{bucket}-{account}.s3-accesspoint.dualstack.{region}.{domain}"), format!("/{key}"))
            }
            None if self.is_label() => {
                (format!("{bucket}.s3.dualstack.{region}.{domain}"), format!("/{key}"))
            }
            None => (format!("s3.dualstack.{region}.{domain}"), format!("/{bucket}/{key}")),
        };
        let query = self.version.iter().map(|version| ("versionId".to_owned(), version.clone())).collect();
        Target { host, path, query }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_arns() {
        for (url, region, target) in [
            (
                "s3://bucket/a/b%20c",
                "eu-west-1",
                "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/a/b%20c",
            ),
            (
                "s3://b.c/k?versionId=a%2Fb",
                "us-east-1",
                "https://s3.dualstack.us-east-1.amazonaws.com/b.c/k?versionId=a%2Fb",
            ),
            (
                "arn:aws:s3:::bucket/k%20",
                "us-east-1",
                "https://bucket.s3.dualstack.us-east-1.amazonaws.com/k%2520",
            ),
            (
                "arn:aws-cn:s3:::bucket/k",
                "cn-north-1",
                "https://bucket.s3.dualstack.cn-north-1.amazonaws.com.cn/k",
            ),
            (
                "arn:aws:s3:us-west-2:123456789012:accesspoint/test/object/some/path?versionId=v",
                "us-west-2",
                "https://test-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com/some/path?versionId=v",
            ),
        ] {
            let object = parse(url).unwrap();
            assert!(object.region.is_none() || object.region.as_deref() == Some(region));
            assert_eq!(object.target(region).url(), target, "{url}");
        }
        for bad in [
            "s3://bucket",
            "s3:///k",
            "s3://bucket/",
            "s3://evil.example#/k",
            "s3://a@b/k",
            "arn:aws:s3:::bucket",
            "arn:aws:iam:::bucket/k",
            "arn:aws:s3:us-west-2:123:accesspoint/test/k",
            "arn:aws:s3:us-west-2:123:accesspoint/test/object/",
            "arn:aws:s3::123:accesspoint/test/object/k",
            "arn:aws:s3:a.b:123:accesspoint/test/object/k",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("arn:aws-us-gov:s3:::b/k").unwrap().region_hint(), Some("us-gov-west-1"));
        assert_eq!(parse("arn:other:s3:::b/k").unwrap().region_hint(), None);
        assert_eq!(
            parse("s3://b.c/k").unwrap().bucket_url("us-east-1"),
            "https://s3.us-east-1.amazonaws.com/b.c"
        );
    }
}
