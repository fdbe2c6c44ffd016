//! Which boot this is: the stamps on the root partition and what follows from them.
//!
//! - `/orlop/provisioned.json`: written last, whole or not at all, when a first boot has done all its work.
//! - `/orlop/provisioning.json`: written before anything else of a first boot. When it is found and the other is not,
//!   a first boot was cut short. A root that was empty before that boot holds nothing but its leavings: it is emptied
//!   and the first boot starts again. A root that held something is kept, and the stages run over it once more.
//! - `/orlop/reset.json`: somebody wants the machine to be provisioned anew (`orlop-host reset`). Everything on the root
//!   but what it keeps goes, and this boot is a first one.
//!
//! Formats: docs/formats/boot.md.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Directory of Orlop's own state on the root partition.
pub(crate) const DIRECTORY: &str = "orlop";
const DONE: &str = "orlop/provisioned.json";
const BEGUN: &str = "orlop/provisioning.json";
const RESET: &str = "orlop/reset.json";
const NOTES: &str = "orlop/first-boot.json";
const ORIGINALS: &str = "orlop/first-boot.d";

/// What the stamp of a begun first boot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// First boots tried, this one included.
    pub(crate) attempts: u64,
    /// Whether the root was empty before the first of them.
    pub(crate) was_empty: bool,
}

/// What the root partition shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// `provisioned.json` is there.
    pub(crate) done: bool,
    /// `provisioning.json`, if it is there; one that cannot be read counts as one attempt over a root with contents.
    pub(crate) begun: Option<Begun>,
    /// Nothing but `lost+found`.
    pub(crate) empty: bool,
}

/// What to do on this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Provision, noting this first.
    First(Begun),
    /// Empty the root, then provision, noting this first.
    Again(Begun),
    /// Nothing: the machine has been provisioned.
    Later,
}

/// The decision.
pub(crate) fn decide(seen: Observed) -> Boot {
    match seen {
        Observed { done: true, .. } => Boot::Later,
        Observed { begun: Some(begun), .. } => {
            let next = Begun { attempts: begun.attempts.saturating_add(1), ..begun };
            if begun.was_empty { Boot::Again(next) } else { Boot::First(next) }
        }
        Observed { begun: None, empty, .. } => Boot::First(Begun { attempts: 1, was_empty: empty }),
    }
}

impl Begun {
    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        Self {
            attempts: value["attempts"].as_u64().unwrap_or(1),
            was_empty: value["was_empty"].as_bool().unwrap_or(false),
        }
    }

    fn text(self) -> String {
        format!("{}\n", json!({"version": 1, "attempts": self.attempts, "was_empty": self.was_empty}))
    }
}

/// Looks at a mounted root.
pub(crate) fn observe(root: &Path) -> io::Result<Observed> {
    let begun = match fs::read(root.join(BEGUN)) {
        Ok(bytes) => Some(Begun::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut empty = true;
    for entry in fs::read_dir(root)? {
        empty &= entry?.file_name() == "lost+found";
    }
    Ok(Observed { done: fs::exists(root.join(DONE))?, begun, empty })
}

/// What `reset.json` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reset {
    /// Paths that stay, relative to the root.
    pub(crate) keep: Vec<PathBuf>,
}

impl Reset {
    /// Reads the wish; what is not understood is no wish, since it would lose data.
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if value["version"] != 1 {
            return None;
        }
        let keep = value["keep"].as_array()?.iter().map(|path| {
            let below = path.as_str()?.strip_prefix("/var/")?;
            let plain = !below.is_empty() && below.split('/').all(|part| !matches!(part, "" | "." | ".."));
            plain.then(|| Path::new("var").join(below))
        });
        Some(Self { keep: keep.collect::<Option<_>>()? })
    }
}

/// The wish for a reset; one that is not understood is refused.
pub(crate) fn reset_wanted(root: &Path) -> io::Result<Option<Reset>> {
    match fs::read(root.join(RESET)) {
        Ok(bytes) => match Reset::parse(&String::from_utf8_lossy(&bytes)) {
            Some(reset) => Ok(Some(reset)),
            None => Err(io::Error::other("/orlop/reset.json is not understood; remove it to boot as before")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the root one of a first boot. Cut short, it is done again by the next boot: the wish goes last.
pub(crate) fn reset(root: &Path, reset: &Reset) -> io::Result<()> {
    begin(root, Begun { attempts: 0, was_empty: false })?;
    if fs::exists(root.join(DONE))? {
        fs::remove_file(root.join(DONE))?;
        File::open(root.join(DIRECTORY))?.sync_all()?;
    }
    let mut keep = reset.keep.clone();
    keep.extend([BEGUN, RESET, "lost+found"].map(PathBuf::from));
    empty_but(root, Path::new(""), &keep)?;
    rustix::fs::syncfs(File::open(root)?)?;
    fs::remove_file(root.join(RESET))?;
    File::open(root.join(DIRECTORY))?.sync_all()
}

/// Removes what is below a directory but for what is kept and the directories on the way to it.
fn empty_but(root: &Path, below: &Path, keep: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if keep.contains(&path) {
            continue;
        }
        if entry.file_type()?.is_dir() && keep.iter().any(|kept| kept.starts_with(&path)) {
            empty_but(root, &path, keep)?;
        } else {
            remove(&entry)?;
        }
    }
    Ok(())
}

/// Notes that a first boot begins; on the disk when this returns.
pub(crate) fn begin(root: &Path, begun: Begun) -> io::Result<()> {
    fs::create_dir_all(root.join(DIRECTORY))?;
    replace(root, BEGUN, &begun.text())
}

/// Notes that the first boot is done. `facts` are added to the stamp.
pub(crate) fn finish(root: &Path, begun: Begun, release: &str, facts: &Value) -> io::Result<()> {
    let text = json!({"version": 1, "release": release, "attempts": begun.attempts, "config": facts});
    // Everything the stamp vouches for is on the disk before the stamp is.
    rustix::fs::syncfs(File::open(root)?)?;
    replace(root, DONE, &format!("{text:#}\n"))?;
    fs::remove_file(root.join(BEGUN))?;
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(root.join(NOTES)))?;
    gone(fs::remove_dir_all(root.join(ORIGINALS)))
}

/// Removes everything of an unfinished first boot but its stamp and its notes (crate `provision`, module `notes`): those
/// are about other disks too.
pub(crate) fn empty(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name() == DIRECTORY {
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                if ![BEGUN, NOTES].iter().any(|kept| root.join(kept) == inner.path()) {
                    remove(&inner)?;
                }
            }
        } else if entry.file_name() != "lost+found" {
            remove(&entry)?;
        }
    }
    Ok(())
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }
}

/// Replaces a file whole: written beside, synced, renamed, and the directory synced.
fn replace(root: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = root.join(name);
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(root.join(DIRECTORY))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_matrix() {
        let fresh = Begun { attempts: 1, was_empty: true };
        let kept = Begun { attempts: 1, was_empty: false };
        for (done, begun, empty, expected) in [
            (false, None, true, Boot::First(fresh)),
            (false, None, false, Boot::First(kept)),
            (false, Some(fresh), false, Boot::Again(Begun { attempts: 2, was_empty: true })),
            (false, Some(kept), false, Boot::First(Begun { attempts: 2, was_empty: false })),
            (true, None, false, Boot::Later),
            // Cut between the stamp and the removal of the other: the work is done.
            (true, Some(fresh), false, Boot::Later),
        ] {
            assert_eq!(decide(Observed { done, begun, empty }), expected, "{done} {begun:?} {empty}");
        }
    }

    #[test]
    fn stamps_on_a_tree() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir(root.join("lost+found")).unwrap();
        assert_eq!(observe(root).unwrap(), Observed { done: false, begun: None, empty: true });
        let begun = Begun { attempts: 3, was_empty: true };
        begin(root, begun).unwrap();
        fs::create_dir_all(root.join("var/lib")).unwrap();
        fs::create_dir_all(root.join("orlop/etc/1")).unwrap();
        fs::create_dir_all(root.join(ORIGINALS)).unwrap();
        fs::write(root.join(NOTES), "{}").unwrap();
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        assert_eq!(observe(root).unwrap(), Observed { done: false, begun: Some(begun), empty: false });
        empty(root).unwrap();
        let left: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(observe(root).unwrap().begun, Some(begun));
        assert!(root.join(NOTES).exists() && !root.join(ORIGINALS).exists());
        fs::create_dir_all(root.join(ORIGINALS)).unwrap();
        finish(root, begun, "1.0", &json!({"sources": []})).unwrap();
        assert_eq!(observe(root).unwrap(), Observed { done: true, begun: None, empty: false });
        let stamp: Value = serde_json::from_str(&fs::read_to_string(root.join(DONE)).unwrap()).unwrap();
        assert!(!root.join(NOTES).exists() && !root.join(ORIGINALS).exists());
        assert_eq!(stamp["attempts"], 3);
        assert_eq!(stamp["release"], "1.0");
    }

    #[test]
    fn a_reset_keeps_what_it_says() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for file in ["var/lib/app/data", "var/lib/other/x", "var/log/y", "etc/z", "orlop/etc/1/passwd", DONE]
        {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "x").unwrap();
        }
        assert_eq!(reset_wanted(root).unwrap(), None);
        fs::write(root.join(RESET), "{\"version\": 1, \"keep\": [\"/var/lib/app\"]}").unwrap();
        let wish = reset_wanted(root).unwrap().unwrap();
        // Cut before the wish was removed, it is done once more.
        reset(root, &wish).unwrap();
        fs::write(root.join(RESET), "{\"version\": 1, \"keep\": [\"/var/lib/app\"]}").unwrap();
        reset(root, &wish).unwrap();
        assert_eq!(fs::read_to_string(root.join("var/lib/app/data")).unwrap(), "x");
        for gone in ["var/lib/other", "var/log", "etc", "orlop/etc", DONE, RESET] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
        let first = Boot::First(Begun { attempts: 1, was_empty: false });
        assert_eq!(decide(observe(root).unwrap()), first);
        for spoilt in [
            "",
            "{}",
            "{\"version\": 1, \"keep\": [\"/etc/x\"]}",
            "{\"version\": 1, \"keep\": [\"/var/../etc\"]}",
        ] {
            fs::write(root.join(RESET), spoilt).unwrap();
            assert!(reset_wanted(root).is_err(), "{spoilt}");
        }
    }

    #[test]
    fn a_spoilt_stamp_keeps_the_root() {
        assert_eq!(Begun::parse("\0\0"), Begun { attempts: 1, was_empty: false });
        assert_eq!(Begun::parse(&Begun { attempts: 2, was_empty: true }.text()).attempts, 2);
    }
}
