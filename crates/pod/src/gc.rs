//! Removes what is no longer needed, and puts right what a crash left.

use std::time::Duration;

use oci_image::Store;
use oci_image::store::StoreError;
use serde::Serialize;

use crate::network::{self, ipam::Ipam};
use crate::pods::{Handle, Pods, PodsError, Seen, State, Status, now_secs};
use crate::prepare::lease_id;
use crate::runtime::Runtime;
use crate::start::container_id;

/// Why nothing could be removed.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The pods' directories failed.
    #[error(transparent)]
    Pods(#[from] PodsError),
    /// The image store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Pods whose monitor had died, ended in order.
    pub ended: Vec<String>,
    /// Pods removed.
    pub removed: Vec<String>,
    /// What could not be done, and why.
    pub failures: Vec<String>,
}

/// Ends what a dead monitor left running, removes torn preparations, and pods that ended more than `grace` ago.
///
/// # Errors
/// [`GcError`] where the pods cannot be listed; what fails for one pod is in the report.
pub fn collect(pods: &Pods, store: &Store, runtime: &Runtime, grace: Duration) -> Result<Report, GcError> {
    let mut report = Report::default();
    for seen in pods.list()? {
        let ended = seen.status.as_ref().and_then(|status| status.ended_secs);
        let old = ended.is_some_and(|ended| now_secs().saturating_sub(ended) >= grace.as_secs());
        let result = match seen.state {
            State::Running if seen.torn => {
                end_torn(pods, runtime, &seen).map(|()| report.ended.push(seen.id.clone()))
            }
            State::Preparing if seen.torn && is_old(&seen) => {
                remove(pods, store, &seen.id).map(|()| report.removed.push(seen.id.clone()))
            }
            State::Exited if old => {
                remove(pods, store, &seen.id).map(|()| report.removed.push(seen.id.clone()))
            }
            State::Garbage => remove(pods, store, &seen.id).map(|()| report.removed.push(seen.id.clone())),
            _ => Ok(()),
        };
        if let Err(error) = result {
            report.failures.push(format!("{}: {error}", seen.id));
        }
    }
    let all = pods.list()?;
    let ipam = Ipam::at(&pods.dirs().network());
    for id in ipam.holders() {
        if !all.iter().any(|seen| seen.id == id && seen.state == State::Running) {
            report.failures.extend(network::clean(&ipam, &id).iter().map(crate::start::chain));
        }
    }
    let known: Vec<String> = all.into_iter().map(|seen| seen.id).collect();
    for lease in store.leases()? {
        if !known.iter().any(|id| lease.starts_with(&lease_id(id, ""))) {
            store.release(&lease)?;
        }
    }
    Ok(report)
}

/// A directory that was made just now may not be locked yet.
fn is_old(seen: &Seen) -> bool {
    const YOUNG: Duration = Duration::from_secs(60);
    let modified = seen.dir.metadata().and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > YOUNG)
}

/// Ends a pod whose monitor died: its containers are killed, its network is cleaned, its end is written down.
///
/// # Errors
/// [`GcError`].
pub fn end_torn(pods: &Pods, runtime: &Runtime, seen: &Seen) -> Result<(), GcError> {
    let mut handle = pods.hold(&seen.id, &[State::Running])?;
    if let Ok(spec) = handle.spec() {
        for container in &spec.containers {
            let _ = runtime.delete(&container_id(&seen.id, &container.name));
        }
    }
    for error in network::clean(&Ipam::at(&pods.dirs().network()), &seen.id) {
        tracing::warn!(error = %crate::start::chain(&error), pod = seen.id, "left behind");
    }
    let mut status: Status = seen.status.clone().unwrap_or_default();
    status.version = crate::pods::VERSION;
    status.ended_secs = Some(now_secs());
    status.error = Some("the pod's monitor died".to_owned());
    for app in &mut status.apps {
        app.pid = None;
    }
    handle.write_json("status.json", &status)?;
    handle.advance(State::Exited)?;
    Ok(())
}

/// Removes a pod that does not run, and its leases.
///
/// # Errors
/// [`GcError`]; [`PodsError::WrongState`] where it runs.
pub fn remove(pods: &Pods, store: &Store, id: &str) -> Result<(), GcError> {
    let states = [State::Preparing, State::Prepared, State::Exited, State::Garbage];
    let handle: Handle = pods.hold(id, &states)?;
    store.release(&lease_id(id, ""))?;
    handle.remove()?;
    Ok(())
}
