//! A machine's state as a file: what an offline plan starts from (docs/formats/observed-state.md).

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::day2::Declaration;

/// Version of the file.
pub const STATE_VERSION: u32 = 1;

/// What was observed, and what was declared there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`STATE_VERSION`].
    pub version: u32,
    /// What there is.
    pub observed: Observed,
    /// What was applied last; a machine that never had a config has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declaration>,
}

/// A file that is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not JSON of this form.
    #[error("not an observed state")]
    Malformed {
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Of a version that this program does not know.
    #[error("an observed state of version {found}; this program reads version {STATE_VERSION}")]
    Version {
        /// The version in the file.
        found: u64,
    },
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        let malformed = |source| StateError::Malformed { source };
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.version != u64::from(STATE_VERSION) {
            return Err(StateError::Version { found: head.version });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// The state as text.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("records of strings and numbers always serialise");
        text.push(b'\n');
        text
    }
}
