//! `orlop build`: makes the OS image.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cli::{Error, Format, Global, Kind, Progress};
use os_image::lock::Move;
use os_image::{BuildError, Event, Options, Product};

/// Options of `build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the image is made of
    #[arg(long, value_name = "FILE", default_value = "os/orlop.toml")]
    manifest: PathBuf,

    /// Where the image goes
    #[arg(long, value_name = "DIR", default_value = "target/orlop/image")]
    out: PathBuf,

    /// Our static programs, as `cargo xtask build-image` makes them
    #[arg(long, value_name = "DIR", default_value = "target/x86_64-unknown-linux-gnu/os")]
    programs: PathBuf,

    /// Take the newest packages, write the lock beside the manifest and say what moved
    #[arg(long)]
    refresh_lock: bool,

    /// Build every stage anew even if nothing changed
    #[arg(long)]
    fresh: bool,
}

pub(crate) fn run(global: Global, args: &Args) -> Result<ExitCode, Error> {
    let mut progress = Progress::new();
    let cache = sdk::cache_dir().map_err(|error| Error::new(Kind::System, error))?;
    if args.refresh_lock {
        progress.start("resolving packages");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let moves = os_image::refresh_lock(&args.manifest, now).map_err(fold)?;
        progress.done();
        moves.iter().for_each(|step| cli::say(&moved(step)));
    }
    let sdk = sdk::ensure(&cache, &mut |event| show_sdk(&mut progress, event));
    let sdk = sdk.map_err(|error| Error::new(Kind::System, error))?;
    let options = Options {
        manifest: args.manifest.clone(),
        out: args.out.clone(),
        programs: args.programs.clone(),
        cache,
        reuse: !args.fresh,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let mut stages = Vec::new();
    let product = os_image::build(&options, &sdk, &mut |event| {
        if let Event::Done(stage, elapsed) = &event {
            stages.push(serde_json::json!({ "stage": stage, "seconds": elapsed.as_secs_f64() }));
        }
        show(&mut progress, event);
    });
    progress.done();
    let product = product.map_err(fold)?;
    match global.format {
        Format::Human => cli::out(&summary(&args.out, &product)),
        Format::Json => {
            cli::out_json(&serde_json::json!({ "image": args.out, "stages": stages, "manifest": product }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show_sdk(progress: &mut Progress, event: sdk::Event) {
    match event {
        sdk::Event::Waiting => progress.start("waiting for another build to make the SDK tree"),
        sdk::Event::Started { packages, path } => {
            progress.start("SDK tree");
            progress.update(&format!("{packages} packages into {}", path.display()));
        }
        sdk::Event::Step(text) => progress.update(&text),
        sdk::Event::Done { .. } => progress.done(),
    }
}

fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::UpToDate => cli::say("image: nothing changed"),
        Event::Started(stage) => progress.start(stage.name()),
        Event::Detail(_, text) => progress.update(&text),
        Event::Done(..) => progress.done(),
    }
}

/// One line about a package that moved.
fn moved(step: &Move) -> String {
    match (&step.from, &step.to) {
        (None, Some(to)) => format!("new   {} {to}", step.name),
        (Some(from), None) => format!("gone  {} {from}", step.name),
        (from, to) => {
            let text = |version: &Option<String>| version.clone().unwrap_or_default();
            format!("moved {} {} -> {}", step.name, text(from), text(to))
        }
    }
}

fn summary(out: &std::path::Path, product: &Product) -> String {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let file = |name: &str| product.files.get(name).map_or(0, |info| info.bytes);
    format!(
        "{} {} in {}\n  root hash   {}\n  packages    {}, {} names, {:.1} MB\n  compressed  {:.1} MB (usr.erofs {:.1}, initramfs {:.1}, uki {:.1})\n",
        product.id,
        product.version,
        out.display(),
        product.root_hash,
        product.packages.len(),
        product.tree_names,
        mb(product.tree_bytes),
        mb(product.compressed_bytes),
        mb(file("usr.erofs")),
        mb(file("initramfs.cpio.zst")),
        mb(file("uki.efi")),
    )
}

/// Gives an engine's error its kind and its hint.
fn fold(error: BuildError) -> Error {
    let kind = match &error {
        BuildError::Manifest(_) | BuildError::Lock { .. } => Kind::Config,
        BuildError::NoLock { .. } => Kind::NotFound,
        BuildError::Tree(os_image::tree::TreeError::Program { .. }) => Kind::NotFound,
        _ => Kind::System,
    };
    let hint = error.hint();
    let folded = Error::new(kind, error);
    match hint {
        Some(hint) => folded.hint(hint),
        None => folded,
    }
}
