//! Patterns of paths in the manifest: `*` stands for any characters, `/` too; everything else for itself.

/// A list of patterns with exceptions.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// What is dropped.
    pub drop: &'a [String],
    /// What is kept all the same.
    pub keep: &'a [String],
}

impl Filter<'_> {
    /// Whether a path is dropped.
    #[must_use]
    pub fn drops(&self, path: &str) -> bool {
        self.drop.iter().any(|pattern| matches(pattern, path))
            && !self.keep.iter().any(|pattern| matches(pattern, path))
    }
}

/// Whether the whole of `path` matches.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_anything_and_the_ends_are_anchored() {
        for (pattern, path, expected) in [
            ("usr/bin/perl", "usr/bin/perl", true),
            ("usr/bin/perl", "usr/bin/perl5", false),
            ("usr/share/doc/*", "usr/share/doc/a/b", true),
            ("usr/share/doc/*", "usr/share/doc", false),
            ("*/sound/*.ko", "kernel/sound/a/b.ko", true),
            ("*/sound/*.ko", "kernel/sound/a/b.ko.xz", false),
            ("a*b*c", "abc", true),
            ("a*bc", "abcb", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
