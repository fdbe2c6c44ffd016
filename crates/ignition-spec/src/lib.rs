//! Ignition v3 configs: types per version, parsing with positions, validation, translation upward, merging. No I/O.
