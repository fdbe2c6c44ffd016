//! Standard output is data, standard error is words.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people: tables and sentences.
    #[default]
    Human,
    /// One JSON value on standard output.
    Json,
}

/// Options that every verb of every front takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Global {
    /// How to print data and errors
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub format: Format,

    /// Say more on standard error (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// Prints data to standard output as it is. A closed pipe (`… | head`) ends the program quietly with code 0.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        quiet_end();
    }
}

/// Prints `value` as one line of JSON to standard output.
pub fn out_json(value: &impl Serialize) {
    let mut text = serde_json::to_string(value).expect("the printed types always serialise");
    text.push('\n');
    out(&text);
}

/// Prints a line of words to standard error; a closed standard error loses it.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{line}");
}

/// The reader of our output went away: there is nobody left to tell.
#[expect(clippy::exit, reason = "the reader of standard output is gone, as `yes | head` has it")]
fn quiet_end() {
    std::process::exit(0);
}
