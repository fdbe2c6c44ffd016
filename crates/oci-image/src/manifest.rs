//! Manifests, indexes and image configs: OCI image-spec 1.1 and Docker's schema 2, which differ only in media types.
//!
//! The types hold what Orlop uses; unknown members are passed over, as the spec demands of readers. A document is
//! never written back from these types after it was read: its bytes are what its digest names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A manifest, index or config is refused above this many bytes (distribution-spec asks registries to take 4 MiB).
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// Layers of one image at most; overlayfs takes 500 lower directories.
pub const LAYERS_MAX: usize = 400;

/// Media types, by the name of the constant.
pub mod media {
    #![allow(missing_docs)]
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_LAYER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
}

/// Points at a blob (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// In an index: for which machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free text by key; `org.opencontainers.image.ref.name` is the tag in a layout.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// For which machines an image is (image-spec, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`: Go's names.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `v8`, for arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The machine that this program was built for.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }
}

/// An image of one platform (image-spec, manifest.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image's config.
    pub config: Descriptor,
    /// Layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Manifests by platform, or the index of a layout (image-spec, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests or further indexes.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The manifest for `platform`: the first that fits, entries without a platform last.
    #[must_use]
    pub fn choose(&self, platform: &Platform) -> Option<&Descriptor> {
        let fits = |found: &Platform| found.os == platform.os && found.architecture == platform.architecture;
        let exact = self.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(fits));
        exact.or_else(|| self.manifests.iter().find(|entry| entry.platform.is_none()))
    }
}

/// What to run and on what (image-spec, config.md).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// Defaults of the process.
    #[serde(default)]
    pub config: RunConfig,
    /// The layers' digests before compression.
    pub rootfs: RootFs,
}

/// Defaults of the process in an image. `null` stands for absent, as Go's encoders write it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`; empty for root.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `KEY=value`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Program and first arguments.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Further arguments, replaced as a whole by a user's own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Where the process starts; empty for `/`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `8080/tcp`, for information.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Paths that hold data.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Free text by key.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the process to end: `SIGTERM`, `15`; empty for SIGTERM.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

/// The `{}` of Go's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// The layers' digests before compression.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lowest first.
    pub diff_ids: Vec<Digest>,
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One platform's image.
    Manifest(Manifest),
    /// Several platforms' images.
    Index(Index),
}

/// A document that is no image that Orlop runs.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON it should be.
    #[error("the {what} is not what the OCI image-spec describes")]
    Json {
        /// `manifest`, `index`, `config`.
        what: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Docker's schema 1 (signed JSON), or a number of the future.
    #[error("the manifest has schema version {version}; only version 2 is read")]
    Schema {
        /// The version it names.
        version: u64,
    },
    /// An artifact (chart, signature, model) where an image was expected.
    #[error("{media_type} is not an image that can be run")]
    NotAnImage {
        /// Its media type.
        media_type: String,
    },
    /// More layers than can be mounted.
    #[error("the image has {count} layers; at most {LAYERS_MAX} can be stacked")]
    TooManyLayers {
        /// How many.
        count: usize,
    },
    /// The config names other layers than the manifest.
    #[error("the manifest has {layers} layers, its config {diff_ids}")]
    LayerCount {
        /// Of the manifest.
        layers: usize,
        /// Of the config.
        diff_ids: usize,
    },
}

/// Reads a manifest or an index; `media_type` is what the registry or descriptor called it, if it did.
///
/// # Errors
/// [`ManifestError`] where it is none, or one that Orlop does not run.
pub fn parse_document(bytes: &[u8], media_type: Option<&str>) -> Result<Document, ManifestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        #[serde(default)]
        schema_version: u64,
        #[serde(default)]
        media_type: Option<String>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
    }
    let json = |what| move |source| ManifestError::Json { what, source };
    let probe: Probe = serde_json::from_slice(bytes).map_err(json("manifest"))?;
    if probe.schema_version != 2 {
        return Err(ManifestError::Schema { version: probe.schema_version });
    }
    let named = probe.media_type.as_deref().or(media_type).unwrap_or_default();
    match named {
        media::INDEX | media::DOCKER_INDEX => {
            serde_json::from_slice(bytes).map(Document::Index).map_err(json("index"))
        }
        media::MANIFEST | media::DOCKER_MANIFEST => manifest(bytes).map(Document::Manifest),
        // Old layouts and careless servers name no type, or only "JSON": its members tell.
        "" | "application/json" | "application/octet-stream" | "text/plain" if probe.manifests.is_some() => {
            serde_json::from_slice(bytes).map(Document::Index).map_err(json("index"))
        }
        "" | "application/json" | "application/octet-stream" | "text/plain" => {
            manifest(bytes).map(Document::Manifest)
        }
        other => Err(ManifestError::NotAnImage { media_type: other.to_owned() }),
    }
}

fn manifest(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { what: "manifest", source })?;
    if !matches!(manifest.config.media_type.as_str(), media::CONFIG | media::DOCKER_CONFIG) {
        return Err(ManifestError::NotAnImage { media_type: manifest.config.media_type });
    }
    if manifest.layers.len() > LAYERS_MAX {
        return Err(ManifestError::TooManyLayers { count: manifest.layers.len() });
    }
    Ok(manifest)
}

/// Reads the config that belongs to `manifest`.
///
/// # Errors
/// [`ManifestError`] where it is none, or names other layers than the manifest.
pub fn parse_config(bytes: &[u8], manifest: &Manifest) -> Result<ImageConfig, ManifestError> {
    let config: ImageConfig =
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { what: "config", source })?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers == diff_ids { Ok(config) } else { Err(ManifestError::LayerCount { layers, diff_ids }) }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// What a layer's media type says; none if it is no layer that can be unpacked here.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            media::LAYER_TAR | media::DOCKER_LAYER_TAR => Some(Self::None),
            media::LAYER_GZIP | media::DOCKER_LAYER_GZIP => Some(Self::Gzip),
            media::LAYER_ZSTD | media::DOCKER_LAYER_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first bytes say; a wrong media type is common enough that the bytes decide.
    #[must_use]
    pub fn of_bytes(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":7}}"#, Digest::of(b"x"))
    }

    #[test]
    fn a_manifest_is_told_from_an_index_even_without_a_media_type() {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor(media::CONFIG),
            descriptor(media::LAYER_GZIP)
        );
        assert!(matches!(parse_document(manifest.as_bytes(), None), Ok(Document::Manifest(_))));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(media::MANIFEST));
        assert!(matches!(parse_document(index.as_bytes(), None), Ok(Document::Index(_))));
    }

    #[test]
    fn artifacts_and_schema_1_are_named() {
        let chart = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#,
            descriptor("application/vnd.cncf.helm.config.v1+json")
        );
        let error = parse_document(chart.as_bytes(), Some(media::MANIFEST)).unwrap_err();
        assert!(matches!(error, ManifestError::NotAnImage { .. }), "{error}");
        let old = br#"{"schemaVersion":1,"name":"x"}"#;
        assert!(matches!(parse_document(old, None), Err(ManifestError::Schema { version: 1 })));
    }

    #[test]
    fn nulls_of_go_are_absent() {
        let text = r#"{"config":{"Env":null,"Cmd":null,"Labels":null,"User":""},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.config, RunConfig::default());
    }

    #[test]
    fn the_platform_of_the_machine_is_chosen() {
        let entry = |arch: &str| Descriptor {
            media_type: media::MANIFEST.to_owned(),
            digest: Digest::of(arch.as_bytes()),
            size: 1,
            platform: Some(Platform { architecture: arch.to_owned(), os: "linux".to_owned(), variant: None }),
            annotations: BTreeMap::new(),
        };
        let index =
            Index { schema_version: 2, media_type: None, manifests: vec![entry("arm64"), entry("amd64")] };
        let amd64 = Platform { architecture: "amd64".to_owned(), os: "linux".to_owned(), variant: None };
        assert_eq!(index.choose(&amd64).unwrap().digest, Digest::of(b"amd64"));
        let riscv = Platform { architecture: "riscv64".to_owned(), ..amd64 };
        assert!(index.choose(&riscv).is_none());
    }
}
