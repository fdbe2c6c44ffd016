//! `orlop-config explain`: the page of an error's code.

use std::process::ExitCode;

use cli::{Error, Format, Kind};
use orlop_config::pages;
use serde::Serialize;

/// What `explain` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Code of an error, such as `path-relative`; without one, the list
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    code: &'static str,
    text: &'static str,
}

/// Runs the verb.
pub(crate) fn run(global: cli::Global, args: &Args) -> Result<ExitCode, Error> {
    let Some(code) = &args.code else {
        list(global.format);
        return Ok(ExitCode::SUCCESS);
    };
    let Some(page) = pages::find(code) else {
        let error = Error::message(Kind::NotFound, format!("no error has the code {code}"));
        return Err(error.hint("`orlop-config explain` lists the codes"));
    };
    cli::out(&page.markdown());
    Ok(ExitCode::SUCCESS)
}

fn list(format: Format) {
    match format {
        Format::Json => {
            let lines: Vec<Line> =
                pages::all().map(|page| Line { code: page.code, text: page.text }).collect();
            cli::out_json(&lines);
        }
        Format::Human => {
            let text: String = pages::all().map(|page| format!("{:30} {}\n", page.code, page.text)).collect();
            cli::out(&text);
        }
    }
}
