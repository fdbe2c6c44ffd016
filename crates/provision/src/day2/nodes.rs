//! The difference between the tree as it is and as it shall be, as steps.

use std::collections::{BTreeMap, BTreeSet};

use ignition_spec::Config;

use super::baseline::{holds_others, node_before};
use super::change::Draft;
use super::declaration::{Declaration, Managed, Written, WrittenKind};
use crate::error::Problem;
use crate::event::Phase;
use crate::observe::Observed;
use crate::plan::action::{Access, Base, Id};
use crate::plan::expect::{Content, Expectation, Expected, Shape, of_node};
use crate::plan::{Action, Plan, Step};
use crate::resolve::{Kind, Node};

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Everything that the comparison looks at.
pub(super) struct Comparison<'a> {
    pub(super) now: &'a Observed,
    pub(super) old: &'a Declaration,
    /// What a first boot would do, by path.
    pub(super) recipes: &'a Recipes<'a>,
    /// What that gives, and for what is no longer declared what was there before.
    pub(super) want: &'a Expectation,
}

/// The step of a first boot that makes what is at a path.
pub(super) type Recipes<'a> = BTreeMap<&'a str, &'a Step>;

/// By path, the last step of each.
pub(super) fn recipes(plan: &Plan) -> Recipes<'_> {
    plan.steps.iter().filter_map(|step| Some((step.action.path()?, step))).collect()
}

/// What shall be at each path that the old or the new declaration is about.
pub(super) fn wanted(
    fresh: &Plan,
    mut want: Expectation,
    config: &Config,
    old_config: &Config,
    old: &Declaration,
    base: &Observed,
    draft: &mut Draft<'_>,
) -> Expectation {
    let now = draft.now;
    for step in &fresh.steps {
        let (Action::File { path, .. } | Action::KeepFile { path, .. }) = &step.action else { continue };
        let Some(Some(Expected { shape: Shape::File(content), .. })) = want.get_mut(path) else { continue };
        let written = match old.nodes.get(path) {
            Some(Managed { after: Some(Written { kind: WrittenKind::File(digest), .. }), .. }) => {
                digest.as_ref()
            }
            _ => None,
        };
        let file = file_of(step, config);
        if is_undeclared(step, config) {
            // Whoever fills a file without declared content may; what we filled it with goes with its declaration.
            *content = match (written, base.nodes.get(path).map(|node| &node.kind)) {
                // Something else stands there: what was there before comes back.
                (None, Some(Kind::File(Some(digest)))) if !is_file(now, path) => {
                    Content::Digest(digest.clone())
                }
                (None, _) => Content::Any,
                (Some(_), Some(Kind::File(Some(digest)))) => Content::Digest(digest.clone()),
                (Some(_), _) => Content::Digest(EMPTY.into()),
            };
        } else if let (Content::Fetched, Some(digest), Some(file)) = (&content, written, file) {
            // The same resource as before is not fetched again.
            let before = old_config.storage.files.iter().find(|old| old.path == file.path);
            if before.is_some_and(|old| (&old.contents, &old.append) == (&file.contents, &file.append)) {
                *content = Content::Digest(digest.clone());
            }
        }
    }
    for (path, managed) in &old.nodes {
        if want.contains_key(path) {
            continue;
        }
        let before = node_before(path, &managed.before, now);
        let kept = before.is_none() && holds_others(path, now, old);
        if kept {
            draft.warnings.push(format!("{path} stays: it holds what was not declared"));
        }
        let node = if kept { now.nodes.get(path).cloned() } else { before };
        want.insert(path.clone(), node.as_ref().map(of_node));
    }
    want
}

fn is_file(now: &Observed, path: &str) -> bool {
    now.nodes.get(path).is_some_and(|node| matches!(node.kind, Kind::File(_)))
}

/// The entry of the config that a step is about.
fn file_of<'c>(step: &Step, config: &'c Config) -> Option<&'c ignition_spec::config::File> {
    let index: usize = step.origin.strip_prefix("$.storage.files.")?.parse().ok()?;
    config.storage.files.get(index)
}

/// Whether a step is about a file whose content the config leaves to others.
pub(crate) fn is_undeclared(step: &Step, config: &Config) -> bool {
    file_of(step, config).is_some_and(|file| {
        file.append.is_empty() && file.contents.source.as_deref().is_none_or(str::is_empty)
    })
}

impl Comparison<'_> {
    /// Adds the steps; gives the paths that change.
    pub(super) fn plan(&self, draft: &mut Draft<'_>) -> BTreeSet<String> {
        let dirty = self.shared_inodes();
        let mut changed: BTreeSet<String> = self
            .want
            .iter()
            .filter(|(path, want)| dirty.contains(*path) || !self.satisfied(path, want.as_ref(), &dirty))
            .map(|(path, _)| path.clone())
            .collect();
        self.conflicts(&changed, draft);
        self.removals(&mut changed, draft);
        self.makings(&changed, &dirty, draft);
        changed
    }

    /// Files whose inode has names now that it shall not have: a change of mode would change the others too.
    fn shared_inodes(&self) -> BTreeSet<String> {
        let mut groups: BTreeMap<(u64, u64), Vec<&String>> = BTreeMap::new();
        for (path, node) in &self.now.nodes {
            if matches!(node.kind, Kind::File(_)) && node.id != (0, 0) {
                groups.entry(node.id).or_default().push(path);
            }
        }
        let owner = |path: &String| match self.want.get(path) {
            Some(Some(Expected { shape: Shape::HardLink(target), .. })) => target.clone(),
            _ => path.clone(),
        };
        let mixed = groups.into_values().filter(|paths| {
            let owners: BTreeSet<String> = paths.iter().map(|path| owner(path)).collect();
            owners.len() > 1
        });
        mixed.flatten().filter(|path| self.want.contains_key(*path)).cloned().collect()
    }

    fn satisfied(&self, path: &str, want: Option<&Expected>, dirty: &BTreeSet<String>) -> bool {
        let found = self.now.nodes.get(path);
        let (Some(want), Some(found)) = (want, found) else { return want.is_none() && found.is_none() };
        let shape = match (&want.shape, &found.kind) {
            (Shape::File(Content::Digest(wanted)), Kind::File(found)) => found.as_ref() == Some(wanted),
            (Shape::File(Content::Any), Kind::File(_)) | (Shape::Special, Kind::Special) => true,
            // Nobody cares but for the mode and owner that a declaration of it left.
            (Shape::Directory { implied: true }, Kind::Directory) if !self.was_declared(path) => return true,
            (Shape::Directory { .. }, Kind::Directory) => true,
            (Shape::Symlink(wanted), Kind::Symlink(found)) => wanted == found,
            (Shape::HardLink(target), _) => {
                let of_target = self
                    .want
                    .get(target)
                    .is_none_or(|node| self.is_kept(target, node.as_ref()) && !dirty.contains(target));
                let same_inode = self.now.nodes.get(target).is_some_and(|node| node.id == found.id);
                return of_target && same_inode && found.id != (0, 0);
            }
            _ => false,
        };
        shape && self.has_access(want, found)
    }

    /// Whether the old declaration has a directory by name.
    fn was_declared(&self, path: &str) -> bool {
        let after = self.old.nodes.get(path).and_then(|managed| managed.after.as_ref());
        matches!(after, Some(Written { kind: WrittenKind::Directory(false), .. }))
    }

    fn has_access(&self, want: &Expected, found: &Node) -> bool {
        let mode = matches!(want.shape, Shape::Symlink(_)) || want.access.mode == found.mode;
        let user = match &want.access.user {
            Id::Number(number) => Some(*number),
            Id::Name(name) => self.now.users.get(name).map(|user| user.uid),
        };
        let group = match &want.access.group {
            Id::Number(number) => Some(*number),
            Id::Name(name) => self.now.groups.get(name).copied(),
        };
        mode && user == Some(found.uid) && group == Some(found.gid)
    }

    /// Whether the inode at a path stays, perhaps with another mode or owner.
    fn is_kept(&self, path: &str, want: Option<&Expected>) -> bool {
        let found = self.now.nodes.get(path);
        match (want.map(|want| &want.shape), found.map(|node| &node.kind)) {
            (Some(Shape::Symlink(wanted)), Some(Kind::Symlink(link))) => {
                wanted == link && want.zip(found).is_some_and(|(want, node)| self.has_access(want, node))
            }
            _ => self.has_content(path, want),
        }
    }

    /// Whether a file is there with the content that it shall have.
    fn has_content(&self, path: &str, want: Option<&Expected>) -> bool {
        match (want.map(|want| &want.shape), self.now.nodes.get(path).map(|node| &node.kind)) {
            (Some(Shape::File(Content::Digest(wanted))), Some(Kind::File(Some(found)))) => wanted == found,
            (Some(Shape::File(Content::Any)), Some(Kind::File(_))) => true,
            _ => false,
        }
    }

    /// Names what somebody changed by hand and a step would lose.
    fn conflicts(&self, changed: &BTreeSet<String>, draft: &mut Draft<'_>) {
        for path in changed {
            let Some(managed) = self.old.nodes.get(path) else { continue };
            let found = self.now.nodes.get(path);
            let drifted = match (&managed.after, found) {
                (None, found) => found.is_some(),
                (Some(_), None) => true,
                (Some(written), Some(node)) => !written.is(node),
            };
            if !drifted {
                continue;
            }
            let what = if found.is_none() { "removed" } else { "changed" };
            if draft.permission.force {
                draft.warnings.push(format!("{path} was {what} by hand since it was applied; that is lost"));
            } else {
                let message = format!("{path} was {what} by hand since it was applied");
                let hint =
                    "look with `orlop-host diff`; bring it into the config, or give --force to lose it";
                let origin = self.step_of(path).map(|step| step.origin.clone());
                draft.problem(origin.as_deref(), Problem::new(message).hint(Some(hint)));
            }
        }
    }

    /// Removes what goes or is in the way, deepest first.
    fn removals(&self, changed: &mut BTreeSet<String>, draft: &mut Draft<'_>) {
        let in_the_way = |path: &String| {
            let Some(found) = self.now.nodes.get(path) else { return false };
            let is_dir = found.kind == Kind::Directory;
            match self.want.get(path).and_then(Option::as_ref).map(|want| &want.shape) {
                None | Some(Shape::Symlink(_) | Shape::HardLink(_)) => true,
                Some(Shape::Directory { .. }) => !is_dir,
                Some(_) => is_dir,
            }
        };
        let mut going: Vec<String> = changed.iter().filter(|path| in_the_way(path)).cloned().collect();
        going.sort_by_key(|path| std::cmp::Reverse(path.matches('/').count()));
        let mut gone: BTreeSet<String> = BTreeSet::new();
        for path in going {
            let found = &self.now.nodes[&path];
            let others = if found.kind == Kind::Directory { self.others(&path, &gone) } else { Vec::new() };
            let gone_for_good = self.want.get(&path).is_none_or(Option::is_none);
            if !others.is_empty() && !draft.permission.destructive {
                let list = others.join(", ");
                if gone_for_good {
                    draft.warnings.push(format!("{path} stays: it holds what was not declared ({list})"));
                    changed.remove(&path);
                } else {
                    let message = format!("{path} is in the way and holds what was not declared ({list})");
                    let hint = "move it away, or give --allow destructive to lose it";
                    let origin = self.step_of(&path).map(|step| step.origin.clone());
                    draft.problem(origin.as_deref(), Problem::new(message).hint(Some(hint)));
                }
                continue;
            }
            let why = if gone_for_good && self.step_of(&path).is_none() {
                "it is no longer declared".to_owned()
            } else if gone_for_good {
                "it shall not be there".to_owned()
            } else {
                "something else takes its place".to_owned()
            };
            let origin = self.step_of(&path).map(|step| step.origin.clone()).unwrap_or_default();
            let destructive = !others.is_empty();
            gone.insert(path.clone());
            draft.step(Phase::Files, &origin, Action::Remove { path, why }, destructive);
        }
    }

    /// What is in a directory and does not go.
    fn others(&self, path: &str, gone: &BTreeSet<String>) -> Vec<String> {
        match self.now.children.get(path) {
            Some(names) => {
                names.iter().filter(|name| !gone.contains(&format!("{path}/{name}"))).cloned().collect()
            }
            None => vec!["unknown".into()],
        }
    }

    /// Makes and changes: directories, files, symlinks by depth, hard links last.
    fn makings(&self, changed: &BTreeSet<String>, dirty: &BTreeSet<String>, draft: &mut Draft<'_>) {
        let rank = |shape: &Shape| match shape {
            Shape::Directory { .. } => 0,
            Shape::File(_) | Shape::Special => 1,
            Shape::Symlink(_) => 2,
            Shape::HardLink(_) => 3,
        };
        let mut making: Vec<(&String, &Expected)> = changed
            .iter()
            .filter_map(|path| Some((path, self.want.get(path)?.as_ref()?)))
            .filter(|(path, want)| {
                // Missing parents come with what is below them.
                want.shape != Shape::Directory { implied: true }
                    || self.now.nodes.get(*path).is_some_and(|node| node.kind == Kind::Directory)
            })
            .collect();
        making.sort_by_key(|(path, want)| (rank(&want.shape), path.matches('/').count(), (*path).clone()));
        for (path, want) in making {
            let origin = self.step_of(path).map(|step| step.origin.clone()).unwrap_or_default();
            if let Some(action) = self.making(path, want, dirty.contains(path)) {
                draft.step(Phase::Files, &origin, action, false);
            } else {
                let message = format!("what was at {path} before is not known, so it cannot be put back");
                draft.warnings.push(message);
            }
        }
    }

    fn making(&self, path: &str, want: &Expected, dirty: bool) -> Option<Action> {
        let (owned, access) = (path.to_owned(), want.access.clone());
        let found = self.now.nodes.get(path);
        Some(match &want.shape {
            Shape::Directory { .. } => {
                let exists = found.is_some_and(|node| node.kind == Kind::Directory);
                Action::Directory { path: owned, access, exists }
            }
            Shape::Symlink(target) => {
                let Access { user, group, .. } = access;
                Action::Link { path: owned, target: target.clone(), user, group }
            }
            Shape::HardLink(target) => Action::HardLink { path: owned, target: target.clone() },
            Shape::Special => return None,
            Shape::File(_) if !dirty && self.has_content(path, Some(want)) => {
                Action::KeepFile { path: owned, access, why: "its content is as declared".into() }
            }
            Shape::File(content) => {
                let (base, append) = self.recipe(path, content)?;
                let exists = found.is_some_and(|node| node.kind != Kind::Directory);
                Action::File { path: owned, access, base, append, exists }
            }
        })
    }

    /// How a file gets its content.
    fn recipe(&self, path: &str, content: &Content) -> Option<(Base, Vec<crate::fetch::resource::Resource>)> {
        let managed = self.old.nodes.get(path);
        let before = || match managed {
            Some(managed) => managed.before.content(path).map(Base::Copy),
            None => Some(Base::Existing),
        };
        if *content == Content::Digest(EMPTY.into()) {
            return Some((Base::Empty, Vec::new()));
        }
        match self.step_of(path).map(|step| &step.action) {
            Some(Action::File { base: Base::Existing, append, .. }) => Some((before()?, append.clone())),
            Some(Action::File { base, append, .. }) => Some((base.clone(), append.clone())),
            // What is there has the content that is wanted, but for the names of its inode.
            _ if self.now.nodes.get(path).is_some_and(
                |node| matches!((&node.kind, content), (Kind::File(Some(found)), Content::Digest(wanted)) if found == wanted),
            ) =>
            {
                Some((Base::Existing, Vec::new()))
            }
            _ => Some((before()?, Vec::new())),
        }
    }

    fn step_of(&self, path: &str) -> Option<&Step> {
        self.recipes.get(path).copied()
    }
}
