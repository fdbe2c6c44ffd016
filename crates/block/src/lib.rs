//! Block devices: GPT, file-system probing and making, dm-verity hash trees.

pub mod gpt;
pub mod guid;
