//! One text, from YAML to a checked Ignition config.

use ignition_spec::check::Checker;
use ignition_spec::path::Naming;
use ignition_spec::read::{Reader, UNUSED_KEY, WRONG_TYPE, document};
use ignition_spec::report::{Entry, Report};
use ignition_spec::tree::{Node, Value};
use ignition_spec::{Config, Positions};

use crate::fields::{self, Root};
use crate::origins::Origins;
use crate::translate::Translator;
use crate::variant::{Dialect, Variant};
use crate::{Options, openshift, rules, split, variables, yaml};

/// How far a config came that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The text could not be read: syntax, variant, version, types.
    Read,
    /// The source breaks Butane's rules.
    Source,
    /// What it stands for breaks Ignition's.
    Output,
}

/// Why a config is refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{report}")]
pub struct Refusal {
    /// How far it came.
    pub stage: Stage,
    /// What is wrong with it.
    pub report: Report,
}

impl Refusal {
    /// What upstream's program says at the end: `Error translating config: ` and this.
    pub fn closing(&self) -> String {
        match self.stage {
            Stage::Read => self.report.first().map_or_else(String::new, |entry| entry.message.to_string()),
            Stage::Source => "source config is invalid".into(),
            Stage::Output => "config generated was invalid".into(),
        }
    }

    pub(crate) fn unread(report: Report) -> Self {
        Self { stage: Stage::Read, report }
    }
}

/// An accepted text.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) dialect: Dialect,
    pub(crate) config: Config,
    /// What the top level has beyond Ignition's.
    pub(crate) root: Root,
    pub(crate) origins: Origins,
    pub(crate) positions: Positions,
    /// The names of its variables.
    pub(crate) variables: Vec<String>,
    /// Warnings.
    pub(crate) report: Report,
}

/// A text on its way.
struct Text<'o> {
    /// Its number among the texts that are merged.
    number: usize,
    options: &'o Options<'o>,
    positions: Positions,
    report: Report,
}

/// Makes an Ignition config of `text`, the one with the number `number`.
pub(crate) fn compile(text: &str, number: usize, options: &Options<'_>) -> Result<Compiled, Refusal> {
    let empty = Node { position: (1, 1), value: Value::Map(Vec::new()) };
    let mut tree = yaml::parse(text).map_err(Refusal::unread)?.unwrap_or(empty);
    if !matches!(tree.value, Value::Map(_)) && !tree.value.is_null() {
        let message = format!("expected an object, found {}", tree.value.kind());
        let entry = Entry::error(WRONG_TYPE, "$").at(tree.position).message(message);
        return Err(Refusal::unread(Report::of(entry)));
    }
    let dialect = Dialect::of(&tree).map_err(Refusal::unread)?;
    let variables = match (dialect.variant, options.variables) {
        (Variant::Orlop, values) => {
            let none = variables::Values::new();
            variables::substitute(&mut tree, text, values.unwrap_or(&none), dialect)
                .map_err(|report| Refusal { stage: Stage::Source, report })?
        }
        _ => Vec::new(),
    };
    let on_its_way = Text { number, options, positions: Positions::default(), report: Report::default() };
    Ok(Compiled { variables, ..on_its_way.compile(tree, dialect)? })
}

impl Text<'_> {
    fn compile(mut self, mut tree: Node<'_>, dialect: Dialect) -> Result<Compiled, Refusal> {
        split::drop_nulls(&mut tree);
        self.positions = Positions::of(&tree, false);
        let (config, sugar) = self.read(tree, dialect)?;
        self.take(rules::check(&config, &sugar, dialect), Stage::Source)?;
        let Options { files, no_compression, raw, .. } = self.options;
        let mut translator = Translator::new(dialect, *files, !no_compression, self.number);
        let config = translator.translate(config, &sugar, *raw);
        let Translator { origins, report, .. } = translator;
        self.take(report, Stage::Source)?;
        if dialect.variant != Variant::Openshift || !raw {
            let refused = Report { entries: openshift::refused(&config, dialect) };
            self.take_output(refused, &origins, Stage::Source)?;
        }
        let mut found = Report::default();
        if dialect.variant == Variant::Openshift && !raw {
            self.report.entries.extend(openshift::duplicates(&sugar.root.openshift));
        }
        let mut checker = Checker::new(Naming::Camel, dialect.spec, ignition_spec::config::OWNER, &mut found);
        checker.duplicates(&config);
        checker.rules(&config);
        self.take_output(found, &origins, Stage::Output)?;
        let Self { positions, mut report, .. } = self;
        positions.locate(&mut report);
        let (root, variables) = (sugar.root, Vec::new());
        Ok(Compiled { dialect, config, root, origins, positions, variables, report })
    }

    /// Reads the tree by the tables.
    fn read(&mut self, mut tree: Node<'_>, dialect: Dialect) -> Result<(Config, split::Sugar), Refusal> {
        let (sugar, mut errors, mut warnings) = split::split(&mut tree, dialect);
        // The spec's version is not the user's to say.
        let mut reader = Reader::new(Naming::Snake, dialect.spec, &["version"]).also(fields::extra);
        let config: Config = document(&tree, &mut reader);
        errors.entries.append(&mut reader.errors.entries);
        if !errors.is_empty() {
            errors.entries.sort_by_key(|entry| entry.position);
            return Err(Refusal::unread(errors));
        }
        warnings.entries.append(&mut reader.warnings.entries);
        warnings.entries.sort_by_key(|entry| entry.position);
        for entry in warnings.entries.iter_mut().filter(|entry| entry.code == UNUSED_KEY.code) {
            let elsewhere = entry.path.strip_prefix("$.").and_then(|key| fields::elsewhere(dialect, key));
            entry.hint = elsewhere.or(entry.hint.take());
        }
        self.report = warnings;
        Ok((config, sugar))
    }

    /// Takes entries about the source, and stops when one is an error.
    fn take(&mut self, mut found: Report, stage: Stage) -> Result<(), Refusal> {
        self.report.entries.append(&mut found.entries);
        if !self.report.is_fatal() {
            return Ok(());
        }
        let mut report = std::mem::take(&mut self.report);
        self.positions.locate(&mut report);
        Err(Refusal { stage, report })
    }

    /// The same with entries about the output.
    fn take_output(&mut self, mut found: Report, origins: &Origins, stage: Stage) -> Result<(), Refusal> {
        for entry in &mut found.entries {
            entry.path = origins.place(&entry.path).path;
        }
        self.take(found, stage)
    }
}
