//! The first boot: the config is fetched, planned and carried out; then the stamp says so.

use std::path::Path;

use serde_json::json;

use crate::cmdline::CommandLine;
use crate::network::Daemons;
use crate::phase::{Phase, Times};
use crate::root::{self, SYSROOT};
use crate::screen::Failure;
use crate::slot::Slot;
use crate::stamp::{self, Begun};

/// Provisions the machine.
#[allow(clippy::too_many_arguments)]
pub(crate) fn boot(
    line: &CommandLine,
    arguments: &str,
    slot: &Slot,
    release: &str,
    begun: Begun,
    daemons: &mut Daemons,
    _times: &mut Times,
) -> Result<(), Failure> {
    if arguments.contains("orlop.network=yes") {
        daemons
            .network(arguments, line.network_wait)
            .map_err(|error| Failure::new(Phase::Network, &error))?;
    }
    root::grow(slot, true);
    let facts = json!({});
    stamp::finish(Path::new(SYSROOT), begun, release, &facts)
        .map_err(|error| Failure::new(Phase::Provision("files"), &error))
}
