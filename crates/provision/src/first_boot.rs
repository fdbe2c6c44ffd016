//! The report of a first boot for machines: what happened, in JSON, and to whom it is sent.
//!
//! Form and rules: `docs/reference/first-boot-report.md`. A [`Recorder`] listens to the events; its [`Report`] is shown
//! as one line on the console, kept whole in a file, and posted to the [`Target`] that the config or the kernel's
//! command line names.

use std::time::Duration;

use ignition_spec::Config;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::event::{Event, Phase};
use crate::fetch::resource::{Net, Resource};
use crate::fetch::source::argument;
use crate::net::http::{HttpError, HttpSettings, Method, Request, read_limited};
use crate::place::Place;
use crate::report::rfc3339;

/// Version of the form.
const VERSION: u32 = 1;
/// The file of a config that names the target.
pub const TARGET_PATH: &str = "/etc/orlop/first-boot-report.json";
/// The kernel argument that names it, for failures before there is a config.
pub const TARGET_ARGUMENT: &str = "orlop.report_url";
/// The boot does not wait longer for the target.
const POST_TIMEOUT: Duration = Duration::from_secs(15);
/// Warnings that are kept; more are counted.
const WARNINGS_MAX: usize = 100;
/// A record of the kernel's log has about a kilobyte (`PRINTKRB_RECORD_MAX`): so much of an error fits the line.
const LINE_ERROR_CHARS: usize = 300;

/// How a first boot went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Result_ {
    /// The machine is as its config says.
    #[default]
    Ok,
    /// It is not.
    Failed,
}

/// One thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub message: String,
    /// Why, from the nearest cause to the deepest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Where in which document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A phase that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Its name.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// The report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// How it went.
    pub result: Result_,
    /// The phase that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_phase: Option<String>,
    /// What was wrong, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// When, RFC 3339 in UTC, by the machine's clock.
    pub date: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Release of Orlop.
    pub orlop: String,
    /// `ignition.platform.id`.
    pub platform: String,
    /// Whether somebody gave a config.
    pub user_config: bool,
    /// The documents that the config was merged from, in that order.
    pub documents: Vec<String>,
    /// The phases that ended, in order.
    pub phases: Vec<Took>,
    /// Warnings, the first hundred.
    pub warnings: Vec<String>,
    /// Number of warnings.
    pub warning_count: usize,
    /// Attempts of fetches that failed and were made again.
    pub retries: usize,
}

impl Report {
    /// JSON on several lines.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// JSON on one line that fits a record of the kernel's log: what happened, without lists.
    pub fn line(&self) -> String {
        let seconds: f64 = self.phases.iter().map(|phase| phase.seconds).sum();
        let mut line = serde_json::json!({
            "version": self.version,
            "result": self.result,
            "seconds": round(seconds),
            "user_config": self.user_config,
            "documents": self.documents.len(),
            "warnings": self.warning_count,
            "retries": self.retries,
        });
        if let Some(phase) = &self.failed_phase {
            let first = self.errors.first().map_or("", |error| &error.message);
            line["failed_phase"] = phase.as_str().into();
            line["errors"] = self.errors.len().into();
            line["error"] = first.chars().take(LINE_ERROR_CHARS).collect::<String>().into();
        }
        line.to_string()
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Listens to a first boot.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    report: Report,
}

impl Recorder {
    /// Takes an event.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Done(phase, took) => {
                let seconds = round(took.as_secs_f64());
                self.report.phases.push(Took { name: phase.name().to_owned(), seconds });
            }
            Event::Warning(_, text) => {
                self.report.warning_count += 1;
                if self.report.warnings.len() < WARNINGS_MAX {
                    self.report.warnings.push(text.clone());
                }
            }
            Event::Retry(..) => self.report.retries += 1,
            Event::Start(_) | Event::Step(..) => {}
        }
    }

    /// Takes what the config was merged from.
    pub fn config(&mut self, user_config: bool, documents: Vec<&str>) {
        self.report.user_config = user_config;
        self.report.documents = documents.into_iter().map(str::to_owned).collect();
    }

    /// Takes the error that ended it, as the stages tell it.
    pub fn failed(&mut self, error: &Error) {
        let faults = error.problems.iter().map(|problem| Fault {
            message: problem.message.clone(),
            causes: problem.causes.clone(),
            place: problem.place.clone(),
            hint: problem.hint.clone(),
        });
        self.fail(error.phase.name(), faults.collect());
    }

    /// Takes an error of another part of the boot; one that the stages told stays.
    pub fn failed_otherwise(&mut self, phase: &str, message: &str) {
        if self.report.result == Result_::Ok {
            let fault = Fault { message: message.to_owned(), causes: Vec::new(), place: None, hint: None };
            self.fail(phase, vec![fault]);
        }
    }

    fn fail(&mut self, phase: &str, errors: Vec<Fault>) {
        self.report.result = Result_::Failed;
        self.report.failed_phase = Some(phase.to_owned());
        self.report.errors = errors;
    }

    /// The report so far.
    pub fn report(&self, now: std::time::SystemTime, boot_id: &str, platform: &str) -> Report {
        Report {
            version: VERSION,
            date: rfc3339(now),
            boot_id: boot_id.to_owned(),
            orlop: env!("CARGO_PKG_VERSION").to_owned(),
            platform: platform.to_owned(),
            ..self.report.clone()
        }
    }
}

/// To whom a report is posted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `http:` or `https:` URL.
    pub url: String,
    /// Headers, such as a token.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
}

/// The target that the kernel's command line names, else the config's file of [`TARGET_PATH`].
///
/// # Errors
/// Why the file says nothing that can be used. It has to be at hand (`data:`), or the report would wait for a fetch.
pub fn target(cmdline: &str, config: Option<&Config>) -> Result<Option<Target>, String> {
    if let Some(url) = argument(cmdline, TARGET_ARGUMENT) {
        return checked(Target { url: url.to_owned(), ..Target::default() }).map(Some);
    }
    let mut files = config.into_iter().flat_map(|config| &config.storage.files);
    let Some(file) = files.find(|file| file.path == TARGET_PATH) else { return Ok(None) };
    let bad = |why: String| format!("{TARGET_PATH}: {why}");
    let resource = Resource::of(&file.contents).map_err(|error| bad(error.to_string()))?;
    let content = resource.at_hand().map_err(|error| bad(error.to_string()))?;
    let content =
        content.ok_or_else(|| bad("the content has to be in the config, not at another URL".into()))?;
    let target = serde_json::from_slice(&content).map_err(|error| bad(error.to_string()))?;
    checked(target).map(Some).map_err(bad)
}

fn checked(target: Target) -> Result<Target, String> {
    let scheme = target.url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => Ok(target),
        _ => Err(format!("{:?} is no http: or https: URL", target.url)),
    }
}

/// Posts a report. A target that does not answer is tried for 15 seconds.
///
/// # Errors
/// Why it was not taken; not worth failing a boot for.
pub fn post(
    net: &mut Net<'_>,
    target: &Target,
    settings: &HttpSettings,
    report: &Report,
    events: &mut dyn FnMut(Event),
) -> Result<(), HttpError> {
    net.up(&target.url).map_err(|why| HttpError::Attempt { url: target.url.clone(), why })?;
    let body = report.text().into_bytes();
    let request = Request {
        method: Method::Post { content_type: "application/json", body },
        url: target.url.clone(),
        headers: target.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        ..Request::default()
    };
    let settings = HttpSettings { total_timeout: Some(POST_TIMEOUT), ..settings.clone() };
    let mut retrying = |retry| events(Event::Retry(Phase::Umount, retry));
    net.client.get(&request, &settings, net.clock, &mut retrying, |body| {
        // The answer is of no interest, but a server likes to be heard.
        read_limited(body, 1 << 20).map(drop).or(Ok(()))
    })
}
