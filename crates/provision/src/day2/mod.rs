//! Day 2: what is declared is changed on a machine that runs.
//!
//! The idea: what a machine shall be after a change from A to B is what a first boot with B would have made of it. So
//! the planner takes back A in mind ([`baseline()`]: what was there before each thing that A wrote is recorded in the
//! [`Declaration`]), plans B over that as on a first boot, tells what comes out ([`crate::plan::expect`]), and compares
//! with what is on the disk ([`plan_change`]). The steps are the difference, and the executor is the one of the first
//! boot. Nothing that A did not write is removed; what somebody changed by hand since is refused by name.
//!
//! [`declaration`] is what is kept on the machine; [`change`] the planner, with [`nodes`], [`users`] and [`units`];
//! [`journal`] the undo journal; [`apply`] carries a change out under it; [`drift`] compares a machine with its
//! declaration.

pub mod apply;
pub mod baseline;
pub mod change;
pub mod declaration;
pub mod drift;
pub mod foretell;
pub mod journal;
mod nodes;
pub mod observe;
mod units;
mod users;

pub use baseline::baseline;
pub use change::{Change, Permission, plan_change};
pub use declaration::{Before, Declaration, DeclarationError, Managed, Written};
