//! Configs: transpile Butane, validate Butane and Ignition. Also answers to the names `butane` and
//! `ignition-validate`, with their flags and exit codes.
//!
//! One module a verb: its `Args` and its `run`. [`names`] holds what upstream's programs do otherwise.

mod drift;
mod explain;
mod format;
mod forms;
mod input;
mod lsp_verb;
mod names;
mod pack_verb;
mod plan;
mod schema;
mod transpile;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::{Error, Kind};

use crate::format::{Form, Global};

/// Transpiles and validates configs of machines
#[derive(Debug, Parser)]
#[command(name = "orlop-config", version, max_term_width = 80)]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an Ignition config of a Butane file
    Transpile(transpile::Args),
    /// Say whether Butane and Ignition files are valid
    Validate(validate::Args),
    /// Explain the code of an error
    Explain(explain::Args),
    /// Print the JSON Schema of a kind of config
    Schema(schema::Args),
    /// Make a config smaller, or tell which platforms take it
    Pack(pack_verb::Args),
    /// Serve an editor over standard input and output (LSP)
    Lsp,
    /// Show everything that a config would change, and change nothing
    Plan(plan::Args),
    /// Show what differs from what was applied (exit code 1 if anything)
    Diff(drift::Args),
}

fn main() -> ExitCode {
    let own_name = std::env::args_os().next().unwrap_or_default();
    match std::path::Path::new(&own_name).file_name().and_then(|name| name.to_str()) {
        Some("butane") => return names::butane(),
        Some("ignition-validate") => return names::ignition_validate(),
        _ => {}
    }
    let Cli { global, verb } = Cli::parse();
    cli::main(global.plain(), || match verb {
        Verb::Validate(args) => validate::run(global.format, &args),
        _ if global.format == Form::Sarif => {
            Err(Error::message(Kind::Usage, "only `validate` has the format sarif"))
        }
        Verb::Transpile(args) => transpile::run(&args),
        Verb::Explain(args) => explain::run(global.plain(), &args),
        Verb::Schema(args) => schema::run(&args),
        Verb::Pack(args) => pack_verb::run(global.plain(), &args),
        Verb::Lsp => lsp_verb::run(),
        Verb::Plan(args) => plan::run(global.plain(), &args),
        Verb::Diff(args) => drift::run(global.plain(), &args),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_its_help_fits() {
        let mut command = super::Cli::command();
        command.clone().debug_assert();
        for verb in command.get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        }
    }
}
