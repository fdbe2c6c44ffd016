//! Where a config has resources.

use ignition_spec::Config;
use ignition_spec::config::Resource;

/// The resource at `path` (camelCase) of `config`.
pub(crate) fn at<'c>(config: &'c mut Config, path: &str) -> Option<&'c mut Resource> {
    let segments: Vec<&str> = path.split('.').skip(1).collect();
    let (ignition, storage) = (&mut config.ignition, &mut config.storage);
    let index = |segment: &str| segment.parse::<usize>().ok();
    match segments.as_slice() {
        ["ignition", "config", "replace"] => Some(&mut ignition.config.replace),
        ["ignition", "config", "merge", at] => ignition.config.merge.get_mut(index(at)?),
        ["ignition", "security", "tls", "certificateAuthorities", at] => {
            ignition.security.tls.certificate_authorities.get_mut(index(at)?)
        }
        ["storage", "files", at, "contents"] => Some(&mut storage.files.get_mut(index(at)?)?.contents),
        ["storage", "files", at, "append", number] => {
            storage.files.get_mut(index(at)?)?.append.get_mut(index(number)?)
        }
        ["storage", "luks", at, "keyFile"] => Some(&mut storage.luks.get_mut(index(at)?)?.key_file),
        _ => None,
    }
}
