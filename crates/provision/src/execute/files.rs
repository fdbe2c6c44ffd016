//! Files: whole, or not at all.

use std::fs::File;
use std::io::{self, Write as _};

use super::{Env, StepError};
use crate::event::{Events, Phase};
use crate::fetch::ACCEPT_CONFIG;
use crate::fetch::resource::{FileSink, Resource};
use crate::net::http::HttpSettings;
use crate::plan::action::Base;
use crate::root::{Attributes, RootError};

pub(crate) fn write(
    path: &str,
    attributes: Attributes,
    base: &Base,
    append: &[Resource],
    settings: &HttpSettings,
    env: &mut Env<'_>,
    events: Events<'_>,
) -> Result<(), StepError> {
    let Env { root, net, .. } = env;
    let root = &*root;
    root.write_with(path, attributes, |file| {
        let failed = |source: io::Error| RootError { action: "write", path: path.to_owned(), source };
        let mut fetch = |resource: &Resource, file: &mut File| -> Result<(), StepError> {
            let mut sink = FileSink::new(file).map_err(failed)?;
            Ok(net.copy(resource, settings, Some(ACCEPT_CONFIG), &mut sink, Phase::Files, events)?)
        };
        match base {
            Base::Empty => {}
            Base::Existing => {
                io::copy(&mut root.open_file(path)?, file).map_err(failed)?;
            }
            Base::Copy(from) | Base::Original(from) => {
                io::copy(&mut root.open_file(from)?, file).map_err(failed)?;
            }
            Base::Text(text) => file.write_all(text.as_bytes()).map_err(failed)?,
            Base::Resource(resource) => fetch(resource, file)?,
        }
        append.iter().try_for_each(|resource| fetch(resource, file))
    })
}

/// Runs setfiles on what was written. It takes the list of paths from a file that is in memory only.
pub(super) fn relabel(contexts: &str, paths: &[String], env: &Env<'_>) -> Result<(), StepError> {
    let root = env.root.path();
    let below = |path: &str| root.join(path.trim_start_matches('/')).display().to_string();
    // What the planner expected may not have come about: an account program that had nothing to do.
    let there = paths.iter().filter(|path| matches!(env.root.stat(path), Ok(Some(_))));
    let list: String = there.map(|path| format!("{}\n", below(path))).collect();
    let failed = |source| StepError::MakeKey { source };
    let file = super::luks::in_memory("relabel", list.as_bytes()).map_err(failed)?;
    let args = ["-F", "-r", &root.display().to_string(), "-f", &file.path, &below(contexts)];
    Ok(env.programs.run("setfiles", &args.map(str::to_owned))?)
}
