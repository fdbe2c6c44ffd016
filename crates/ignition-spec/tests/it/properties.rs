//! Properties: the JSON parser against serde_json, writing and reading back, merging.

use ignition_spec::tree::{Node, Value};
use ignition_spec::{json, merge};
use proptest::prelude::*;

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value as J;
    let leaf = prop_oneof![
        Just(J::Null),
        any::<bool>().prop_map(J::Bool),
        any::<i64>().prop_map(|number| J::Number(number.into())),
        any::<String>().prop_map(J::String),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(J::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| J::Object(map.into_iter().collect())),
        ]
    })
}

fn plain(node: &Node<'_>) -> serde_json::Value {
    use serde_json::Value as J;
    match &node.value {
        Value::Null => J::Null,
        Value::Bool(value) => J::Bool(*value),
        Value::Number(text) => text.parse::<i64>().map_or(J::Null, |number| J::Number(number.into())),
        Value::Text(text) | Value::Plain(text, _) => J::String(text.to_string()),
        Value::Seq(items) => J::Array(items.iter().map(plain).collect()),
        Value::Map(members) => {
            members.iter().map(|member| (member.key.to_string(), plain(&member.value))).collect()
        }
    }
}

/// A config with the given files and units, which may share names.
fn config(paths: &[u8], units: &[u8]) -> ignition_spec::Config {
    let files: Vec<String> = paths
        .iter()
        .map(|path| {
            format!(
                r#"{{"path": "/f{path}", "mode": {}, "contents": {{"source": "data:,{path}"}}}}"#,
                path % 8
            )
        })
        .collect();
    let units: Vec<String> =
        units.iter().map(|unit| format!(r#"{{"name": "u{unit}.service", "enabled": true}}"#)).collect();
    let text = format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{}]}}, "systemd": {{"units": [{}]}}}}"#,
        files.join(","),
        units.join(",")
    );
    ignition_spec::parse(text.as_bytes()).expect("a valid config").config
}

fn distinct() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_set(0u8..12, 0..6).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn json_is_read_as_serde_reads_it(value in json_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let node = json::parse(text.as_bytes()).expect("valid JSON");
        prop_assert_eq!(plain(&node), value);
    }

    #[test]
    fn json_verdicts_are_serdes(text in r#"[\[\]{}",:0-9eE.+ \\untrfalse-]{0,24}"#) {
        let serde = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        // serde refuses numbers that no double holds, and lone surrogates; Go and this parser do not.
        if serde {
            prop_assert!(json::parse(text.as_bytes()).is_ok(), "{}", text);
        } else if !text.contains(['e', 'E', '\\']) {
            prop_assert!(json::parse(text.as_bytes()).is_err(), "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        ignition_spec::fuzz_json(&bytes);
    }

    #[test]
    fn merging_is_associative(a in distinct(), b in distinct(), c in distinct()) {
        let (a, b, c) = (config(&a, &c), config(&b, &a), config(&c, &b));
        let left = merge(&merge(&a, &b).0, &c).0;
        let right = merge(&a, &merge(&b, &c).0).0;
        prop_assert_eq!(left, right);
    }

    #[test]
    fn merging_with_itself_changes_nothing(a in distinct(), b in distinct()) {
        let config = config(&a, &b);
        prop_assert_eq!(merge(&config, &config).0, config);
    }
}

/// A config that has nearly everything, for mutation.
const RICH: &str = r#"{"ignition": {"version": "3.5.0", "config": {"merge": [{"source": "https://h/c", "httpHeaders":
[{"name": "A", "value": "b"}], "verification": {"hash": "sha256-00"}}]}, "proxy": {"httpProxy": "http://p"}},
"kernelArguments": {"shouldExist": ["a"], "shouldNotExist": ["b"]}, "passwd": {"users": [{"name": "core", "uid": 1}]},
"storage": {"disks": [{"device": "/dev/vda", "partitions": [{"number": 1, "startMiB": 1, "sizeMiB": 9}]}],
"filesystems": [{"device": "/dev/vda1", "format": "ext4", "path": "/var", "label": "l"}],
"luks": [{"name": "l", "device": "/dev/b", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}}],
"raid": [{"name": "r", "level": "raid1", "devices": ["/dev/x"]}], "links": [{"path": "/l", "target": "/t"}],
"files": [{"path": "/a", "mode": 420, "contents": {"source": "data:text/plain;charset=x;base64,aGk="}}]},
"systemd": {"units": [{"name": "a@1.service", "enabled": true, "contents": "[Unit]\nA=b\\\n c\n[Install]\nX=y",
"dropins": [{"name": "x.conf", "contents": "[Service]"}]}]}}"#;

/// `RICH` with some spans removed, doubled or replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..RICH.len(), 0usize..12, 0u8..4, any::<u8>());
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text = RICH.as_bytes().to_vec();
        for (at, length, how, byte) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            let piece = text[at..end].to_vec();
            match how {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..at, piece)),
                2 => drop(text.splice(at..end, [byte])),
                _ => {
                    drop(text.splice(at..at, b",:{}[]\"0-"[usize::from(byte) % 9..].iter().copied().take(1)));
                }
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn mutated_configs_are_judged(bytes in mutated()) {
        ignition_spec::fuzz_json(&bytes);
    }
}
