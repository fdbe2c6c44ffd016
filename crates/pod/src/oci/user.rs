//! Who a container's process is: `USER[:GROUP]` of the image against its own `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// `/etc/passwd` and `/etc/group` of an image are read up to here.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups, sorted.
    pub groups: Vec<u32>,
    /// Home directory; `/` if the image names none.
    pub home: String,
}

/// A user that the image does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the image has no {what} {name:?}")]
pub struct UserError {
    /// `user` or `group`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
}

/// Reads a file of an image without leaving it; empty if it is not there.
#[must_use]
pub fn read_in_root(root: &Path, path: &str) -> String {
    let read = || -> Option<String> {
        let root =
            rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file =
            std::fs::File::from(rustix::fs::openat2(root.ok()?, path, flags, Mode::empty(), resolve).ok()?);
        let mut bytes = Vec::new();
        file.metadata().ok()?.is_file().then_some(())?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// Finds `spec` (`user`, `uid`, `user:group`, `uid:gid`; empty for root) in the texts of passwd and group.
/// `run_as_user` and `run_as_group` come before what the image says.
///
/// # Errors
/// [`UserError`] for a name that is not there; numbers need not be.
pub fn find(
    spec: &str,
    run_as_user: Option<u32>,
    run_as_group: Option<u32>,
    passwd: &str,
    group: &str,
) -> Result<User, UserError> {
    let (user, image_group) = match (run_as_user, spec.split_once(':')) {
        // A user of the declaration's has the image's group no more than another user would.
        (Some(uid), _) => (uid.to_string(), None),
        (None, Some((user, group))) => (user.to_owned(), Some(group).filter(|group| !group.is_empty())),
        (None, None) => (spec.to_owned(), None),
    };
    let user = if user.is_empty() { "0".to_owned() } else { user };
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        fields.len() >= 6 && (fields[0] == user || user.parse::<u32>().is_ok() && fields[2] == user)
    });
    let number = |text: &str| text.parse::<u32>().ok();
    let missing = |what, name: &str| UserError { what, name: name.to_owned() };
    let uid = entry.as_ref().and_then(|fields| number(fields[2])).or_else(|| number(&user));
    let uid = uid.ok_or_else(|| missing("user", &user))?;
    let gid = match (run_as_group, image_group) {
        (Some(gid), _) => gid,
        (None, Some(name)) => {
            number(name).or_else(|| group_id(name, group)).ok_or_else(|| missing("group", name))?
        }
        (None, None) => entry.as_ref().and_then(|fields| number(fields[3])).unwrap_or(0),
    };
    let name = entry.as_ref().map_or("", |fields| fields[0]);
    // An image that names a group says all that there is to say about groups.
    let mut groups = if image_group.is_none() { groups_of(name, group) } else { Vec::new() };
    groups.retain(|other| *other != gid);
    let home = entry.as_ref().map(|fields| fields[5].to_owned()).filter(|home| home.starts_with('/'));
    Ok(User { uid, gid, groups, home: home.unwrap_or_else(|| "/".to_owned()) })
}

fn group_id(name: &str, group: &str) -> Option<u32> {
    let mut entries = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.find(|fields| fields.len() >= 3 && fields[0] == name).and_then(|fields| fields[2].parse().ok())
}

fn groups_of(user: &str, group: &str) -> Vec<u32> {
    let entries = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut groups: Vec<u32> = entries
        .filter(|fields| {
            fields.len() >= 4 && !user.is_empty() && fields[3].split(',').any(|member| member == user)
        })
        .filter_map(|fields| fields[2].parse().ok())
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nlog:x:4:web,other\nadm:x:5:web\n";

    #[test]
    fn names_and_numbers_are_found() {
        // (spec, user, group) -> uid, gid, groups, home
        type Found = (u32, u32, &'static [u32], &'static str);
        let table: [(&str, Option<u32>, Option<u32>, Found); 9] = [
            ("", None, None, (0, 0, &[], "/root")),
            ("web", None, None, (33, 34, &[4, 5], "/srv")),
            ("33", None, None, (33, 34, &[4, 5], "/srv")),
            ("web:log", None, None, (33, 4, &[], "/srv")),
            ("web:77", None, None, (33, 77, &[], "/srv")),
            ("1000", None, None, (1000, 0, &[], "/")),
            ("1000:1001", None, None, (1000, 1001, &[], "/")),
            ("web:log", Some(7), None, (7, 0, &[], "/")),
            ("web", Some(33), Some(9), (33, 9, &[4, 5], "/srv")),
        ];
        for (spec, user, group, (uid, gid, groups, home)) in table {
            let found = find(spec, user, group, PASSWD, GROUP).unwrap();
            assert_eq!(
                (found.uid, found.gid, found.groups.as_slice(), found.home.as_str()),
                (uid, gid, groups, home),
                "{spec}"
            );
        }
        assert_eq!(find("none", None, None, PASSWD, GROUP).unwrap_err().what, "user");
        assert_eq!(find("web:none", None, None, PASSWD, GROUP).unwrap_err().what, "group");
    }
}
