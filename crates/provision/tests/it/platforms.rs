//! Every platform against a service or device that speaks its protocol.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use provision::platform::{self, PROVIDERS, Status};

use crate::machine::Machine;
use crate::server::{Asked, Server, ok, status};

const IMDS: &str = "http://169.254.169.254";
const TOKEN: &str = "t0ken+/=";

fn config(name: &str) -> String {
    format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "/etc/platform",
        "overwrite": true, "contents": {{"source": "data:,{name}"}}}}]}}}}"#
    )
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn on(id: &str, origin: &str, server: &Server) -> Machine {
    let mut machine = Machine::new();
    machine.cmdline = format!("quiet ignition.platform.id={id}");
    machine.endpoints.insert(origin.to_owned(), server.url.clone());
    machine
}

/// The content of the file that the config of a platform makes.
fn written(machine: &mut Machine) -> String {
    let wanted = machine.fetch().unwrap_or_else(|error| panic!("{error}"));
    assert!(wanted.user_config_provided);
    machine.apply(&wanted).unwrap_or_else(|error| panic!("{error}"));
    machine.text("etc/platform")
}

/// What a metadata service asks of its clients.
struct Service {
    id: &'static str,
    origin: &'static str,
    path: &'static str,
    /// Headers without which it answers 401 or so.
    header: Option<(&'static str, &'static str)>,
    /// Where PUT gives a token and the header that asks for its lifetime.
    token: Option<(&'static str, &'static str)>,
    base64: bool,
}

const PLAIN: Service = Service { id: "", origin: IMDS, path: "", header: None, token: None, base64: false };

const SERVICES: &[Service] = &[
    Service {
        id: "akamai",
        path: "/v1/user-data",
        header: Some(("metadata-token", TOKEN)),
        token: Some(("/v1/token", "metadata-token-expiry-seconds")),
        base64: true,
        ..PLAIN
    },
    Service { id: "aliyun", origin: "http://100.100.100.200", path: "/latest/user-data", ..PLAIN },
    Service {
        id: "aws",
        path: "/2019-10-01/user-data",
        header: Some(("x-aws-ec2-metadata-token", TOKEN)),
        token: Some(("/latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds")),
        ..PLAIN
    },
    Service { id: "digitalocean", path: "/metadata/v1/user-data", ..PLAIN },
    Service { id: "exoscale", path: "/1.0/user-data", ..PLAIN },
    Service {
        id: "gcp",
        path: "/computeMetadata/v1/instance/attributes/user-data",
        header: Some(("metadata-flavor", "Google")),
        ..PLAIN
    },
    Service { id: "hetzner", path: "/hetzner/v1/userdata", ..PLAIN },
    Service {
        id: "oraclecloud",
        path: "/opc/v2/instance/metadata/user_data",
        header: Some(("authorization", "Bearer Oracle")),
        base64: true,
        ..PLAIN
    },
    Service { id: "upcloud", path: "/metadata/v1/user_data", ..PLAIN },
    Service { id: "vultr", path: "/user-data/user-data", ..PLAIN },
    Service { id: "packet", origin: "https://metadata.packet.net", path: "/userdata", ..PLAIN },
];

/// A server of this kind that is not ready for two requests and then gives `data`, or 404 without.
fn serve(service: &'static Service, data: Option<Vec<u8>>) -> Server {
    let mut tired = 2;
    Server::with(move |asked: &Asked| {
        let host = service.origin.split_once("://").unwrap().1;
        assert_eq!(asked.header("host"), host, "the service is asked by its own name");
        if tired > 0 {
            tired -= 1;
            return status(503);
        }
        if let Some((path, lifetime)) = service.token
            && asked.path == path
        {
            let asked_well = asked.method == "PUT" && asked.header(lifetime).parse::<u32>().is_ok();
            return if asked_well { ok(TOKEN) } else { status(400) };
        }
        let allowed = service.header.is_none_or(|(name, value)| asked.header(name) == value);
        match (allowed, asked.method.as_str(), asked.path == service.path, &data) {
            (false, ..) => status(401),
            (true, "GET", true, Some(data)) => ok(data.clone()),
            (true, "GET", true, None) => status(404),
            _ => status(405),
        }
    })
}

fn encoded(service: &Service, text: &str) -> Vec<u8> {
    if service.base64 { base64(text.as_bytes()) } else { text.as_bytes().to_vec() }
}

#[test]
fn each_service_gives_its_config_after_a_while() {
    for service in SERVICES {
        let server = serve(service, Some(encoded(service, &config(service.id))));
        let mut machine = on(service.id, service.origin, &server);
        assert_eq!(written(&mut machine), service.id);
        let told: Vec<&String> =
            machine.events.iter().filter(|line| line.contains("the server answers 503")).collect();
        assert_eq!(told.len(), 2, "{}: {:?}", service.id, machine.events);
        assert!(told[0].contains(service.origin), "{told:?}");
    }
}

#[test]
fn a_service_that_says_404_has_no_config() {
    for service in SERVICES {
        let server = serve(service, None);
        let mut machine = on(service.id, service.origin, &server);
        let wanted = machine.fetch().unwrap_or_else(|error| panic!("{}: {error}", service.id));
        assert!(!wanted.user_config_provided, "{}", service.id);
        assert!(machine.events.iter().any(|line| line.contains("no config was given")));
    }
}

#[test]
fn user_data_may_be_gzip_or_butane_or_empty_everywhere() {
    for service in SERVICES {
        let butane = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/platform\n      contents:\n        inline: yaml\n";
        let packed = gzip(butane.as_bytes());
        let data = if service.base64 { base64(&packed) } else { packed };
        let server = serve(service, Some(data));
        assert_eq!(written(&mut on(service.id, service.origin, &server)), "yaml", "{}", service.id);
        let server = serve(service, Some(Vec::new()));
        let wanted = on(service.id, service.origin, &server).fetch().unwrap();
        assert!(!wanted.user_config_provided, "{}", service.id);
    }
}

#[test]
fn what_is_not_base64_is_told_with_its_address() {
    let service = SERVICES.iter().find(|service| service.id == "akamai").unwrap();
    let server = serve(service, Some(b"{\"ignition\"".to_vec()));
    let error = on("akamai", IMDS, &server).fetch().unwrap_err();
    assert_eq!(error.line(), "the user data of http://169.254.169.254/v1/user-data are not base64");
}

#[test]
fn a_refused_request_is_final() {
    let server = Server::with(|_| status(403));
    let error = on("aws", IMDS, &server).fetch().unwrap_err();
    assert_eq!(error.line(), "http://169.254.169.254/latest/api/token: the server answers 403");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn aws_without_tokens_is_asked_without() {
    let server = Server::with(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/2019-10-01/user-data") if asked.header("x-aws-ec2-metadata-token").is_empty() => {
            ok(config("v1"))
        }
        _ => status(404),
    });
    assert_eq!(written(&mut on("aws", IMDS, &server)), "v1");
}

#[test]
fn akamai_without_a_token_is_an_error() {
    let server = Server::with(|asked| if asked.method == "PUT" { ok(" \n") } else { ok("x") });
    let error = on("akamai", IMDS, &server).fetch().unwrap_err();
    assert_eq!(error.line(), "http://169.254.169.254/v1/token: the token is empty");
}

#[test]
fn oracle_and_azure_wait_while_they_are_told_to() {
    for (id, path, codes) in [
        ("oraclecloud", "/opc/v2/instance/metadata/user_data", &[429][..]),
        ("azure", "/metadata/instance/compute/userData?api-version=2021-01-01&format=text", &[404, 410, 429]),
    ] {
        let mut left = codes.to_vec();
        let server = Server::with(move |asked| match left.pop() {
            Some(code) => status(code),
            None if asked.path == path => ok(base64(config(id).as_bytes())),
            None => status(400),
        });
        let mut machine = on(id, IMDS, &server);
        assert_eq!(written(&mut machine), id);
        assert_eq!(server.requests().len(), codes.len() + 1);
    }
}

#[test]
fn azure_wants_its_header() {
    let server = Server::with(|asked| match asked.header("metadata") {
        "true" => ok(base64(config("azure").as_bytes())),
        _ => status(400),
    });
    assert_eq!(written(&mut on("azure", IMDS, &server)), "azure");
}

/// Binding a low port takes root.
#[test]
fn root_scaleway_is_asked_from_a_low_port() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let server = Server::with(|asked| match (asked.port < 1024, asked.path.as_str()) {
        (true, "/user_data/cloud-init") => ok(config("scaleway")),
        (true, _) => status(404),
        (false, _) => status(403),
    });
    let mut machine = on("scaleway", "http://169.254.42.42", &server);
    assert_eq!(written(&mut machine), "scaleway");
}

#[test]
fn applehv_serves_http_over_vsock() {
    let server = Server::with(|asked| match (asked.path.as_str(), asked.header("accept")) {
        ("/", "application/json") => ok(config("applehv")),
        _ => status(400),
    });
    let mut machine = on("applehv", "vsock:2:1024", &server);
    assert_eq!(written(&mut machine), "applehv");
}

#[test]
fn packet_hears_how_it_went() {
    let heard: Arc<Mutex<Vec<(String, serde_json::Value)>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let server = Server::with(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/metadata") => ok(r#"{"id": "x", "phone_home_url": "http://tinkerbell.test/phone-home"}"#),
        ("POST", "/events") => {
            let body = serde_json::from_slice(&asked.body).unwrap();
            ears.lock().unwrap().push((asked.header("content-type").to_owned(), body));
            status(200)
        }
        _ => status(404),
    });
    let mut machine = on("packet", "https://metadata.packet.net", &server);
    machine.endpoints.insert("http://tinkerbell.test".into(), server.url.clone());
    let mut up = |_: &str| Ok(());
    let clock = crate::machine::TestClock::default();
    let mut net = provision::fetch::resource::Net::new(machine.client(), &clock, &mut up);
    let mut hardware = machine.hardware();
    let mut events = |_| ();
    let mut env = platform::Env::new(&mut net, &mut hardware, "/sys".into(), &mut events);
    let packet = platform::find("packet").unwrap();
    packet.tell(&mut env, Status { stage: "files", error: None }).unwrap();
    packet.tell(&mut env, Status { stage: "disks", error: Some("no disk") }).unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0].0, "application/json");
    assert_eq!(heard[0].1["state"], "running");
    assert_eq!(heard[0].1["message"], "[files] Ignition status: finished successfully");
    assert_eq!(heard[1].1["state"], "failed");
    assert_eq!(heard[1].1["message"], "[disks] Ignition error: no disk");
}

/// VMware's side of the backdoor: channels with a cookie, four bytes a call, properties behind.
#[derive(Default)]
struct VmWare {
    properties: std::collections::BTreeMap<String, String>,
    message: Vec<u8>,
    wanted: usize,
    answer: Vec<u8>,
    sent: usize,
    /// Calls until a checkpoint breaks the message off.
    checkpoint: Option<u32>,
    open: bool,
}

const SUCCESS: u32 = 1 << 16;
const CHANNEL: u32 = 5 << 16;

impl VmWare {
    fn rpc(&mut self) {
        let message = String::from_utf8(self.message.clone()).unwrap();
        let words: Vec<&str> = message.splitn(3, ' ').collect();
        self.answer = match words[..] {
            ["info-get", name] => match self.properties.get(name) {
                Some(value) => format!("1 {value}"),
                None => "0 No value found".into(),
            },
            ["info-set", name, value] => {
                self.properties.insert(name.into(), value.into());
                "1 ".into()
            }
            _ => "0 Unknown command".into(),
        }
        .into_bytes();
        self.sent = 0;
    }
}

impl platform::vmware::Backdoor for VmWare {
    fn call(&mut self, asked: linux::vmware::Registers) -> linux::vmware::Registers {
        assert_eq!(asked.cx & 0xffff, 0x1e);
        let answer = |cx, bx| linux::vmware::Registers { cx, bx, ..asked };
        let kind = asked.cx >> 16;
        if kind == 0 {
            assert!(!self.open);
            self.open = true;
            assert_eq!(asked.bx, 0xc943_5052);
            return linux::vmware::Registers { cx: SUCCESS, dx: CHANNEL, si: 11, di: 22, ..asked };
        }
        assert_eq!((asked.dx & 0xffff_0000, asked.si, asked.di), (CHANNEL, 11, 22));
        if let Some(left) = &mut self.checkpoint {
            if *left == 0 {
                self.checkpoint = None;
                return answer(0x10 << 16, 0);
            }
            *left -= 1;
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        };
        match kind {
            1 => {
                (self.wanted, self.message) = (asked.bx as usize, Vec::new());
                answer(SUCCESS, 0)
            }
            2 => {
                let left = self.wanted - self.message.len();
                self.message.extend(&asked.bx.to_le_bytes()[..left.min(4)]);
                if self.message.len() == self.wanted {
                    self.rpc();
                }
                answer(SUCCESS, 0)
            }
            3 => {
                self.sent = 0;
                let length = self.answer.len() as u32;
                linux::vmware::Registers { cx: SUCCESS | 2 << 16, dx: 1 << 16, bx: length, ..asked }
            }
            4 => {
                let piece = &self.answer[self.sent..(self.sent + 4).min(self.answer.len())];
                self.sent += piece.len();
                linux::vmware::Registers { cx: SUCCESS, dx: 2 << 16, bx: word(piece), ..asked }
            }
            5 => answer(SUCCESS, 0),
            6 => {
                self.open = false;
                answer(SUCCESS, 0)
            }
            _ => panic!("{kind}"),
        }
    }
}

/// Fetches from and deletes in VMware's properties; what was fetched, and the properties afterwards.
fn vmware(mut host: VmWare) -> (Option<String>, platform::Deleted, VmWare) {
    let machine = Machine::new();
    let mut up = |_: &str| panic!("no network is needed");
    let clock = crate::machine::TestClock::default();
    let mut net = provision::fetch::resource::Net::new(machine.client(), &clock, &mut up);
    let mut hardware = machine.hardware();
    hardware.vmware = Some(&mut host);
    let mut events = |_| ();
    let mut env = platform::Env::new(&mut net, &mut hardware, "/sys".into(), &mut events);
    let provider = platform::find("vmware").unwrap();
    let found = platform::fetch(provider, &mut env).unwrap_or_else(|error| panic!("{error}"));
    let deleted = provider.delete(&mut env).unwrap();
    assert!(!host.open, "the channel is closed");
    (found.map(|data| String::from_utf8(data.bytes).unwrap()), deleted, host)
}

fn properties(list: &[(&str, &str)]) -> VmWare {
    let properties =
        list.iter().map(|(name, value)| (format!("guestinfo.{name}"), (*value).to_owned())).collect();
    VmWare { properties, ..VmWare::default() }
}

#[test]
fn vmware_by_guestinfo_in_every_encoding() {
    let text = config("vmware");
    let plain = base64(text.as_bytes());
    let packed = base64(&gzip(text.as_bytes()));
    let (plain, packed) = (String::from_utf8(plain).unwrap(), String::from_utf8(packed).unwrap());
    for (data, encoding) in
        [(&text, ""), (&plain, "base64"), (&plain, "b64"), (&packed, "gz+b64"), (&packed, "gzip+base64")]
    {
        let mut host =
            properties(&[("ignition.config.data", data), ("ignition.config.data.encoding", encoding)]);
        host.checkpoint = Some(40);
        let (found, deleted, host) = vmware(host);
        assert_eq!(found.as_deref(), Some(text.as_str()), "{encoding}");
        assert_eq!(deleted, platform::Deleted::Yes);
        assert_eq!(host.properties["guestinfo.ignition.config.data"], "e30K");
        assert_eq!(host.properties["guestinfo.ignition.config.data.encoding"], "base64");
    }
    let (found, deleted, _) = vmware(properties(&[]));
    assert_eq!((found, deleted), (None, platform::Deleted::Nothing));
}

#[test]
fn vmware_by_its_ovf_environment() {
    let document = r#"<Environment><PropertySection>
<Property oe:key="guestinfo.ignition.config.data" oe:value="e30="/>
<Property oe:key="guestinfo.ignition.config.data.encoding" oe:value="base64"/>
<Property oe:key="other" oe:value="stays"/></PropertySection></Environment>"#;
    let (found, deleted, host) = vmware(properties(&[("ovfenv", document)]));
    assert_eq!((found.as_deref(), deleted), (Some("{}"), platform::Deleted::Yes));
    let left = &host.properties["guestinfo.ovfenv"];
    assert!(left.contains("stays") && !left.contains("ignition.config.data"), "{left}");
    // The property itself goes first.
    let both = properties(&[
        ("ovfenv", document),
        ("ignition.config.data", "[]"),
        ("ignition.config.data.encoding", ""),
    ]);
    assert_eq!(vmware(both).0.as_deref(), Some("[]"));
}

#[test]
fn local_platforms() {
    let mut machine = Machine::new();
    machine.cmdline = "ignition.platform.id=metal".into();
    assert!(!machine.fetch().unwrap().user_config_provided);

    machine.cmdline = "ignition.platform.id=file".into();
    let error = machine.fetch().unwrap_err();
    assert!(error.line().contains("config.ign"), "{}", error.line());
    machine.write("config.ign", config("file").as_bytes());
    assert_eq!(written(&mut machine), "file");

    machine.cmdline = "ignition.platform.id=nvidiabluefield".into();
    let fifo = "sys/bus/platform/devices/MLNXBF04:00/bootfifo";
    assert!(!machine.fetch().unwrap().user_config_provided);
    machine.write(fifo, b"\0\0\0");
    assert!(!machine.fetch().unwrap().user_config_provided);
    machine.write(fifo, format!("{}\0\0\0\0", config("bluefield")).as_bytes());
    assert_eq!(written(&mut machine), "bluefield");
}

#[test]
fn qemu_by_its_device_or_by_a_disk() {
    let mut machine = Machine::new();
    machine.cmdline = "ignition.platform.id=qemu".into();
    let mut image = config("disk").into_bytes();
    image.resize(8192, 0);
    machine.drive("vdb", &image);
    machine.write("sys/class/block/vdb/serial", b"ignition\n");
    assert_eq!(written(&mut machine), "disk");
    machine.fw_cfg("opt/com.coreos/config", config("fw_cfg").as_bytes());
    assert_eq!(written(&mut machine), "fw_cfg");
    machine.fw_cfg("opt/com.coreos/config", b"");
    assert!(!machine.fetch().unwrap().user_config_provided);
}

#[test]
fn openstack_by_its_service_over_either_protocol() {
    const PATH: &str = "/openstack/latest/user_data";
    let v4 = Server::with(|asked| if asked.path == PATH { ok(config("v4")) } else { status(400) });
    let mut machine = on("openstack", IMDS, &v4);
    machine.write("sys/class/block/.keep", b"");
    assert_eq!(written(&mut machine), "v4");

    // IPv4 is refused for good, IPv6 comes to after a while.
    let v4 = Server::with(|_| status(400));
    let mut tired = 1;
    let v6 = Server::with(move |asked| {
        assert_eq!(asked.header("host"), "[fe80::a9fe:a9fe]");
        tired -= 1;
        if tired < 0 { ok(config("v6")) } else { status(500) }
    });
    let mut machine = on("openstack", IMDS, &v4);
    machine.endpoints.insert("http://[fe80::a9fe:a9fe]".into(), v6.url.clone());
    machine.write("sys/class/block/.keep", b"");
    machine.write("proc/net/if_inet6", b"fe80000000000000505400fffe123456 02 40 20 80     eth0\n");
    assert_eq!(written(&mut machine), "v6");

    let gone = Server::with(|_| status(404));
    let mut machine = on("brightbox", IMDS, &gone);
    machine.write("sys/class/block/.keep", b"");
    assert!(!machine.fetch().unwrap().user_config_provided);
}

#[test]
fn cloudstack_asks_the_server_that_gave_the_address() {
    let server =
        Server::with(|asked| if asked.path == "/latest/user-data" { ok(config("cs")) } else { status(404) });
    let mut machine = on("cloudstack", "http://192.0.2.7", &server);
    machine.write("sys/class/block/.keep", b"");
    machine.write("run/systemd/netif/leases/2", b"# a lease\nADDRESS=192.0.2.9\nSERVER_ADDRESS=192.0.2.7\n");
    assert_eq!(written(&mut machine), "cs");
}

#[test]
fn unknown_and_refused_platforms_are_named() {
    let mut machine = Machine::new();
    machine.cmdline = "ignition.platform.id=moon".into();
    let error = machine.fetch().unwrap_err();
    assert_eq!(error.line(), "there is no platform \"moon\"");
    assert!(error.text().contains("hint: ignition.platform.id= is one of akamai, aliyun, applehv, aws,"));
    machine.cmdline = "ignition.platform.id=zvm".into();
    let error = machine.fetch().unwrap_err();
    assert!(error.line().starts_with("the platform zvm is not supported: it exists on s390x only"));
    // Without VMware or its stand-in there is nothing to ask, and no fault.
    machine.cmdline = "ignition.platform.id=vmware".into();
    assert!(!machine.fetch().unwrap().user_config_provided);
    for (id, device) in [("virtualbox", "dev/vboxguest"), ("hyperv", "dev/vmbus/hv_kvp")] {
        machine.cmdline = format!("ignition.platform.id={id}");
        let line = machine.fetch().unwrap_err().line();
        assert!(line.contains(device), "{line}");
    }
}

#[test]
fn the_table_is_sorted_and_whole() {
    let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 31);
    for provider in PROVIDERS {
        assert!(!provider.source().is_empty());
        assert!(
            std::ptr::eq(platform::find(provider.name()).unwrap(), *provider)
                || provider.name() == "brightbox"
        );
    }
}
