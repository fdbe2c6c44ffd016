//! Provisioning of temporary trees, with real servers on loopback.

mod apply;
mod day2;
mod docs;
mod drives;
mod errors;
mod fetch;
mod first_boot;
mod machine;
mod plan;
mod platforms;
mod property;
mod root_disks;
mod schemes;
mod server;
mod settings;
mod stages;
