//! Debian's `ignition-validate` 2.14 beside this crate over generated configs of the specs that it knows (3.0 to 3.3).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ignition_spec::{Spec, parse};

use crate::sample::{Random, random_config};

/// How many configs are judged by both.
const CONFIGS: usize = 1_200;

/// The peer: `$ORLOP_PEER_IGNITION_VALIDATE`.
fn peer() -> Option<PathBuf> {
    let path = std::env::var_os("ORLOP_PEER_IGNITION_VALIDATE").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIP peer: ORLOP_PEER_IGNITION_VALIDATE does not name Debian's ignition-validate");
    }
    path
}

/// Exit status and what was printed.
fn run(peer: &PathBuf, text: &str) -> (bool, String) {
    let mut child = Command::new(peer)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the peer starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let mut said = output.stdout;
    said.extend(output.stderr);
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn debians_validate_has_the_same_verdict() {
    let Some(peer) = peer() else { return };
    let mut random = Random(0x0172_1105);
    let (mut accepted, mut differences, mut equal_lines) = (0, Vec::new(), 0);
    for index in 0..CONFIGS {
        let spec = Spec::minor((index % 4) as u8).expect("a spec");
        let text = serde_json::to_string_pretty(&random_config(&mut random, spec)).expect("JSON");
        let (valid, said) = run(&peer, &text);
        let ours = parse(text.as_bytes());
        accepted += usize::from(valid);
        if ours.is_ok() != valid {
            let report = ours.as_ref().map_or_else(Clone::clone, |parsed| parsed.report.clone());
            differences.push(format!("{text}\npeer: {valid}\n{said}ours: {}\n{report}\n", ours.is_ok()));
        }
        let report = ours.map_or_else(|report| report, |parsed| parsed.report);
        let mut lines: Vec<String> =
            report.entries.iter().map(|entry| entry.to_string().trim_end().to_owned()).collect();
        let mut theirs: Vec<&str> = said.lines().map(str::trim_end).collect();
        lines.sort();
        theirs.sort_unstable();
        equal_lines += usize::from(lines == theirs);
    }
    eprintln!(
        "peer: {} of {CONFIGS} verdicts agree ({accepted} accepted); {equal_lines} reports are equal",
        CONFIGS - differences.len()
    );
    assert!(
        accepted > CONFIGS / 10 && accepted < CONFIGS * 9 / 10,
        "the configs are of both kinds: {accepted}"
    );
    assert!(
        differences.is_empty(),
        "{}\n{} differ",
        differences[..differences.len().min(5)].join("\n"),
        differences.len()
    );
}
