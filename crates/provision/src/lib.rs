//! First-boot provisioning: from the config somebody wrote to a machine that is so.
//!
//! Principles:
//! - **Plan, then do.** [`plan()`] is a pure function of a [`FinalConfig`] and what is [`Observed`]; [`execute()`] does
//!   its steps and decides nothing. What a machine will do can be shown anywhere, and day 2 uses the same two.
//! - **Refuse before changing.** Every problem that can be told from config and machine is found by the planner, all
//!   at once, with the line of the user's own file. What is not supported is refused by name; nothing is ignored.
//! - **The tree is a capability.** All paths are resolved inside a [`Root`] by the kernel; programs, time and the
//!   network are passed in ([`Env`]), so that everything but mounting runs on a temporary directory.
//! - **The network is awaited.** A fetch is tried again for as long as the config allows, and says so each time.
//!
//! Terms: a **document** is one config as somebody wrote it; the **final config** is all documents merged; a **node**
//! is a file, directory or link; a **place** is a line of a document.
//!
//! Modules: [`fetch`] finds and merges configs; [`platform`] asks the cloud for them, [`drive`] reads its drives;
//! [`observe`](mod@observe) looks at the machine; [`plan`](mod@plan) decides; [`execute`](mod@execute) does; [`run`] is
//! a whole first boot; [`net`] is HTTP and DNS; [`root`] and [`resolve`] are paths, [`skeleton`]
//! the ones that every machine has; [`notes`] make an
//! interrupted first boot safe to run again; [`place`], [`error`] and [`event`] are what people see; [`report`] is the
//! result file, [`first_boot`] the report for other machines.

pub mod day2;
pub mod drive;
pub mod error;
pub mod event;
pub mod execute;
pub mod fetch;
pub mod first_boot;
pub mod fuzz;
pub mod net;
pub mod notes;
pub mod observe;
pub mod place;
pub mod plan;
pub mod platform;
pub mod report;
pub mod resolve;
pub mod root;
pub mod run;
pub mod skeleton;

pub use error::{Error, Problem};
pub use event::{Event, Events, Phase};
pub use execute::{Env, Options, Programs, SystemPrograms, execute};
pub use fetch::{FetchEnv, FinalConfig, fetch_config};
pub use observe::{Observed, observe};
pub use place::Place;
pub use plan::{Plan, Step, plan};
pub use root::{Durability, Root};
pub use run::{Outcome, provision};

/// Runs a phase between its start and its done.
pub(crate) fn phase<T>(
    phase: Phase,
    clock: &dyn net::Clock,
    events: Events<'_>,
    work: impl FnOnce(Events<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let started = clock.elapsed();
    events(Event::Start(phase));
    let value = work(&mut *events)?;
    events(Event::Done(phase, clock.elapsed() - started));
    Ok(value)
}
