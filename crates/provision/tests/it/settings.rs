//! What a config says about its own fetches: proxies, time-outs, headers, authorities; and the order of its sources.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::machine::{Machine, skip};
use crate::server::{Server, ok, status};

fn config(ignition: &str, source: &str) -> String {
    format!(
        r#"{{"ignition": {{"version": "3.5.0"{ignition}}}, "storage": {{"files": [{{"path": "/etc/a",
        "contents": {{"source": "{source}"}}}}]}}}}"#
    )
}

fn text_of(machine: &mut Machine, config: &str) -> String {
    machine.boot(config).unwrap_or_else(|error| panic!("{error}\n{}", machine.events.join("\n")));
    machine.text("etc/a")
}

/// A proxy: answers whole URLs itself, and tunnels CONNECT to `target` whatever host is asked for.
fn proxy(target: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            log.lock().unwrap().push(head.clone());
            if !head.starts_with("CONNECT ") {
                let body = "by proxy";
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                continue;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let pass = |mut from: TcpStream, mut to: TcpStream| {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                })
            };
            pass(stream.try_clone().unwrap(), server.try_clone().unwrap());
            pass(server, stream);
        }
    });
    (address, asked)
}

#[test]
fn http_goes_through_a_proxy_as_whole_urls() {
    let (address, asked) = proxy(0);
    // The host has no address that this machine knows: the proxy resolves it.
    let rest = format!(r#", "proxy": {{"httpProxy": "http://me:p%40ss@{address}"}}"#);
    let mut machine = Machine::new();
    assert_eq!(text_of(&mut machine, &config(&rest, "http://origin.test:8080/a/b?c=d")), "by proxy");
    let head = asked.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("get http://origin.test:8080/a/b?c=d http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: origin.test:8080\r\n"), "{head}");
    // `me:p@ss` in base64, lower case as the head.
    assert!(head.contains("\r\nproxy-authorization: basic bwu6cebzcw==\r\n"), "{head}");
}

#[test]
fn no_proxy_is_heeded() {
    let (address, asked) = proxy(0);
    let server = Server::with(|_| ok("direct"));
    let mut machine = Machine::new();
    machine.endpoints.insert("http://direct.test".into(), server.url.clone());
    let rest = format!(r#", "proxy": {{"httpProxy": "http://{address}", "noProxy": ["127.0.0.0/8"]}}"#);
    assert_eq!(text_of(&mut machine, &config(&rest, "http://direct.test/x")), "direct");
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn https_goes_through_a_tunnel_and_trusts_the_config_s_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut server, port)) = crate::fetch::tls_server(dir.path(), false) else {
        return skip("https_goes_through_a_tunnel_and_trusts_the_config_s_authority", "no openssl program");
    };
    std::fs::write(dir.path().join("hello"), "hello").unwrap();
    let (address, asked) = proxy(port);
    let authority: String =
        std::fs::read(dir.path().join("ca.pem")).unwrap().iter().map(|b| format!("%{b:02x}")).collect();
    let tls = format!(
        r#""security": {{"tls": {{"certificateAuthorities": [{{"source": "data:,{authority}"}}]}}}}"#
    );
    let rest = format!(r#", {tls}, "proxy": {{"httpsProxy": "http://{address}"}}"#);
    let mut machine = Machine::new();
    let fetched = machine.boot(&config(&rest, "https://tls.test/hello")).map(|_| machine.text("etc/a"));
    // The machine's own bundle is trusted as well as the config's.
    let mut own = Machine::new();
    own.bundle = Some(dir.path().join("ca.pem"));
    let rest = format!(r#", "proxy": {{"httpsProxy": "http://{address}"}}"#);
    let by_bundle = own.boot(&config(&rest, "https://tls.test/hello")).map(|_| own.text("etc/a"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(fetched.unwrap_or_else(|error| panic!("{error}")), "hello");
    assert_eq!(by_bundle.unwrap_or_else(|error| panic!("{error}")), "hello");
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("CONNECT tls.test:443 HTTP/1.1\r\n"), "{}", asked[0]);
}

#[test]
fn a_child_s_time_outs_are_in_force_for_its_own_fetches() {
    // The child allows one second in all; its own child never comes.
    let server = Server::new();
    let child = format!(
        r#"{{"ignition": {{"version": "3.5.0", "timeouts": {{"httpTotal": 1}},
        "config": {{"merge": [{{"source": "{}/never"}}]}}}}}}"#,
        server.url
    );
    server.on("/child", [ok(child)]);
    server.on("/never", [status(503)]);
    let parent = format!(
        r#"{{"ignition": {{"version": "3.5.0", "config": {{"merge": [{{"source": "{}/child"}}]}}}}}}"#,
        server.url
    );
    let mut machine = Machine::new();
    machine.fw_cfg("opt/com.coreos/config", parent.as_bytes());
    let line = machine.fetch().unwrap_err().line();
    assert!(
        line.contains("/never: nothing after ") && line.contains("in 1 s: the server answers 503"),
        "{line}"
    );
}

#[test]
fn headers_of_a_config_replace_the_default_ones() {
    let server = Server::with(|asked| match (asked.header("accept"), asked.header("x-a")) {
        ("text/plain", "b") => ok(r#"{"ignition": {"version": "3.5.0"}}"#),
        _ => status(400),
    });
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0", "config": {{"merge": [{{"source": "{}/c",
        "httpHeaders": [{{"name": "Accept", "value": "text/plain"}}, {{"name": "X-A", "value": "b"}}]}}]}}}}}}"#,
        server.url
    );
    let mut machine = Machine::new();
    machine.fw_cfg("opt/com.coreos/config", text.as_bytes());
    machine.fetch().unwrap_or_else(|error| panic!("{error}"));
    let request = server.requests()[0].to_lowercase();
    assert_eq!(request.matches("\r\naccept: ").count(), 1, "{request}");
}

#[test]
fn digests_of_either_kind_over_what_was_unpacked() {
    use sha2::Digest as _;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"hello").unwrap();
        encoder.finish().unwrap()
    };
    let server = Server::new();
    server.on("/z", [ok(packed.clone())]);
    let sum256 = format!("sha256-{}", hex(&sha2::Sha256::digest(b"hello")));
    let sum512 = format!("sha512-{}", hex(&sha2::Sha512::digest(b"hello")));
    let of_packed = format!("sha512-{}", hex(&sha2::Sha512::digest(&packed)));
    for (sum, good) in [(&sum256, true), (&sum512, true), (&of_packed, false)] {
        let text = format!(
            r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "/etc/a", "contents":
            {{"source": "{}/z", "compression": "gzip", "verification": {{"hash": "{sum}"}}}}}}]}}}}"#,
            server.url
        );
        assert_eq!(Machine::new().boot(&text).is_ok(), good, "{sum}");
    }
}

#[test]
fn a_body_that_never_ends_is_cut_by_the_total() {
    let server = Server::with(|_| ok("late").delay(Duration::from_millis(1500)));
    let rest = r#", "timeouts": {"httpResponseHeaders": 1, "httpTotal": 2}"#;
    let line = Machine::new().boot(&config(rest, &format!("{}/x", server.url))).unwrap_err().line();
    assert!(line.contains("/x: nothing after ") && line.contains(" in 2 s: "), "{line}");
}

fn system(machine: &Machine, dir: &str, name: &str, path: &str) {
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "/etc/{path}",
        "contents": {{"source": "data:,{dir}"}}}}]}}}}"#
    );
    machine.write(&format!("{dir}/{name}"), text.as_bytes());
}

#[test]
fn system_directories_shadow_and_sort_and_know_the_platform() {
    let mut machine = Machine::new();
    machine.system_dirs = ["run-ignition", "etc-ignition", "usr-ignition"].map(Into::into).into();
    machine.cmdline = "ignition.platform.id=metal".into();
    system(&machine, "usr-ignition", "base.d/10-a.ign", "a");
    system(&machine, "etc-ignition", "base.d/10-a.ign", "a");
    system(&machine, "usr-ignition", "base.d/20-b.ign", "b");
    system(&machine, "run-ignition", "base.d/20-b.ign", "b");
    system(&machine, "usr-ignition", "base.platform.d/metal/x.ign", "metal");
    system(&machine, "usr-ignition", "base.platform.d/aws/x.ign", "aws");
    // The later name and the platform come over the earlier ones; the user's own config over all.
    system(&machine, "usr-ignition", "base.d/90-b.ign", "c");
    system(&machine, "etc-ignition", "base.platform.d/metal/y.ign", "c");
    let butane =
        "variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: /etc/user, contents: {inline: bu}}]}\n";
    machine.write("usr-ignition/user.bu", butane.as_bytes());
    let wanted = machine.fetch().unwrap_or_else(|error| panic!("{error}"));
    assert!(wanted.user_config_provided);
    machine.apply(&wanted).unwrap();
    for (path, text) in [
        ("a", "etc-ignition"),
        ("b", "run-ignition"),
        ("c", "etc-ignition"),
        ("metal", "usr-ignition"),
        ("user", "bu"),
    ] {
        assert_eq!(machine.text(&format!("etc/{path}")), text, "{path}");
    }
    assert!(!machine.root().join("etc/aws").exists());
    // A directory of higher priority wins with either format; two formats in one contradict each other.
    system(&machine, "run-ignition", "user.ign", "user");
    let wanted = machine.fetch().unwrap();
    assert!(wanted.documents.names().iter().any(|name| name.ends_with("run-ignition/user.ign")));
    machine.write("run-ignition/user.bu", butane.as_bytes());
    let line = machine.fetch().unwrap_err().line();
    assert!(line.contains("user.ign and") && line.contains("one config, in one format"), "{line}");
}

#[test]
fn what_needs_the_network_and_why() {
    let reason = |rest: &str| {
        let text = match rest.strip_prefix("IGNITION ") {
            Some(inside) => format!(r#"{{"ignition": {{"version": "3.5.0", {inside}}}}}"#),
            None => format!(r#"{{"ignition": {{"version": "3.5.0"}}{rest}}}"#),
        };
        provision::fetch::network_reason(&ignition_spec::parse(text.as_bytes()).unwrap().config)
    };
    for (rest, why) in [
        ("", None),
        (r#"IGNITION "config": {"merge": [{"source": "data:,x"}]}"#, None),
        (
            r#"IGNITION "config": {"merge": [{"source": "data:,x"}, {"source": "tftp://h/x"}]}"#,
            Some("$.ignition.config.merge.1: tftp://h/x"),
        ),
        (
            r#"IGNITION "config": {"replace": {"source": "s3://b/x"}}"#,
            Some("$.ignition.config.replace: s3://b/x"),
        ),
        (
            r#"IGNITION "security": {"tls": {"certificateAuthorities": [{"source": "https://h/ca"}]}}"#,
            Some("$.ignition.security.tls.certificateAuthorities.0: https://h/ca"),
        ),
        (r#", "storage": {"files": [{"path": "/a", "contents": {"source": "data:,x"}}]}"#, None),
        (
            r#", "storage": {"files": [{"path": "/a", "append": [{"source": "gs://b/x"}]}]}"#,
            Some("$.storage.files.0.append.0: gs://b/x"),
        ),
        (
            r#", "storage": {"luks": [{"name": "l", "device": "/dev/a", "keyFile": {"source": "http://h/k"}}]}"#,
            Some("$.storage.luks.0.keyFile: http://h/k"),
        ),
        (
            r#", "storage": {"luks": [{"name": "l", "device": "/dev/a", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}}]}"#,
            Some("$.storage.luks.0.clevis.tang.0: the server's advertisement is not in the config"),
        ),
        (
            r#", "storage": {"luks": [{"name": "l", "device": "/dev/a", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x", "advertisement": "{\"payload\": \"\"}"}]}}]}"#,
            None,
        ),
        (
            r#", "storage": {"luks": [{"name": "l", "device": "/dev/a", "clevis": {"custom": {"pin": "tang", "config": "c", "needsNetwork": true}}}]}"#,
            Some("$.storage.luks.0.clevis.custom.needsNetwork"),
        ),
        (r#", "storage": {"luks": [{"name": "l", "device": "/dev/a", "clevis": {"tpm2": true}}]}"#, None),
    ] {
        assert_eq!(reason(rest).as_deref(), why, "{rest}");
    }
}
