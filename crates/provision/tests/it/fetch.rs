//! Configs and contents over HTTP, merged and replaced.

use std::io::Write as _;
use std::time::Duration;

use crate::machine::Machine;
use crate::server::{Server, ok, status};

fn config(rest: &str) -> String {
    format!(r#"{{"ignition": {{"version": "3.5.0"}}{rest}}}"#)
}

fn file(path: &str, contents: &str) -> String {
    config(&format!(r#", "storage": {{"files": [{{"path": "{path}", "contents": {contents}}}]}}"#))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

const HELLO_SHA256: &str = "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn a_flaky_server_is_asked_again_and_named() {
    let (server, mut machine) = (Server::new(), Machine::new());
    server.on("/c", [status(503), status(500), ok(file("/etc/a", r#"{"source": "data:,x"}"#))]);
    machine.cmdline = format!("quiet ignition.config.url={}/c", server.url);
    let wanted = machine.fetch().unwrap();
    machine.apply(&wanted).unwrap();
    assert_eq!(machine.text("etc/a"), "x");
    let retries: Vec<&String> = machine.events.iter().filter(|line| line.contains("still trying")).collect();
    let url = format!("{}/c", server.url);
    assert_eq!(
        retries,
        [
            &format!("fetch: still trying {url}: the server answers 503, attempt 1, next in 0.2 s"),
            &format!("fetch: still trying {url}: the server answers 500, attempt 2, next in 0.4 s"),
        ]
    );
    let request = server.requests()[0].to_ascii_lowercase();
    assert!(request.contains("user-agent: ignition/"), "{request}");
    assert!(request.contains("accept: application/vnd.coreos.ignition+json"), "{request}");
}

#[test]
fn what_is_not_there_is_final() {
    let (server, mut machine) = (Server::new(), Machine::new());
    machine.cmdline = format!("ignition.config.url={}/no", server.url);
    let error = machine.fetch().unwrap_err();
    assert_eq!(error.line(), format!("{}/no: the server answers 404", server.url));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_unreachable_url_is_retried_and_then_named() {
    let mut machine = Machine::new();
    // Nothing listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0", "timeouts": {{"httpTotal": 3}},
        "config": {{"merge": [{{"source": "http://127.0.0.1:{port}/x"}}]}}}}}}"#
    );
    machine.fw_cfg("opt/com.coreos/config", text.as_bytes());
    let error = machine.fetch().unwrap_err();
    let line = error.line();
    assert!(line.contains(&format!("http://127.0.0.1:{port}/x: nothing after 4 attempts in 3 s")), "{line}");
    assert!(line.contains("($.ignition.config.merge.0)"), "{line}");
    assert_eq!(machine.events.iter().filter(|line| line.contains("still trying")).count(), 3);
}

#[test]
fn contents_from_the_network() {
    let (server, mut machine) = (Server::new(), Machine::new());
    let url = &server.url;
    server.on("/packed", [ok(gzip(b"hello"))]);
    server.on("/moved", [status(302).header("Location: /there")]);
    server.on("/there", [ok(" world").cut(3), ok(" world")]);
    let text = config(&format!(
        r#", "storage": {{"files": [{{"path": "/etc/a",
        "contents": {{"source": "{url}/packed", "compression": "gzip", "verification": {{"hash": "{HELLO_SHA256}"}}}},
        "append": [{{"source": "{url}/moved", "httpHeaders": [{{"name": "X-Secret", "value": "s"}}]}}]}}]}}"#
    ));
    machine.boot(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(machine.text("etc/a"), "hello world");
    let requests = server.requests();
    let asked: Vec<&str> = requests.iter().map(|request| request.lines().next().unwrap()).collect();
    let get = |path: &str| format!("GET /{path} HTTP/1.1");
    // The cut body made the client start over, with the redirect.
    assert_eq!(asked, [get("packed"), get("moved"), get("there"), get("moved"), get("there")]);
    let secret: Vec<bool> =
        requests.iter().map(|request| request.to_lowercase().contains("x-secret: s")).collect();
    assert_eq!(secret, [false, true, false, true, false], "the header must not follow the redirect");
}

#[test]
fn a_wrong_digest_is_refused_and_nothing_is_left() {
    let (server, mut machine) = (Server::new(), Machine::new());
    server.on("/f", [ok("tampered")]);
    let contents =
        format!(r#"{{"source": "{}/f", "verification": {{"hash": "{HELLO_SHA256}"}}}}"#, server.url);
    let error = machine.boot(&file("/etc/a", &contents)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the content's digest is sha256-"), "{text}");
    assert!(text.contains(&format!("the config asks for {HELLO_SHA256}")), "{text}");
    assert!(!machine.root().join("etc/a").exists());
    let left: Vec<_> =
        std::fs::read_dir(machine.root().join("etc")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("orlop")), "{left:?}");
}

#[test]
fn slow_headers_time_out_and_are_tried_again() {
    let (server, mut machine) = (Server::new(), Machine::new());
    server.on("/slow", [ok("late").delay(Duration::from_millis(2500)), ok("hello")]);
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0", "timeouts": {{"httpResponseHeaders": 1}}}},
        "storage": {{"files": [{{"path": "/etc/a", "contents": {{"source": "{}/slow"}}}}]}}}}"#,
        server.url
    );
    machine.boot(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(machine.text("etc/a"), "hello");
    assert!(machine.events.iter().any(|line| line.starts_with("plan: still trying")), "{:?}", machine.events);
}

#[test]
fn merge_replace_and_base_configs() {
    let (server, mut machine) = (Server::new(), Machine::new());
    let url = &server.url;
    machine.base("base.d/10-os.ign", &file("/etc/os", r#"{"source": "data:,base"}"#));
    machine.base("base.platform.d/qemu/10.ign", &file("/etc/platform", r#"{"source": "data:,qemu"}"#));
    machine.base("base.platform.d/aws/10.ign", &file("/etc/wrong", r#"{"source": "data:,aws"}"#));
    server.on("/child", [ok(file("/etc/a", r#"{"source": "data:,child"}"#))]);
    server.on("/new", [ok(file("/etc/new", r#"{"source": "data:,new"}"#))]);
    let replaced = format!(
        r#"{{"ignition": {{"version": "3.0.0", "config": {{"replace": {{"source": "{url}/new"}}}}}},
        "storage": {{"files": [{{"path": "/etc/gone", "contents": {{"source": "data:,x"}}}}]}}}}"#
    );
    server.on("/replaced", [ok(replaced)]);
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0", "config": {{"merge": [{{"source": "{url}/child"}}, {{"source": "{url}/replaced"}}]}}}},
        "storage": {{"files": [{{"path": "/etc/a", "mode": 384, "contents": {{"source": "data:,parent"}}}}]}}}}"#
    );
    let outcome = machine.boot(&text).unwrap_or_else(|error| panic!("{error}"));
    for (path, content) in
        [("etc/os", "base"), ("etc/platform", "qemu"), ("etc/a", "child"), ("etc/new", "new")]
    {
        assert_eq!(machine.text(path), content);
    }
    assert_eq!(crate::machine::mode(&machine.root().join("etc/a")), 0o600, "the parent's mode stays");
    assert!(!machine.root().join("etc/gone").exists() && !machine.root().join("etc/wrong").exists());
    let step = outcome.plan.steps.iter().find(|step| step.text.contains("/etc/new")).unwrap();
    assert_eq!(step.place.as_ref().unwrap().document, format!("{url}/new"));
}

#[test]
fn a_config_that_merges_itself_ends() {
    let (server, mut machine) = (Server::new(), Machine::new());
    let own = format!(
        r#"{{"ignition": {{"version": "3.5.0", "config": {{"merge": [{{"source": "{}/self"}}]}}}}}}"#,
        server.url
    );
    server.on("/self", [ok(own.clone())]);
    machine.fw_cfg("opt/com.coreos/config", own.as_bytes());
    let error = machine.fetch().unwrap_err();
    assert!(error.line().contains("more than 16 deep"), "{error}");
}

/// A server of `openssl` with a certificate of a private authority, or its own, serving the files of a folder.
pub(crate) fn tls_server(dir: &std::path::Path, own: bool) -> Option<(std::process::Child, u16)> {
    use std::process::{Command, Stdio};
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        command.args(args.split(' ')).current_dir(dir).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9";
    let ca = format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Test");
    let request = format!("req {key} -keyout key.pem -out req.pem -subj /CN=localhost");
    std::fs::write(dir.join("ext"), "subjectAltName=DNS:localhost,DNS:tls.test\n").ok()?;
    let sign =
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 9 -extfile ext";
    let alone = format!(
        "req -x509 {key} -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    );
    let commands = if own { vec![ca.as_str(), &alone] } else { vec![ca.as_str(), &request, sign] };
    for args in commands {
        openssl(args).status().ok().filter(std::process::ExitStatus::success)?;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let child =
        openssl(&format!("s_server -accept 127.0.0.1:{port} -cert cert.pem -key key.pem -WWW -quiet"));
    let child = { child }.spawn().ok()?;
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((child, port))
}

#[test]
fn tls_with_a_private_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut server, port)) = tls_server(dir.path(), false) else {
        return crate::machine::skip("tls_with_a_private_authority", "no openssl program");
    };
    std::fs::write(dir.path().join("hello"), "hello").unwrap();
    let authority: String =
        std::fs::read(dir.path().join("ca.pem")).unwrap().iter().map(|b| format!("%{b:02x}")).collect();
    let text = |security: &str| {
        format!(
            r#"{{"ignition": {{"version": "3.5.0"{security}}}, "storage": {{"files": [{{"path": "/etc/a",
            "contents": {{"source": "https://localhost:{port}/hello"}}}}]}}}}"#
        )
    };
    let refused = Machine::new().boot(&text("")).map(|_| ());
    let security = format!(
        r#", "security": {{"tls": {{"certificateAuthorities": [{{"source": "data:,{authority}"}}]}}}}"#
    );
    let mut machine = Machine::new();
    let accepted = machine.boot(&text(&security)).map(|_| ());
    server.kill().unwrap();
    server.wait().unwrap();
    let refused = refused.unwrap_err().text();
    assert!(refused.contains("TLS: ") && refused.contains("UnknownIssuer"), "{refused}");
    assert!(refused.contains("hint: add the server's authority"), "{refused}");
    accepted.unwrap_or_else(|error| panic!("{error}\n{}", machine.events.join("\n")));
    assert_eq!(machine.text("etc/a"), "hello");
}

/// `openssl req -x509` says of a certificate that it is an authority's, and people trust just that one.
#[test]
fn tls_with_a_server_that_is_its_own_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut server, port)) = tls_server(dir.path(), true) else {
        return crate::machine::skip("tls_with_a_server_that_is_its_own_authority", "no openssl program");
    };
    std::fs::write(dir.path().join("hello"), "hello").unwrap();
    let boot = |authority: &str, host: &str| {
        let pem: String =
            std::fs::read(dir.path().join(authority)).unwrap().iter().map(|b| format!("%{b:02x}")).collect();
        let text = format!(
            r#"{{"ignition": {{"version": "3.5.0", "security": {{"tls": {{"certificateAuthorities":
            [{{"source": "data:,{pem}"}}]}}}}}}, "storage": {{"files": [{{"path": "/etc/a",
            "contents": {{"source": "https://{host}:{port}/hello"}}}}]}}}}"#
        );
        let mut machine = Machine::new();
        machine.boot(&text).map(|_| machine.text("etc/a")).map_err(|error| error.text())
    };
    let verdicts =
        [boot("cert.pem", "localhost"), boot("ca.pem", "localhost"), boot("cert.pem", "127.0.0.1")];
    server.kill().unwrap();
    server.wait().unwrap();
    let [own, other, wrong_name] = verdicts;
    assert_eq!(own.as_deref(), Ok("hello"));
    let (other, wrong_name) = (other.unwrap_err(), wrong_name.unwrap_err());
    assert!(other.contains("TLS: "), "{other}");
    assert!(wrong_name.contains("TLS: ") && wrong_name.contains("not valid for name"), "{wrong_name}");
}

#[test]
fn no_config_is_fine() {
    let mut machine = Machine::new();
    let wanted = machine.fetch().unwrap();
    assert!(!wanted.user_config_provided);
    assert_eq!(machine.apply(&wanted).unwrap().plan.steps, []);
}
