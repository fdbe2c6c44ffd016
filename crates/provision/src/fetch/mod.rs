//! The config: found, fetched, read, merged, validated.

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
use crate::net::http::HttpSettings;
use documents::{Documents, SourceMap, decode_source_maps};
use render::Renderer;
use resource::Net;
use source::{Sources, UserConfig};

/// Headers for configs, as upstream sends them: servers choose the spec by it.
pub(crate) const ACCEPT_CONFIG: &str = "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1";

/// What fetching needs.
#[derive(Debug)]
pub struct FetchEnv<'a> {
    /// Where configs are looked for.
    pub sources: Sources,
    /// How URLs are fetched.
    pub net: Net<'a>,
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
    let failed = |error: source::SourceError| Error::new(Phase::Fetch, Problem::of(&error));
    let maps: Vec<SourceMap> = match env.sources.source_map().map_err(failed)? {
        Some(bytes) => decode_source_maps(&bytes),
        None => Vec::new(),
    };
    let base = env.sources.base().map_err(failed)?;
    let user = env.sources.user().map_err(failed)?;
    let mut renderer = Renderer::new(&mut env.net, &maps, events);
    let mut base_config = render::Rendered::empty();
    for raw in base {
        renderer.say(format!("base config {}", raw.name));
        let child = renderer.document(&raw)?;
        base_config = base_config.merge(child);
    }
    let user_config_provided = user != UserConfig::None;
    let user_config = match user {
        UserConfig::Url(url) => {
            renderer.say(format!("config {url} (kernel command line)"));
            renderer.url(&url)?
        }
        UserConfig::Raw(raw) => {
            renderer.say(format!("config {} ({} bytes)", raw.name, raw.bytes.len()));
            renderer.document(&raw)?
        }
        UserConfig::None => {
            renderer.say("no config was given; the machine starts as the image is".into());
            render::Rendered::empty()
        }
    };
    renderer.finish(base_config.merge(user_config), user_config_provided)
}

/// Whether something of the config comes over the network after it has been fetched itself: contents of files, keys.
pub fn needs_network(config: &Config) -> bool {
    let remote = |resource: &ignition_spec::config::Resource| {
        resource.source.as_deref().is_some_and(|url| !url.is_empty() && !is_data(url))
    };
    let files = &config.storage.files;
    let pinned = |luks: &ignition_spec::config::Luks| {
        let clevis = &luks.clevis;
        clevis.tang.iter().any(|tang| tang.advertisement.as_deref().is_none_or(str::is_empty))
            || clevis.custom.needs_network == Some(true)
    };
    files.iter().any(|file| remote(&file.contents) || file.append.iter().any(remote))
        || config.storage.luks.iter().any(|luks| remote(&luks.key_file) || pinned(luks))
        || config.ignition.security.tls.certificate_authorities.iter().any(remote)
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
