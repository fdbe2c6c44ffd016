//! Slash-separated paths by the rules of Go's `path` package, which upstream's verdicts rest on.

/// The shortest path that is lexically equal to `path`; `.` for an empty one.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            _ => kept.push(part),
        }
    }
    match (rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".into(),
        (false, false) => kept.join("/"),
    }
}

/// `base` and `rest` joined and cleaned; empty only when both are.
pub fn join(base: &str, rest: &str) -> String {
    match (base.is_empty(), rest.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(rest),
        (false, true) => clean(base),
        (false, false) => clean(&format!("{base}/{rest}")),
    }
}

/// The extension of the last element with its dot; empty when there is none.
pub fn extension(path: &str) -> &str {
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    path[start..].rfind('.').map_or("", |dot| &path[start + dot..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (dirty, tidy) in
            [("", "."), ("/", "/"), ("//a/", "/a"), ("/../a/./b/..", "/a"), ("../x", "../x"), ("a/..", ".")]
        {
            assert_eq!(clean(dirty), tidy, "{dirty}");
        }
        assert_eq!(join("/a/b", "../c"), "/a/c");
        assert_eq!(extension("a.b/c"), "");
        assert_eq!(extension("x.service"), ".service");
    }
}
