//! A plan in full, for people and scripts: tables before and after, modes, owners, diffs, where each value came from.

use std::fmt::Write as _;

use block::partition::Table;
use serde::Serialize;
use similar::TextDiff;

use super::action::{Access, Base, Id};
use super::{Action, Plan, Step};
use crate::event::Phase;
use crate::fetch::resource::Resource;
use crate::observe::Observed;
use crate::resolve::{Kind, Node};

/// Lines around a change in a diff.
const CONTEXT_LINES: usize = 3;
/// Lines of a diff that people are shown; scripts get all.
const DIFF_LINES_MAX: usize = 60;

/// A step with what it changes.
#[derive(Debug, Clone, Serialize)]
pub struct ShownStep<'a> {
    /// The step.
    #[serde(flatten)]
    pub step: &'a Step,
    /// What changes, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// A unified diff of the content, where both sides are text and at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// A plan with everything that it changes.
#[derive(Debug, Clone, Serialize)]
pub struct Shown<'a> {
    /// [`super::PLAN_VERSION`].
    pub version: u32,
    /// The steps in order.
    pub steps: Vec<ShownStep<'a>>,
    /// Why the machine must be started again for all of it to count.
    pub reboots: &'a [String],
    /// What deserves attention.
    pub warnings: &'a [String],
    /// Digest over the paths that the config is about, as they will be ([`super::expect::digest`]).
    pub tree: String,
}

/// Shows `plan` over what was `observed`. Pure.
pub fn show<'a>(plan: &'a Plan, observed: &Observed, reboots: &'a [String], tree: String) -> Shown<'a> {
    let steps = plan.steps.iter().map(|step| {
        let (details, diff) = details(&step.action, observed);
        ShownStep { step, details, diff }
    });
    Shown { version: plan.version, steps: steps.collect(), reboots, warnings: &plan.warnings, tree }
}

impl Shown<'_> {
    /// The text for people.
    pub fn to_human(&self) -> String {
        let mut text = String::new();
        let mut phase: Option<Phase> = None;
        for shown in &self.steps {
            if phase != Some(shown.step.phase) {
                phase = Some(shown.step.phase);
                let _ = writeln!(text, "{}:", shown.step.phase.name());
            }
            let mark = if shown.step.destructive { '!' } else { ' ' };
            let _ = writeln!(text, " {mark} {}", shown.step.text);
            if let Some(place) = &shown.step.place {
                let _ = writeln!(text, "     from {}", place.short());
            }
            for line in &shown.details {
                let _ = writeln!(text, "     {line}");
            }
            if let Some(diff) = &shown.diff {
                let lines: Vec<&str> = diff.lines().collect();
                for line in lines.iter().take(DIFF_LINES_MAX) {
                    let _ = writeln!(text, "     {line}");
                }
                if lines.len() > DIFF_LINES_MAX {
                    let _ = writeln!(text, "     … {} more lines", lines.len() - DIFF_LINES_MAX);
                }
            }
        }
        for why in self.reboots {
            let _ = writeln!(text, "reboot needed: {why}");
        }
        for warning in self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        let destructive = self.steps.iter().filter(|shown| shown.step.destructive).count();
        let _ = match (self.steps.len(), destructive) {
            (0, _) => writeln!(text, "nothing to do"),
            (count, 0) => writeln!(text, "{count} steps, none loses data"),
            (count, lose) => writeln!(text, "{count} steps, {lose} of them (!) may lose data"),
        };
        let _ = writeln!(text, "tree afterwards: sha256:{}", self.tree);
        text
    }
}

fn details(action: &Action, observed: &Observed) -> (Vec<String>, Option<String>) {
    match action {
        Action::Partition { before, after, .. } => (tables(before.as_ref(), after), None),
        Action::MakeFilesystem { command, .. } => (vec![format!("by {}", command.join(" "))], None),
        Action::Mount { options, .. } if !options.is_empty() => {
            (vec![format!("options {}", options.join(","))], None)
        }
        Action::Account { program, args, .. } => (vec![command(program, args)], None),
        Action::AuthorizeKeys { keys, .. } => (keys.iter().map(|key| format!("+{key}")).collect(), None),
        Action::Remove { path, .. } => {
            let node = observed.nodes.get(path);
            (node.map(|node| format!("was {}", describe(node))).into_iter().collect(), None)
        }
        Action::Directory { path, access, .. } | Action::KeepFile { path, access, .. } => {
            (accesses(observed.nodes.get(path), access), None)
        }
        Action::File { path, access, base, append, .. } => file(path, access, base, append, observed),
        _ => (Vec::new(), None),
    }
}

/// A call of an account program without the password's hash.
fn command(program: &str, args: &[String]) -> String {
    let mut line = format!("by {program}");
    let mut secret = false;
    for arg in args {
        line.push(' ');
        line.push_str(if secret && arg != "*" { "…" } else { arg });
        secret = arg == "--password";
    }
    line
}

fn file(
    path: &str,
    access: &Access,
    base: &Base,
    append: &[Resource],
    observed: &Observed,
) -> (Vec<String>, Option<String>) {
    let mut details = accesses(observed.nodes.get(path), access);
    let of_base = match base {
        Base::Resource(resource) => Some(resource),
        _ => None,
    };
    for resource in of_base.into_iter().chain(append).filter(|resource| resource.is_remote()) {
        let digest = resource.hash.as_deref().unwrap_or("no digest given");
        details.push(format!("fetched at apply from {}, {digest}", resource.source));
    }
    let found = observed.nodes.get(path).is_some_and(|node| matches!(node.kind, Kind::File(_)));
    let old = if found { observed.texts.get(path).cloned() } else { Some(String::new()) };
    match (old, text(path, base, append, observed)) {
        (Some(old), Some(new)) => {
            let names = (if found { path } else { "/dev/null" }, path);
            let diff = TextDiff::from_lines(old.as_str(), new.as_str());
            let text = diff.unified_diff().context_radius(CONTEXT_LINES).header(names.0, names.1).to_string();
            (details, Some(text).filter(|text| !text.is_empty()))
        }
        _ => {
            details.push("content is not shown: it is not text, long, or not at hand".into());
            (details, None)
        }
    }
}

/// The text that a file will have, where it is at hand and is text.
pub(crate) fn text(path: &str, base: &Base, append: &[Resource], observed: &Observed) -> Option<String> {
    let of = |resource: &Resource| String::from_utf8(resource.at_hand().ok()??).ok();
    let mut text = match base {
        Base::Empty => String::new(),
        Base::Existing => observed.texts.get(path)?.clone(),
        Base::Copy(from) | Base::Original(from) => observed.texts.get(from)?.clone(),
        Base::Text(text) => text.clone(),
        Base::Resource(resource) => of(resource)?,
    };
    for resource in append {
        text.push_str(&of(resource)?);
    }
    (!text.contains('\0')).then_some(text)
}

fn accesses(found: Option<&Node>, access: &Access) -> Vec<String> {
    let Some(node) = found.filter(|node| !matches!(node.kind, Kind::Symlink(_))) else { return Vec::new() };
    let mut lines = Vec::new();
    if node.mode != access.mode {
        lines.push(format!("mode {:04o} becomes {:04o}", node.mode, access.mode));
    }
    let owner = (Id::Number(node.uid), Id::Number(node.gid));
    if owner != (access.user.clone(), access.group.clone()) {
        lines.push(format!("owner {}:{} becomes {}:{}", owner.0, owner.1, access.user, access.group));
    }
    lines
}

fn describe(node: &Node) -> String {
    let what = match &node.kind {
        Kind::File(Some(digest)) => format!("a file, sha256:{}…", digest.get(..16).unwrap_or(digest)),
        Kind::File(None) => "a file".into(),
        Kind::Directory => "a directory".into(),
        Kind::Symlink(target) => return format!("a link to {target}"),
        Kind::Special => "a device, socket or FIFO".into(),
    };
    format!("{what} ({:04o} {}:{})", node.mode, node.uid, node.gid)
}

fn tables(before: Option<&Table>, after: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    match before {
        Some(table) => table_lines("before", table, &mut lines),
        None => lines.push("before: no table".into()),
    }
    table_lines("after", after, &mut lines);
    lines
}

fn table_lines(title: &str, table: &Table, lines: &mut Vec<String>) {
    lines.push(format!("{title}: {} partitions", table.partitions.len()));
    let mib = |sectors: u64| sectors * table.sector_bytes / (1 << 20);
    for part in &table.partitions {
        let (start, size) = (mib(part.first), mib(part.last + 1 - part.first));
        let guid = if part.guid.is_empty() { "drawn at apply" } else { &part.guid };
        lines.push(format!(
            "  {:>3}  at {start} MiB  {size} MiB  {:?}  type {}  guid {guid}",
            part.number, part.label, part.type_guid
        ));
    }
}
