//! `mounts`: destinations, sources and the option words.

use linux::mount_attr::{MountAttr, attr, propagation};
use serde_json::Value;

use super::error::{Problem, SpecError};
use super::json;

/// One entry of `mounts`, its options sorted into what each system call takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// Path in the container.
    pub destination: String,
    /// File system type; empty for binds without one.
    pub kind: String,
    /// Device, path or name.
    pub source: String,
    /// Attributes of this mount alone.
    pub attrs: Attrs,
    /// Attributes of this mount and all below it (`rro`, `rnosuid`, …).
    pub recursive_attrs: Attrs,
    /// `bind` or `rbind`.
    pub bind: Option<Bind>,
    /// Changes of propagation after the mount, in order; true means the whole tree.
    pub propagation: Vec<(u64, bool)>,
    /// Words for the file system itself: `size=64k`, `sync`, …
    pub data: Vec<String>,
}

/// How a bind mount takes its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// The one mount.
    Single,
    /// With all mounts below.
    Recursive,
}

/// Attributes to set and to clear (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attrs {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
}

impl Attrs {
    /// True if nothing is to be changed.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// As mount_setattr(2) takes them.
    #[must_use]
    pub fn to_kernel(self) -> MountAttr {
        MountAttr { set: self.set, clear: self.clear, ..MountAttr::default() }
    }

    /// A later word wins over an earlier one.
    fn apply(&mut self, word: Word) {
        match word {
            Word::Set(bits) => {
                self.set |= bits;
                self.clear &= !bits;
            }
            Word::Clear(bits) => {
                self.set &= !bits;
                self.clear |= bits;
            }
            // The modes share a field, which the kernel wants cleared as a whole before one is set.
            Word::Atime(mode) => {
                self.set = self.set & !attr::ATIME | mode;
                self.clear |= attr::ATIME;
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Word {
    Set(u64),
    Clear(u64),
    Atime(u64),
}

/// Option words that change mount attributes; each also exists with `r` before it, for the whole tree.
const ATTR_WORDS: [(&str, Word); 19] = [
    ("ro", Word::Set(attr::RDONLY)),
    ("rw", Word::Clear(attr::RDONLY)),
    ("nosuid", Word::Set(attr::NOSUID)),
    ("suid", Word::Clear(attr::NOSUID)),
    ("nodev", Word::Set(attr::NODEV)),
    ("dev", Word::Clear(attr::NODEV)),
    ("noexec", Word::Set(attr::NOEXEC)),
    ("exec", Word::Clear(attr::NOEXEC)),
    ("nosymfollow", Word::Set(attr::NOSYMFOLLOW)),
    ("symfollow", Word::Clear(attr::NOSYMFOLLOW)),
    ("nodiratime", Word::Set(attr::NODIRATIME)),
    ("diratime", Word::Clear(attr::NODIRATIME)),
    ("relatime", Word::Atime(attr::RELATIME)),
    ("norelatime", Word::Atime(attr::STRICTATIME)),
    ("noatime", Word::Atime(attr::NOATIME)),
    ("atime", Word::Atime(attr::RELATIME)),
    ("strictatime", Word::Atime(attr::STRICTATIME)),
    ("nostrictatime", Word::Atime(attr::RELATIME)),
    ("defaults", Word::Clear(0)),
];

const PROPAGATION_WORDS: [(&str, u64, bool); 8] = [
    ("private", propagation::PRIVATE, false),
    ("rprivate", propagation::PRIVATE, true),
    ("shared", propagation::SHARED, false),
    ("rshared", propagation::SHARED, true),
    ("slave", propagation::SLAVE, false),
    ("rslave", propagation::SLAVE, true),
    ("unbindable", propagation::UNBINDABLE, false),
    ("runbindable", propagation::UNBINDABLE, true),
];

/// Every option word with a meaning of its own, for `features`.
#[must_use]
pub fn option_words() -> Vec<String> {
    let attrs = ATTR_WORDS.iter().map(|(word, _)| (*word).to_owned());
    let recursive = ATTR_WORDS.iter().filter(|(w, _)| *w != "defaults").map(|(word, _)| format!("r{word}"));
    let propagation = PROPAGATION_WORDS.iter().map(|(word, _, _)| (*word).to_owned());
    let mut words: Vec<String> = attrs.chain(recursive).chain(propagation).collect();
    words.extend(["bind", "rbind", "sync", "async", "dirsync", "lazytime", "mand"].map(str::to_owned));
    words.sort_unstable();
    words
}

/// Propagation by its word (`rootfsPropagation`): type and whether the whole tree.
pub(super) fn propagation_word(word: &str) -> Option<(u64, bool)> {
    PROPAGATION_WORDS.iter().find(|(known, _, _)| *known == word).map(|(_, kind, tree)| (*kind, *tree))
}

fn attr_word(word: &str) -> Option<Word> {
    ATTR_WORDS.iter().find(|(known, _)| *known == word).map(|(_, effect)| *effect)
}

fn option(mount: &mut Mount, word: &str) -> json::Result<()> {
    let unsupported = |hint| Err(SpecError::new(Problem::Unsupported { hint }));
    if let Some(effect) = attr_word(word) {
        mount.attrs.apply(effect);
    } else if let Some(change) = propagation_word(word) {
        mount.propagation.push(change);
    } else if let Some(effect) = word.strip_prefix('r').and_then(attr_word) {
        mount.recursive_attrs.apply(effect);
    } else {
        match word {
            "bind" => mount.bind = mount.bind.or(Some(Bind::Single)),
            "rbind" => mount.bind = Some(Bind::Recursive),
            // What the kernel does anyway, or a word of mount(8) with no meaning here.
            "async" | "nomand" | "loud" | "silent" | "nolazytime" | "iversion" | "noiversion"
            | "newinstance" | "" => {}
            "remount" => {
                return unsupported("a container's mounts are made once; put the options on the mount");
            }
            "tmpcopyup" => return unsupported("fill the tmpfs by a hook or mount a directory"),
            _ if word == "idmap" || word == "ridmap" || word.starts_with("idmap=") => {
                return unsupported("id-mapped mounts come later; map the ids in the image");
            }
            _ => mount.data.push(word.to_owned()),
        }
    }
    Ok(())
}

pub(super) fn read(value: &Value) -> json::Result<Mount> {
    let hint = "id-mapped mounts come later; map the ids in the image";
    json::refuse(value, "uidMappings", hint)?;
    json::refuse(value, "gidMappings", hint)?;
    let mut mount = Mount {
        destination: json::required(value, "destination", json::string)?,
        kind: json::or_default(value, "type", json::string)?,
        source: json::or_default(value, "source", json::string)?,
        ..Mount::default()
    };
    if mount.destination.is_empty() {
        return Err(SpecError::new(Problem::Missing).under("destination"));
    }
    for (i, word) in json::or_default(value, "options", json::strings)?.iter().enumerate() {
        option(&mut mount, word).map_err(|e| e.under_index(i).under("options"))?;
    }
    match mount.kind.as_str() {
        "bind" => mount.bind = mount.bind.or(Some(Bind::Single)),
        "rbind" => mount.bind = Some(Bind::Recursive),
        "" if mount.bind.is_none() => return Err(SpecError::new(Problem::Missing).under("type")),
        _ => {}
    }
    if mount.bind.is_some() && mount.source.is_empty() {
        return Err(SpecError::new(Problem::Missing).under("source"));
    }
    Ok(mount)
}
