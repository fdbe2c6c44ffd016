//! What a valid config may ask for and this version cannot do: refused by name and position, before any change.

use super::Draft;

pub(super) fn refuse(draft: &mut Draft<'_>) {
    let config = &draft.wanted.config;
    let mut refused: Vec<(String, &str, &str)> = Vec::new();
    let arguments = &config.kernel_arguments;
    for (list, name) in
        [(&arguments.should_exist, "shouldExist"), (&arguments.should_not_exist, "shouldNotExist")]
    {
        if !list.is_empty() {
            let origin = format!("$.kernelArguments.{name}");
            let hint =
                "set them at build time in os/orlop.toml, or wait for the release that edits boot entries";
            refused.push((origin, "kernel arguments cannot be changed by a config yet", hint));
        }
    }
    for index in 0..config.storage.raid.len() {
        let hint = "put the file system on one disk, without storage.raid";
        refused.push((format!("$.storage.raid.{index}"), "RAID arrays are not supported yet", hint));
    }
    for index in 0..config.storage.luks.len() {
        let hint = "put the file system on the partition itself, without storage.luks";
        refused.push((format!("$.storage.luks.{index}"), "LUKS volumes are not supported yet", hint));
    }
    for (origin, message, hint) in refused {
        draft.refuse(&origin, message, hint);
    }
}
