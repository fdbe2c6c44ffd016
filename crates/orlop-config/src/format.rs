//! `--format` of this program: those of every front, and SARIF for `validate`.

use clap::ValueEnum;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    /// For people: tables and sentences.
    #[default]
    Human,
    /// One JSON value on standard output.
    Json,
    /// SARIF 2.1.0, for code hosts and editors (`validate` alone).
    Sarif,
}

/// Options of every verb.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Global {
    /// How to print data and errors
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub(crate) format: Form,

    /// Say more on standard error (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

impl Global {
    /// What the other fronts know of it; errors of a run with SARIF are told to people.
    pub(crate) fn plain(self) -> cli::Global {
        let format = if self.format == Form::Json { cli::Format::Json } else { cli::Format::Human };
        cli::Global { format, verbose: self.verbose }
    }
}
