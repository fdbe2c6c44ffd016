//! What variants refuse although it is read.

use ignition_spec::report::Rule;

use crate::rules;
use crate::variant::{Dialect, Variant};

/// A part of the output that a variant refuses, from its version N on and before M.
pub(crate) struct Refused {
    pub(crate) variants: &'static [Variant],
    from: u8,
    before: u8,
    /// Where in the output, without indices.
    pub(crate) path: &'static str,
    pub(crate) rule: Rule,
}

const EDGE: &[Variant] = &[Variant::R4e, Variant::Fiot];
const FLATCAR: &[Variant] = &[Variant::Flatcar];
const OPENSHIFT: &[Variant] = &[Variant::Openshift];

const fn refused(variants: &'static [Variant], path: &'static str, rule: Rule) -> Refused {
    Refused { variants, from: 0, before: u8::MAX, path, rule }
}

const fn between(from: u8, before: u8, path: &'static str, rule: Rule) -> Refused {
    Refused { variants: OPENSHIFT, from, before, path, rule }
}

/// What variants refuse. An openshift config is refused so only when it becomes a MachineConfig.
const REFUSED: &[Refused] = &[
    refused(EDGE, "kernelArguments", rules::NO_KERNEL_ARGUMENTS),
    refused(EDGE, "storage.disks", rules::NO_DISKS),
    refused(EDGE, "storage.filesystems", rules::NO_FILESYSTEMS),
    refused(EDGE, "storage.luks", rules::NO_LUKS),
    refused(EDGE, "storage.raid", rules::NO_RAID),
    Refused { variants: FLATCAR, from: 0, before: 2, path: "storage.luks.clevis", rule: rules::NO_CLEVIS },
    Refused { variants: FLATCAR, from: 2, before: u8::MAX, path: "storage.luks.cex", rule: rules::NO_CEX },
    between(14, u8::MAX, "kernelArguments", rules::MC_KERNEL_ARGUMENTS),
    refused(OPENSHIFT, "passwd.groups", rules::MC_GROUPS),
    refused(OPENSHIFT, "passwd.users.gecos", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.groups", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.homeDir", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.noCreateHome", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.noLogInit", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.noUserGroup", rules::MC_USER_FIELD),
    between(0, 13, "passwd.users.passwordHash", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.primaryGroup", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.shell", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.shouldExist", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.system", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "passwd.users.uid", rules::MC_USER_FIELD),
    refused(OPENSHIFT, "storage.directories", rules::MC_DIRECTORIES),
    refused(OPENSHIFT, "storage.files.append", rules::MC_APPEND),
    between(0, 10, "storage.files.contents.compression", rules::MC_COMPRESSION),
    refused(OPENSHIFT, "storage.files.contents.httpHeaders", rules::MC_HEADERS),
    refused(OPENSHIFT, "storage.links", rules::MC_LINKS),
];

/// What `dialect` refuses.
pub(crate) fn refusals(dialect: Dialect) -> impl Iterator<Item = &'static Refused> {
    REFUSED.iter().filter(move |refused| {
        refused.variants.contains(&dialect.variant) && (refused.from..refused.before).contains(&dialect.minor)
    })
}
