//! Validation: upstream's rules, texts, paths and order.
//!
//! A config is walked twice, depth first: for the rules of each section, then for entries that are defined twice. The
//! rules are one set with `spec` conditions where versions differ.

pub mod disks;
pub mod nodes;
pub mod resource;
pub mod systemd;
pub mod volumes;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use crate::config::{self, Config};
use crate::path::{Naming, Path};
use crate::report::{Entry, Report, Rule};
pub use crate::rules::text::DUPLICATE;
use crate::schema::{Choice, ConfigValue, Listing};
use crate::version::Spec;

/// What `config` breaks of the rules of `spec`; entries have no positions yet.
pub fn validate(config: &Config, spec: Spec) -> Report {
    let mut report = Report::default();
    let mut checker = Checker::new(Naming::Camel, spec, config::OWNER, &mut report);
    checker.rules(config);
    checker.duplicates(config);
    report
}

/// The state of a validating walk.
#[derive(Debug)]
pub struct Checker<'c> {
    /// Where the walk stands.
    pub path: Path,
    /// The spec whose rules hold.
    pub spec: Spec,
    pass: Pass,
    /// The module whose sections have their rules checked: Butane's source has rules of its own, and the Ignition
    /// sections within it are checked only after translation.
    owner: &'static str,
    report: &'c mut Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Rules,
    Duplicates,
}

impl<'c> Checker<'c> {
    /// A checker of documents whose keys are spelt in `naming`, by the rules of the sections that module `owner`
    /// declares.
    pub fn new(naming: Naming, spec: Spec, owner: &'static str, report: &'c mut Report) -> Self {
        Self { path: Path::new(naming), spec, pass: Pass::Rules, owner, report }
    }

    /// Walks `section` for its rules.
    pub fn rules(&mut self, section: &impl ConfigValue) {
        self.pass = Pass::Rules;
        section.walk(self);
    }

    /// Walks `section` for entries that are defined twice.
    pub fn duplicates(&mut self, section: &impl ConfigValue) {
        self.pass = Pass::Duplicates;
        section.walk(self);
    }

    /// Asked by a section: whether its rules are to be checked, or its lists.
    pub fn checks_rules(&self) -> bool {
        self.pass == Pass::Rules
    }

    /// Asked by a section: whether the rules of sections that `module` declares hold.
    pub fn owns(&self, module: &str) -> bool {
        module.starts_with(self.owner)
    }

    /// True when the rules of 3.`minor` hold.
    pub fn since(&self, minor: u8) -> bool {
        self.spec.minor_number() >= minor
    }

    /// True when `text` is among the choices that the spec has.
    pub fn offers(&self, choices: &[Choice], text: &str) -> bool {
        choices.iter().any(|choice| choice.text == text && self.since(choice.since))
    }

    /// Reports an error at `keys` below the walk's place.
    pub fn error(&mut self, keys: &[&dyn fmt::Display], rule: Rule) {
        let entry = Entry::error(rule, self.path.join(keys));
        self.report.push(entry);
    }

    /// Reports a warning at `keys` below the walk's place.
    pub fn warning(&mut self, keys: &[&dyn fmt::Display], rule: Rule) {
        let entry = Entry::warning(rule, self.path.join(keys));
        self.report.push(entry);
    }

    /// Reports an entry made by the caller.
    pub fn push(&mut self, entry: Entry) {
        self.report.push(entry);
    }
}

/// The keys of a section's lists, to find duplicates.
#[derive(Debug, Default)]
pub struct Lists<'a> {
    seen: HashMap<(&'static str, Cow<'a, str>), ()>,
}

impl<'a> Lists<'a> {
    /// Takes a field; if it is a list, its duplicates are reported.
    pub fn take(
        &mut self,
        camel: &'static str,
        snake: &'static str,
        list: &'a impl ConfigValue,
        listing: Listing,
        checker: &mut Checker<'_>,
    ) {
        let space = match listing {
            Listing::Appended => return,
            Listing::Shared => "",
            Listing::Keyed => camel,
        };
        list.for_each_key(&mut |index, key| {
            if self.seen.insert((space, key), ()).is_some() {
                checker.path.push_field(camel, snake);
                checker.error(&[&index], DUPLICATE);
                checker.path.pop();
            }
        });
    }
}

/// True for `Some(true)`.
pub fn is_true(value: Option<bool>) -> bool {
    value == Some(true)
}

/// The text, unless it is missing or empty.
pub fn non_empty(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}
