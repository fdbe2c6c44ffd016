//! Packed configs mean what they meant, and fit.

use std::path::{Path, PathBuf};

use orlop_config::pack::{Way, meaning, pack};
use serde_json::Value;

use crate::{err, out, run};

fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

/// Every accepted config of the tables, packed in every way, is a valid config with the same meaning.
#[test]
fn packed_configs_mean_the_same() {
    let Some(corpus) = corpus() else { return eprintln!("SKIP pack: no corpus (set ORLOP_CORPUS)") };
    let text = std::fs::read_to_string(corpus.join("verdicts/ignition.jsonl")).expect("a table");
    let (mut packed_configs, mut broken) = (0, 0);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        let Some(input) = row["input"].as_str() else { continue };
        let Ok(parsed) = ignition_spec::parse(input.as_bytes()) else { continue };
        let Ok(wanted) = meaning(input.as_bytes()) else {
            // It says gzip and is none: fetching it would fail.
            assert!(input.contains("gzip"), "{}", row["id"]);
            broken += 1;
            continue;
        };
        for way in Way::ALL {
            let packed = pack(&parsed.config, parsed.spec, way)
                .unwrap_or_else(|error| panic!("{}: {error}", row["id"]));
            let found = meaning(&packed).expect("a config");
            // The pointer's inner config keeps its version; both are raised to the newest one.
            assert_eq!(found, wanted, "{} {way:?}", row["id"]);
            let report = ignition_spec::parse(&packed).expect("a valid config");
            assert!(report.spec == parsed.spec || way == Way::Whole, "{}: {}", row["id"], report.spec);
        }
        packed_configs += 1;
    }
    eprintln!("pack: {packed_configs} configs mean the same; {broken} have a broken gzip stream");
    assert!(packed_configs > 1_500 && broken < 100, "{packed_configs} {broken}");
}

/// 60 files of the text that config files are.
fn large() -> String {
    let mut text = String::from("variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n");
    for file in 0..60 {
        text.push_str(&format!("    - path: /etc/app/{file}.conf\n      contents:\n        inline: |\n"));
        for line in 0..30 {
            text.push_str(&format!(
                "          setting_{line} = value-{} # of file {file}\n",
                (line * 7919 + file * 31) % 1000
            ));
        }
    }
    text
}

#[test]
fn a_config_is_made_to_fit_and_not_more() {
    let text = large();
    let report = run("orlop-config", &["pack", "-", "--report", "--format", "json"], &text);
    let sizes: Value = serde_json::from_str(&out(&report)).unwrap_or_else(|_| panic!("{}", err(&report)));
    let size = |key: &str| sizes[key].as_u64().expect("a size");
    assert!(size("minified") > 16_384 && size("whole") < 16_384, "{sizes}");
    let fits = |platform: &str| {
        let all = sizes["platforms"].as_array().expect("platforms");
        all.iter().find(|fit| fit["platform"] == platform).expect("the platform")["fits"].clone()
    };
    assert_eq!((fits("aws"), fits("virtualbox")), ("whole".into(), Value::Null));
    let output = run("orlop-config", &["pack", "-", "--platform", "aws"], &text);
    assert!(output.status.success(), "{}", err(&output));
    assert!(output.stdout.len() <= 16_384);
    assert!(out(&output).contains("\"replace\""));
    assert_eq!(u64::try_from(output.stdout.len()).expect("a size"), size("whole"));
    let small = run("orlop-config", &["pack", "-", "--platform", "aws"], crate::GOOD);
    assert!(out(&small).contains("core"), "a small config stays readable");
    let never = run("orlop-config", &["pack", "-", "--platform", "virtualbox"], &text);
    assert_eq!(never.status.code(), Some(3));
    assert_eq!(run("orlop-config", &["pack", "-", "--platform", "nowhere"], &text).status.code(), Some(4));
}

#[test]
fn an_old_spec_gets_a_pointer_that_it_can_read() {
    let config = "{\"ignition\": {\"version\": \"3.0.0\"}, \"passwd\": {\"users\": [{\"name\": \"core\", \"sshAuthorizedKeys\": [\"ssh-ed25519 AAAA\"]}]}}";
    let parsed = ignition_spec::parse(config.as_bytes()).expect("a config");
    let packed = pack(&parsed.config, parsed.spec, Way::Whole).expect("packs");
    assert!(packed.starts_with(
        b"{\"ignition\":{\"config\":{\"replace\":{\"compression\":\"gzip\",\"source\":\"data:;base64,"
    ));
    assert!(packed.ends_with(b"\"version\":\"3.1.0\"}}"), "{}", String::from_utf8_lossy(&packed));
}
