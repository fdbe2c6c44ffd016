//! The tests: four tiers under one runner.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run::{cargo, root, run as run_command};
use crate::{image, setup};

/// Options of `test`; what follows `--` goes to nextest.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these tiers: 0 and 1 need nothing, 2 root, 3 QEMU (repeatable)
    #[arg(long, value_name = "N")]
    tier: Vec<u8>,

    /// Further options of `cargo nextest run`
    #[arg(last = true)]
    rest: Vec<String>,
}

fn filter(tiers: &[u8]) -> Result<String> {
    let mut parts = Vec::new();
    for tier in tiers {
        parts.push(match tier {
            // Unit and integration tests run in one go; a nextest filter cannot tell them by name.
            0 => "(kind(lib) + kind(bin)) - test(/(^|::)(root|vm)_/)",
            1 => "kind(test) - test(/(^|::)(root|vm)_/)",
            2 => "test(/(^|::)root_/)",
            3 => "test(/(^|::)vm_/)",
            _ => bail!("no tier {tier}: they are 0, 1, 2 and 3"),
        });
    }
    Ok(parts.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" + "))
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::for_tests()?;
    let sdk = setup::for_build()?;
    let mut nextest = cargo(&["nextest", "run", "--workspace"]);
    if args.tier.is_empty() || args.tier.contains(&3) {
        nextest.env("ORLOP_IMAGE_DIR", image::build(false)?);
    }
    if !args.tier.is_empty() {
        nextest.arg("--filterset").arg(filter(&args.tier)?);
    }
    nextest.env("ORLOP_SDK", sdk.root());
    if let Some(corpus) = corpus(&root()) {
        nextest.env("ORLOP_CORPUS", corpus);
    }
    run_command(nextest.args(&args.rest))
}

/// The real configs and verdict tables beside a developer's checkout; tests that read them skip where there are none.
fn corpus(root: &Path) -> Option<std::path::PathBuf> {
    let corpus = root.parent()?.join("shared/corpus");
    corpus.is_dir().then_some(corpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_become_one_filter() {
        assert_eq!(filter(&[2, 3]).unwrap(), "(test(/(^|::)root_/)) + (test(/(^|::)vm_/))");
        assert!(filter(&[4]).is_err());
    }
}
