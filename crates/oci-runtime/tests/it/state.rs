//! The state directory.

use std::fs;
use std::path::PathBuf;

use oci_runtime::Error;
use oci_runtime::state::{Process, Record, Root, start_time, valid_id};
use proptest::prelude::*;

fn record(id: &str) -> Record {
    Record {
        id: id.to_owned(),
        oci_version: "1.2.0".into(),
        bundle: "/b".into(),
        rootfs: "/b/rootfs".into(),
        process: Some(Process { pid: 7, start_time: 99 }),
        cgroup: Some(("/sys/fs/cgroup/x".into(), true)),
        created: 5,
        annotations: vec![("a".into(), "b".into())],
    }
}

#[test]
fn names() {
    for id in ["a", "A_b+c-d.9", "..."] {
        assert!(valid_id(id), "{id}");
    }
    for id in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(1025)] {
        assert!(!valid_id(id), "{id}");
    }
}

#[test]
fn make_open_list_remove() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root(dir.path().join("deep/er"));
    assert!(root.list().unwrap().is_empty());
    assert!(matches!(root.open("a"), Err(Error::NotFound { .. })));
    let a = root.make("a").unwrap();
    assert!(matches!(root.make("a"), Err(Error::Exists { .. })));
    assert_eq!(a.read_record().unwrap(), None);
    a.write_record(&record("a")).unwrap();
    assert_eq!(root.open_unlocked("a").unwrap().read_record().unwrap(), Some(record("a")));
    assert_eq!(root.list().unwrap(), ["a"]);
    a.remove().unwrap();
    a.remove().unwrap();
    assert!(matches!(root.open("a"), Err(Error::NotFound { .. })));
}

#[test]
fn a_failed_write_keeps_the_old_record() {
    let dir = tempfile::tempdir().unwrap();
    let a = Root(dir.path().to_owned()).make("a").unwrap();
    a.write_record(&record("a")).unwrap();
    // Something is in the way of the new file.
    fs::create_dir(a.path.join(".state.json.new")).unwrap();
    let error = a.write_record(&record("other")).unwrap_err().to_string();
    assert!(error.contains("write") && error.contains("state.json"), "{error}");
    assert_eq!(a.read_record().unwrap(), Some(record("a")));
    fs::remove_dir(a.path.join(".state.json.new")).unwrap();
    // The directory goes away under our feet.
    fs::remove_dir_all(&a.path).unwrap();
    assert!(a.write_record(&record("other")).is_err());
    assert!(!a.path.exists());
}

#[test]
fn damaged_records_are_errors_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let a = Root(dir.path().to_owned()).make("a").unwrap();
    for (bytes, why) in [
        (&b""[..], "EOF"),
        (b"{}", "no format"),
        (b"{\"format\":2}", "format 2"),
        (b"{\"format\":1,\"process\":{\"pid\":0,\"startTime\":1}}", "bad process"),
        (b"{\"format\":1,\"cgroup\":{\"path\":\"relative\",\"made\":true}}", "bad cgroup"),
        (b"{\"format\":1}", "no annotations"),
    ] {
        fs::write(a.path.join("state.json"), bytes).unwrap();
        let error = a.read_record().unwrap_err().to_string();
        assert!(error.contains("state.json: not a state file of orun") && error.contains(why), "{error}");
    }
}

#[test]
fn start_times_by_the_text_of_stat() {
    let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
    assert_eq!(start_time(&format!("12 (a) {rest}")), Some(4242));
    assert_eq!(start_time(&format!("12 (a) b) S 9 (x) {rest}")), Some(4242));
    assert_eq!(start_time("12 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242"), None);
    assert_eq!(start_time("12 (a"), None);
    assert_eq!(start_time(""), None);
}

proptest! {
    #[test]
    fn records_survive(id in "[a-z]{1,9}", pid in 1_i32.., time in any::<u64>(), path in "/[a-z/]{0,20}", made in any::<bool>()) {
        let written = Record {
            process: Some(Process { pid, start_time: time }),
            cgroup: Some((PathBuf::from(path), made)),
            ..record(&id)
        };
        prop_assert_eq!(Record::parse(written.to_json().to_string().as_bytes()), Ok(written));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = Record::parse(&bytes);
        let _ = start_time(&text);
    }
}
