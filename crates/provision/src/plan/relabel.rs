//! SELinux labels for what was written, where the machine has a policy.

use std::collections::BTreeSet;

use super::{Action, Draft};
use crate::event::Phase;

/// The tables that the account programs write.
const ACCOUNTS: [&str; 8] = [
    "/etc/group",
    "/etc/group-",
    "/etc/gshadow",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/subgid",
    "/etc/subuid",
    "/etc/.pwd.lock",
];

pub(super) fn plan(draft: &mut Draft<'_>) {
    let Some(contexts) = draft.observed.selinux_contexts.clone() else { return };
    let mut paths = BTreeSet::new();
    for step in &draft.steps {
        match &step.action {
            Action::Directory { path, .. }
            | Action::File { path, .. }
            | Action::Link { path, .. }
            | Action::HardLink { path, .. }
            | Action::KeepKey { path, .. } => {
                paths.insert(made_from(draft, path));
            }
            Action::Account { .. } => paths.extend(ACCOUNTS.map(str::to_owned)),
            Action::AuthorizeKeys { user, .. } => {
                let found = draft.observed.users.get(user).map(|user| user.home.clone());
                let declared = draft.wanted.config.passwd.users.iter().find(|wanted| wanted.name == *user);
                let declared =
                    declared.and_then(|wanted| wanted.home_dir.clone()).filter(|home| !home.is_empty());
                paths.insert(declared.or(found).unwrap_or_else(|| format!("/home/{user}")));
            }
            _ => {}
        }
    }
    let paths: Vec<String> = paths.into_iter().collect();
    if paths.is_empty() {
        return;
    }
    draft.need_program("$.ignition", "setfiles");
    draft.step(Phase::Files, "$", Action::Relabel { contexts, paths });
}

/// The node, or the topmost of the parents that are made with it.
fn made_from(draft: &Draft<'_>, path: &str) -> String {
    let mut top = path;
    while let Some((parent, _)) = top.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
        // Only what was asked for is observed; the parent of a node that was is known to be missing or there.
        if draft.observed.nodes.contains_key(parent) {
            break;
        }
        top = parent;
    }
    top.to_owned()
}
