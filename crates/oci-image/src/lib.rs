//! OCI images: registry client, layouts, the image store, a read-only registry.
//!
//! Principles:
//! - Bytes are what their digest names: everything that comes from outside is checked against one before it is used.
//! - A pull that is torn at any point leaves a store that works; the next pull resumes it.
//! - Layers are unpacked once, each into a directory of its own, and stacked by overlayfs.
//! - Parsing is apart from I/O ([`reference`], [`digest`], [`manifest`], [`registries`] take text and bytes).
//!
//! Modules: names and documents ([`reference`], [`digest`], [`manifest`]); where images come from ([`source`],
//! [`client`], [`registries`], [`auth`]); [`layout`] and [`build`] for images on disk; [`pull`], [`unpack`] and
//! [`store`] for images of a machine, [`rootfs`] to mount one; [`serve`], a read-only registry.

pub mod auth;
pub mod build;
pub mod client;
pub mod digest;
pub mod fetch;
pub mod layout;
pub mod manifest;
pub mod pull;
pub mod reference;
pub mod registries;
pub mod rootfs;
pub mod serve;
pub mod source;
pub mod store;
pub mod unpack;

pub use digest::Digest;
pub use reference::Reference;
pub use store::{Image, Store};

/// Fuzz entry: any bytes as a manifest, an index and an image config.
pub fn fuzz_manifest(bytes: &[u8]) {
    if let Ok(manifest::Document::Index(index)) = manifest::parse_document(bytes, None) {
        let _ = index.choose(&manifest::Platform::host());
    }
    if let Ok(manifest::Document::Manifest(found)) =
        manifest::parse_document(bytes, Some(manifest::media::MANIFEST))
    {
        let _ = manifest::parse_config(bytes, &found);
    }
    let _ = serde_json::from_slice::<manifest::ImageConfig>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<Reference>();
    }
}
