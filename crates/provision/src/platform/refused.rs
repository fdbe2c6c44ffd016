//! Platforms of upstream that cannot be served.

use super::{Env, NOTHING, Needs, PlatformError, Provider, UserData};

/// A platform that is known by name and refused.
#[derive(Debug)]
pub(super) struct Refused {
    name: &'static str,
    source: &'static str,
    why: &'static str,
}

/// IBM z/VM: the config is a spool file that the programs of s390-tools receive. There is no image of ours for s390x.
pub(super) const ZVM: Refused = Refused {
    name: "zvm",
    source: "a spool file of type ign, of the virtual reader 000c",
    why: "it exists on s390x only, for which there is no image",
};

impl Provider for Refused {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        NOTHING
    }

    fn source(&self) -> String {
        format!("{} (refused: {})", self.source, self.why)
    }

    fn fetch(&self, _: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        Err(PlatformError::Refused { name: self.name, why: self.why })
    }
}
