//! `orlop-host status`: what runs here, from which slot, since when, and what failed.

use std::process::{Command, ExitCode};
use std::{fs, io};

use cli::{Error, Format, Kind, ResultExt as _};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// What `status` tells; the JSON form has these names.
#[derive(Debug, PartialEq, Serialize)]
struct Status {
    /// `VERSION_ID` (or `VERSION`) of os-release.
    version: Option<String>,
    /// Root hash of the running `/usr`, from `usrhash=` of the kernel command line.
    usr_hash: Option<String>,
    /// Seconds since boot.
    uptime_secs: f64,
    /// Units in state failed.
    failed_units: Vec<String>,
}

pub(crate) fn run(_args: &Args, format: Format) -> Result<ExitCode, Error> {
    let status = observe().kind(Kind::System)?;
    match format {
        Format::Json => cli::out_json(&status),
        Format::Human => cli::out(&to_human(&status)),
    }
    Ok(ExitCode::SUCCESS)
}

fn observe() -> anyhow::Result<Status> {
    use anyhow::Context as _;
    let os_release = fs::read_to_string("/usr/lib/os-release").context("cannot read /usr/lib/os-release")?;
    let cmdline = fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?;
    let uptime = fs::read_to_string("/proc/uptime").context("cannot read /proc/uptime")?;
    Ok(Status {
        version: os_release_value(&os_release, "VERSION_ID").or(os_release_value(&os_release, "VERSION")),
        usr_hash: cmdline
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("usrhash="))
            .map(Into::into),
        uptime_secs: uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default(),
        failed_units: failed_units().context("cannot ask systemd for failed units")?,
    })
}

fn failed_units() -> io::Result<Vec<String>> {
    let output =
        Command::new("systemctl").args(["list-units", "--failed", "--plain", "--no-legend"]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(unit_names(&String::from_utf8_lossy(&output.stdout)))
}

fn unit_names(listing: &str) -> Vec<String> {
    listing.lines().filter_map(|line| line.split_ascii_whitespace().next()).map(Into::into).collect()
}

/// The value of `key`, without its quotes (os-release(5)).
fn os_release_value(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(|quote| quote == '"' || quote == '\'').to_owned())
}

fn to_human(status: &Status) -> String {
    let unknown = || "unknown".to_owned();
    let failed =
        if status.failed_units.is_empty() { "none".to_owned() } else { status.failed_units.join(", ") };
    format!(
        "version       {}\nusr           {}\nup            {:.0} s\nfailed units  {failed}\n",
        status.version.clone().unwrap_or_else(unknown),
        status.usr_hash.clone().unwrap_or_else(unknown),
        status.uptime_secs,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_values_lose_their_quotes() {
        let text = "ID=orlop\nVERSION_ID=\"0.1\"\nVERSION=x\n";
        assert_eq!(os_release_value(text, "VERSION_ID").as_deref(), Some("0.1"));
        assert_eq!(os_release_value(text, "ID").as_deref(), Some("orlop"));
        assert_eq!(os_release_value(text, "NAME"), None);
    }

    #[test]
    fn unit_names_are_the_first_column() {
        assert_eq!(
            unit_names("a.service loaded failed failed A\nb.mount loaded failed failed B\n"),
            ["a.service", "b.mount"]
        );
    }

    #[test]
    fn people_read_four_lines() {
        let status = Status {
            version: Some("0.1".into()),
            usr_hash: None,
            uptime_secs: 12.4,
            failed_units: vec!["a.service".into()],
        };
        assert_eq!(
            to_human(&status),
            "version       0.1\nusr           unknown\nup            12 s\nfailed units  a.service\n"
        );
    }
}
