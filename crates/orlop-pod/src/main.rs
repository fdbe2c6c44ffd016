//! Pods and images on a machine, without a daemon.
//!
//! One file for each verb: its arguments and `run`. The program also answers to the name
//! `orlop-pod-generator`, by which systemd asks it for the units of the declared pods.

mod context;
mod generator;
mod verb;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Pods and images on a machine, without a daemon
#[derive(Debug, Parser)]
#[command(name = "orlop-pod", version, max_term_width = 80)]
struct Cli {
    #[command(flatten)]
    global: cli::Global,

    /// Directory below which the machine's own are looked for
    #[arg(long, value_name = "DIR", default_value = "/", env = "ORLOP_POD_ROOT", global = true, hide = true)]
    root: std::path::PathBuf,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(verb::run::Args),
    Prepare(verb::prepare::Args),
    RunPrepared(verb::run_prepared::Args),
    List(verb::list::Args),
    Status(verb::status::Args),
    Logs(verb::logs::Args),
    Exec(verb::exec::Args),
    Stop(verb::stop::Args),
    Rm(verb::rm::Args),
    Gc(verb::gc::Args),
    Fetch(verb::fetch::Args),
    #[command(subcommand)]
    Image(verb::image::Verb),
}

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().map(std::path::PathBuf::from).unwrap_or_default();
    if name.file_name().is_some_and(|name| name == "orlop-pod-generator") {
        return generator::main(args);
    }
    let Cli { global, root, verb } = Cli::parse();
    let context = context::Context::new(global, root);
    cli::main(global, || match verb {
        Verb::Run(args) => args.run(&context),
        Verb::Prepare(args) => args.run(&context),
        Verb::RunPrepared(args) => args.run(&context),
        Verb::List(args) => args.run(&context),
        Verb::Status(args) => args.run(&context),
        Verb::Logs(args) => args.run(&context),
        Verb::Exec(args) => args.run(&context),
        Verb::Stop(args) => args.run(&context),
        Verb::Rm(args) => args.run(&context),
        Verb::Gc(args) => args.run(&context),
        Verb::Fetch(args) => args.run(&context),
        Verb::Image(verb) => verb.run(&context),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_its_help_fits_a_terminal() {
        let mut command = super::Cli::command();
        command.clone().debug_assert();
        let mut pages = vec![command.render_long_help().to_string()];
        for sub in command.get_subcommands_mut() {
            pages.push(sub.render_long_help().to_string());
            pages.extend(sub.get_subcommands_mut().map(|inner| inner.render_long_help().to_string()));
        }
        for page in pages {
            assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        }
    }
}
