//! The registry of rules: each example shows its rule and no other.

use std::collections::BTreeSet;

use ignition_spec::{Report, parse, rules};

fn report(text: &str) -> Report {
    match parse(text.as_bytes()) {
        Ok(parsed) => parsed.report,
        Err(report) => report,
    }
}

fn codes(report: &Report) -> BTreeSet<&str> {
    report.entries.iter().map(|entry| entry.code).collect()
}

/// Rules whose wrong example breaks another one by its nature, with that one.
const WITH: &[(&str, &str)] = &[
    // Says where the fault of another entry lies.
    ("luks-key-file", "url-scheme"),
    // A label is one of the attributes that need a format.
    ("filesystem-label-format", "filesystem-format-missing"),
    // Partitions are entries of a list whose key is the number.
    ("partition-numbers", "duplicate-entry"),
];

#[test]
fn a_wrong_example_breaks_its_rule_alone() {
    for page in rules::pages() {
        let code = page.rule.code;
        if code == "config-too-large" {
            assert!(page.wrong.is_empty(), "an example of 256 MiB");
            continue;
        }
        let report = report(page.wrong);
        let mut wanted = BTreeSet::from([code]);
        wanted.extend(WITH.iter().filter(|(rule, _)| *rule == code).map(|(_, with)| *with));
        assert_eq!(codes(&report), wanted, "{code}: {report}\n{}", page.wrong);
    }
}

#[test]
fn a_mended_example_breaks_none() {
    for page in rules::pages().filter(|page| !page.mended.is_empty()) {
        assert_eq!(report(page.mended), Report::default(), "{}\n{}", page.rule.code, page.mended);
    }
}

#[test]
fn codes_are_names_and_no_two_rules_have_one() {
    let mut seen = BTreeSet::new();
    for page in rules::pages() {
        let code = page.rule.code;
        assert!(seen.insert(code), "{code} twice");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        assert!(!page.what.trim().is_empty() && !page.why.is_empty(), "{code}");
    }
    assert!(seen.len() > 80, "{}", seen.len());
}

/// No rule is made outside of the registry: a page would be missing.
#[test]
fn every_entry_says_what_was_found_and_has_a_page() {
    for page in rules::pages().filter(|page| !page.wrong.is_empty()) {
        for entry in report(page.wrong).entries {
            assert!(rules::page(entry.code).is_some(), "{}", entry.code);
            assert!(entry.position.is_some(), "{}: no position", entry.code);
            if entry.code != "json-syntax" {
                assert!(entry.path.starts_with('$'), "{}: no path", entry.code);
                assert!(entry.found.is_some(), "{}: nothing found", entry.code);
            }
        }
    }
}

#[test]
fn misspelt_values_are_understood() {
    let hint = |version: &str, body: &str| {
        let text = format!("{{\"ignition\": {{\"version\": \"{version}\"}}, {body}}}");
        report(&text).entries[0].hint.clone().unwrap_or_default()
    };
    let format = |version, format: &str| {
        hint(
            version,
            &format!("\"storage\": {{\"filesystems\": [{{\"device\": \"/d\", \"format\": \"{format}\"}}]}}"),
        )
    };
    assert_eq!(format("3.6.0", "etx4"), "did you mean `ext4`?");
    assert_eq!(format("3.6.0", "BTRFS"), "did you mean `btrfs`?");
    assert_eq!(format("3.2.0", "none"), "`none` needs spec 3.3.0; this config is of 3.2.0");
    assert_eq!(format("3.6.0", "reiserfs"), "");
    assert_eq!(
        hint("3.6.0", "\"systemd\": {\"units\": [{\"name\": \"a.servise\"}]}"),
        "did you mean `a.service`?"
    );
    assert_eq!(
        hint("3.6.0", "\"storage\": {\"directories\": [{\"path\": \"/d\", \"mode\": 7755}]}"),
        "JSON has decimal numbers: 07755 is 4077"
    );
}

#[test]
fn all_errors_are_told_at_once() {
    let text = r#"{
  "ignition": {"version": "3.6.0"},
  "storage": {
    "files": [{"path": 5, "mode": "0644"}, {"path": "x", "contents": {"source": "ftp://h/a"}},],
    "filesystems": [{"device": "/dev/vdb", "format": "etx4", "lable": "x"}]
  }
}"#;
    let found: Vec<_> = report(text).entries.iter().map(|entry| (entry.code, entry.path.clone())).collect();
    let expected = [
        ("json-syntax", ""),
        ("wrong-type", "$.storage.files.0.path"),
        ("wrong-type", "$.storage.files.0.mode"),
        ("path-relative", "$.storage.files.1.path"),
        ("url-scheme", "$.storage.files.1.contents.source"),
        ("filesystem-format", "$.storage.filesystems.0.format"),
        ("unused-key", "$.storage.filesystems.0.lable"),
    ];
    assert_eq!(found, expected.map(|(code, path)| (code, path.to_owned())));
}
