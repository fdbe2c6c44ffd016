//! Making a config smaller without changing what it means, for platforms that limit user data.
//!
//! Three ways, each less readable than the one before: the same JSON without blanks; each embedded content in its
//! shortest form (text, base64, gzip); the whole config as gzip within a config that does nothing but point to it
//! (`ignition.config.replace`). What comes out is read back and compared: [`meaning`] of both must be equal.

pub mod limits;
pub mod resources;

use ignition_spec::config::{IgnitionConfig, Resource};
use ignition_spec::{Config, Report, Spec};

/// A way of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// No blanks.
    Minified,
    /// Contents in their shortest form.
    Contents,
    /// A pointer to the whole as gzip.
    Whole,
}

impl Way {
    /// All ways, the most readable first.
    pub const ALL: [Way; 3] = [Way::Minified, Way::Contents, Way::Whole];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Way::Minified => "minified",
            Way::Contents => "contents",
            Way::Whole => "whole",
        }
    }
}

/// Why a config cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// What was packed is no config; a fault of ours.
    #[error("the packed config is not valid")]
    Refused {
        /// Why.
        #[source]
        report: Report,
    },
    /// What was packed means something else; a fault of ours.
    #[error("the packed config would mean something else")]
    Differs,
    /// A gzip stream that is not one.
    #[error("the gzip stream of {path} is broken")]
    Gzip {
        /// Where it is embedded.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// `config`, which was written for `spec`, packed in one `way`, as JSON.
///
/// # Errors
/// An embedded gzip stream is broken, or what came out is not what went in (which would be a fault of ours).
pub fn pack(config: &Config, spec: Spec, way: Way) -> Result<Vec<u8>, PackError> {
    // The version is the one that the user wrote, not the one that it was translated up to.
    let mut config = config.clone();
    config.ignition.version = spec.to_string();
    let wanted = meaning(&config.to_json())?;
    let packed = match way {
        Way::Minified => config.to_json(),
        Way::Contents => {
            resources::shorten(&mut config, spec)?;
            config.to_json()
        }
        Way::Whole => whole(config, spec)?,
    };
    if meaning(&packed)? == wanted { Ok(packed) } else { Err(PackError::Differs) }
}

/// The pointer to `config`. Contents that are compressed by themselves are unpacked first: together they shrink more.
fn whole(mut config: Config, spec: Spec) -> Result<Vec<u8>, PackError> {
    let as_given = resources::gzip(&config.to_json());
    resources::unpack(&mut config)?;
    let unpacked = resources::gzip(&config.to_json());
    let smaller = if unpacked.len() < as_given.len() { unpacked } else { as_given };
    // References have a compression since 3.1.
    let version = spec.max(Spec::minor(1).unwrap_or(spec));
    let mut pointer = Config::default();
    pointer.ignition.version = version.to_string();
    pointer.ignition.config = IgnitionConfig {
        replace: Resource {
            source: Some(resources::base64_url(&smaller)),
            compression: Some("gzip".into()),
            ..Resource::default()
        },
        ..IgnitionConfig::default()
    };
    Ok(pointer.to_json())
}

/// What a config stands for: pointers to embedded configs followed, embedded contents as plain text, of the newest
/// spec.
///
/// # Errors
/// It is no valid config, or an embedded gzip stream is broken.
pub fn meaning(json: &[u8]) -> Result<Config, PackError> {
    let parsed = ignition_spec::parse(json).map_err(|report| PackError::Refused { report })?;
    let mut config = parsed.config;
    resources::normalise(&mut config)?;
    let replace = &config.ignition.config.replace;
    match replace.source.as_deref().map(ignition_spec::dataurl::decode) {
        Some(Ok(inner)) => match meaning(&inner) {
            // A pointer to what is no config is left as it is: the machine will say so.
            Err(PackError::Refused { .. }) => Ok(config),
            other => other,
        },
        _ => Ok(config),
    }
}
