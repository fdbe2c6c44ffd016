//! Users and groups.

use std::borrow::Cow;

use crate::section;

section! {
    /// Users and groups.
    Passwd {
        /// Groups.
        groups: Vec<PasswdGroup> = "groups",
        /// Users.
        users: Vec<PasswdUser> = "users",
    }
}

section! {
    /// A group.
    PasswdGroup [key |g| Cow::Borrowed(&g.name)] {
        /// Group id.
        gid: Option<i64> = "gid",
        /// Name.
        name: String = "name",
        /// Hash of the password.
        password_hash: Option<String> = "passwordHash",
        /// False to remove the group.
        should_exist: Option<bool> = "shouldExist" since 2,
        /// A system group when created.
        system: Option<bool> = "system",
    }
}

section! {
    /// A user.
    PasswdUser [key |u| Cow::Borrowed(&u.name)] {
        /// Comment field.
        gecos: Option<String> = "gecos",
        /// Supplementary groups.
        groups: Vec<String> = "groups",
        /// Home directory.
        home_dir: Option<String> = "homeDir",
        /// Name.
        name: String = "name",
        /// Creates no home directory.
        no_create_home: Option<bool> = "noCreateHome",
        /// Keeps the user out of lastlog and faillog.
        no_log_init: Option<bool> = "noLogInit",
        /// Creates no group named like the user.
        no_user_group: Option<bool> = "noUserGroup",
        /// Hash of the password.
        password_hash: Option<String> = "passwordHash",
        /// Primary group, by name or id.
        primary_group: Option<String> = "primaryGroup",
        /// Public keys that may log in.
        ssh_authorized_keys: Vec<String> = "sshAuthorizedKeys",
        /// Login shell.
        shell: Option<String> = "shell",
        /// False to remove the user.
        should_exist: Option<bool> = "shouldExist" since 2,
        /// A system user when created.
        system: Option<bool> = "system",
        /// User id.
        uid: Option<i64> = "uid",
    }
}
