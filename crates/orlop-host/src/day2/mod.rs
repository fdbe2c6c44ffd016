//! Changing what a running machine is: `apply` with `confirm` and `revert`, `diff`, `observe`, `reset`.
//!
//! [`apply`] plans, shows and hands over; [`helper`] carries out, detached from whoever asked, and takes the change back
//! when it is not wanted; [`place`] is what they share of the machine.

pub(crate) mod apply;
pub(crate) mod diff;
pub(crate) mod helper;
pub(crate) mod observe;
mod place;
pub(crate) mod reset;
