//! Properties over generated trees.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use provision::resolve::{Kind, Node, resolve};
use provision::{Durability, Root};

use crate::machine::Machine;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn name() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![6 => name(), 1 => Just("..".to_owned()), 1 => Just(".".to_owned())];
    (any::<bool>(), prop::collection::vec(part, 1..5))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

#[derive(Debug, Clone)]
enum Make {
    Dir(Vec<String>),
    Link(Vec<String>, String),
}

fn make() -> impl Strategy<Value = Make> {
    let place = prop::collection::vec(name(), 1..4);
    prop_oneof![
        place.clone().prop_map(Make::Dir),
        (place, path()).prop_map(|(place, to)| Make::Link(place, to))
    ]
}

/// All nodes below `dir` by their true path.
fn nodes(dir: &Path, below: &str, into: &mut BTreeMap<String, Node>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        let kind = if kind.is_symlink() {
            Kind::Symlink(std::fs::read_link(entry.path()).unwrap().display().to_string())
        } else {
            nodes(&entry.path(), &path, into);
            Kind::Directory
        };
        into.insert(path, Node { kind, mode: 0o755, uid: 0, gid: 0, id: (0, 0) });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The planner's resolution is the kernel's: what it says is where a path inside the root leads.
    #[test]
    fn resolution_is_the_kernels(tree in prop::collection::vec(make(), 0..12), wanted in path()) {
        let dir = tempfile::tempdir().unwrap();
        for make in &tree {
            let (parts, link) = match make {
                Make::Dir(parts) => (parts, None),
                Make::Link(parts, to) => (parts, Some(to)),
            };
            let path = parts.iter().fold(dir.path().to_owned(), |path, part| path.join(part));
            // Only true places: a parent that is a link would lead out of the temporary folder.
            let parents_real = path.ancestors().skip(1).take_while(|at| *at != dir.path()).all(|at| !at.is_symlink());
            if !parents_real { continue; }
            let _ = match link {
                None => std::fs::create_dir_all(&path),
                Some(to) => std::fs::create_dir_all(path.parent().unwrap()).and_then(|()| std::os::unix::fs::symlink(to, &path)),
            };
        }
        let mut known = BTreeMap::new();
        nodes(dir.path(), "", &mut known);
        let root = Root::open(dir.path(), Durability::AtEnd).unwrap();
        if let Ok(found) = root.open_dir(&wanted) {
            let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
            let real = std::fs::read_link(link).unwrap();
            let inside = real.strip_prefix(dir.path().canonicalize().unwrap());
            prop_assert!(inside.is_ok(), "{} left the root", real.display());
            let ours = resolve(&wanted, true, |at| known.get(at)).unwrap();
            prop_assert_eq!(ours, format!("/{}", inside.unwrap().display()));
        }
    }

    /// A write through any path stays inside the root.
    #[test]
    fn writes_stay_inside(tree in prop::collection::vec(make(), 0..8), wanted in path()) {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("x/root");
        std::fs::create_dir_all(&inner).unwrap();
        let root = Root::open(&inner, Durability::AtEnd).unwrap();
        let (uid, gid) = own();
        let attributes = provision::root::Attributes { mode: 0o755, uid, gid };
        for make in &tree {
            let _ = match make {
                Make::Dir(parts) => root.make_dir(&parts.join("/"), attributes),
                Make::Link(parts, to) => root.make_symlink(&parts.join("/"), to, uid, gid),
            };
        }
        let _ = root.write(&wanted, attributes, b"x");
        let outside: Vec<_> = std::fs::read_dir(outer.path().join("x")).unwrap().flatten().collect();
        prop_assert_eq!(outside.len(), 1);
        prop_assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}

proptest! {
    // Each case syncs a file system twice.
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Applying a config twice plans no change the second time.
    #[test]
    fn applied_twice_is_applied_once(files in prop::collection::btree_map("[a-c]{1,3}", "[x-z]{0,4}", 1..6), mode in 0_u32..0o777) {
        let list: Vec<String> = files.iter().map(|(name, text)| {
            format!(r#"{{"path": "/etc/d/{name}", "mode": {mode}, "contents": {{"source": "data:,{text}"}}}}"#)
        }).collect();
        let config = format!(r#"{{"ignition": {{"version": "3.4.0"}}, "storage": {{"files": [{}]}}}}"#, list.join(","));
        let mut machine = Machine::new();
        machine.boot(&config).unwrap();
        let again = machine.boot(&config).unwrap();
        for step in &again.plan.steps {
            prop_assert!(step.text.starts_with("keep file"), "{}", step.text);
        }
    }
}

fn own() -> (u32, u32) {
    (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}
