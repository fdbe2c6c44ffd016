//! Block devices: GPT, file-system probing and making, dm-verity hash trees.

pub mod devices;
pub mod gpt;
pub mod guid;
pub mod partition;
pub mod probe;
pub mod verity;
