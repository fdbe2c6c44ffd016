//! `create` and `run`.

use oci_runtime::relay::Foreground;
use oci_runtime::state::Root;
use oci_runtime::{CreateOptions, protect};

use super::{events, handed_over};
use crate::Failure;
use crate::args::Parsed;
use crate::log::Log;

fn options(parsed: &Parsed) -> Result<CreateOptions, Failure> {
    let path = |name| parsed.value(name).filter(|v| !v.is_empty()).map(Into::into);
    let (preserve_fds, extra_env) = handed_over(parsed)?;
    Ok(CreateOptions {
        bundle: path("bundle").unwrap_or_else(|| ".".into()),
        console_socket: path("console-socket"),
        pid_file: path("pid-file"),
        no_pivot: parsed.has("no-pivot"),
        no_new_keyring: parsed.has("no-new-keyring"),
        preserve_fds,
        extra_env,
        relay_terminal: false,
    })
}

pub(super) fn create(root: &Root, parsed: &Parsed, log: &mut Log) -> Result<u8, Failure> {
    let id = parsed.id()?;
    protect::protect_binary()?;
    oci_runtime::create(root, id, &options(parsed)?, &mut events(log))?;
    Ok(0)
}

pub(super) fn run(root: &Root, parsed: &Parsed, log: &mut Log) -> Result<u8, Failure> {
    let id = parsed.id()?;
    protect::protect_binary()?;
    let options = options(parsed)?;
    if parsed.has("detach") {
        oci_runtime::run(root, id, &options, &mut events(log))?;
        return Ok(0);
    }
    let options = CreateOptions { relay_terminal: options.console_socket.is_none(), ..options };
    if !parsed.has("no-subreaper") {
        // Orphans of the container end here and not at some ancestor that does not expect them.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    let foreground = Foreground::prepare()?;
    let running = oci_runtime::run(root, id, &options, &mut events(log))?;
    let code = foreground.follow(&running)?;
    if !parsed.has("keep") {
        oci_runtime::delete(root, id, true, &mut events(log))?;
    }
    Ok(u8::try_from(code).unwrap_or(255))
}
