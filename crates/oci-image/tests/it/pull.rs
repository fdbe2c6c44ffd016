//! Pulls into a store: from our own server, through one that tears and lies, and by several at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci_image::build::{Entry, ImageSpec, build_layout};
use oci_image::client::{Client, Options};
use oci_image::layout::Layout;
use oci_image::manifest::{Compression, RunConfig};
use oci_image::pull::{Event, PullError, pull};
use oci_image::registries::Endpoint;
use oci_image::source::LayoutSource;
use oci_image::store::{Image, Store, StoreError};
use oci_image::{Reference, auth::Credentials};

use crate::serve::with_server;

pub(crate) fn spec(tag: &str, compression: Compression) -> ImageSpec {
    ImageSpec {
        tag: tag.to_owned(),
        files: vec![Entry::bytes("hello", 0o644, "hello\n"), Entry::bytes("big", 0o644, noise(3 << 20))],
        config: RunConfig { cmd: vec!["/hello".into()], ..RunConfig::default() },
        compression,
        ..ImageSpec::default()
    }
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..count).map(step).collect()
}

pub(crate) fn client(address: SocketAddr, repository: &str) -> Client {
    let endpoint = Endpoint { host: address.to_string(), repository: repository.into(), insecure: true };
    let options = Options {
        roots: "/nonexistent".into(),
        credentials: Credentials::default(),
        resolver: resolve::Resolver::default(),
    };
    Client::new(&endpoint, &options).unwrap()
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn file_of(store: &Store, image: &Image, name: &str) -> Vec<u8> {
    std::fs::read(store.layers(image)[0].join(name)).unwrap()
}

#[test]
fn root_an_image_is_pulled_found_leased_and_removed() {
    if !crate::is_root("root_an_image_is_pulled_found_leased_and_removed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layouts = dir.path().join("layouts");
    build_layout(&layouts.join("web"), &spec("1", Compression::Gzip)).unwrap();
    let second = build_layout(&layouts.join("web"), &spec("2", Compression::Zstd)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    with_server(&layouts, |address| {
        let source = client(address, "web");
        let one = pull(&store, &source, &reference("localhost/web:1"), &mut |_| {}).unwrap();
        assert_eq!(file_of(&store, &one, "hello"), b"hello\n");
        let mut events = Vec::new();
        let two =
            pull(&store, &source, &reference("localhost/web:2"), &mut |event| events.push(event)).unwrap();
        assert_eq!(two.digest, second);
        // The same files, packed otherwise: one layer on disk, nothing fetched again.
        assert!(
            matches!(events.as_slice(), [Event::Resolved { layers: 1, .. }, Event::Present { .. }]),
            "{events:?}"
        );
        let missing = pull(&store, &source, &reference("localhost/web:3"), &mut |_| {}).unwrap_err();
        assert!(matches!(missing, PullError::Source { source, .. } if source.is_not_found()));
        let pinned = reference(&format!("localhost/web@{second}"));
        assert_eq!(pull(&store, &source, &pinned, &mut |_| {}).unwrap().manifest_digest, two.manifest_digest);
    });
    assert_eq!(store.list().unwrap().len(), 3);
    let one = store.find(&reference("localhost/web:1")).unwrap().unwrap();
    let by_digest = reference(&format!("localhost/web:9@{second}"));
    assert_eq!(store.find(&by_digest).unwrap().unwrap().digest, second);

    store.lease("pod-1", &one).unwrap();
    assert!(matches!(store.remove(&one.reference), Err(StoreError::InUse { .. })));
    store.release("pod-1").unwrap();
    let removed = store.remove(&one.reference).unwrap();
    assert_eq!(
        (removed.layers, removed.documents),
        (0, 1),
        "layer and config are still needed by the other name"
    );
    store.remove(&reference("localhost/web:2")).unwrap();
    assert_eq!(store.remove(&reference(&format!("localhost/web@{second}"))).unwrap().layers, 1);
    assert!(matches!(store.remove(&one.reference), Err(StoreError::NotFound { .. })));
}

#[test]
fn root_a_layout_is_a_source_too() {
    if !crate::is_root("root_a_layout_is_a_source_too") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("web"), &spec("1", Compression::None)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let source = LayoutSource::new(Layout::at(&dir.path().join("web")));
    let image = pull(&store, &source, &reference("localhost/web:1"), &mut |_| {}).unwrap();
    assert_eq!(image.config.config.cmd, ["/hello"]);
    assert!(store.is_complete(&image));
}

#[test]
fn root_many_at_once_fetch_a_layer_once() {
    if !crate::is_root("root_many_at_once_fetch_a_layer_once") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::Gzip)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let unpacked = AtomicUsize::new(0);
    with_server(&dir.path().join("layouts"), |address| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut count = |event| {
                        if matches!(event, Event::Unpacking { .. }) {
                            unpacked.fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    pull(&store, &client(address, "web"), &reference("localhost/web:1"), &mut count).unwrap();
                });
            }
        });
    });
    assert_eq!(unpacked.load(Ordering::Relaxed), 1);
}

/// A proxy before a server that hands each connection's bytes to `spoil`, which cuts or changes them.
fn with_proxy(
    server: SocketAddr,
    spoil: impl Fn(usize, &str, Vec<u8>) -> Vec<u8> + Sync,
    test: impl FnOnce(SocketAddr),
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                relay(&mut stream.unwrap(), server, |request, answer| {
                    spoil(count.fetch_add(1, Ordering::Relaxed), request, answer)
                });
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(address)));
        stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(address));
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

fn relay(stream: &mut TcpStream, server: SocketAddr, spoil: impl FnOnce(&str, Vec<u8>) -> Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
        if head[0] == 0x16 {
            return; // a TLS hello: this proxy speaks plain HTTP only
        }
    }
    let request = String::from_utf8(head).unwrap();
    let mut upstream = TcpStream::connect(server).unwrap();
    upstream.write_all(request.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).unwrap();
    let _ = stream.write_all(&spoil(&request, answer));
}

fn is_blob(request: &str, layer_only: bool) -> bool {
    request.contains("/blobs/") && (!layer_only || !request.contains("application/json"))
}

#[test]
fn root_a_torn_layer_is_resumed_where_it_broke() {
    if !crate::is_root("root_a_torn_layer_is_resumed_where_it_broke") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::Gzip)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let ranges = std::sync::Mutex::new(Vec::new());
    with_server(&dir.path().join("layouts"), |server| {
        // Every answer longer than 1 MiB is cut there.
        let cut = |_, request: &str, mut answer: Vec<u8>| {
            if is_blob(request, true) {
                let range = request.lines().find(|line| line.to_lowercase().starts_with("range:"));
                ranges.lock().unwrap().push(range.map(str::to_owned));
            }
            answer.truncate(1 << 20);
            answer
        };
        with_proxy(server, cut, |address| {
            let mut retries = 0;
            let image = pull(&store, &client(address, "web"), &reference("localhost/web:1"), &mut |event| {
                retries += usize::from(matches!(event, Event::Retry { .. }));
            });
            assert!(store.is_complete(&image.unwrap()));
            assert!(retries >= 2, "{retries}");
        });
    });
    let ranges = ranges.into_inner().unwrap();
    assert!(ranges.iter().flatten().count() >= 2, "{ranges:?}");
}

#[test]
fn root_a_damaged_layer_is_refused_and_not_kept() {
    if !crate::is_root("root_a_damaged_layer_is_refused_and_not_kept") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::Gzip)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    with_server(&dir.path().join("layouts"), |server| {
        let damage = |_, _: &str, mut answer: Vec<u8>| {
            let last = answer.len() - 1;
            if answer.len() > 1 << 20 {
                answer[last] ^= 1;
            }
            answer
        };
        with_proxy(server, damage, |address| {
            let error = pull(&store, &client(address, "web"), &reference("localhost/web:1"), &mut |_| {})
                .unwrap_err();
            assert!(matches!(error, PullError::Digest { .. }), "{error}");
        });
        assert!(store.list().unwrap().is_empty());
        // The honest server then serves from the start.
        pull(&store, &client(server, "web"), &reference("localhost/web:1"), &mut |_| {}).unwrap();
    });
    assert_eq!(store.gc().unwrap().layers, 0);
}

#[test]
fn root_what_a_crash_leaves_is_used_or_removed() {
    if !crate::is_root("root_what_a_crash_leaves_is_used_or_removed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::Gzip)).unwrap();
    let layout = Layout::at(&dir.path().join("layouts/web"));
    let store = Store::open(&dir.path().join("store")).unwrap();
    // As if a run had died after half of the layer, and another in the middle of unpacking.
    let manifest = std::fs::read(layout.blob_path(&layout.index().unwrap().manifests[0].digest)).unwrap();
    let manifest: oci_image::manifest::Manifest = serde_json::from_slice(&manifest).unwrap();
    let layer = &manifest.layers[0];
    let bytes = std::fs::read(layout.blob_path(&layer.digest)).unwrap();
    let ingest = store.dir().join("ingest");
    std::fs::write(ingest.join(format!("{}.blob", layer.digest.hex())), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::create_dir_all(ingest.join("torn.layer/fs/x")).unwrap();
    with_server(&dir.path().join("layouts"), |address| {
        let mut first = None;
        let mut note = |event| {
            if let Event::Fetching { done, .. } = event {
                first.get_or_insert(done);
            }
        };
        pull(&store, &client(address, "web"), &reference("localhost/web:1"), &mut note).unwrap();
        assert!(first.unwrap() > bytes.len() as u64 / 2, "{first:?}");
    });
    assert_eq!(store.gc().unwrap().torn, 1);
    assert!(no_files(&ingest));
}

fn no_files(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn root_tokens_are_fetched_for_a_bearer_challenge() {
    if !crate::is_root("root_tokens_are_fetched_for_a_bearer_challenge") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    build_layout(&dir.path().join("layouts/web"), &spec("1", Compression::None)).unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    with_server(&dir.path().join("layouts"), |server| {
        let guard = |_, request: &str, answer: Vec<u8>| {
            let host = request
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned));
            if request.starts_with("GET /token?") {
                assert!(
                    request.contains("scope=repository%3Aweb%3Apull")
                        || request.contains("scope=repository:web:pull"),
                    "{request}"
                );
                let body = r#"{"access_token":"t0ken"}"#;
                return format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes();
            }
            if request.to_lowercase().contains("authorization: bearer t0ken") {
                return answer;
            }
            let realm = format!("http://{}/token", host.unwrap());
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:web:pull\""
            );
            format!(
                "HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes()
        };
        with_proxy(server, guard, |address| {
            pull(&store, &client(address, "web"), &reference("localhost/web:1"), &mut |_| {}).unwrap();
        });
    });
}
