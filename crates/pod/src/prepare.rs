//! From a declaration to a prepared pod: its images are here and leased, its directory is written.

use std::collections::BTreeMap;

use oci_image::store::StoreError;
use oci_image::{Image, Reference, Store};

use crate::pods::{Handle, ImageRecord, Pods, PodsError, Record, VERSION, now_secs};
use crate::spec::{Pod, PullPolicy};

/// Why a pod is not prepared. `E` is the error of whoever fetches images.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError<E: std::error::Error + Send + Sync + 'static> {
    /// The pod's directory failed.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// The image store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image cannot be fetched.
    #[error("container {container} has no image")]
    Fetch {
        /// Which container.
        container: String,
        /// Why.
        #[source]
        source: E,
    },
    /// An image is not here, and the declaration says not to fetch it.
    #[error(
        "container {container} has no image: {image} is not on this machine and imagePullPolicy is Never"
    )]
    Absent {
        /// Which container.
        container: String,
        /// Its image.
        image: String,
    },
}

/// The id under which container `app` of pod `id` leases its image.
#[must_use]
pub fn lease_id(id: &str, app: &str) -> String {
    format!("{id}.{app}")
}

/// Prepares the pod that `text` declares (`spec` is what it was parsed to). `fetch` brings images that are needed.
///
/// # Errors
/// [`PrepareError`]; nothing of the pod is left then.
pub fn prepare<E: std::error::Error + Send + Sync + 'static>(
    pods: &Pods,
    store: &Store,
    text: &str,
    spec: &Pod,
    fetch: &mut dyn FnMut(&Reference) -> Result<Image, E>,
) -> Result<Handle, PrepareError<E>> {
    let handle = pods.create()?;
    match fill(&handle, store, text, spec, fetch) {
        Ok(()) => {
            let mut handle = handle;
            handle.advance(crate::pods::State::Prepared)?;
            Ok(handle)
        }
        Err(error) => {
            // The first failure is the one to tell; gc removes what cannot be removed now.
            let _ = store.release(&lease_id(handle.id(), ""));
            let _ = handle.remove();
            Err(error)
        }
    }
}

fn fill<E: std::error::Error + Send + Sync + 'static>(
    handle: &Handle,
    store: &Store,
    text: &str,
    spec: &Pod,
    fetch: &mut dyn FnMut(&Reference) -> Result<Image, E>,
) -> Result<(), PrepareError<E>> {
    handle.write("pod.yaml", text.as_bytes())?;
    let mut images = BTreeMap::new();
    for container in &spec.containers {
        let here = store.find(&container.image)?.filter(|image| store.is_complete(image));
        let image = match (container.pull_policy, here) {
            (PullPolicy::IfNotPresent | PullPolicy::Never, Some(image)) => image,
            (PullPolicy::Never, None) => {
                let (container, image) = (container.name.clone(), container.image.to_string());
                return Err(PrepareError::Absent { container, image });
            }
            (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, None) => fetch(&container.image)
                .map_err(|source| PrepareError::Fetch { container: container.name.clone(), source })?,
        };
        store.lease(&lease_id(handle.id(), &container.name), &image)?;
        images
            .insert(container.name.clone(), ImageRecord { reference: image.reference, digest: image.digest });
    }
    let record = Record {
        version: VERSION,
        id: handle.id().to_owned(),
        name: spec.name.clone(),
        created_secs: now_secs(),
        images,
    };
    handle.write_json("pod.json", &record)?;
    Ok(())
}
