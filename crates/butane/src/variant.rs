//! Variants and versions: the Ignition spec that each is translated to, and what of Butane each has.

use ignition_spec::report::{Entry, Report};
use ignition_spec::version::Semver;
use ignition_spec::{Spec, tree};

use crate::rules::{INVALID_VERSION, NO_VARIANT, RHCOS, UNKNOWN};

/// Who a config is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// Fedora CoreOS.
    Fcos,
    /// Flatcar Container Linux.
    Flatcar,
    /// OpenShift: the output is a MachineConfig.
    Openshift,
    /// RHEL for Edge.
    R4e,
    /// Fedora IoT.
    Fiot,
    /// This system.
    Orlop,
}

/// The versions of a variant.
#[derive(Debug)]
struct Versions {
    variant: Variant,
    name: &'static str,
    /// The first number of its versions.
    major: u8,
    /// The second number of the first one.
    first: u8,
    /// The minor of the Ignition spec of each, in order.
    specs: &'static [u8],
    /// The last one is called experimental.
    experimental: bool,
}

/// All variants; the order is that of hints.
const VARIANTS: &[Versions] = &[
    Versions { variant: Variant::Orlop, name: "orlop", major: 1, first: 0, specs: &[6], experimental: false },
    Versions {
        variant: Variant::Fcos,
        name: "fcos",
        major: 1,
        first: 0,
        specs: &[0, 1, 2, 2, 3, 4, 5, 6, 7],
        experimental: true,
    },
    Versions {
        variant: Variant::Flatcar,
        name: "flatcar",
        major: 1,
        first: 0,
        specs: &[3, 4, 7],
        experimental: true,
    },
    Versions {
        variant: Variant::Openshift,
        name: "openshift",
        major: 4,
        first: 8,
        specs: &[2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 5, 5, 5, 5, 7],
        experimental: true,
    },
    Versions {
        variant: Variant::R4e,
        name: "r4e",
        major: 1,
        first: 0,
        specs: &[3, 4, 7],
        experimental: true,
    },
    Versions { variant: Variant::Fiot, name: "fiot", major: 1, first: 0, specs: &[4, 7], experimental: true },
];

impl Versions {
    fn text(&self, index: usize) -> String {
        let suffix = if self.experimental && index + 1 == self.specs.len() { "-experimental" } else { "" };
        format!("{}.{}.0{suffix}", self.major, usize::from(self.first) + index)
    }

    fn range(&self) -> String {
        let last = self.specs.len() - 1;
        match last {
            0 => format!("{} {}", self.name, self.text(0)),
            _ => format!("{} {} to {}", self.name, self.text(0), self.text(last)),
        }
    }
}

/// A variant at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The variant.
    pub variant: Variant,
    /// The second number of the version: 5 of 1.5.0, 14 of 4.14.0.
    pub minor: u8,
    /// The Ignition spec of the output.
    pub spec: Spec,
}

impl Dialect {
    /// Every variant at every version, with the names that a config has.
    pub fn all() -> impl Iterator<Item = (&'static str, String, Dialect)> {
        VARIANTS.iter().flat_map(|versions| {
            versions.specs.iter().enumerate().filter_map(move |(index, spec)| {
                let minor = versions.first + u8::try_from(index).ok()?;
                let dialect = Dialect { variant: versions.variant, minor, spec: Spec::minor(*spec)? };
                Some((versions.name, versions.text(index), dialect))
            })
        })
    }

    /// The dialect of `variant` (`fcos`) at `version` (`1.5.0`).
    pub fn named(variant: &str, version: &str) -> Option<Dialect> {
        let version = Semver::parse(version)?;
        let same = |text: &str| Semver::parse(text).is_some_and(|other| other == version);
        Self::all().find(|(name, text, _)| *name == variant && same(text)).map(|(.., dialect)| dialect)
    }

    /// The 1.N of `fcos` whose sugar (`boot_device`, `grub`) this dialect has, if it has it at all.
    pub fn fcos(self) -> Option<u8> {
        match self.variant {
            Variant::Fcos => Some(self.minor),
            Variant::Orlop => Some(7),
            Variant::Openshift => Some(match self.minor {
                ..14 => 3,
                14..19 => 5,
                19..23 => 6,
                23.. => 8,
            }),
            Variant::Flatcar | Variant::R4e | Variant::Fiot => None,
        }
    }

    /// The dialect that `document` names.
    pub(crate) fn of(document: &tree::Node<'_>) -> Result<Self, Report> {
        let variant = scalar(document, "variant")?;
        let version = scalar(document, "version")?;
        let position = |key: &str| document.get(key).map_or(document.position, |node| node.position);
        let refuse = |rule, key: &str, message: String, hint: &str| {
            let entry = Entry::error(rule, format!("$.{key}")).at(position(key)).message(message);
            Err(Report::of(entry.hint(hint)))
        };
        if variant.is_empty() {
            return refuse(NO_VARIANT, "variant", NO_VARIANT.text.into(), "write `variant: fcos`");
        }
        let Some(semver) = Semver::parse(version) else {
            return refuse(INVALID_VERSION, "version", INVALID_VERSION.text.into(), "write `version: 1.6.0`");
        };
        if (variant, semver.major, semver.minor, semver.patch) == ("rhcos", 0, 1, 0) {
            return refuse(RHCOS, "variant", RHCOS.text.into(), "write `variant: openshift`");
        }
        match Self::named(variant, version) {
            Some(dialect) => Ok(dialect),
            None => {
                let message = format!("No translator exists for variant {variant} with version {version}");
                let (key, accepted) = match VARIANTS.iter().find(|versions| versions.name == variant) {
                    Some(versions) => ("version", versions.range()),
                    None => ("variant", VARIANTS.iter().map(Versions::range).collect::<Vec<_>>().join(", ")),
                };
                refuse(UNKNOWN, key, message, &format!("accepted are {accepted}"))
            }
        }
    }
}

/// The text of a top-level scalar; empty when it is missing.
fn scalar<'t>(document: &'t tree::Node<'_>, key: &str) -> Result<&'t str, Report> {
    use tree::{Plain, Value};
    match document.get(key).map(|node| &node.value) {
        None | Some(Value::Plain(_, Plain::Null)) => Ok(""),
        Some(Value::Text(text) | Value::Plain(text, _)) => Ok(text),
        Some(value) => {
            let message = format!("expected a string, found {}", value.kind());
            let entry = Entry::error(ignition_spec::read::WRONG_TYPE, format!("$.{key}")).message(message);
            Err(Report::of(entry.at(document.get(key).map_or(document.position, |node| node.position))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_their_specs() {
        for (variant, version, spec, fcos) in [
            ("fcos", "1.3.0", 2, Some(3)),
            ("fcos", "1.8.0-experimental", 7, Some(8)),
            ("openshift", "4.8.0", 2, Some(3)),
            ("openshift", "4.18.0", 4, Some(5)),
            ("openshift", "4.22.0", 5, Some(6)),
            ("openshift", "4.23.0-experimental", 7, Some(8)),
            ("flatcar", "1.1.0", 4, None),
            ("orlop", "1.0.0", 6, Some(7)),
        ] {
            let dialect = Dialect::named(variant, version).expect(version);
            assert_eq!((dialect.spec.minor_number(), dialect.fcos()), (spec, fcos), "{variant} {version}");
        }
        for (variant, version) in
            [("fcos", "1.8.0"), ("fcos", "1.9.0"), ("openshift", "4.7.0"), ("x", "1.0.0")]
        {
            assert_eq!(Dialect::named(variant, version), None);
        }
        assert_eq!(Dialect::all().count(), 34);
    }
}
