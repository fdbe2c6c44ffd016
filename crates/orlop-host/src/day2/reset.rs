//! `orlop-host reset`: the machine is provisioned anew at its next boot.

use std::process::ExitCode;

use cli::{Error, Format, Kind};
use provision::root::Attributes;
use serde::Serialize;

use super::place::Place;

/// What orlop-init finds (docs/formats/boot.md).
const WISH: &str = "/orlop/reset.json";
/// Top directories in which something can be kept.
const KEEPABLE: [&str; 1] = ["/var/"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep this path below /var (repeat for more)
    #[arg(long, value_name = "PATH")]
    keep: Vec<String>,

    /// Do it; without this, say what would be lost
    #[arg(long)]
    yes: bool,

    /// Take the wish back
    #[arg(long, conflicts_with_all = ["keep", "yes"])]
    cancel: bool,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Wish {
    version: u32,
    keep: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    version: u32,
    keep: &'a [String],
    lost: &'a [String],
    done: bool,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    let root = args.place.open()?;
    let system = |error: provision::root::RootError| Error::new(Kind::System, error);
    if args.cancel {
        root.remove(WISH).and_then(|()| root.sync_dir("/orlop")).map_err(system)?;
        cli::say("the machine stays as it is");
        return Ok(ExitCode::SUCCESS);
    }
    let keep = args.keep.iter().map(|path| kept(path)).collect::<Result<Vec<_>, _>>()?;
    let lost = lost(&root, &keep).map_err(system)?;
    if args.yes {
        let wish = Wish { version: 1, keep: keep.clone() };
        let mut text = serde_json::to_vec(&wish).map_err(|error| Error::new(Kind::Internal, error))?;
        text.push(b'\n');
        root.write(WISH, Attributes { mode: 0o600, uid: 0, gid: 0 }, &text)
            .and_then(|()| root.sync_at("/orlop"))
            .map_err(system)?;
    }
    match format {
        Format::Json => cli::out_json(&Told { version: 1, keep: &keep, lost: &lost, done: args.yes }),
        Format::Human => {
            cli::out("at the next boot everything on the root partition is lost, and the machine is\n");
            cli::out("provisioned anew from the config that its platform gives it:\n");
            lost.iter().for_each(|path| cli::out(&format!("  lost  {path}\n")));
            keep.iter().for_each(|path| cli::out(&format!("  kept  {path}\n")));
            cli::out("other disks and file systems stay as they are\n");
            cli::say(if args.yes {
                "`systemctl reboot` does it; `orlop-host reset --cancel` takes it back"
            } else {
                "nothing is done yet: give --yes"
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A path that can be kept, in its plain form.
fn kept(path: &str) -> Result<String, Error> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let plain = format!("/{}", parts.join("/"));
    let allowed = KEEPABLE.iter().any(|top| plain.starts_with(top));
    if !path.starts_with('/') || !allowed || parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(Error::message(Kind::Usage, format!("{path} cannot be kept"))
            .hint("only paths below /var can: /etc is made anew, and homes are in /var/home"));
    }
    Ok(plain)
}

/// What is lost: the top of the tree and of /var, without what is kept whole.
fn lost(root: &provision::Root, keep: &[String]) -> Result<Vec<String>, provision::root::RootError> {
    let mut lost =
        vec!["/etc (made anew from the image)".to_owned(), "/orlop (records of the house)".to_owned()];
    for name in root.list("/var")? {
        let path = format!("/var/{name}");
        let below = format!("{path}/");
        if keep.contains(&path) {
            continue;
        }
        let partly = keep.iter().any(|kept| kept.starts_with(&below));
        lost.push(if partly { format!("{path} (but for what is kept)") } else { path });
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_kept() {
        assert_eq!(kept("/var//lib/app/").unwrap(), "/var/lib/app");
        for wrong in ["/etc/ssh", "/var", "var/lib", "/var/../etc", "/", ""] {
            assert!(kept(wrong).is_err(), "{wrong}");
        }
    }
}
