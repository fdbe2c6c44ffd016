//! Which repositories a directory of layouts holds.

use std::path::Path;

use crate::digest::Digest;
use crate::layout::{Layout, REF_NAME};
use crate::manifest::{self, Document, Index, media};

/// Layouts are looked for so many directories deep.
const DEPTH_MAX: usize = 4;

/// A layout and the name it is served under.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `web`, `team/web`.
    pub name: String,
    /// Where it is.
    pub layout: Layout,
    index: Index,
}

impl Repository {
    /// The tags, sorted.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> =
            self.index.manifests.iter().map(|entry| tag_of(entry.annotations.get(REF_NAME))).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Digest and media type of a manifest by tag or digest; a digest may also be inside of an index.
    #[must_use]
    pub fn manifest(&self, selector: &str) -> Option<(Digest, String)> {
        if let Ok(digest) = selector.parse::<Digest>() {
            return self.by_digest(&digest).map(|media_type| (digest, media_type));
        }
        let tagged = |entry: &&manifest::Descriptor| tag_of(entry.annotations.get(REF_NAME)) == selector;
        let entry = self.index.manifests.iter().rev().find(tagged)?;
        Some((entry.digest.clone(), entry.media_type.clone()))
    }

    /// The media type of a document that the index names, directly or through an index of platforms.
    fn by_digest(&self, digest: &Digest) -> Option<String> {
        let direct = self.index.manifests.iter().find(|entry| entry.digest == *digest);
        if let Some(entry) = direct {
            return Some(entry.media_type.clone());
        }
        let nested = self.index.manifests.iter().filter(|entry| entry.media_type == media::INDEX);
        nested
            .filter_map(|entry| std::fs::read(self.layout.blob_path(&entry.digest)).ok())
            .filter_map(|bytes| match manifest::parse_document(&bytes, Some(media::INDEX)) {
                Ok(Document::Index(index)) => Some(index.manifests),
                _ => None,
            })
            .flatten()
            .find(|entry| entry.digest == *digest)
            .map(|entry| entry.media_type)
    }
}

/// A layout's annotation is a tag, or a whole reference that ends in one.
fn tag_of(ref_name: Option<&String>) -> String {
    let Some(name) = ref_name else { return "latest".to_owned() };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.rsplit_once(':') {
        Some((_, tag)) => tag.to_owned(),
        None if name.contains('/') => "latest".to_owned(),
        None => last.to_owned(),
    }
}

/// All repositories of `dir`, by name.
#[must_use]
pub fn scan(dir: &Path) -> Vec<Repository> {
    let mut found = Vec::new();
    if Layout::is_layout(dir) {
        let name =
            dir.canonicalize().ok().and_then(|dir| Some(dir.file_name()?.to_string_lossy().to_lowercase()));
        found.extend(open(dir, &name.unwrap_or_else(|| "image".to_owned())));
    } else {
        descend(dir, "", 0, &mut found);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// One repository by name; a peer's name never leaves `dir`, as it is compared and not joined.
#[must_use]
pub fn find(dir: &Path, name: &str) -> Option<Repository> {
    scan(dir).into_iter().find(|repository| repository.name == name)
}

fn descend(dir: &Path, prefix: &str, depth: usize, found: &mut Vec<Repository>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if Layout::is_layout(&path) {
            found.extend(open(&path, &name));
        } else if depth + 1 < DEPTH_MAX {
            descend(&path, &format!("{name}/"), depth + 1, found);
        }
    }
}

fn open(dir: &Path, name: &str) -> Option<Repository> {
    let layout = Layout::at(dir);
    let index = layout.index().ok()?;
    Some(Repository { name: name.to_owned(), layout, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_from_either_form_of_the_annotation() {
        let tag = |text: &str| tag_of(Some(&text.to_owned()));
        assert_eq!(tag_of(None), "latest");
        assert_eq!(tag("1.2"), "1.2");
        assert_eq!(tag("localhost/web:1"), "1");
        assert_eq!(tag("localhost:5000/web"), "latest");
        assert_eq!(tag("web:1"), "1");
    }
}
