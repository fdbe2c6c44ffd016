//! Users and groups, and the keys that let them in.

use std::collections::BTreeMap;

use super::{Env, StepError};
use crate::observe::{User, group, passwd};
use crate::plan::action::{Access, Id};
use crate::root::{Attributes, Root, RootError};

/// Where a user's keys go, below their home: a file of its own, so that keys added by hand are not touched. sshd must
/// read it: `AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys.d/ignition`.
const KEYS_DIR: &str = "/.ssh/authorized_keys.d";
const KEYS_FILE: &str = "/.ssh/authorized_keys.d/ignition";

/// Users and groups as they are now, read when first asked for.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: Option<BTreeMap<String, User>>,
    groups: Option<BTreeMap<String, u32>>,
}

impl Accounts {
    /// Runs an account program on the tree.
    pub(super) fn change(
        &mut self,
        program: &str,
        args: &[String],
        env: &mut Env<'_>,
    ) -> Result<(), StepError> {
        *self = Self::default();
        let mut all = Vec::new();
        if env.root.path() != std::path::Path::new("/") {
            all.extend(["--root".to_owned(), env.root.path().display().to_string()]);
        }
        all.extend(args.iter().cloned());
        Ok(env.programs.run(program, &all)?)
    }

    /// Gives directories to a user.
    pub(super) fn own(&mut self, name: &str, paths: &[String], env: &Env<'_>) -> Result<(), StepError> {
        let user = self.find_user(name, &env.root)?.clone();
        let attributes = Attributes { mode: 0o700, uid: user.uid, gid: user.gid };
        Ok(paths.iter().try_for_each(|path| env.root.set_attributes(path, attributes))?)
    }

    /// Writes a user's keys.
    pub(super) fn authorize(
        &mut self,
        name: &str,
        keys: &[String],
        env: &mut Env<'_>,
    ) -> Result<(), StepError> {
        let user = self.find_user(name, &env.root)?.clone();
        let owned = |mode| Attributes { mode, uid: user.uid, gid: user.gid };
        if env.root.stat(&user.home)?.is_none() {
            env.root.make_dir(&user.home, owned(0o700))?;
        }
        // The home is a root of its own: what its owner links in it cannot lead our writes out of it.
        let home = env.root.below(&user.home)?;
        home.make_dir("/.ssh", owned(0o700))?;
        if !env.options.keys_fragment {
            let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
            return Ok(home.write("/.ssh/authorized_keys", owned(0o600), text.as_bytes())?);
        }
        home.make_dir(KEYS_DIR, owned(0o700))?;
        let mut text = keys.join("\n");
        text.push('\n');
        Ok(home.write(KEYS_FILE, owned(0o600), text.as_bytes())?)
    }

    pub(super) fn attributes(&mut self, access: &Access, root: &Root) -> Result<Attributes, StepError> {
        let (uid, gid) = (self.user(&access.user, root)?, self.group(&access.group, root)?);
        Ok(Attributes { mode: access.mode, uid, gid })
    }

    pub(super) fn user(&mut self, id: &Id, root: &Root) -> Result<u32, StepError> {
        match id {
            Id::Number(number) => Ok(*number),
            Id::Name(name) => Ok(self.find_user(name, root)?.uid),
        }
    }

    pub(super) fn group(&mut self, id: &Id, root: &Root) -> Result<u32, StepError> {
        let name = match id {
            Id::Number(number) => return Ok(*number),
            Id::Name(name) => name,
        };
        let groups = match &mut self.groups {
            Some(groups) => groups,
            none => none.insert(group(&text(root, "/etc/group")?)),
        };
        groups.get(name).copied().ok_or_else(|| StepError::NoAccount { what: "group", name: name.clone() })
    }

    fn find_user(&mut self, name: &str, root: &Root) -> Result<&User, StepError> {
        let users = match &mut self.users {
            Some(users) => users,
            none => none.insert(passwd(&text(root, "/etc/passwd")?)),
        };
        users.get(name).ok_or_else(|| StepError::NoAccount { what: "user", name: name.to_owned() })
    }
}

fn text(root: &Root, path: &str) -> Result<String, RootError> {
    Ok(String::from_utf8_lossy(&root.read(path)?).into_owned())
}
