//! Provisioning of temporary trees, with real servers on loopback.

mod apply;
mod machine;
