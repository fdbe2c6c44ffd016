//! Brings an image from wherever the machine's rules say: mirrors in order, then the registry itself.

use crate::client::{Client, ClientError, Options};
use crate::pull::{self, PullError};
use crate::reference::Reference;
use crate::registries::{Endpoint, Registries, RegistriesError};
use crate::store::{Image, Store};

/// What happens while an image is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An endpoint is asked.
    Asking {
        /// Which one.
        endpoint: Endpoint,
    },
    /// It does not give the image; the next one is asked.
    Passed {
        /// Which one.
        endpoint: Endpoint,
        /// Why not.
        error: String,
    },
    /// Something about the pull itself.
    Pull(pull::Event),
}

/// Why an image is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The rules forbid it, or are broken.
    #[error("cannot fetch {reference}")]
    Rules {
        /// Which image.
        reference: String,
        /// Why.
        #[source]
        source: Box<RegistriesError>,
    },
    /// No client can be made for an endpoint.
    #[error("cannot fetch {reference}")]
    Client {
        /// Which image.
        reference: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The last endpoint does not give it either.
    #[error("cannot fetch {reference} from {endpoint}")]
    Pull {
        /// Which image.
        reference: String,
        /// Where it was asked for last.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: Box<PullError<ClientError>>,
    },
}

/// Fetches `reference` into `store`.
///
/// # Errors
/// [`FetchError`], of the last endpoint that was asked.
pub fn fetch(
    store: &Store,
    registries: &Registries,
    options: &Options,
    reference: &Reference,
    events: &mut dyn FnMut(Event),
) -> Result<Image, FetchError> {
    let named = || reference.to_string();
    let endpoints = registries
        .endpoints(reference)
        .map_err(|source| FetchError::Rules { reference: named(), source: Box::new(source) })?;
    let last = endpoints.len().saturating_sub(1);
    for (i, endpoint) in endpoints.iter().enumerate() {
        events(Event::Asking { endpoint: endpoint.clone() });
        let client = Client::new(endpoint, options);
        let client = client.map_err(|source| FetchError::Client { reference: named(), source })?;
        match pull::pull(store, &client, reference, &mut |event| events(Event::Pull(event))) {
            Ok(image) => return Ok(image),
            // What the store refuses, it refuses from everywhere.
            Err(source) if i == last || matches!(source, PullError::Store(_)) => {
                return Err(FetchError::Pull {
                    reference: named(),
                    endpoint: endpoint.clone(),
                    source: Box::new(source),
                });
            }
            Err(error) => events(Event::Passed { endpoint: endpoint.clone(), error: error.to_string() }),
        }
    }
    unreachable!("every image has at least one endpoint")
}
