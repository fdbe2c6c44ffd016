//! The judges: programs of erofs-utils from the SDK tree.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use sdk::Sdk;

/// The tree that `ORLOP_SDK` names, else any complete one in the cache.
static SDK: LazyLock<Option<Sdk>> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("ORLOP_SDK") {
        return Sdk::open(&PathBuf::from(path)).ok();
    }
    let mut trees: Vec<_> =
        std::fs::read_dir(sdk::cache_dir().ok()?).ok()?.flatten().map(|dir| dir.path()).collect();
    trees.sort();
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sdk-"));
    trees.into_iter().filter(named).find_map(|path| Sdk::open(&path).ok())
});

/// The SDK tree.
pub(crate) fn sdk() -> Option<&'static Sdk> {
    SDK.as_ref()
}

/// A command of the SDK tree.
pub(crate) fn command(name: &str) -> Option<Command> {
    SDK.as_ref()?.command(name).ok()
}

/// CPU time so far, in clock ticks of 10 ms: of this thread, and of this process's children that have ended (`proc(5)`,
/// `stat` fields 14 to 17).
pub(crate) fn cpu_ticks() -> (u64, u64) {
    let fields = |path: &str, fields: std::ops::Range<usize>| -> u64 {
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        after_name.skip(fields.start).take(fields.len()).map(|field| field.parse().unwrap_or(0)).sum()
    };
    (fields("/proc/thread-self/stat", 11..13), fields("/proc/self/stat", 13..15))
}
