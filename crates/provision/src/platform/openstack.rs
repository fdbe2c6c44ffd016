//! OpenStack and Apache CloudStack: a config drive and a metadata service side by side, and whichever answers first.
//!
//! A drive that is there at once saves waiting for the network. Requests run in threads of their own that are left
//! behind when the race is over; each ends by its own time-outs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::drives::{CONFIG_2, Place};
use super::http::IMDS;
use super::{DEVICES, Env, Needs, PlatformError, Provider, USER_DATA_BYTES_MAX, UserData};
use crate::event::{Event, Phase};
use crate::net::dial::Dial;
use crate::net::http::{BACKOFF_FIRST, BACKOFF_MAX, HttpError, HttpSettings, Request, Retry};

/// The same service over IPv6, on each link
/// (<https://specs.openstack.org/openstack/neutron-specs/specs/ussuri/metadata-over-ipv6.html>).
const IMDS_V6: &str = "http://[fe80::a9fe:a9fe]";
const OPENSTACK_PATH: &str = "/openstack/latest/user_data";
const CLOUDSTACK_PATH: &str = "/latest/user-data";
const CLOUDSTACK_DRIVE: Place = Place { label: "config-2", paths: &["/cloudstack/userdata/user_data.txt"] };
/// Drives are looked for this often while answers are awaited.
const LOOK: Duration = Duration::from_millis(500);
/// Nova takes at most 65,535 characters of base64.
const LIMIT_BYTES: u64 = 65_535 / 4 * 3;

/// OpenStack; also under the name of a cloud made of it.
#[derive(Debug)]
pub(super) struct OpenStack {
    pub(super) name: &'static str,
}

/// CloudStack, whose metadata service is the router that gave the address.
#[derive(Debug)]
pub(super) struct CloudStack;

impl Provider for OpenStack {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        DEVICES
    }

    fn source(&self) -> String {
        let path = OPENSTACK_PATH;
        format!("drive config-2, {path}; or {IMDS}{path}; or {IMDS_V6}{path} on each link")
    }

    fn limit_bytes(&self) -> Option<u64> {
        Some(LIMIT_BYTES)
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        race(env, CONFIG_2, &mut |env| {
            let mut requests = vec![Request { url: format!("{IMDS}{OPENSTACK_PATH}"), ..Request::default() }];
            let table = std::fs::read_to_string(env.machine.proc.join("net/if_inet6")).unwrap_or_default();
            requests.extend(links(&table).into_iter().map(|link| Request {
                url: format!("{IMDS_V6}{OPENSTACK_PATH}"),
                dial: Dial::Link(link),
                ..Request::default()
            }));
            requests
        })
    }
}

impl Provider for CloudStack {
    fn name(&self) -> &'static str {
        "cloudstack"
    }

    fn needs(&self) -> Needs {
        DEVICES
    }

    fn source(&self) -> String {
        let drive = CLOUDSTACK_DRIVE.paths[0];
        format!("drive config-2, {drive}; or http://DHCP-SERVER{CLOUDSTACK_PATH}")
    }

    fn limit_bytes(&self) -> Option<u64> {
        Some(32 << 10)
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        race(env, CLOUDSTACK_DRIVE, &mut |env| {
            let server = dhcp_server(&env.machine.run);
            let request =
                |server| Request { url: format!("http://{server}{CLOUDSTACK_PATH}"), ..Request::default() };
            server.map(request).into_iter().collect()
        })
    }
}

/// Indices of the links with an IPv6 address but loopback, of `/proc/net/if_inet6` (`net/ipv6/addrconf.c`): address,
/// index, prefix length, scope, flags (all hexadecimal), name.
fn links(table: &str) -> Vec<u32> {
    let words = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let index = |words: Vec<&str>| match words[..] {
        [_, index, _, _, _, name] if name != "lo" => u32::from_str_radix(index, 16).ok(),
        _ => None,
    };
    let mut links: Vec<u32> = words.filter_map(index).collect();
    links.sort_unstable();
    links.dedup();
    links
}

/// The server of the first lease that systemd-networkd holds.
fn dhcp_server(run: &std::path::Path) -> Option<std::net::IpAddr> {
    let mut leases: Vec<_> = std::fs::read_dir(run.join("systemd/netif/leases"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    leases.sort();
    leases.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("SERVER_ADDRESS=")?.trim().parse().ok())
    })
}

/// One service in the race.
struct Runner {
    request: Request,
    attempt: u32,
    wait: Duration,
    /// When it is asked again; `None` while it is being asked.
    next: Option<Duration>,
}

type Answers = (usize, Result<Vec<u8>, HttpError>);

/// The first of drive and services to answer. A service that says 404 has answered: there is no config. Services that
/// refuse for good leave the race; a drive is waited for for ever.
fn race(
    env: &mut Env<'_, '_, '_>,
    place: Place,
    services: &mut dyn FnMut(&Env<'_, '_, '_>) -> Vec<Request>,
) -> Result<Option<UserData>, PlatformError> {
    let accept = |_: &[u8]| true;
    if let Some(drive) = place.find(env)? {
        return place.read(env, &drive, &accept);
    }
    env.bring_up("the metadata service")?;
    let (sender, answers) = channel();
    let mut runners: Vec<Runner> = Vec::new();
    let mut asked = false;
    loop {
        if !asked {
            let now = env.net.clock.elapsed();
            let start = |request| Runner { request, attempt: 0, wait: BACKOFF_FIRST, next: Some(now) };
            runners.extend(services(env).into_iter().map(start));
            asked = !runners.is_empty();
        }
        let pending = start_due(env, &mut runners, &sender);
        if let Some((index, answer)) = next_answer(env, &answers, pending) {
            match take(env, &mut runners, index, answer)? {
                Some(Answered::NoConfig) => return Ok(None),
                Some(Answered::Config(url, bytes)) => return env.user_data(url, bytes),
                None => {}
            }
        }
        if let Some(drive) = place.find(env)? {
            return place.read(env, &drive, &accept);
        }
    }
}

/// Starts the requests whose time has come; tells whether any runs.
fn start_due(env: &Env<'_, '_, '_>, runners: &mut [Runner], sender: &Sender<Answers>) -> bool {
    let now = env.net.clock.elapsed();
    for (index, runner) in runners.iter_mut().enumerate() {
        if runner.next.is_some_and(|next| next <= now) {
            runner.next = None;
            runner.attempt += 1;
            let (client, request, sender) = (env.client().clone(), runner.request.clone(), sender.clone());
            std::thread::spawn(move || {
                let answer = client.once(&request, &HttpSettings::default(), USER_DATA_BYTES_MAX);
                // Nobody listens any more when another was first.
                let _ = sender.send((index, answer));
            });
        }
    }
    runners.iter().any(|runner| runner.next.is_none())
}

fn next_answer(env: &Env<'_, '_, '_>, answers: &Receiver<Answers>, pending: bool) -> Option<Answers> {
    if pending {
        return answers.recv_timeout(LOOK).ok();
    }
    env.net.clock.sleep(LOOK);
    None
}

enum Answered {
    Config(String, Vec<u8>),
    NoConfig,
}

fn take(
    env: &mut Env<'_, '_, '_>,
    runners: &mut [Runner],
    index: usize,
    answer: Result<Vec<u8>, HttpError>,
) -> Result<Option<Answered>, PlatformError> {
    let runner = &mut runners[index];
    let url = runner.request.url.clone();
    match answer {
        Ok(bytes) => Ok(Some(Answered::Config(url, bytes))),
        Err(error) if error.is_missing() => Ok(Some(Answered::NoConfig)),
        Err(HttpError::Attempt { why, .. }) => {
            let wait = runner.wait;
            runner.wait = (wait * 2).min(BACKOFF_MAX);
            runner.next = Some(env.net.clock.elapsed() + wait);
            let attempt = runner.attempt;
            env.event(Event::Retry(Phase::Fetch, Retry { url, attempt, why, wait }));
            Ok(None)
        }
        Err(error) => {
            runner.next = Some(Duration::MAX);
            env.warn(format!("{error}; it is not asked again"));
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_with_ipv6() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe80000000000000505400fffe123456 02 40 20 80     eth0\n\
                     20010db8000000000000000000000001 02 40 00 80     eth0\n\
                     fe80000000000000505400fffe123457 0a 40 20 80     eth1\n";
        assert_eq!(links(table), [2, 10]);
        assert_eq!(links("nonsense\n"), Vec::<u32>::new());
    }
}
