//! What every verb needs: the machine's directories, its images, how errors and progress are told.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Error, Format, Kind, Progress, ResultExt};
use oci_image::client::{ClientError, Options};
use oci_image::fetch::{Event, FetchError, fetch};
use oci_image::pull::{Event as Pull, PullError};
use oci_image::reference::ReferenceError;
use oci_image::registries::Registries;
use oci_image::store::StoreError;
use oci_image::{Image, Reference, Store};
use pod::dirs::Dirs;
use pod::monitor::MonitorError;
use pod::pods::{Pods, PodsError, Seen};
use pod::prepare::PrepareError;
use pod::runtime::Runtime;
use pod::spec::{self, Pod};

/// Exit code of `run` and `exec` where Orlop itself failed: the codes below are the container's (rkt's rule).
const OWN_FAILURE: u8 = 254;

/// The machine as the verbs see it.
pub(crate) struct Context {
    pub(crate) global: cli::Global,
    root: PathBuf,
    pub(crate) dirs: Dirs,
}

impl Context {
    pub(crate) fn new(global: cli::Global, root: PathBuf) -> Self {
        let dirs = if root == Path::new("/") { Dirs::default() } else { Dirs::below(&root) };
        Self { global, root, dirs }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn json(&self) -> bool {
        self.global.format == Format::Json
    }

    pub(crate) fn pods(&self) -> Result<Pods, Error> {
        Pods::open(&self.dirs).map_err(pods_error)
    }

    pub(crate) fn store(&self) -> Result<Store, Error> {
        Store::open(&self.dirs.images()).map_err(store_error)
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(&self.dirs.runtime())
    }

    pub(crate) fn find(&self, name: &str) -> Result<Seen, Error> {
        self.pods()?.find(name).map_err(pods_error)
    }

    /// Fetches an image, with progress on standard error.
    pub(crate) fn fetch(&self, store: &Store, reference: &Reference) -> Result<Image, Error> {
        let registries = Registries::load(&self.root).kind(Kind::Config)?;
        let options = Options::load(&self.root).kind(Kind::Config)?;
        let mut progress = Progress::new();
        progress.start(&format!("fetch {reference}"));
        let image = fetch(store, &registries, &options, reference, &mut |event| tell(&mut progress, &event));
        if image.is_ok() {
            progress.done();
        }
        image.map_err(|error| fetch_error(error).hint("registries.conf(5) says where images are looked for"))
    }

    /// Runs a verb whose exit code is a container's: failures of our own are 254 whatever their kind.
    pub(crate) fn passing_codes(
        &self,
        verb: impl FnOnce() -> Result<ExitCode, Error>,
    ) -> Result<ExitCode, Error> {
        verb().or_else(|error| {
            match self.global.format {
                Format::Human => cli::say(error.to_human().trim_end()),
                Format::Json => cli::out(&(error.to_json() + "\n")),
            }
            Ok(ExitCode::from(OWN_FAILURE))
        })
    }
}

/// Reads a declaration; what is wrong with it is shown with its lines.
pub(crate) fn read_declaration(path: &Path) -> Result<(String, Pod), Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Config };
        Error::new(kind, anyhow::Error::new(error).context(format!("cannot read {}", path.display())))
    })?;
    let pod = parse_declaration(&path.display().to_string(), &text)?;
    Ok((text, pod))
}

pub(crate) fn parse_declaration(file: &str, text: &str) -> Result<Pod, Error> {
    spec::parse(text).map_err(|error| {
        let details = error.render(file, text);
        let count = error.problems.len();
        let noun = if count == 1 { "a mistake" } else { "mistakes" };
        Error::message(Kind::Config, format!("{file} has {noun}")).details(details)
    })
}

fn tell(progress: &mut Progress, event: &Event) {
    match event {
        Event::Asking { endpoint } => progress.update(&format!("asking {endpoint}")),
        Event::Passed { endpoint, error } => progress.line(&format!("{endpoint} does not give it: {error}")),
        Event::Pull(Pull::Fetching { digest, done, total }) => {
            progress.update(&format!(
                "layer {}: {:.1} of {:.1} MB",
                digest.short(),
                mega(*done),
                mega(*total)
            ));
        }
        Event::Pull(Pull::Unpacking { digest }) => {
            progress.update(&format!("layer {}: unpacking", digest.short()));
        }
        Event::Pull(Pull::Retry { error, wait }) => {
            progress.line(&format!("trying again in {:.1} s: {error}", wait.as_secs_f64()));
        }
        _ => {}
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
pub(crate) fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub(crate) fn reference(text: &str) -> Result<Reference, Error> {
    text.parse().map_err(|error: ReferenceError| Error::new(Kind::Usage, error))
}

pub(crate) fn pods_error(error: PodsError) -> Error {
    let (kind, hint) = match &error {
        PodsError::NotFound { .. } => (Kind::NotFound, Some("orlop-pod list shows what there is")),
        PodsError::Ambiguous { .. } => (Kind::Usage, Some("give more digits of the id")),
        PodsError::NameTaken { .. } => (Kind::Conflict, Some("stop it first: orlop-pod stop NAME")),
        PodsError::WrongState { .. } => (Kind::Conflict, None),
        PodsError::Io { .. } | PodsError::Damaged { .. } => (Kind::System, None),
    };
    let error = Error::new(kind, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

pub(crate) fn store_error(error: StoreError) -> Error {
    let kind = match &error {
        StoreError::NotFound { .. } => Kind::NotFound,
        StoreError::InUse { .. } => Kind::Conflict,
        StoreError::Version { .. } => Kind::Unsupported,
        StoreError::Io { .. } | StoreError::Damaged { .. } => Kind::System,
    };
    Error::new(kind, error)
}

fn fetch_error(error: FetchError) -> Error {
    let kind = match &error {
        FetchError::Rules { .. } => Kind::Config,
        FetchError::Client { .. } => Kind::System,
        FetchError::Pull { source, .. } => match &**source {
            PullError::Source { source, .. } if ClientError::is_not_found(source) => Kind::NotFound,
            PullError::NoPlatform { .. } | PullError::LayerKind { .. } => Kind::Unsupported,
            _ => Kind::System,
        },
    };
    Error::new(kind, error)
}

/// What fetching gives to [`pod::prepare`]: the front's error in a shape that can be a source.
#[derive(Debug)]
pub(crate) struct Fetching(pub(crate) Error);

impl std::fmt::Display for Fetching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.to_human().trim_start_matches("error: ").lines().next().unwrap_or_default())
    }
}

impl std::error::Error for Fetching {}

pub(crate) fn prepare_error(error: PrepareError<Fetching>) -> Error {
    match error {
        PrepareError::Pods(error) => pods_error(error),
        PrepareError::Store(error) => store_error(error),
        PrepareError::Fetch { container, source: Fetching(error) } => {
            error.hint(format!("container {container} of the declaration names this image"))
        }
        error @ PrepareError::Absent { .. } => {
            Error::new(Kind::NotFound, error).hint("orlop-pod fetch IMAGE brings it")
        }
    }
}

pub(crate) fn monitor_error(error: MonitorError) -> Error {
    match error {
        MonitorError::Pods(error) => pods_error(error),
        error => Error::new(Kind::System, error),
    }
}
