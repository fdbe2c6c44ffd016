//! Users, groups and keys of a machine that runs.

use ignition_spec::Config;
use ignition_spec::config::{PasswdGroup, PasswdUser};

use super::change::Draft;
use super::declaration::Declaration;
use crate::error::Problem;
use crate::event::Phase;
use crate::observe::Observed;
use crate::plan::Action;
use crate::plan::users::{group_command, user_command};

/// Where a user's keys are, below their home.
const KEYS_FILE: &str = "/.ssh/authorized_keys.d/ignition";

pub(super) fn plan(
    config: &Config,
    old_config: &Config,
    old: &Declaration,
    now: &Observed,
    draft: &mut Draft<'_>,
) {
    let (new, before) = (&config.passwd, &old_config.passwd);
    for (index, group) in new.groups.iter().enumerate() {
        let origin = format!("$.passwd.groups.{index}");
        let known = before.groups.iter().find(|known| known.name == group.name);
        plan_group(&origin, group, known, now.groups.contains_key(&group.name), draft);
    }
    for (index, user) in new.users.iter().enumerate() {
        let origin = format!("$.passwd.users.{index}");
        let known = before.users.iter().find(|known| known.name == user.name);
        plan_user(&origin, user, known, now, draft);
    }
    for user in before.users.iter().filter(|old| !new.users.iter().any(|new| new.name == old.name)) {
        removed_user(user, old, now, draft);
    }
    for group in before.groups.iter().filter(|old| !new.groups.iter().any(|new| new.name == old.name)) {
        if old.groups.contains(&group.name) && now.groups.contains_key(&group.name) {
            let what = format!("remove group {}: it is no longer declared", group.name);
            account("", "groupdel", vec![group.name.clone()], what, false, draft);
        }
    }
}

fn account(
    origin: &str,
    program: &str,
    args: Vec<String>,
    what: String,
    destructive: bool,
    draft: &mut Draft<'_>,
) {
    if !draft.now.programs.contains(program) {
        draft.problem(Some(origin), Problem::new(format!("{program} is needed and not on this machine")));
    }
    let action = Action::Account { program: program.to_owned(), args, what };
    draft.step(Phase::Files, origin, action, destructive);
}

fn plan_group(
    origin: &str,
    group: &PasswdGroup,
    known: Option<&PasswdGroup>,
    exists: bool,
    draft: &mut Draft<'_>,
) {
    let is_so = exists == (group.should_exist != Some(false));
    if known == Some(group) && is_so {
        return;
    }
    if let Some((program, args, what)) = group_command(group, exists) {
        account(origin, program, args, what, program == "groupdel", draft);
    }
}

fn plan_user(
    origin: &str,
    user: &PasswdUser,
    known: Option<&PasswdUser>,
    now: &Observed,
    draft: &mut Draft<'_>,
) {
    let exists = now.users.contains_key(&user.name);
    let is_so = exists == (user.should_exist != Some(false));
    let mut account_part = user.clone();
    account_part.ssh_authorized_keys.clear();
    let same_account = known.is_some_and(|known| {
        let mut known = known.clone();
        known.ssh_authorized_keys.clear();
        known == account_part
    });
    if !(same_account && is_so) {
        change_account(origin, user, known, exists, draft);
    }
    let keys = &user.ssh_authorized_keys;
    if user.should_exist == Some(false) {
        return;
    }
    let same_keys = known.is_some_and(|known| known.ssh_authorized_keys == *keys) && exists;
    if !keys.is_empty() && !same_keys {
        let action = Action::AuthorizeKeys { user: user.name.clone(), keys: keys.clone() };
        draft.step(Phase::Files, &format!("{origin}.sshAuthorizedKeys"), action, false);
    } else if keys.is_empty() && known.is_some_and(|known| !known.ssh_authorized_keys.is_empty()) {
        remove_keys(origin, &user.name, now, draft);
    }
}

fn change_account(
    origin: &str,
    user: &PasswdUser,
    known: Option<&PasswdUser>,
    exists: bool,
    draft: &mut Draft<'_>,
) {
    let mut wanted = user.clone();
    if exists {
        if let Some(known) = known.filter(|known| known.home_dir != user.home_dir) {
            let message = format!("the home of {} cannot be moved while the machine runs", known.name);
            let hint = "move it by hand, or declare a new user";
            return draft.problem(Some(&format!("{origin}.homeDir")), Problem::new(message).hint(Some(hint)));
        }
        // It is where it is: moving it is what usermod would do.
        wanted.home_dir = None;
    }
    let Some((program, mut args, what)) = user_command(&wanted, exists) else { return };
    if let Some(known) = known.filter(|_| program == "usermod") {
        let name = args.pop().unwrap_or_default();
        if !known.groups.is_empty() && user.groups.is_empty() {
            args.extend(["--groups".to_owned(), String::new()]);
        }
        if known.password_hash.is_some() && user.password_hash.is_none() {
            args.extend(["--password".to_owned(), "*".to_owned()]);
        }
        args.push(name);
    }
    account(origin, program, args, what, program == "userdel", draft);
}

/// A user who is no longer declared goes if they came by a declaration; their home stays, since it is theirs.
fn removed_user(user: &PasswdUser, old: &Declaration, now: &Observed, draft: &mut Draft<'_>) {
    let Some(account_of) = now.users.get(&user.name) else { return };
    if old.users.contains(&user.name) {
        let what = format!(
            "remove user {}: they are no longer declared; their home {} stays",
            user.name, account_of.home
        );
        account("", "userdel", vec![user.name.clone()], what, false, draft);
    }
    if !user.ssh_authorized_keys.is_empty() {
        remove_keys("", &user.name, now, draft);
    }
}

fn remove_keys(origin: &str, name: &str, now: &Observed, draft: &mut Draft<'_>) {
    let Some(user) = now.users.get(name) else { return };
    let path = crate::resolve::resolve(&user.home, true, |at| now.nodes.get(at));
    let path = format!("{}{KEYS_FILE}", path.unwrap_or_else(|_| user.home.clone()));
    let why = format!("keys of {name} are no longer declared");
    draft.step(Phase::Files, origin, Action::Remove { path, why }, false);
}
