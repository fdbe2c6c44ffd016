//! The root file system as shipped: empty ext4 that `orlop-init` fills and grows.

use std::fs::File;
use std::path::Path;

use block::guid::Guid;
use sdk::Sdk;

use super::{DiskError, MIB, run};

/// Makes the file system in `path`.
///
/// `verity` lets files have fs-verity digests; the reserved group descriptors let it grow a thousandfold while mounted.
///
/// # Errors
/// [`DiskError`].
pub fn make(size_mib: u32, uuid: Guid, time_secs: u64, path: &Path, sdk: &Sdk) -> Result<(), DiskError> {
    let file = File::create(path).map_err(DiskError::at("create", path))?;
    file.set_len(u64::from(size_mib) * MIB).map_err(DiskError::at("size", path))?;
    drop(file);
    let mut mke2fs = sdk.command("mke2fs")?;
    mke2fs.args([
        "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "1", "-J", "size=16", "-L", "root",
    ]);
    mke2fs.args(["-O", "verity", "-U", &uuid.to_string()]);
    mke2fs.args(["-E", &format!("hash_seed={uuid},nodiscard,assume_storage_prezeroed=1,root_owner=0:0")]);
    run("mke2fs", mke2fs.arg(path), time_secs)
}
