//! Units and drop-ins.

use std::borrow::Cow;

use crate::check::systemd;
use crate::section;

section! {
    /// systemd.
    Systemd [check systemd::instances] {
        /// Units.
        units: Vec<Unit> = "units",
    }
}

section! {
    /// A unit.
    Unit [key |u| Cow::Borrowed(&u.name)] [check systemd::unit] {
        /// The unit file.
        contents: Option<String> = "contents",
        /// Drop-ins.
        dropins: Vec<Dropin> = "dropins",
        /// Enables or disables it; left alone when not given.
        enabled: Option<bool> = "enabled",
        /// Masks or unmasks it; left alone when not given.
        mask: Option<bool> = "mask",
        /// Name with extension.
        name: String = "name",
    }
}

section! {
    /// A drop-in of a unit.
    Dropin [key |d| Cow::Borrowed(&d.name)] [check systemd::dropin] {
        /// The content.
        contents: Option<String> = "contents",
        /// Name, ending in `.conf`.
        name: String = "name",
    }
}
