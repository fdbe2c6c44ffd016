//! `orlop-config pack`: how large a config is for each platform, and a smaller one that means the same.

use std::path::PathBuf;
use std::process::ExitCode;

use butane::{Folder, Options};
use cli::{Error, Format, Kind};
use ignition_spec::excerpt::Columns;
use ignition_spec::{Config, Spec};
use orlop_config::pack::limits::{LIMITS, Limit};
use orlop_config::pack::{Way, pack};
use serde::Serialize;

use crate::input::{self, Input, Style};
use crate::transpile::Variables;

/// What `pack` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Butane or Ignition file; `-` for standard input
    #[arg(value_name = "CONFIG")]
    file: PathBuf,

    /// Allow a Butane file to embed local files from this folder
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,

    /// Fit this platform, as readable as that allows; else as small as can be
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,

    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "report")]
    output: Option<PathBuf>,

    /// Print the sizes beside the platforms' limits, not the config
    #[arg(long)]
    report: bool,

    #[command(flatten)]
    variables: Variables,
}

/// The sizes of one config, for scripts.
#[derive(Debug, Serialize)]
struct Sizes {
    given: usize,
    minified: usize,
    contents: usize,
    whole: usize,
    platforms: Vec<Fit>,
}

/// What one platform says.
#[derive(Debug, Serialize)]
struct Fit {
    platform: &'static str,
    limit: usize,
    base64: bool,
    source: &'static str,
    /// The most readable form that fits; nothing when none does.
    fits: Option<&'static str>,
}

/// A packed form.
struct Packed {
    way: Way,
    json: Vec<u8>,
}

/// Runs the verb.
pub(crate) fn run(global: cli::Global, args: &Args) -> Result<ExitCode, Error> {
    let input = input::read(Some(&args.file))?;
    let (config, spec) = read(&input, args)?;
    let pack = |way| -> Result<Packed, Error> {
        let json = pack(&config, spec, way).map_err(|error| Error::new(Kind::Config, error))?;
        Ok(Packed { way, json })
    };
    let packed = Way::ALL.into_iter().map(pack).collect::<Result<Vec<_>, _>>()?;
    if args.report {
        report(global.format, input.bytes.len(), &packed);
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&packed, args.platform.as_deref())?;
    cli::say(&format!(
        "{}: {} bytes, {} ({})",
        input.name,
        input.bytes.len(),
        chosen.json.len(),
        chosen.way.name()
    ));
    input::write(args.output.as_ref(), &chosen.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The config of `input`, and the spec that it was written for.
fn read(input: &Input, args: &Args) -> Result<(Config, Spec), Error> {
    let folder = args.files_dir.as_ref().map(Folder::new);
    let files = folder.as_ref().map(|folder| folder as &dyn butane::Files);
    let values = args.variables.values()?;
    let options = Options { files, name: &input.name, variables: Some(&values), ..Options::default() };
    let document = butane::read(&input.bytes, &options).map_err(|report| {
        let is_butane = butane::is_butane(&input.bytes);
        let columns = if is_butane { Columns::Characters } else { Columns::Bytes };
        let text = format!("{} is refused: {}", input.name, input::count(&report));
        Error::message(Kind::Config, text).details(input::tell(&report, input, columns, Style::Excerpts))
    })?;
    Ok((document.parsed.config, document.parsed.spec))
}

/// The form to write: the most readable one that fits, or the smallest.
fn choose<'p>(packed: &'p [Packed], platform: Option<&str>) -> Result<&'p Packed, Error> {
    let smallest = packed.iter().min_by_key(|packed| packed.json.len());
    let smallest = smallest.ok_or_else(|| Error::message(Kind::Internal, "no form was made"))?;
    let Some(platform) = platform else { return Ok(smallest) };
    let Some(limit) = Limit::of(platform) else {
        let known: Vec<&str> = LIMITS.iter().map(|limit| limit.platform).collect();
        let error = Error::message(Kind::NotFound, format!("no limit is known for the platform {platform}"));
        return Err(error.hint(format!("known are {}", known.join(", "))));
    };
    packed.iter().find(|packed| limit.takes(packed.json.len())).ok_or_else(|| {
        let text = format!(
            "the config does not fit {platform}: {} of at most {} bytes",
            limit.counted(smallest.json.len()),
            limit.bytes
        );
        Error::message(Kind::Config, text)
            .hint("put large contents where the machine can fetch them, and name their URL and hash")
    })
}

fn report(format: Format, given: usize, packed: &[Packed]) {
    let size = |way| packed.iter().find(|packed| packed.way == way).map_or(0, |packed| packed.json.len());
    let fits = |limit: &Limit| {
        packed.iter().find(|packed| limit.takes(packed.json.len())).map(|packed| packed.way.name())
    };
    let platforms = LIMITS.iter().map(|limit| Fit {
        platform: limit.platform,
        limit: limit.bytes,
        base64: limit.base64,
        source: limit.source,
        fits: fits(limit),
    });
    let sizes = Sizes {
        given,
        minified: size(Way::Minified),
        contents: size(Way::Contents),
        whole: size(Way::Whole),
        platforms: platforms.collect(),
    };
    match format {
        Format::Json => cli::out_json(&sizes),
        Format::Human => cli::out(&sizes.to_human()),
    }
}

impl Sizes {
    fn to_human(&self) -> String {
        let mut out = String::new();
        for (name, size) in [
            ("as given", self.given),
            ("minified", self.minified),
            ("contents", self.contents),
            ("whole", self.whole),
        ] {
            out.push_str(&format!("{name:12} {size:>9} bytes\n"));
        }
        out.push('\n');
        for fit in &self.platforms {
            let unit = if fit.base64 { "bytes in base64" } else { "bytes" };
            let verdict = fit.fits.map_or_else(|| "does not fit".to_owned(), |way| format!("fits {way}"));
            out.push_str(&format!("{:12} {:>9} {unit:16} {verdict}\n", fit.platform, fit.limit));
        }
        out
    }
}
