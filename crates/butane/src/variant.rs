//! Variants and versions, and the Ignition spec that each is translated to.

use ignition_spec::report::{Entry, Report, Rule};
use ignition_spec::version::Semver;
use ignition_spec::{Spec, tree};

/// No variant.
pub const NO_VARIANT: Rule =
    Rule { code: "variant-missing", text: "error parsing variant; must be specified" };
/// The version is no version.
pub const INVALID_VERSION: Rule =
    Rule { code: "butane-version-malformed", text: "error parsing version; must be a valid semver" };
/// Nobody knows the variant or its version.
pub const UNKNOWN: Rule = Rule { code: "butane-version-unknown", text: "no translator exists" };
/// A variant that upstream has and this crate has not.
pub const UNSUPPORTED: Rule = Rule { code: "butane-variant-unsupported", text: "variant is not supported" };

/// A variant at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The 1.N of `fcos`.
    pub minor: u8,
    /// The Ignition spec of the output.
    pub spec: Spec,
}

/// The Ignition minor of each minor of `fcos`.
const FCOS: [u8; 8] = [0, 1, 2, 2, 3, 4, 5, 6];

/// What upstream reads beside `fcos`.
const OTHERS: [&str; 4] = ["flatcar", "openshift", "r4e", "fiot"];

impl Dialect {
    /// Keys (Ignition spelling) that the spec's table has and this version has not.
    pub(crate) fn hidden(self) -> &'static [&'static str] {
        if self.minor < 3 { &["bootDevice"] } else { &[] }
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
        let accepted = "accepted are fcos 1.0.0 to 1.7.0";
        if OTHERS.contains(&variant) {
            let message = format!("variant {variant} is not supported by this version of Orlop");
            return refuse(UNSUPPORTED, "variant", message, accepted);
        }
        let plain =
            Semver { patch: 0, pre_release: String::new(), metadata: String::new(), ..semver.clone() };
        let minor = u8::try_from(semver.minor)
            .ok()
            .filter(|_| variant == "fcos" && semver.major == 1 && semver == plain);
        match minor.and_then(|minor| Some((minor, Spec::minor(*FCOS.get(usize::from(minor))?)?))) {
            Some((minor, spec)) => Ok(Self { minor, spec }),
            None => {
                let message = format!("No translator exists for variant {variant} with version {version}");
                refuse(UNKNOWN, if variant == "fcos" { "version" } else { "variant" }, message, accepted)
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
