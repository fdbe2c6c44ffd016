//! `ignition.config.merge` and `replace`, to any depth (`internal/exec/engine.go` of upstream has the same order).
//!
//! A replacement discards the config that names it. Configs to merge come over the one that names them, each rendered
//! first, in order; a child's timeouts, proxy and authorities are in force for its own fetches.

use ignition_spec::{Config, config};

use super::documents::{Documents, SourceMap};
use super::read;
use super::resource::{Net, Resource, ResourceError, shorten};
use super::source::Raw;
use super::{ACCEPT_CONFIG, FinalConfig, say};
use crate::error::{Error, Problem};
use crate::event::{Event, Phase};
use crate::net::http::HttpSettings;
use crate::net::proxy::Proxies;
use crate::place::Place;

/// Configs that merge configs that merge …: deeper than anybody means, and where a config that merges itself ends.
const DEPTH_MAX: usize = 16;

/// A config without references.
#[derive(Debug, Clone)]
pub struct Rendered {
    config: Config,
    documents: Documents,
}

impl Rendered {
    /// The empty config.
    pub fn empty() -> Self {
        Self { config: Config::default(), documents: Documents::none() }
    }

    /// A config that refers to nothing any more.
    pub(crate) fn of(config: Config, documents: Documents) -> Self {
        Self { config, documents }
    }

    /// `child` over `self`.
    #[must_use]
    pub fn merge(self, child: Self) -> Self {
        let (config, transcript) = ignition_spec::merge(&self.config, &child.config);
        Self { config, documents: self.documents.merged(child.documents, transcript) }
    }
}

/// Fetches and merges.
pub(crate) struct Renderer<'r, 'n> {
    net: &'r mut Net<'n>,
    maps: &'r [SourceMap],
    events: &'r mut dyn FnMut(Event),
}

impl<'r, 'n> Renderer<'r, 'n> {
    pub(crate) fn new(net: &'r mut Net<'n>, maps: &'r [SourceMap], events: &'r mut dyn FnMut(Event)) -> Self {
        Self { net, maps, events }
    }

    pub(crate) fn say(&mut self, text: String) {
        say(self.events, text);
    }

    /// Reads and renders a document at hand.
    pub(crate) fn document(&mut self, raw: &Raw) -> Result<Rendered, Error> {
        self.render(raw, &self.plain(), 0)
    }

    /// Fetches and renders a document.
    pub(crate) fn url(&mut self, url: &str) -> Result<Rendered, Error> {
        let resource = Resource { source: url.to_owned(), ..Resource::default() };
        let settings = self.plain();
        let bytes = self.fetch(&resource, &settings, None)?;
        self.render(&Raw { name: url.to_owned(), bytes }, &settings, 0)
    }

    /// Settings of no config.
    fn plain(&self) -> HttpSettings {
        HttpSettings { identity: self.net.identity, ..HttpSettings::default() }
    }

    /// Validates the whole and works out how its resources are to be fetched.
    pub(crate) fn finish(
        mut self,
        rendered: Rendered,
        user_config_provided: bool,
    ) -> Result<FinalConfig, Error> {
        let Rendered { config, documents } = rendered;
        let spec =
            ignition_spec::Spec::parse(&config.ignition.version).unwrap_or(ignition_spec::Spec::STABLE);
        let report = ignition_spec::validate(&config, spec);
        if !documents.names().is_empty() && report.is_fatal() {
            let errors = report
                .entries
                .iter()
                .filter(|entry| entry.severity == ignition_spec::report::Severity::Error);
            let problems = errors
                .map(|entry| {
                    let message = format!("the merged config is not valid: {}", entry.message);
                    Problem::new(message).at(documents.place(&entry.path)).hint(entry.hint.clone())
                })
                .collect();
            return Err(Error { phase: Phase::Fetch, problems });
        }
        let settings = self.settings(&config, &documents)?;
        Ok(FinalConfig { config, documents, settings, user_config_provided })
    }

    fn render(&mut self, raw: &Raw, inherited: &HttpSettings, depth: usize) -> Result<Rendered, Error> {
        let read = read::read(&raw.name, &raw.bytes, self.maps)?;
        for warning in read.warnings {
            (self.events)(Event::Warning(Phase::Fetch, warning));
        }
        let documents = Documents::one(read.document);
        if depth >= DEPTH_MAX {
            let problem = Problem::new(format!("configs refer to configs more than {DEPTH_MAX} deep"));
            let problem =
                problem.at(documents.place("$.ignition.config")).hint(Some("does a config refer to itself?"));
            return Err(Error::new(Phase::Fetch, problem));
        }
        let own = Rendered { config: read.config, documents };
        let references = own.config.ignition.config.clone();
        let settings = self.overlaid(inherited, &own)?;
        if references.replace.source.as_deref().is_some_and(|url| !url.is_empty()) {
            let child =
                self.reference(&references.replace, &own, "$.ignition.config.replace", &settings, &raw.name)?;
            return self.render(&child, &settings, depth + 1);
        }
        let mut merged = own.clone();
        for (index, reference) in references.merge.iter().enumerate() {
            let path = format!("$.ignition.config.merge.{index}");
            if reference.source.as_deref().is_none_or(str::is_empty) {
                continue;
            }
            let child = self.reference(reference, &own, &path, &settings, &raw.name)?;
            merged = merged.merge(self.render(&child, &settings, depth + 1)?);
        }
        Ok(merged)
    }

    fn reference(
        &mut self,
        reference: &config::Resource,
        parent: &Rendered,
        path: &str,
        settings: &HttpSettings,
        parent_name: &str,
    ) -> Result<Raw, Error> {
        let place = parent.documents.place(path);
        let resource = Resource::of(reference).map_err(|error| problem(&error, place.clone()))?;
        let remote = resource.is_remote();
        let name =
            if remote { resource.source.clone() } else { format!("config in {parent_name} at {path}") };
        self.say(format!("config {} ({path} of {parent_name})", shorten(&resource.source)));
        let bytes = self.fetch(&resource, settings, place)?;
        Ok(Raw { name, bytes })
    }

    fn fetch(
        &mut self,
        resource: &Resource,
        settings: &HttpSettings,
        place: Option<Place>,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.net
            .copy(resource, settings, Some(ACCEPT_CONFIG), &mut bytes, Phase::Fetch, self.events)
            .map_err(|error| problem(&error, place))?;
        Ok(bytes)
    }

    /// The settings of a config over those of the config that refers to it.
    fn overlaid(&mut self, inherited: &HttpSettings, own: &Rendered) -> Result<HttpSettings, Error> {
        let mut settings = self.settings(&own.config, &own.documents)?;
        settings.headers_timeout = settings.headers_timeout.or(inherited.headers_timeout);
        settings.total_timeout = settings.total_timeout.or(inherited.total_timeout);
        if settings.proxies == Proxies::default() {
            settings.proxies = inherited.proxies.clone();
        }
        settings.authorities.extend(inherited.authorities.iter().cloned());
        Ok(settings)
    }

    fn settings(&mut self, config: &Config, documents: &Documents) -> Result<HttpSettings, Error> {
        let seconds = |value: Option<i64>| {
            value
                .and_then(|value| u64::try_from(value).ok())
                .filter(|value| *value > 0)
                .map(std::time::Duration::from_secs)
        };
        let ignition = &config.ignition;
        let mut settings = HttpSettings {
            headers_timeout: seconds(ignition.timeouts.http_response_headers),
            total_timeout: seconds(ignition.timeouts.http_total),
            proxies: Proxies {
                http: ignition.proxy.http_proxy.clone(),
                https: ignition.proxy.https_proxy.clone(),
                no_proxy: ignition.proxy.no_proxy.clone(),
            },
            authorities: Vec::new(),
            identity: self.net.identity,
        };
        for (index, authority) in ignition.security.tls.certificate_authorities.iter().enumerate() {
            let place = documents.place(&format!("$.ignition.security.tls.certificateAuthorities.{index}"));
            let resource = Resource::of(authority).map_err(|error| problem(&error, place.clone()))?;
            let bytes = self.fetch(&resource, &settings, place)?;
            settings.authorities.push(bytes);
        }
        Ok(settings)
    }
}

fn problem(error: &ResourceError, place: Option<Place>) -> Error {
    Error::new(Phase::Fetch, Problem::of(error).at(place).hint(error.hint()))
}
