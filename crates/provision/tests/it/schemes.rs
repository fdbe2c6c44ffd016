//! URL schemes: TFTP against a server of the test and Debian's, the storages of clouds against services that want their
//! credentials.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provision::fetch::cloud::sigv4::{self, Credentials};

use crate::machine::{Machine, skip};
use crate::server::{Asked, Server, ok, status};

const IMDS: &str = "http://169.254.169.254";

fn file(source: &str, rest: &str) -> String {
    format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "/etc/a", "overwrite": true,
        "contents": {{"source": "{source}"{rest}}}}}]}}}}"#
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Not compressible, not periodic in any block size.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

/// What a TFTP server of a test does wrong or leaves out.
#[derive(Debug, Clone, Copy, Default)]
struct Manners {
    /// Knows no options.
    plain: bool,
    /// Answers options with error 8.
    refuses_options: bool,
    /// Drops each n-th packet of its own.
    drops: Option<u32>,
    /// Sends each block twice.
    doubles: bool,
    /// Requests that it leaves without any answer.
    deaf: u32,
    /// Insists on tiny blocks, of eight bytes.
    tiny: bool,
}

/// A TFTP server; it lives as long as the test's process.
fn tftp(files: &[(&str, Vec<u8>)], manners: Manners) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let files: HashMap<String, Vec<u8>> =
        files.iter().map(|(name, data)| ((*name).to_owned(), data.clone())).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        let mut deaf = manners.deaf;
        loop {
            let mut buffer = [0; 2048];
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let request = buffer[..length].to_vec();
            seen.lock().unwrap().push(request.clone());
            if deaf > 0 {
                deaf -= 1;
                continue;
            }
            let files = files.clone();
            std::thread::spawn(move || serve(&request, client, &files, manners));
        }
    });
    (port, requests)
}

fn serve(
    request: &[u8],
    client: std::net::SocketAddr,
    files: &HashMap<String, Vec<u8>>,
    manners: Manners,
) -> Option<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
    let texts: Vec<String> = request[2..]
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    assert_eq!((&request[..2], texts[1].as_str()), (&[0, 1][..], "octet"));
    let send = |packet: &[u8]| socket.send_to(packet, client).map(drop).ok();
    let Some(data) = files.get(&texts[0]) else { return send(b"\0\x05\0\x01File not found\0") };
    let options = texts.len() > 3;
    if options && manners.refuses_options {
        return send(b"\0\x05\0\x08no options\0");
    }
    let mut block_bytes = 512;
    let mut pending: Vec<u8> = Vec::new();
    let mut block = 0u16;
    if options && !manners.plain {
        block_bytes = if manners.tiny { 8 } else { 1024 };
        pending = format!("\0\x06blksize\0{block_bytes}\0").into_bytes();
    }
    let mut at = 0;
    let mut sent = 0u32;
    let mut ended = false;
    loop {
        if pending.is_empty() {
            if ended {
                return Some(());
            }
            block = block.wrapping_add(1);
            let piece = &data[at..(at + block_bytes).min(data.len())];
            at += piece.len();
            ended = piece.len() < block_bytes;
            pending = [&[0, 3], &block.to_be_bytes()[..], piece].concat();
        }
        for _ in 0..60 {
            sent += 1;
            if manners.drops.is_none_or(|every| !sent.is_multiple_of(every)) {
                send(&pending)?;
                if manners.doubles {
                    send(&pending)?;
                }
            }
            let mut answer = [0; 64];
            let mut acknowledged = false;
            while let Ok((4, from)) = socket.recv_from(&mut answer) {
                assert_eq!(from, client);
                if answer[..4] == [&[0, 4], &block.to_be_bytes()[..]].concat() {
                    acknowledged = true;
                    break;
                }
            }
            if acknowledged {
                pending.clear();
                break;
            }
        }
        if !pending.is_empty() {
            return None;
        }
    }
}

fn fetched(url: &str, rest: &str) -> Vec<u8> {
    let mut machine = Machine::new();
    machine.boot(&file(url, rest)).unwrap_or_else(|error| panic!("{error}\n{}", machine.events.join("\n")));
    std::fs::read(machine.root().join("etc/a")).unwrap()
}

#[test]
fn tftp_from_servers_of_all_manners() {
    // Whole blocks of either size, so that the end is an empty one; and something between.
    for length in [0, 1, 512, 1024, 5000, 65_536] {
        let data = noise(length);
        for manners in [
            Manners::default(),
            Manners { plain: true, ..Manners::default() },
            Manners { refuses_options: true, ..Manners::default() },
            Manners { doubles: true, ..Manners::default() },
        ] {
            let (port, _) = tftp(&[("/dir/a file", data.clone())], manners);
            let url = format!("tftp://127.0.0.1:{port}/dir/a%20file");
            assert_eq!(fetched(&url, ""), data, "{length} {manners:?}");
        }
    }
}

#[test]
fn tftp_over_a_lossy_link_and_more_blocks_than_a_number_holds() {
    let data = noise(40_000);
    let lossy = Manners { drops: Some(7), ..Manners::default() };
    let (port, _) = tftp(&[("/a", data.clone())], lossy);
    assert_eq!(fetched(&format!("tftp://127.0.0.1:{port}/a"), ""), data);
    // 65,537 blocks and a bit: the number of the block starts over.
    let long = noise(65_537 * 8 + 3);
    let (port, _) = tftp(&[("/a", long.clone())], Manners { tiny: true, ..Manners::default() });
    assert!(fetched(&format!("tftp://127.0.0.1:{port}/a"), "") == long);
}

#[test]
fn tftp_that_is_deaf_at_first_is_asked_again() {
    let (port, requests) = tftp(&[("/a", b"x".to_vec())], Manners { deaf: 1, ..Manners::default() });
    assert_eq!(fetched(&format!("tftp://127.0.0.1:{port}/a"), ""), b"x");
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1]);
}

#[test]
fn tftp_with_gzip_and_digests_and_errors() {
    let (port, _) = tftp(&[("/z", gzip(b"hello")), ("/plain", b"other".to_vec())], Manners::default());
    let hash = "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let rest = format!(r#", "compression": "gzip", "verification": {{"hash": "{hash}"}}"#);
    let url = |name: &str| format!("tftp://127.0.0.1:{port}/{name}");
    assert_eq!(fetched(&url("z"), &rest), b"hello");
    let error = Machine::new().boot(&file(&url("z"), &rest.replace("sha256-2c", "sha256-2d"))).unwrap_err();
    assert!(error.text().contains("the content's digest is sha256-2cf24d"), "{error}");
    let error = Machine::new().boot(&file(&url("plain"), &rest)).unwrap_err();
    assert!(error.text().contains("the content is not gzip"), "{error}");
    let error = Machine::new().boot(&file(&url("no"), "")).unwrap_err();
    assert!(
        error.line().contains("/no: the server answers with error 1: File not found"),
        "{}",
        error.line()
    );
    let mut machine = Machine::new();
    machine.cmdline = "ignition.config.url=tftp://127.0.0.1/".into();
    assert!(machine.fetch().unwrap_err().line().contains("not a URL of a file"));
}

#[test]
fn tftp_gives_up_when_the_config_says_so() {
    let (port, _) = tftp(&[], Manners { deaf: 1000, ..Manners::default() });
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0", "timeouts": {{"httpTotal": 1}}}},
        "storage": {{"files": [{{"path": "/etc/a", "contents": {{"source": "tftp://127.0.0.1:{port}/a"}}}}]}}}}"#
    );
    let line = Machine::new().boot(&text).unwrap_err().line();
    assert!(line.contains("/a: nothing after ") && line.contains("attempts in 1 s: "), "{line}");
}

#[test]
fn root_tftp_from_debian_s_server() {
    const TEST: &str = "root_tftp_from_debian_s_server";
    let program = "/usr/sbin/in.tftpd";
    if !std::path::Path::new(program).exists() || !rustix::process::getuid().is_root() {
        return skip(TEST, "no in.tftpd (tftpd-hpa), or not root");
    }
    let dir = tempfile::tempdir().unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = noise(300_000);
    std::fs::write(dir.path().join("config"), &data).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for refused in [&[][..], &["--refuse", "blksize"]] {
        let address = format!("127.0.0.1:{port}");
        let mut server = Command::new(program)
            .args(["--foreground", "--address", &address, "--user", "nobody", "--secure"])
            .args(refused)
            .arg(dir.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let mut machine = Machine::new();
        let result = machine.boot(&file(&format!("tftp://{address}/config"), ""));
        let _ = server.kill();
        let _ = server.wait();
        result.unwrap_or_else(|error| panic!("{error}"));
        assert!(std::fs::read(machine.root().join("etc/a")).unwrap() == data);
    }
}

const KEY_ID: &str = "ASIAEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI";
const SESSION: &str = "session+token==";

/// EC2's metadata service with a role, or without.
fn ec2(role: bool) -> Server {
    Server::with(move |asked: &Asked| {
        let shown = asked.header("x-aws-ec2-metadata-token") == "imds-token";
        match (asked.method.as_str(), asked.path.as_str(), shown) {
            ("PUT", "/latest/api/token", _) => ok("imds-token"),
            (_, _, false) => status(401),
            ("GET", "/latest/meta-data/placement/region", _) => ok("eu-north-1"),
            ("GET", "/latest/meta-data/iam/security-credentials/", _) if role => ok("web\n"),
            ("GET", "/latest/meta-data/iam/security-credentials/web", _) => ok(format!(
                r#"{{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "{KEY_ID}",
                "SecretAccessKey": "{SECRET}", "Token": "{SESSION}", "Expiration": "2030-01-01T00:00:00Z"}}"#
            )),
            _ => status(404),
        }
    })
}

/// S3: gives an object to those whose signature is right, or to everybody; and a bucket's region for HEAD.
fn s3(host: &'static str, path: &'static str, region: &'static str, private: bool) -> Server {
    Server::with(move |asked: &Asked| {
        if asked.method == "HEAD" {
            return status(301).header(format!("x-amz-bucket-region: {region}"));
        }
        if private {
            let owner =
                Credentials { key_id: KEY_ID.into(), secret: SECRET.into(), token: Some(SESSION.into()) };
            let (plain, query) = path.split_once('?').unwrap_or((path, ""));
            let query: Vec<(String, String)> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let plain = percent_encoding::percent_decode_str(plain).decode_utf8().unwrap();
            let date = asked.header("x-amz-date");
            let wanted = sigv4::sign_s3(host, &plain, &query, region, date, &owner);
            if wanted.iter().any(|(name, value)| asked.header(name) != value) {
                return status(403);
            }
        }
        match asked.header("host") == host && asked.path == path {
            true => ok("from s3"),
            false => status(404),
        }
    })
}

fn s3_machine(platform: &str, host: &str, server: &Server, imds: Option<&Server>) -> Machine {
    let mut machine = Machine::new();
    machine.cmdline = format!("ignition.platform.id={platform} ignition.config.url=data:,");
    machine.endpoints.insert(format!("https://{host}"), server.url.clone());
    if let Some(imds) = imds {
        machine.endpoints.insert(IMDS.into(), imds.url.clone());
    }
    machine
}

/// Boots a machine whose config is given by URL, so that any platform will do.
fn given(machine: &mut Machine, config: &str) -> Result<String, provision::Error> {
    let server = Server::new();
    server.on("/config", [ok(config)]);
    let line = machine.cmdline.replace("data:,", &format!("{}/config", server.url));
    machine.cmdline = line;
    let wanted = machine.fetch()?;
    machine.apply(&wanted)?;
    Ok(machine.text("etc/a"))
}

#[test]
fn s3_with_the_role_of_the_instance() {
    let imds = ec2(true);
    let host = "bucket.s3.dualstack.eu-west-1.amazonaws.com";
    let server = s3(host, "/dir/a%20b%2B.txt?versionId=v1", "eu-west-1", true);
    let mut machine = s3_machine("aws", host, &server, Some(&imds));
    // The bucket is asked about in the instance's own region.
    machine.endpoints.insert("https://bucket.s3.eu-north-1.amazonaws.com".into(), server.url.clone());
    assert_eq!(given(&mut machine, &file("s3://bucket/dir/a%20b+.txt?versionId=v1", "")).unwrap(), "from s3");
    let methods: Vec<String> =
        server.requests().iter().map(|r| r.split(' ').next().unwrap().to_owned()).collect();
    assert!(methods.contains(&"HEAD".to_owned()), "{methods:?}");
}

#[test]
fn s3_anonymously() {
    let host = "bucket.s3.dualstack.us-east-1.amazonaws.com";
    // Not on EC2, and on EC2 without a role.
    for (platform, imds) in [("metal", None), ("aws", Some(ec2(false)))] {
        let server = s3(host, "/k", "us-east-1", false);
        let mut machine = s3_machine(platform, host, &server, imds.as_ref());
        for region in ["us-east-1", "eu-north-1"] {
            let origin = format!("https://bucket.s3.{region}.amazonaws.com");
            machine.endpoints.insert(origin, server.url.clone());
        }
        assert_eq!(given(&mut machine, &file("s3://bucket/k", "")).unwrap(), "from s3", "{platform}");
        assert!(!server.requests().iter().any(|request| request.to_lowercase().contains("authorization")));
    }
}

#[test]
fn s3_by_arn_and_what_is_refused() {
    let host = "bucket.s3.dualstack.cn-northwest-1.amazonaws.com.cn";
    let server = s3(host, "/k", "cn-northwest-1", false);
    let mut machine = s3_machine("metal", host, &server, None);
    machine.endpoints.insert("https://bucket.s3.cn-north-1.amazonaws.com.cn".into(), server.url.clone());
    assert_eq!(given(&mut machine, &file("arn:aws-cn:s3:::bucket/k", "")).unwrap(), "from s3");

    // An access point tells its region; nobody is asked.
    let host = "point-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com";
    let imds = ec2(true);
    let server = s3(host, "/dir/k", "us-west-2", true);
    let mut machine = s3_machine("aws", host, &server, Some(&imds));
    let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/point/object/dir/k";
    assert_eq!(given(&mut machine, &file(arn, "")).unwrap(), "from s3");
    assert!(server.requests().iter().all(|request| request.starts_with("GET ")));

    let nothing = Server::with(|_| status(404));
    let mut machine = s3_machine("metal", "gone.s3.us-east-1.amazonaws.com", &nothing, None);
    let line = given(&mut machine, &file("s3://gone/k", "")).unwrap_err().line();
    assert!(line.contains("s3://gone/k: there is no bucket gone"), "{line}");
    // Without credentials, what is private is refused with the address that was asked.
    let server = s3(host, "/dir/k", "us-west-2", true);
    let mut machine = s3_machine("metal", host, &server, None);
    let line = given(&mut machine, &file(arn, "")).unwrap_err().line();
    assert!(line.contains(host) && line.contains("the server answers 403"), "{line}");
}

const GCS: &str = "https://storage.googleapis.com";

#[test]
fn gs_with_the_service_account_or_anonymously() {
    let imds = Server::with(|asked| {
        let account = "/computeMetadata/v1/instance/service-accounts/default/token?";
        match (asked.header("metadata-flavor"), asked.path.starts_with(account)) {
            ("Google", true) => ok(r#"{"access_token": "ya29", "expires_in": 3599, "token_type": "Bearer"}"#),
            _ => status(403),
        }
    });
    for (platform, token) in [("gcp", "Bearer ya29"), ("metal", "")] {
        let server =
            Server::with(move |asked| match (asked.path.as_str(), asked.header("authorization") == token) {
                ("/storage/v1/b/bucket.x/o/dir%2Fa%20b?alt=media", true) => ok("from gs"),
                (_, false) => status(401),
                _ => status(404),
            });
        let mut machine = Machine::new();
        machine.cmdline = format!("ignition.platform.id={platform} ignition.config.url=data:,");
        machine.endpoints.insert(IMDS.into(), imds.url.clone());
        machine.endpoints.insert(GCS.into(), server.url.clone());
        assert_eq!(
            given(&mut machine, &file("gs://bucket.x/dir/a%20b", "")).unwrap(),
            "from gs",
            "{platform}"
        );
    }
}

#[test]
fn azure_blobs_with_the_machine_s_identity() {
    const BLOB: &str = "https://account.blob.core.windows.net";
    let imds = |identity: bool| {
        Server::with(move |asked| {
            let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F";
            match (asked.header("metadata"), asked.path == path, identity) {
                ("true", true, true) => ok(r#"{"access_token": "eyJ0", "expires_in": "86399"}"#),
                ("true", true, false) => status(400),
                _ => status(403),
            }
        })
    };
    // A private blob by identity; a public one where there is no identity; one that the identity may not read but
    // whose URL is signed.
    for (identity, wanted) in [(true, "Bearer eyJ0"), (false, ""), (true, "")] {
        let server = Server::with(move |asked| {
            let authorization = asked.header("authorization");
            let version = asked.header("x-ms-version");
            match (authorization == wanted, asked.path.as_str()) {
                (true, "/c/blob?sv=1&sig=x") if wanted.is_empty() || version >= "2017-11-09" => {
                    ok("from azure")
                }
                _ => status(403),
            }
        });
        let imds = imds(identity);
        let mut machine = Machine::new();
        machine.cmdline = "ignition.platform.id=azure ignition.config.url=data:,".into();
        machine.endpoints.insert(IMDS.into(), imds.url.clone());
        machine.endpoints.insert(BLOB.into(), server.url.clone());
        let config = file(&format!("{BLOB}/c/blob?sv=1&sig=x"), "");
        assert_eq!(given(&mut machine, &config).unwrap(), "from azure", "{identity} {wanted:?}");
    }
}

#[test]
fn a_config_itself_by_any_scheme() {
    let text = file("data:,by%20tftp", "");
    let (port, _) = tftp(&[("/c.ign", text.into_bytes())], Manners::default());
    let mut machine = Machine::new();
    machine.cmdline = format!("ignition.config.url=tftp://127.0.0.1:{port}/c.ign");
    let wanted = machine.fetch().unwrap();
    machine.apply(&wanted).unwrap();
    assert_eq!(machine.text("etc/a"), "by tftp");
    machine.cmdline = "ignition.config.url=ftp://127.0.0.1/c".into();
    let error = machine.fetch().unwrap_err();
    assert_eq!(error.line(), "URLs of scheme \"ftp\" cannot be fetched");
    assert!(error.text().contains("hint: use one of http, https, tftp, s3, arn, gs, data"));
}
