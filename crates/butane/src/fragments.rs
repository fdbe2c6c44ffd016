//! Butane files that a config merges: read, translated and merged when it is transpiled.
//!
//! `config.merge` is to Butane files what `ignition.config.merge` is to Ignition configs, and the same rules hold: what
//! is merged wins over what merges it, later ones over earlier ones.

use std::sync::Arc;

use ignition_spec::check::Checker;
use ignition_spec::gopath;
use ignition_spec::path::Naming;
use ignition_spec::report::{Entry, Fragment, Report, Rule};
use ignition_spec::{Positions, parse};

use crate::compile::{Compiled, Refusal, Stage, compile};
use crate::origins::Origins;
use crate::rules::{FILE, FRAGMENT_CYCLE, FRAGMENT_SPEC, FRAGMENTS_MANY, NO_FILES};
use crate::variables;
use crate::{Options, yaml};

/// How many fragments a config may have in all; two that each merge the other's parts twice would never end.
const FRAGMENTS_MAX: usize = 256;

/// One of the texts that a config is made of.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// Where its values are.
    pub(crate) positions: Positions,
    /// Its name and content, unless it is the document itself.
    pub(crate) fragment: Option<Arc<Fragment>>,
}

/// A document with all that it merges.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The merged config.
    pub(crate) compiled: Compiled,
    /// The document, then its fragments.
    pub(crate) texts: Vec<Text>,
}

/// Compiles `text` and all that it merges.
pub(crate) fn whole(text: &str, options: &Options<'_>) -> Result<Whole, Refusal> {
    let mut assembly = Assembly { options, texts: vec![Text::default()], declared: Vec::new() };
    let mut compiled = assembly.text(text, 0, &[])?;
    let unknown = options.variables.map(|values| variables::unknown(values, &assembly.declared));
    if let Some(report) = unknown.filter(|report| !report.is_empty()) {
        return Err(Refusal { stage: Stage::Source, report });
    }
    let texts = assembly.texts;
    if texts.len() > 1 {
        revalidate(&mut compiled, &texts)?;
    }
    Ok(Whole { compiled, texts })
}

/// Two valid configs can make an invalid one.
fn revalidate(compiled: &mut Compiled, texts: &[Text]) -> Result<(), Refusal> {
    let mut found = Report::default();
    let mut checker =
        Checker::new(Naming::Camel, compiled.dialect.spec, ignition_spec::config::OWNER, &mut found);
    checker.duplicates(&compiled.config);
    checker.rules(&compiled.config);
    for mut entry in found.entries {
        let place = compiled.origins.place(&entry.path);
        let text = &texts[place.text];
        entry.position = Some(text.positions.nearest(&place.path));
        entry.path = place.path;
        entry.fragment = text.fragment.clone();
        let known = compiled.report.entries.iter().any(|other| {
            (other.code, &other.path, &other.fragment) == (entry.code, &entry.path, &entry.fragment)
        });
        if !known {
            compiled.report.push(entry);
        }
    }
    match compiled.report.is_fatal() {
        true => Err(Refusal { stage: Stage::Output, report: std::mem::take(&mut compiled.report) }),
        false => Ok(()),
    }
}

struct Assembly<'o> {
    options: &'o Options<'o>,
    texts: Vec<Text>,
    /// The variables of all texts.
    declared: Vec<String>,
}

impl Assembly<'_> {
    /// The text with the number `number`, merged with its fragments. `trail` has the paths of the files that it is in.
    fn text(&mut self, text: &str, number: usize, trail: &[String]) -> Result<Compiled, Refusal> {
        let mut compiled = compile(text, number, self.options).map_err(|refusal| self.of(number, refusal))?;
        self.declared.append(&mut compiled.variables);
        self.texts[number].positions = std::mem::take(&mut compiled.positions);
        self.mark(number, &mut compiled.report);
        let mut refused: Option<Refusal> = None;
        let references = std::mem::take(&mut compiled.root.config.merge);
        for (at, reference) in references.iter().enumerate() {
            let path = format!("$.config.merge.{at}.local");
            let merged = self
                .fragment(&reference.local, number, &path, trail)
                .and_then(|child| self.merge(&mut compiled, child, number, &path));
            if let Err(mut refusal) = merged {
                match &mut refused {
                    Some(before) => before.report.entries.append(&mut refusal.report.entries),
                    None => refused = Some(refusal),
                }
            }
        }
        match refused {
            None => Ok(compiled),
            Some(mut refusal) => {
                compiled.report.entries.append(&mut refusal.report.entries);
                Err(Refusal { stage: refusal.stage, report: compiled.report })
            }
        }
    }

    /// The fragment `local`, which the text `by` names at `path`.
    fn fragment(
        &mut self,
        local: &str,
        by: usize,
        path: &str,
        trail: &[String],
    ) -> Result<Compiled, Refusal> {
        let clean = gopath::clean(local);
        if trail.contains(&clean) {
            let message = format!("{clean} merges itself: {} -> {clean}", trail.join(" -> "));
            return Err(self.refuse(by, path, FRAGMENT_CYCLE, message));
        }
        if self.texts.len() > FRAGMENTS_MAX {
            return Err(self.refuse(by, path, FRAGMENTS_MANY, FRAGMENTS_MANY.text.into()));
        }
        let Some(files) = self.options.files else {
            return Err(self.refuse(by, path, NO_FILES, NO_FILES.text.into()));
        };
        let bytes = files.read(local).map_err(|error| self.refuse(by, path, FILE, error.to_string()))?;
        let line = self.texts[by].positions.nearest(path).0;
        let (merger, mut further) = match &self.texts[by].fragment {
            Some(fragment) => (fragment.name.clone(), fragment.merged_by.clone()),
            None if self.options.name.is_empty() => ("the config".into(), Vec::new()),
            None => (self.options.name.into(), Vec::new()),
        };
        further.insert(0, (merger, line));
        let content = String::from_utf8_lossy(&bytes).into_owned();
        let fragment = Fragment { name: clean.clone(), text: content, merged_by: further };
        let number = self.texts.len();
        self.texts.push(Text { positions: Positions::default(), fragment: Some(Arc::new(fragment)) });
        let text = yaml::decode(&bytes).map_err(|report| self.of(number, Refusal::unread(report)))?;
        let trail: Vec<String> = trail.iter().cloned().chain([clean]).collect();
        self.text(&text, number, &trail)
    }

    /// Merges `child`, which the text `by` names at `path`, over `compiled`.
    fn merge(
        &mut self,
        compiled: &mut Compiled,
        mut child: Compiled,
        by: usize,
        path: &str,
    ) -> Result<(), Refusal> {
        if child.dialect.spec > compiled.dialect.spec {
            let message = format!(
                "the merged file is translated to Ignition {}, this one to {}; {}",
                child.dialect.spec, compiled.dialect.spec, FRAGMENT_SPEC.text
            );
            return Err(self.refuse(by, path, FRAGMENT_SPEC, message));
        }
        parse::translate(&mut child.config, child.dialect.spec);
        child.config.ignition.version = compiled.dialect.spec.to_string();
        let (config, transcript) = ignition_spec::merge(&compiled.config, &child.config);
        compiled.config = config;
        let origins = std::mem::take(&mut compiled.origins);
        compiled.origins = Origins::merged(by, transcript, origins, child.origins);
        compiled.report.entries.append(&mut child.report.entries);
        Ok(())
    }

    fn refuse(&self, text: usize, path: &str, rule: Rule, message: String) -> Refusal {
        let entry = Entry::error(rule, path).at(self.texts[text].positions.nearest(path)).message(message);
        self.of(text, Refusal { stage: Stage::Source, report: Report::of(entry) })
    }

    /// The refusal, about the text `number`.
    fn of(&self, number: usize, mut refusal: Refusal) -> Refusal {
        self.mark(number, &mut refusal.report);
        refusal
    }

    fn mark(&self, number: usize, report: &mut Report) {
        for entry in report.entries.iter_mut().filter(|entry| entry.fragment.is_none()) {
            entry.fragment.clone_from(&self.texts[number].fragment);
        }
    }
}
