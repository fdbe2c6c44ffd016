//! `orlop-pod image`

use std::process::ExitCode;

use clap::Subcommand;
use cli::Error;
use serde::Serialize;

use crate::context::{Context, mega, reference, store_error};

/// Images on this machine
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the images
    List,
    /// Remove images, and layers that no other image needs
    Rm {
        /// Names of images
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove layers and downloads that nothing needs
    Gc,
}

#[derive(Serialize)]
struct Row {
    image: String,
    digest: String,
    layers: usize,
    size: u64,
    fetched: String,
}

impl Verb {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let store = context.store()?;
        match self {
            Verb::List => {
                let rows: Vec<Row> = store
                    .list()
                    .map_err(store_error)?
                    .into_iter()
                    .map(|image| Row {
                        image: image.reference.to_string(),
                        digest: image.digest.to_string(),
                        layers: image.manifest.layers.len(),
                        size: image.size(),
                        fetched: oci_image::build::rfc3339(image.fetched_secs),
                    })
                    .collect();
                print(context, &rows);
            }
            Verb::Rm { images } => {
                for name in images {
                    store.remove(&reference(&name)?).map_err(store_error)?;
                }
            }
            Verb::Gc => {
                let collected = store.gc().map_err(store_error)?;
                if context.json() {
                    cli::out_json(&collected);
                } else {
                    let oci_image::store::Collected { documents, layers, torn } = collected;
                    cli::out(&format!(
                        "removed {layers} layers, {documents} documents, {torn} torn downloads\n"
                    ));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(context: &Context, rows: &[Row]) {
    if context.json() {
        cli::out_json(&rows);
        return;
    }
    let width = rows.iter().map(|row| row.image.len()).max().unwrap_or(0).max(5);
    let mut text = format!("{:width$}  {:12}  {:>9}  FETCHED\n", "IMAGE", "DIGEST", "SIZE");
    for row in rows {
        let digest = row.digest.split(':').nth(1).map_or("", |hex| &hex[..12]);
        text.push_str(&format!(
            "{:width$}  {digest:12}  {:>6.1} MB  {}\n",
            row.image,
            mega(row.size),
            row.fetched
        ));
    }
    cli::out(&text);
}
