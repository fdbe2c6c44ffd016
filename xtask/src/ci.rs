//! What CI runs before the tests.

use anyhow::Result;

use crate::run::{cargo, root, run_words};
use crate::{docs, fuzz, layers, setup};

pub(crate) fn run() -> Result<()> {
    setup::for_tests()?;
    step("fmt", || run_words(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run_words(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    step("deny", || {
        // The advisory database is not reachable from every place that runs this; licences, bans and sources are ours.
        run_words(
            cargo(&["deny", "--all-features", "check", "licenses", "bans", "sources"]).current_dir(root()),
        )
    })?;
    step("layers", layers::run)?;
    step("docs", docs::check)?;
    step("fuzz", fuzz::run_some)
}

/// Runs one step and says how long it took: the slow ones should be seen.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = std::time::Instant::now();
    cli::say(&format!("ci: {name}"));
    work()?;
    cli::say(&format!("ci: {name}: done in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}
