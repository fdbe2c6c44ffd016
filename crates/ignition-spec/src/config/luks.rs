//! Encrypted volumes.

use std::borrow::Cow;

use crate::check::volumes;
use crate::config::Resource;
use crate::section;

section! {
    /// A LUKS volume.
    Luks [key |l| Cow::Borrowed(&l.name)] [check volumes::luks] {
        /// IBM Crypto Express.
        cex: Cex = "cex" since 5,
        /// Unlocking by clevis.
        clevis: Clevis = "clevis" since 2,
        /// Absolute path of the device.
        device: Option<String> = "device" since 2,
        /// Lets discards through.
        discard: Option<bool> = "discard" since 4,
        /// The key.
        key_file: Resource = "keyFile" since 2,
        /// Label, at most 47 bytes.
        label: Option<String> = "label" since 2,
        /// Name under /dev/mapper.
        name: String = "name" since 2,
        /// Options for opening.
        open_options: Vec<String> = "openOptions" since 4,
        /// Options for formatting.
        options: Vec<String> = "options" since 2 list Appended,
        /// UUID.
        uuid: Option<String> = "uuid" since 2,
        /// Makes a new volume whatever is there.
        wipe_volume: Option<bool> = "wipeVolume" since 2,
    }
}

section! {
    /// IBM Crypto Express.
    Cex {
        /// Uses it.
        enabled: Option<bool> = "enabled" since 5,
    }
}

section! {
    /// Unlocking by clevis.
    Clevis {
        /// A pin of its own; excludes the other fields.
        custom: ClevisCustom = "custom" since 2,
        /// Tang servers.
        tang: Vec<Tang> = "tang" since 2,
        /// How many of the pieces unlock; 1 when not given.
        threshold: Option<i64> = "threshold" since 2,
        /// The TPM2 is a piece.
        tpm2: Option<bool> = "tpm2" since 2,
    }
}

section! {
    /// A clevis pin with a configuration of its own.
    ClevisCustom [check volumes::clevis_custom] {
        /// The configuration, as JSON.
        config: Option<String> = "config" since 2,
        /// Needs the network to unlock.
        needs_network: Option<bool> = "needsNetwork" since 2,
        /// The pin.
        pin: Option<String> = "pin" since 2,
    }
}

section! {
    /// A Tang server.
    Tang [key |t| Cow::Borrowed(&t.url)] [check volumes::tang] {
        /// Its advertisement, as JSON, so that no network is needed.
        advertisement: Option<String> = "advertisement" since 4,
        /// Thumbprint of a trusted signing key.
        thumbprint: Option<String> = "thumbprint" since 2,
        /// URL.
        url: String = "url" since 2,
    }
}
