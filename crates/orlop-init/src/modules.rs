//! The kernel modules that the initramfs carries.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::console;
use crate::phase::Phase;

/// Where the initramfs keeps its modules.
pub(crate) const DIRECTORY: &str = "/lib/orlop/modules";
const NO_PARAMETERS: &CStr = c"";

/// Why the modules could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModulesError {
    /// The order file cannot be read.
    #[error("cannot read {path}")]
    Order {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The file names of an order file: one a line; blank lines and `#` comments are skipped.
pub(crate) fn order(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Loads the modules in their order. One that is refused is told and passed over: a later wait says what is missing.
/// No order file means a kernel with all built in.
pub(crate) fn load(directory: &Path) -> Result<usize, ModulesError> {
    let path = directory.join("order");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(ModulesError::Order { path: path.display().to_string(), source }),
    };
    let mut loaded = 0;
    for name in order(&text) {
        match load_one(&directory.join(name)) {
            Ok(()) => loaded += 1,
            Err(error) => console::say(Phase::Init, format_args!("module {name}: {error}")),
        }
    }
    Ok(loaded)
}

/// Loads one module file; a module that is there already is fine.
pub(crate) fn load_one(path: &Path) -> io::Result<()> {
    match rustix::system::finit_module(File::open(path)?, NO_PARAMETERS, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_files() {
        let text = "# made by os-image\nlibcrc32c.ko\n\n  erofs.ko  \n";
        assert_eq!(order(text).collect::<Vec<_>>(), ["libcrc32c.ko", "erofs.ko"]);
    }

    #[test]
    fn no_order_file_is_a_kernel_without_modules() {
        assert_eq!(load(Path::new("/nonexistent")).unwrap(), 0);
    }
}
