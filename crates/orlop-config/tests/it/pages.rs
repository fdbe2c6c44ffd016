//! Examples of Butane's pages show their rule. (Ignition's are tested beside their registry.)

use std::collections::BTreeSet;

use orlop_config::pages;

fn report(text: &str) -> ignition_spec::Report {
    match butane::transpile(text.as_bytes(), &butane::Options::default()) {
        Ok(output) => output.report,
        Err(report) => report,
    }
}

/// Rules whose wrong example breaks another one by its nature, with that one.
const WITH: &[(&str, &str)] = &[
    // The entries of the inline config stand before it.
    ("inline-config", "json-syntax"),
];

#[test]
fn butanes_examples_show_their_rule_alone_and_how_it_is_mended() {
    let (mut shown, mut without, mut faults) = (0, Vec::new(), Vec::new());
    for page in pages::all().filter(|page| page.language == "yaml") {
        if page.wrong.is_empty() {
            without.push(page.code);
            continue;
        }
        shown += 1;
        let mut wanted = BTreeSet::from([page.code]);
        wanted.extend(WITH.iter().filter(|(code, _)| *code == page.code).map(|(_, with)| *with));
        let found = report(&page.wrong);
        let codes: BTreeSet<&str> = found.entries.iter().map(|entry| entry.code).collect();
        if codes != wanted {
            faults.push(format!("{}: {found}\n{}", page.code, page.wrong));
        }
        let mended = report(&page.mended);
        if !mended.is_empty() {
            faults.push(format!("{}, mended: {mended}\n{}", page.code, page.mended));
        }
    }
    eprintln!("pages: {shown} rules of Butane are shown; without example: {without:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(shown >= 75, "{shown}");
}

#[test]
fn every_code_has_one_page() {
    let mut codes = BTreeSet::new();
    for page in pages::all() {
        assert!(codes.insert(page.code), "{} twice", page.code);
        assert!(page.markdown().starts_with(&format!("# {}\n", page.code)));
    }
    assert!(codes.len() > 140, "{}", codes.len());
}
