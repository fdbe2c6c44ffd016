//! The read-only registry, asked by plain HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use oci_image::build::{Entry, ImageSpec, build_layout};
use oci_image::serve::Server;

/// A server of `dir` on loopback for as long as `test` runs.
pub(crate) fn with_server(dir: &Path, test: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(dir);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run(&listener, |_| {}));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(address)));
        server.stop();
        running.join().unwrap().unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head, bytes[at + 4..].to_vec())
}

#[test]
fn tags_manifests_blobs_and_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ImageSpec {
        tag: "1".into(),
        files: vec![Entry::bytes("hello", 0o644, "hello\n")],
        ..ImageSpec::default()
    };
    let digest = build_layout(&dir.path().join("team/web"), &spec).unwrap();
    with_server(dir.path(), |address| {
        assert_eq!(ask(address, "GET", "/v2/", "").0, 200);
        let (_, _, body) = ask(address, "GET", "/v2/_catalog", "");
        assert_eq!(body, br#"{"repositories":["team/web"]}"#);
        let (_, _, body) = ask(address, "GET", "/v2/team/web/tags/list?n=5", "");
        assert_eq!(body, br#"{"name":"team/web","tags":["1"]}"#);
        let (status, head, by_tag) = ask(address, "GET", "/v2/team/web/manifests/1", "");
        assert_eq!(status, 200);
        assert!(head.contains("Content-Type: application/vnd.oci.image.manifest.v1+json"), "{head}");
        assert!(head.contains(&format!("Docker-Content-Digest: {digest}")), "{head}");
        let (_, _, by_digest) = ask(address, "GET", &format!("/v2/team/web/manifests/{digest}"), "");
        assert_eq!(by_tag, by_digest);
        let (status, head, body) = ask(address, "HEAD", "/v2/team/web/manifests/1", "");
        assert_eq!((status, body.len()), (200, 0));
        assert!(head.contains(&format!("Content-Length: {}", by_tag.len())), "{head}");

        let blob = format!("/v2/team/web/blobs/{digest}");
        let (status, head, body) = ask(address, "GET", &blob, "Range: bytes=5-9\r\n");
        assert_eq!((status, body.as_slice()), (206, &by_tag[5..10]));
        assert!(head.contains(&format!("Content-Range: bytes 5-9/{}", by_tag.len())), "{head}");
        assert_eq!(ask(address, "GET", &blob, "Range: bytes=999999-\r\n").0, 416);
    });
}

#[test]
fn strangers_get_errors_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("web"), &ImageSpec::default()).unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    with_server(dir.path(), |address| {
        for path in [
            "/",
            "/v2/none/tags/list",
            "/v2/../secret/tags/list",
            "/v2/web/blobs/sha256:../../../secret",
            "/v2/web/manifests/none",
            "/v2/web/other/x",
        ] {
            let (status, _, body) = ask(address, "GET", path, "");
            assert!(matches!(status, 400 | 404), "{path}: {status}");
            assert!(String::from_utf8(body).unwrap().starts_with(r#"{"errors":["#), "{path}");
        }
        assert_eq!(ask(address, "DELETE", "/v2/web/manifests/latest", "").0, 405);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"nonsense\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    });
}
