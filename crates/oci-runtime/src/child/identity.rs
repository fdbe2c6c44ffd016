//! Who the program is: capabilities, ids, and the promises it cannot take back.

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::error::{Result, What};
use crate::spec::process::{CAPABILITIES, Capabilities, User};

/// The names of the capabilities in a set, for messages.
fn names(set: CapabilitySet) -> String {
    let each = CAPABILITIES.iter().enumerate().filter(|(i, _)| set.bits() >> i & 1 == 1);
    each.map(|(_, name)| format!("CAP_{name}")).collect::<Vec<_>>().join(" ")
}

/// The sets that can be had: what the config asks for, without what this machine's root lacks itself. The second
/// value names what is left out.
pub(crate) fn attainable(asked: Option<Capabilities>, own: CapabilitySet) -> (Capabilities, Option<String>) {
    let none = CapabilitySet::empty();
    let asked = asked.unwrap_or(Capabilities {
        bounding: none,
        effective: none,
        inheritable: none,
        permitted: none,
        ambient: none,
    });
    let permitted = asked.permitted & own;
    let got = Capabilities {
        bounding: asked.bounding & own,
        permitted,
        effective: asked.effective & permitted,
        inheritable: asked.inheritable & own,
        // The kernel's rule: ambient only what is permitted and inheritable.
        ambient: asked.ambient & permitted & asked.inheritable,
    };
    let wanted = asked.bounding | asked.permitted | asked.inheritable;
    let missing = wanted - own;
    let warning = format!("this machine does not have {}: the container starts without", names(missing));
    (got, (!missing.is_empty()).then_some(warning))
}

/// What this process may give away.
pub(crate) fn own() -> Result<CapabilitySet> {
    Ok(rustix::thread::capabilities(None).what("capget")?.permitted)
}

/// Takes everything outside the set from the bounding set.
pub(crate) fn bound(keep: CapabilitySet) -> Result<()> {
    for bit in 0..63 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // Past the last capability that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e).what("drop from bounding set"),
        }
    }
    Ok(())
}

/// Becomes the user, keeping the permitted capabilities for [`assume`]. `groups_allowed` is false where a user
/// namespace denies setgroups.
pub(crate) fn become_user(user: &User, groups_allowed: bool) -> Result<()> {
    rustix::thread::set_keep_capabilities(true).what("keep capabilities")?;
    if groups_allowed {
        let groups: Vec<Gid> = user.additional_gids.iter().map(|g| Gid::from_raw(*g)).collect();
        rustix::thread::set_thread_groups(&groups).what("setgroups")?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).what(format_args!("setgid {}", user.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).what(format_args!("setuid {}", user.uid))
}

/// Takes exactly these sets (the bounding set apart).
pub(crate) fn assume(sets: &Capabilities) -> Result<()> {
    let kernel = CapabilitySets {
        effective: sets.effective,
        permitted: sets.permitted,
        inheritable: sets.inheritable,
    };
    rustix::thread::set_capabilities(None, kernel).what("capset")?;
    rustix::thread::clear_ambient_capability_set().what("clear ambient set")?;
    for one in sets.ambient.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true).what("raise ambient set")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_named() {
        let set = |c| c;
        let both = CapabilitySet::KILL | CapabilitySet::SYS_RESOURCE;
        let asked = Capabilities {
            bounding: both,
            effective: both,
            inheritable: CapabilitySet::KILL,
            permitted: both,
            ambient: both,
        };
        let (got, warning) = attainable(Some(asked), set(CapabilitySet::KILL | CapabilitySet::CHOWN));
        assert_eq!(got.bounding, CapabilitySet::KILL);
        assert_eq!(got.effective, CapabilitySet::KILL);
        assert_eq!(got.ambient, CapabilitySet::KILL);
        assert!(warning.unwrap().contains("CAP_SYS_RESOURCE"));
        let (none, warning) = attainable(None, both);
        assert!(none.bounding.is_empty() && none.permitted.is_empty() && warning.is_none());
    }
}
