//! The config: found, fetched, read, merged, validated.

pub mod cloud;
pub mod data_url;
pub mod documents;
pub mod read;
pub mod render;
pub mod resource;
pub mod source;
pub mod spool;
pub mod verify;

use ignition_spec::Config;

use crate::error::{Error, Problem};
use crate::event::{Event, Events, Phase};
use crate::net::http::{HttpSettings, Identity};
use crate::platform::{self, Machine};
use documents::{Documents, SourceMap, decode_source_maps};
use render::Renderer;
use resource::Net;
use source::{Raw, SourceError, Sources, UserConfig};

/// What is sent with every fetch, as upstream sends it: servers choose the spec of a config by it, and some ask for it.
pub(crate) const ACCEPT_CONFIG: &str = "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1";

/// What fetching needs.
#[derive(Debug)]
pub struct FetchEnv<'a> {
    /// Where configs are looked for.
    pub sources: Sources,
    /// How URLs are fetched.
    pub net: Net<'a>,
    /// The machine, as far as its platform's provider needs it.
    pub machine: Machine<'a>,
}

/// The config that the machine shall have, and where each part of it came from.
#[derive(Debug, Clone)]
pub struct FinalConfig {
    /// The config, of the newest spec, merged and valid.
    pub config: Config,
    /// Its documents.
    pub documents: Documents,
    /// How it wants its resources fetched.
    pub settings: HttpSettings,
    /// Whether somebody gave a config, beyond the image's own base.
    pub user_config_provided: bool,
}

impl FinalConfig {
    /// A config at hand, with no documents to point into; for tests and offline plans.
    pub fn of(config: Config) -> Self {
        Self {
            config,
            documents: Documents::none(),
            settings: HttpSettings::default(),
            user_config_provided: true,
        }
    }
}

/// Finds, fetches, merges and validates the machine's config.
///
/// # Errors
/// [`Error`] of phase fetch, with every problem of the document that was refused.
pub fn fetch_config(env: &mut FetchEnv<'_>, events: Events<'_>) -> Result<FinalConfig, Error> {
    let clock = env.net.clock;
    crate::phase(Phase::Fetch, clock, events, |events| fetch_inner(env, events))
}

fn fetch_inner(env: &mut FetchEnv<'_>, events: Events<'_>) -> Result<FinalConfig, Error> {
    let failed = |error: SourceError| Error::new(Phase::Fetch, Problem::of(&error).hint(error.hint()));
    let maps: Vec<SourceMap> = match env.sources.source_map().map_err(failed)? {
        Some(bytes) => decode_source_maps(&bytes),
        None => Vec::new(),
    };
    let mut base = env.sources.base().map_err(failed)?;
    let user = found(env, &mut base, &mut *events).map_err(failed)?;
    env.net.identity = Identity::of_platform(env.sources.platform());
    let mut renderer = Renderer::new(&mut env.net, &maps, events);
    let mut base_config = render::Rendered::empty();
    for raw in base {
        renderer.say(format!("base config {}", raw.name));
        let child = renderer.document(&raw)?;
        base_config = base_config.merge(child);
    }
    let user_config_provided = user.is_some();
    let user_config = match user {
        Some(Found::Url(url)) => {
            renderer.say(format!("config {url} (kernel command line)"));
            renderer.url(&url)?
        }
        Some(Found::Raw(raw)) => {
            renderer.say(format!("config {} ({} bytes)", raw.name, raw.bytes.len()));
            renderer.document(&raw)?
        }
        None => {
            renderer.say("no config was given; the machine starts as the image is".into());
            render::Rendered::empty()
        }
    };
    renderer.finish(base_config.merge(user_config), user_config_provided)
}

/// The user's config, as far as it has to be found.
enum Found {
    Url(String),
    Raw(Raw),
}

/// Looks where the user's config is and gets it, but for a URL. Files of the platform join the base configs.
fn found(
    env: &mut FetchEnv<'_>,
    base: &mut Vec<Raw>,
    events: Events<'_>,
) -> Result<Option<Found>, SourceError> {
    let user = env.sources.user()?;
    let name = env.sources.platform().to_owned();
    let mut machine = platform::Env::new(&mut env.net, &mut env.machine, env.sources.sysfs.clone(), events);
    let data = match user {
        UserConfig::Url(url) => return Ok(Some(Found::Url(url))),
        UserConfig::Raw(raw) => return Ok(Some(Found::Raw(raw))),
        UserConfig::Device { label, path } => platform::by_label(&mut machine, &label, &path)?,
        UserConfig::Platform => match platform::fetch(platform::find(&name)?, &mut machine)? {
            Some(data) => data,
            None => return Ok(None),
        },
    };
    if !data.files.is_empty() {
        base.push(Raw { name: format!("files of the platform {name}"), bytes: files_config(&data.files) });
    }
    let raw = Raw { name: data.from, bytes: data.bytes };
    Ok((!raw.bytes.is_empty()).then_some(Found::Raw(raw)))
}

/// A config that writes the files of a platform.
fn files_config(files: &[platform::OutputFile]) -> Vec<u8> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            let source = format!("data:;base64,{}", engine.encode(&file.bytes));
            serde_json::json!({
                "path": file.path, "mode": file.mode, "overwrite": true, "contents": {"source": source}
            })
        })
        .collect();
    let config = serde_json::json!({"ignition": {"version": "3.5.0"}, "storage": {"files": files}});
    config.to_string().into_bytes()
}

/// After the machine is provisioned, or was not: tells the platform, where it wants to know, and removes the user data
/// from where they would stay readable. What fails here is a warning.
pub fn farewell(env: &mut FetchEnv<'_>, status: platform::Status<'_>, events: Events<'_>) {
    let Ok(provider) = platform::find(env.sources.platform()) else { return };
    let mut problems = Vec::new();
    let sysfs = env.sources.sysfs.clone();
    let mut machine = platform::Env::new(&mut env.net, &mut env.machine, sysfs, &mut *events);
    if let Err(error) = provider.tell(&mut machine, status) {
        problems.push(format!(
            "the platform {} was not told: {}",
            provider.name(),
            Problem::of(&error).line()
        ));
    }
    let mut deleted = false;
    if status.error.is_none() {
        match provider.delete(&mut machine) {
            Ok(outcome) => deleted = outcome == platform::Deleted::Yes,
            Err(error) => problems.push(format!("the user data stay there: {}", Problem::of(&error).line())),
        }
    }
    if deleted {
        say(events, format!("user data removed from the platform {}", provider.name()));
    }
    for problem in problems {
        events(Event::Warning(Phase::Fetch, problem));
    }
}

/// A config that [`fetch_config`] has merged and somebody has kept as JSON.
///
/// # Errors
/// When it is no valid config any more.
pub fn cached(name: &str, bytes: &[u8], net: &mut Net<'_>, events: Events<'_>) -> Result<FinalConfig, Error> {
    let read = read::read(name, bytes, &[])?;
    let rendered = render::Rendered::of(read.config, Documents::one(read.document));
    Renderer::new(net, &[], events).finish(rendered, true)
}

/// One document and what it refers to, without any of the machine's own configs.
///
/// # Errors
/// As [`fetch_config`].
pub fn document(
    name: &str,
    bytes: Vec<u8>,
    net: &mut Net<'_>,
    events: Events<'_>,
) -> Result<FinalConfig, Error> {
    let mut renderer = Renderer::new(net, &[], events);
    let rendered = renderer.document(&source::Raw { name: name.to_owned(), bytes })?;
    renderer.finish(rendered, true)
}

/// Replaces the URLs of certificate authorities by their contents, so that later stages need not fetch them.
pub fn inline_authorities(wanted: &mut FinalConfig) {
    let authorities = &mut wanted.config.ignition.security.tls.certificate_authorities;
    for (authority, pem) in authorities.iter_mut().zip(&wanted.settings.authorities) {
        let source = Some(resource::Resource::of_bytes(pem).source);
        *authority = ignition_spec::config::Resource { source, ..Default::default() };
    }
}

/// Reads a config at hand over the machine's base configs, with what it merges.
///
/// # Errors
/// [`Error`] of phase fetch, with every problem of the document that was refused.
pub fn read_config(
    user: &source::Raw,
    base: &[source::Raw],
    maps: &[SourceMap],
    net: &mut Net<'_>,
    events: Events<'_>,
) -> Result<FinalConfig, Error> {
    let mut renderer = Renderer::new(net, maps, events);
    let mut rendered = render::Rendered::empty();
    for raw in base {
        rendered = rendered.merge(renderer.document(raw)?);
    }
    let user = renderer.document(user)?;
    renderer.finish(rendered.merge(user), true)
}

/// Whether something of the config comes over the network after it has been fetched itself: contents of files, keys.
pub fn needs_network(config: &Config) -> bool {
    stages_reason(config).is_some()
}

/// Why a config needs the network before it can even be merged and carried out, by its first reason: what stage
/// `fetch-offline` decides. `None` when all of it is at hand.
pub fn network_reason(config: &Config) -> Option<String> {
    let references = &config.ignition.config;
    let merged = references.merge.iter().enumerate();
    let merged = merged.map(|(index, reference)| (format!("$.ignition.config.merge.{index}"), reference));
    let replaced = [("$.ignition.config.replace".to_owned(), &references.replace)];
    first_remote(replaced.into_iter().chain(merged)).or_else(|| stages_reason(config))
}

/// The first reason that is left when the config is merged.
fn stages_reason(config: &Config) -> Option<String> {
    let trusted = config.ignition.security.tls.certificate_authorities.iter().enumerate();
    let trusted =
        trusted.map(|(index, ca)| (format!("$.ignition.security.tls.certificateAuthorities.{index}"), ca));
    let contents = || {
        let (path, resource) = remote_resources(config).into_iter().next()?;
        Some(format!("{path}: {}", resource.short()))
    };
    let pinned = || {
        let mut volumes = config.storage.luks.iter().enumerate();
        volumes.find_map(|(index, luks)| pin_reason(index, luks))
    };
    first_remote(trusted).or_else(contents).or_else(pinned)
}

fn first_remote<'c>(
    mut sections: impl Iterator<Item = (String, &'c ignition_spec::config::Resource)>,
) -> Option<String> {
    sections.find_map(|(path, section)| {
        let url = section.source.as_deref().filter(|url| !url.is_empty() && !is_data(url))?;
        Some(format!("{path}: {}", resource::shorten(url)))
    })
}

fn pin_reason(index: usize, luks: &ignition_spec::config::Luks) -> Option<String> {
    let clevis = &luks.clevis;
    let path = format!("$.storage.luks.{index}.clevis");
    let asked = |tang: &ignition_spec::config::Tang| tang.advertisement.as_deref().is_none_or(str::is_empty);
    let tang = clevis.tang.iter().position(asked);
    let tang = tang.map(|at| format!("{path}.tang.{at}: the server's advertisement is not in the config"));
    let custom = (clevis.custom.needs_network == Some(true)).then(|| format!("{path}.custom.needsNetwork"));
    tang.or(custom)
}

/// Every remote resource that the stages will want, each with its path in the config. Certificate authorities were
/// fetched with the config.
pub(crate) fn remote_resources(config: &Config) -> Vec<(String, resource::Resource)> {
    let storage = &config.storage;
    let mut found = Vec::new();
    for (index, file) in storage.files.iter().enumerate() {
        found.push((format!("$.storage.files.{index}.contents"), &file.contents));
        for (n, part) in file.append.iter().enumerate() {
            found.push((format!("$.storage.files.{index}.append.{n}"), part));
        }
    }
    let keys = storage.luks.iter().enumerate();
    found.extend(keys.map(|(index, luks)| (format!("$.storage.luks.{index}.keyFile"), &luks.key_file)));
    let remote = found.into_iter().filter_map(|(path, section)| {
        let resource = resource::Resource::of(section).ok()?;
        (!resource.source.is_empty() && resource.is_remote()).then_some((path, resource))
    });
    remote.collect()
}

/// Whether the config has to do with disks, so that all of the machine's drivers and device names are wanted.
pub fn needs_disks(config: &Config) -> bool {
    let storage = &config.storage;
    !(storage.disks.is_empty()
        && storage.filesystems.is_empty()
        && storage.raid.is_empty()
        && storage.luks.is_empty())
}

fn is_data(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Reports an event of the fetch phase.
pub(crate) fn say(events: &mut dyn FnMut(Event), text: String) {
    events(Event::Step(Phase::Fetch, text));
}
