//! Butane YAML to Ignition JSON, with upstream's verdicts and output, and a source map back to the YAML.
//!
//! Variants: `fcos` 1.0 to 1.8-experimental, `flatcar`, `openshift` (a MachineConfig comes out), `r4e`, `fiot`,
//! and our own, `orlop`.
//!
//! Principles:
//! - The source is read by Ignition's own table under its snake_case names. What Butane adds is taken out of the tree
//!   first ([`split`](crate)) by the tables of [`fields`], which say what exists in which version of which variant.
//! - Text to tree ([`yaml`](crate)), tree to sections, Butane's own rules ([`rules`]), translation, Ignition's rules on
//!   the output: each step reports all it finds, and the next is taken only when there is no error.
//! - Positions are those of the YAML, always: what is made is traced to what asked for it.
//! - Our own variant `orlop` has short forms ([`fields::orlop`]), variables ([`variables`]) and merges of Butane files,
//!   all resolved here: a machine sees Ignition.
//! - No I/O but through [`Files`].
//!
//! ```
//! let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /a\n      contents: {inline: hi}\n";
//! let output = butane::transpile(text.as_bytes(), &butane::Options::default()).unwrap();
//! assert_eq!(output.map.position("$.storage.files.0.contents.source"), Some((6, 26)));
//! ```

#![forbid(unsafe_code)]

mod boot;
mod compile;
mod dataurl;
pub mod fields;
pub mod files;
mod fragments;
pub mod fuzz;
mod goyaml;
pub mod map;
mod mode;
mod mount;
mod openshift;
mod origins;
mod orlop;
mod quadlets;
mod resources;
pub mod rules;
mod scalar;
mod split;
mod translate;
mod trees;
pub mod variables;
pub mod variant;
pub mod yaml;

use ignition_spec::report::{Entry, Report};
use ignition_spec::{Config, Parsed, Spec};

pub use compile::{Refusal, Stage};
pub use files::{FileError, Files, Folder};
pub use map::{Source, SourceMap};
pub use rules::STRICT;

/// How to transpile.
#[derive(Clone, Copy, Default)]
pub struct Options<'o> {
    /// Local files; without them a config that names any is refused.
    pub files: Option<&'o dyn Files>,
    /// Warnings count as errors.
    pub strict: bool,
    /// JSON for people.
    pub pretty: bool,
    /// Contents are never compressed.
    pub no_compression: bool,
    /// The Ignition config alone, where the variant has something around it.
    pub raw: bool,
    /// What the text is called where a fragment says who merged it.
    pub name: &'o str,
    /// Values of variables.
    pub variables: Option<&'o variables::Values>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files, strict, pretty, no_compression, raw, name, variables } = self;
        let mut out = f.debug_struct("Options");
        out.field("files", &files.is_some()).field("strict", strict).field("pretty", pretty);
        out.field("no_compression", no_compression).field("raw", raw);
        out.field("name", name).field("variables", variables).finish()
    }
}

/// An Ignition config made of a Butane text.
#[derive(Clone, Debug)]
pub struct Output {
    /// The config as JSON, with no line end after it.
    pub json: Vec<u8>,
    /// The MachineConfig as YAML around it, for `openshift` that is not asked for raw; with no line end after it.
    pub machine_config: Option<Vec<u8>>,
    /// The config, of the spec that the variant's version stands for.
    pub config: Config,
    /// That spec.
    pub spec: Spec,
    /// Warnings, with positions in the YAML.
    pub report: Report,
    /// Where in the YAML each part of the JSON came from.
    pub map: SourceMap,
}

/// Makes an Ignition config of a Butane text. The report of a refusal has positions in the YAML.
pub fn transpile(text: &[u8], options: &Options<'_>) -> Result<Output, Report> {
    transpile_staged(text, options).map_err(|refusal| refusal.report)
}

/// Like [`transpile`], and a refusal says how far the config came.
pub fn transpile_staged(text: &[u8], options: &Options<'_>) -> Result<Output, Refusal> {
    let text = yaml::decode(text).map_err(Refusal::unread)?;
    let fragments::Whole { compiled, texts } = fragments::whole(&text, options)?;
    let compile::Compiled { dialect, config, root, origins, mut report, .. } = compiled;
    if options.strict && !report.is_empty() {
        report.push(Entry::error(STRICT, ""));
        return Err(Refusal { stage: Stage::Output, report });
    }
    let json = if options.pretty { config.to_json_pretty() } else { config.to_json() };
    let map = SourceMap::of(&json, &origins, &texts);
    let wrapped = dialect.variant == variant::Variant::Openshift && !options.raw;
    let machine_config = wrapped.then(|| openshift::machine_config(&config, &root));
    Ok(Output { json, machine_config, config, spec: dialect.spec, report, map })
}

/// A config of either kind, as a machine may be given one.
#[derive(Debug)]
pub struct Document {
    /// The config, translated up; positions are those of the Ignition JSON.
    pub parsed: Parsed,
    /// What a Butane text was transpiled to; nothing when the text was Ignition JSON.
    pub transpiled: Option<Output>,
}

/// Reads Ignition JSON or Butane YAML, whichever `bytes` are.
///
/// Bytes that start an object of JSON are JSON, unless only a reader of YAML finds a `variant` in them.
pub fn read(bytes: &[u8], options: &Options<'_>) -> Result<Document, Report> {
    // Most configs that come this way are JSON: look no further when they are valid.
    if starts_object(bytes)
        && let Ok(parsed) = ignition_spec::parse(bytes)
    {
        return Ok(Document { parsed, transpiled: None });
    }
    if is_butane(bytes) {
        let output = transpile(bytes, &Options { raw: true, ..*options })?;
        let parsed = ignition_spec::parse(&output.json)?;
        return Ok(Document { parsed, transpiled: Some(output) });
    }
    Ok(Document { parsed: ignition_spec::parse(bytes)?, transpiled: None })
}

/// True when `bytes` are Butane rather than Ignition JSON.
pub fn is_butane(bytes: &[u8]) -> bool {
    let starts_object = starts_object(bytes);
    if starts_object && ignition_spec::json::parse(bytes).is_ok_and(|tree| tree.get("variant").is_none()) {
        return false;
    }
    let names_variant =
        |text: &str| yaml::parse(text).map(|tree| tree.is_some_and(|tree| tree.get("variant").is_some()));
    match yaml::decode(bytes).and_then(|text| names_variant(&text)) {
        Ok(named) => named,
        // No YAML either: what starts an object was meant to be JSON, all else to be YAML.
        Err(_) => !starts_object && !bytes.is_empty(),
    }
}

fn starts_object(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
