//! Users and groups: calls of shadow-utils, groups first.

use ignition_spec::config::{PasswdGroup, PasswdUser};

use super::action::Id;
use super::{Action, Draft};
use crate::event::Phase;
use crate::resolve::resolve;

pub(super) fn plan(draft: &mut Draft<'_>) {
    let passwd = &draft.wanted.config.passwd;
    for (index, group) in passwd.groups.iter().enumerate() {
        let exists = draft.observed.groups.contains_key(&group.name);
        if let Some((program, args, what)) = group_command(group, exists) {
            account(draft, &format!("$.passwd.groups.{index}"), program, args, what);
        }
    }
    for (index, user) in passwd.users.iter().enumerate() {
        let origin = format!("$.passwd.users.{index}");
        let exists = draft.observed.users.contains_key(&user.name);
        if let Some((program, args, what)) = user_command(user, exists) {
            account(draft, &origin, program, args, what);
        }
        if user.should_exist != Some(false) && user.no_create_home != Some(true) {
            own_home(draft, &origin, user);
        }
        if user.should_exist != Some(false) && !user.ssh_authorized_keys.is_empty() {
            let action =
                Action::AuthorizeKeys { user: user.name.clone(), keys: user.ssh_authorized_keys.clone() };
            draft.step(Phase::Files, format!("{origin}.sshAuthorizedKeys"), action);
        }
    }
}

fn account(draft: &mut Draft<'_>, origin: &str, program: &str, args: Vec<String>, what: String) {
    draft.need_program(origin, program);
    draft.step(Phase::Files, origin, Action::Account { program: program.to_owned(), args, what });
}

pub(crate) type Command = (&'static str, Vec<String>, String);

/// Options with a value: only those that the config gives.
fn options(list: &[(&str, Option<String>)]) -> Vec<String> {
    let given = list.iter().filter_map(|(name, value)| Some([(*name).to_owned(), value.clone()?]));
    given.flatten().collect()
}

/// Directories that were made for mount points in a user's home are that user's. useradd leaves them to root, since
/// they were there before the user was.
fn own_home(draft: &mut Draft<'_>, origin: &str, user: &PasswdUser) {
    let found = draft.observed.users.get(&user.name).map(|user| user.home.clone());
    let declared = user.home_dir.clone().filter(|home| !home.is_empty());
    let home = declared.or(found).unwrap_or_else(|| format!("/home/{}", user.name));
    let Ok(home) = resolve(&home, true, |at| draft.observed.nodes.get(at)) else { return };
    let inside =
        |dir: &&String| **dir == home || dir.strip_prefix(&home).is_some_and(|rest| rest.starts_with('/'));
    let paths: Vec<String> = draft.observed.mount_points_made.iter().filter(inside).cloned().collect();
    if !paths.is_empty() {
        let group = user.primary_group.clone().filter(|group| !group.is_empty());
        let group = group.unwrap_or_else(|| user.name.clone());
        let ids = (Id::Name(user.name.clone()), Id::Name(group));
        draft.given.extend(paths.iter().map(|path| (path.clone(), ids.0.clone(), ids.1.clone())));
        draft.step(Phase::Files, origin, Action::OwnHome { user: user.name.clone(), paths });
    }
}

/// What nobody's password hashes to.
fn no_password() -> String {
    "*".to_owned()
}

/// A hash that the config gives; an empty one lets nobody in, as in upstream.
fn password(hash: &Option<String>) -> Option<String> {
    hash.clone().map(|hash| if hash.is_empty() { no_password() } else { hash })
}

pub(crate) fn group_command(group: &PasswdGroup, exists: bool) -> Option<Command> {
    let name = &group.name;
    if group.should_exist == Some(false) {
        return exists.then(|| ("groupdel", vec![name.clone()], format!("remove group {name}")));
    }
    let mut args = options(&[
        ("--gid", group.gid.map(|gid| gid.to_string())),
        ("--password", password(&group.password_hash)),
    ]);
    if exists {
        if args.is_empty() {
            return None;
        }
        args.push(name.clone());
        return Some(("groupmod", args, format!("change group {name}")));
    }
    if group.system == Some(true) {
        args.push("--system".into());
    }
    args.push(name.clone());
    Some(("groupadd", args, format!("create group {name}")))
}

pub(crate) fn user_command(user: &PasswdUser, exists: bool) -> Option<Command> {
    let name = &user.name;
    if user.should_exist == Some(false) {
        let args = vec!["--remove".to_owned(), name.clone()];
        return exists.then(|| ("userdel", args, format!("remove user {name} and their home")));
    }
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let home = given(&user.home_dir);
    let mut args = options(&[(if exists { "--home" } else { "--home-dir" }, home.clone())]);
    if exists {
        args.extend(home.map(|_| "--move-home".to_owned()));
    } else {
        let flag = |set: Option<bool>| set == Some(true);
        args.push(if flag(user.no_create_home) { "--no-create-home" } else { "--create-home" }.into());
        let flags = [
            (flag(user.no_user_group), "--no-user-group"),
            (flag(user.system), "--system"),
            (flag(user.no_log_init), "--no-log-init"),
        ];
        args.extend(flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()));
    }
    let groups = (!user.groups.is_empty()).then(|| user.groups.join(","));
    args.extend(options(&[
        ("--password", password(&user.password_hash).or_else(|| (!exists).then(no_password))),
        ("--uid", user.uid.map(|uid| uid.to_string())),
        ("--comment", given(&user.gecos)),
        ("--gid", given(&user.primary_group)),
        ("--groups", groups.clone()),
        ("--shell", given(&user.shell)),
    ]));
    if exists && args.is_empty() {
        return None;
    }
    args.push(name.clone());
    let member = groups.map(|groups| format!(", in {groups}")).unwrap_or_default();
    let uid = user.uid.map(|uid| format!(" ({uid})")).unwrap_or_default();
    let (program, verb) = if exists { ("usermod", "change") } else { ("useradd", "create") };
    Some((program, args, format!("{verb} user {name}{uid}{member}")))
}
