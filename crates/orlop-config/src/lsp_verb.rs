//! `orlop-config lsp`: the language server on standard input and output.

use std::process::ExitCode;

use cli::{Error, Kind, ResultExt as _};

/// Runs the verb until the editor ends it.
pub(crate) fn run() -> Result<ExitCode, Error> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    orlop_config::lsp::serve(&mut input, &mut output).kind(Kind::System)?;
    Ok(ExitCode::SUCCESS)
}
