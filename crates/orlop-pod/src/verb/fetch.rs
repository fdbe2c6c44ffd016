//! `orlop-pod fetch`

use std::process::ExitCode;

use cli::{Error, Kind};
use oci_image::layout::Layout;
use oci_image::pull::pull;
use oci_image::source::LayoutSource;

use crate::context::{Context, reference};

/// Fetch images from their registries, whether they are here or not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of images, such as quay.io/team/web:1 or web@sha256:…
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Take them from an OCI layout in this directory instead
    #[arg(long, value_name = "DIR")]
    layout: Option<std::path::PathBuf>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let store = context.store()?;
        for name in &self.images {
            let name = reference(name)?;
            let image = match &self.layout {
                None => context.fetch(&store, &name)?,
                Some(dir) => {
                    let source = LayoutSource::new(Layout::at(dir));
                    pull(&store, &source, &name, &mut |_| {})
                        .map_err(|error| Error::new(Kind::System, error))?
                }
            };
            if context.json() {
                cli::out_json(&serde_json::json!({ "image": image.reference, "digest": image.digest }));
            } else {
                cli::out(&format!("{}\n", image.digest));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
