//! `orlop-config schema`: the JSON Schema of a kind of document, for editors and other checkers.

use std::process::ExitCode;

use butane::variant::Dialect;
use cli::{Error, Kind};
use ignition_spec::json_schema::{Heading, json_schema};
use ignition_spec::{Spec, View};
use orlop_config::views;

/// What `schema` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `ignition`, or a variant of Butane
    #[arg(long, default_value = "ignition")]
    variant: String,

    /// Version of the spec or variant; the newest stable one without
    #[arg(long)]
    version: Option<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let schema = match args.variant.as_str() {
        "ignition" => of_ignition(args.version.as_deref())?,
        variant => of_butane(variant, args.version.as_deref())?,
    };
    cli::out(&String::from_utf8_lossy(&schema));
    cli::out("\n");
    Ok(ExitCode::SUCCESS)
}

fn of_butane(variant: &str, version: Option<&str>) -> Result<Vec<u8>, Error> {
    let versions = views::versions(variant);
    if versions.is_empty() {
        let error = Error::message(Kind::NotFound, format!("there is no variant {variant}"));
        return Err(error.hint(format!("known are ignition, {}", views::variants().join(", "))));
    }
    let newest = versions.iter().find(|version| !version.contains('-')).or(versions.first());
    let version = version.or(newest.map(String::as_str)).unwrap_or_default();
    let Some(dialect) = Dialect::named(variant, version) else {
        let error = Error::message(Kind::NotFound, format!("{variant} has no version {version}"));
        return Err(error.hint(format!("known are {}", versions.join(", "))));
    };
    let title = format!("Butane config, variant {variant} {version}");
    let fixed = [("variant", variant), ("version", version)];
    Ok(json_schema(&views::view(dialect), &Heading { title: &title, fixed: &fixed }))
}

fn of_ignition(version: Option<&str>) -> Result<Vec<u8>, Error> {
    let spec = match version {
        None => Spec::STABLE,
        Some(text) => Spec::parse(text).map_err(|error| {
            let error =
                Error::new(Kind::NotFound, anyhow::Error::new(error).context(format!("version {text}")));
            error.hint(format!("known are {}", Spec::ACCEPTED))
        })?,
    };
    let version = spec.to_string();
    let title = format!("Ignition config {version}");
    Ok(json_schema(
        &View::ignition(spec),
        &Heading { title: &title, fixed: &[("ignition.version", &version)] },
    ))
}
