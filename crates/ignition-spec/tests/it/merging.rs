//! The rules of merging, one by one, and what the transcript says.

use ignition_spec::{Config, Side, merge};

/// A config with `sections` beside the version.
fn config(sections: &str) -> Config {
    let text = format!(r#"{{"ignition": {{"version": "3.5.0"}}, {sections}}}"#);
    ignition_spec::parse(text.as_bytes()).unwrap_or_else(|report| panic!("{text}: {report}")).config
}

fn ignition(section: &str) -> Config {
    let text = format!(r#"{{"ignition": {{"version": "3.5.0", {section}}}}}"#);
    ignition_spec::parse(text.as_bytes()).unwrap_or_else(|report| panic!("{text}: {report}")).config
}

#[test]
fn nodes_share_one_key_space() {
    let parent = config(r#""storage": {"files": [{"path": "/a"}, {"path": "/b"}]}"#);
    let child =
        config(r#""storage": {"links": [{"path": "/a", "target": "/x"}], "directories": [{"path": "/c"}]}"#);
    let merged = merge(&parent, &child).0.storage;
    assert_eq!(merged.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/b"]);
    assert_eq!((merged.links.len(), merged.directories.len()), (1, 1));
}

#[test]
fn kernel_arguments_share_one_key_space() {
    let parent = config(r#""kernelArguments": {"shouldExist": ["a", "b"]}"#);
    let child = config(r#""kernelArguments": {"shouldExist": ["b", "c"], "shouldNotExist": ["a"]}"#);
    let merged = merge(&parent, &child).0.kernel_arguments;
    assert_eq!(merged.should_exist, ["b", "c"]);
    assert_eq!(merged.should_not_exist, ["a"]);
}

#[test]
fn a_device_is_no_file_of_that_path() {
    let parent = config(r#""storage": {"disks": [{"device": "/dev/vda", "wipeTable": true}]}"#);
    let child = config(r#""storage": {"files": [{"path": "/dev/vda"}]}"#);
    assert_eq!(merge(&parent, &child).0.storage.disks.len(), 1);
}

#[test]
fn partitions_merge_by_number_then_label() {
    let disk = |partitions: &str| {
        config(&format!(
            r#""storage": {{"disks": [{{"device": "/dev/vda", "partitions": [{partitions}]}}]}}"#
        ))
    };
    let parent = disk(r#"{"number": 1, "sizeMiB": 5}, {"label": "x", "sizeMiB": 6}"#);
    let child = disk(r#"{"number": 1, "label": "one"}, {"label": "x", "sizeMiB": 7}, {"label": "y"}"#);
    let partitions = &merge(&parent, &child).0.storage.disks[0].partitions;
    let seen: Vec<_> = partitions.iter().map(|p| (p.number, p.label.as_deref(), p.size_mib)).collect();
    assert_eq!(seen, [(1, Some("one"), Some(5)), (0, Some("x"), Some(7)), (0, Some("y"), None)]);
}

#[test]
fn options_are_appended() {
    let raid = |options: &str| {
        config(&format!(
            r#""storage": {{"raid": [{{"name": "r", "level": "raid1", "devices": ["/dev/a"], "options": [{options}]}}]}}"#
        ))
    };
    let merged = merge(&raid(r#""x""#), &raid(r#""x", "y""#)).0.storage.raid;
    assert_eq!(merged[0].options, ["x", "x", "y"]);
    assert_eq!(merged[0].devices, ["/dev/a"], "a list with keys");
}

#[test]
fn a_header_without_value_removes_the_parents() {
    let merged = |headers: &str| {
        ignition(&format!(
            r#""config": {{"merge": [{{"source": "http://h/c", "httpHeaders": [{headers}]}}]}}"#
        ))
    };
    let parent = merged(r#"{"name": "A", "value": "1"}, {"name": "B", "value": "2"}"#);
    let child = merged(r#"{"name": "A"}, {"name": "B", "value": "3"}"#);
    let headers = &merge(&parent, &child).0.ignition.config.merge[0].http_headers;
    assert_eq!(headers.len(), 1);
    assert_eq!((headers[0].name.as_str(), headers[0].value.as_deref()), ("B", Some("3")));
}

#[test]
fn unset_scalars_do_not_override() {
    let parent =
        config(r#""systemd": {"units": [{"name": "a.service", "enabled": true, "contents": "[X]\na=b"}]}"#);
    let child = config(r#""systemd": {"units": [{"name": "a.service", "contents": ""}]}"#);
    let unit = &merge(&parent, &child).0.systemd.units[0];
    assert_eq!((unit.enabled, unit.contents.as_deref()), (Some(true), Some("")));
}

#[test]
fn the_transcript_tells_both_sides_apart() {
    let parent = config(r#""storage": {"files": [{"path": "/p"}, {"path": "/both", "mode": 420}]}"#);
    let child = config(
        r#""storage": {"files": [{"path": "/c"}, {"path": "/both", "contents": {"source": "data:,x"}}]}"#,
    );
    let (merged, transcript) = merge(&parent, &child);
    let paths: Vec<_> = merged.storage.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["/p", "/both", "/c"]);
    for (path, side, from) in [
        ("$.storage.files.0.path", Side::Parent, "$.storage.files.0.path"),
        ("$.storage.files.1.mode", Side::Parent, "$.storage.files.1.mode"),
        ("$.storage.files.1.contents.source", Side::Child, "$.storage.files.1.contents.source"),
        ("$.storage.files.1", Side::Child, "$.storage.files.1"),
        ("$.storage.files.2.path", Side::Child, "$.storage.files.0.path"),
    ] {
        assert_eq!(transcript.origin(path), Some((side, from.to_owned())), "{path}");
    }
    assert_eq!(transcript.origin("$.storage"), None, "shared");
    assert_eq!(transcript.shared(), [("$.storage.files.1", "$.storage.files.1", "$.storage.files.1")]);
}

#[test]
fn the_result_is_of_the_later_version() {
    let config = |version: &str| {
        let text = format!(r#"{{"ignition": {{"version": "{version}"}}}}"#);
        ignition_spec::parse(text.as_bytes()).expect("valid").config
    };
    let merged = merge(&config("3.7.0-experimental"), &config("3.0.0")).0;
    assert_eq!(merged.ignition.version, "3.7.0-experimental");
}

#[test]
fn translation_takes_special_bits_from_old_specs() {
    let mode = |spec: &str| {
        let text = format!(
            r#"{{"ignition": {{"version": "{spec}"}}, "storage": {{"files": [{{"path": "/a", "mode": 2541}}]}}}}"#
        );
        ignition_spec::parse(text.as_bytes()).expect("valid").config.storage.files[0].mode
    };
    assert_eq!((mode("3.5.0"), mode("3.6.0")), (Some(0o755), Some(0o4755)));
}
