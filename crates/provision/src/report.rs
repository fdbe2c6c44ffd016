//! The report of a provisioned machine: `/etc/.ignition-result.json`, upstream's fields and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::execute::Env;
use crate::fetch::FinalConfig;
use crate::root::{Attributes, RootError};
use crate::run::Outcome;

/// Where the report is; upstream's place.
pub const RESULT_PATH: &str = "/etc/.ignition-result.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Result_ {
    #[serde(rename = "provisioningBootID")]
    provisioning_boot_id: String,
    provisioning_date: String,
    user_config_provided: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_report: Option<Box<Result_>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orlop: Option<Own>,
}

/// What upstream's report lacks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Own {
    version: String,
    documents: Vec<String>,
    steps: usize,
    phase_seconds: Vec<(String, f64)>,
    warnings: Vec<String>,
}

pub(crate) fn write(wanted: &FinalConfig, outcome: &Outcome, env: &Env<'_>) -> Result<(), RootError> {
    let previous = match env.root.read(RESULT_PATH) {
        Ok(bytes) => serde_json::from_slice::<Result_>(&bytes).ok(),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let previous_report =
        previous.map(|report| Box::new(Result_ { previous_report: None, orlop: None, ..report }));
    let seconds = |time: &Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    let report = Result_ {
        provisioning_boot_id: env.boot_id.clone(),
        provisioning_date: rfc3339(env.net.clock.now()),
        user_config_provided: wanted.user_config_provided,
        previous_report,
        orlop: Some(Own {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documents: wanted.documents.names().into_iter().map(str::to_owned).collect(),
            steps: outcome.steps,
            phase_seconds: outcome
                .phases
                .iter()
                .map(|(phase, time)| (phase.name().to_owned(), seconds(time)))
                .collect(),
            warnings: outcome.plan.warnings.clone(),
        }),
    };
    let mut text =
        serde_json::to_vec_pretty(&report).expect("records of strings and numbers always serialise");
    text.push(b'\n');
    env.root.write(RESULT_PATH, Attributes { mode: 0o600, uid: 0, gid: 0 }, &text)
}

/// RFC 3339 in UTC. The calendar is Hinnant's `civil_from_days`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_262_399, "2026-11-21T11:59:59Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
