//! Users and groups: `systemd-sysusers` over the tree's `sysusers.d`, run on a scratch root.
//!
//! Done at build time because first-boot provisioning adds users to groups before any service runs; the unit of the
//! same name does it again on the machine for what the user's config brings.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use erofs::{Kind, Meta};

use super::{Builder, Inputs, TreeError, run};

const SYSUSERS: &str = "usr/lib/sysusers.d";
/// The files made, their modes, and whether they belong to the group `shadow`.
const PRODUCTS: [(&str, u16, bool); 4] =
    [("passwd", 0o644, false), ("group", 0o644, false), ("shadow", 0o640, true), ("gshadow", 0o640, true)];

/// Makes `usr/etc/passwd` and its kin.
pub(super) fn add(builder: &mut Builder, inputs: &Inputs<'_>) -> Result<(), TreeError> {
    let root = inputs.cache.join(format!("accounts-{}", std::process::id()));
    let outcome = make(builder, inputs, &root);
    let _ = fs::remove_dir_all(&root);
    outcome
}

fn make(builder: &mut Builder, inputs: &Inputs<'_>, root: &Path) -> Result<(), TreeError> {
    let etc = root.join("etc");
    fs::create_dir_all(&etc).map_err(TreeError::at("create", &etc))?;
    for path in builder.files_below(SYSUSERS) {
        let bytes = builder.read(&path)?.unwrap_or_default();
        let file = root.join(path);
        let parent = file.parent().unwrap_or(root);
        fs::create_dir_all(parent).map_err(TreeError::at("create", parent))?;
        fs::write(&file, bytes).map_err(TreeError::at("write", &file))?;
    }
    let mut sysusers = inputs.sdk.command("systemd-sysusers")?;
    sysusers.arg(format!("--root={}", root.display())).stdin(Stdio::null()).stdout(Stdio::null());
    sysusers.env("SOURCE_DATE_EPOCH", inputs.lock.time_secs.to_string());
    run("systemd-sysusers", &mut sysusers)?;
    let group = fs::read_to_string(etc.join("group")).map_err(TreeError::at("read", &etc))?;
    for (name, mode, of_shadow) in PRODUCTS {
        let path = etc.join(name);
        let bytes = fs::read(&path).map_err(TreeError::at("read", &path))?;
        let mut meta = Meta::new(mode);
        meta.gid = if of_shadow { group_id(&group, "shadow").unwrap_or(0) } else { 0 };
        let content = builder.contents.memory(bytes);
        builder.put(&format!("usr/etc/{name}"), meta, Kind::File(content))?;
    }
    Ok(())
}

fn group_id(group: &str, name: &str) -> Option<u32> {
    let line = group.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}
