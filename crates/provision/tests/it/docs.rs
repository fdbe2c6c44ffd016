//! Pages of the documentation that hold tables of the code.

use provision::platform::{Needs, PROVIDERS};

fn needs(needs: Needs) -> String {
    let parts = [(needs.network, "network"), (needs.devices, "disks")];
    let mut words: Vec<String> =
        parts.iter().filter(|(needed, _)| *needed).map(|(_, name)| (*name).to_owned()).collect();
    words.extend(needs.modules.iter().map(|module| format!("`{module}`")));
    if words.is_empty() { "–".into() } else { words.join(", ") }
}

/// The rows of the table in docs/reference/platforms.md; with ORLOP_BLESS=1 they are written there.
#[test]
fn the_table_of_platforms_is_the_code_s() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/platforms.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let row = |provider: &&dyn provision::platform::Provider| {
        let limit = provider.limit_bytes().map_or("–".into(), |bytes| bytes.to_string());
        format!("| `{}` | {} | {} | {limit} |", provider.name(), needs(provider.needs()), provider.source())
    };
    let rows: Vec<String> = PROVIDERS.iter().map(row).collect();
    let found: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "|---|---|---|---|")
        .skip(1)
        .take_while(|l| l.starts_with('|'))
        .collect();
    if std::env::var_os("ORLOP_BLESS").is_some() {
        let new = text.replace("TABLE\n", "").replace(&found.join("\n"), "");
        let (head, tail) = new.split_once("|---|---|---|---|\n").unwrap();
        let tail = tail.trim_start_matches('\n');
        std::fs::write(&path, format!("{head}|---|---|---|---|\n{}\n\n{tail}", rows.join("\n"))).unwrap();
        return;
    }
    assert_eq!(found, rows, "run this test with ORLOP_BLESS=1");
}
