//! `orlop-pod list`

use std::process::ExitCode;

use cli::Error;
use pod::pods::{Seen, State};
use serde::Serialize;

use crate::context::{Context, pods_error};

/// List the pods of this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those that run only
    #[arg(long)]
    running: bool,

    /// Print only ids, whole
    #[arg(short, long)]
    quiet: bool,
}

/// A pod as scripts see it; `status` prints the same.
#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    name: String,
    state: &'static str,
    created: Option<String>,
    started: Option<String>,
    ended: Option<String>,
    address: Option<String>,
    unit: Option<String>,
    code: Option<u8>,
    error: Option<String>,
    apps: Vec<App>,
}

#[derive(Serialize)]
struct App {
    name: String,
    image: Option<String>,
    pid: Option<i32>,
    code: Option<u8>,
}

impl Row {
    pub(crate) fn new(seen: &Seen) -> Self {
        let time = |secs: Option<u64>| secs.map(oci_image::build::rfc3339);
        let status = seen.status.as_ref();
        let record = seen.record.as_ref();
        let image = |app: &str| record.and_then(|record| Some(record.images.get(app)?.reference.to_string()));
        let ran = status.filter(|status| !status.apps.is_empty());
        let apps = match ran {
            Some(status) => status
                .apps
                .iter()
                .map(|app| App {
                    name: app.name.clone(),
                    image: image(&app.name),
                    pid: app.pid,
                    code: app.code,
                })
                .collect(),
            None => {
                let names = record.into_iter().flat_map(|record| record.images.keys());
                names
                    .map(|name| App { name: name.clone(), image: image(name), pid: None, code: None })
                    .collect()
            }
        };
        Self {
            id: seen.id.clone(),
            name: seen.name().to_owned(),
            // To a person a pod whose monitor died has ended, badly.
            state: if seen.torn && seen.state == State::Running { "died" } else { seen.state.name() },
            created: time(record.map(|record| record.created_secs)),
            started: time(status.map(|status| status.started_secs)),
            ended: time(status.and_then(|status| status.ended_secs)),
            address: status.and_then(|status| Some(status.address?.to_string())),
            unit: status.and_then(|status| status.unit.clone()),
            code: status.and_then(|status| status.code),
            error: status.and_then(|status| status.error.clone()),
            apps,
        }
    }

    /// `key=value` lines, as rkt's `status` has them.
    pub(crate) fn lines(&self) -> String {
        let mut text = format!("id={}\nname={}\nstate={}\n", self.id, self.name, self.state);
        let code = self.code.map(|code| code.to_string());
        let fields = [
            ("created", &self.created),
            ("started", &self.started),
            ("ended", &self.ended),
            ("address", &self.address),
            ("unit", &self.unit),
            ("code", &code),
            ("error", &self.error),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        for app in &self.apps {
            if let Some(pid) = app.pid {
                text.push_str(&format!("pid-{}={pid}\n", app.name));
            }
            if let Some(code) = app.code {
                text.push_str(&format!("app-{}={code}\n", app.name));
            }
        }
        text
    }
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let mut all = context.pods()?.list().map_err(pods_error)?;
        all.retain(|seen| seen.state != State::Garbage && (!self.running || seen.is_running()));
        if self.quiet {
            cli::out(&all.iter().map(|seen| format!("{}\n", seen.id)).collect::<String>());
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<Row> = all.iter().map(Row::new).collect();
        if context.json() {
            cli::out_json(&rows);
        } else {
            cli::out(&table(&rows));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!("ID        {:width$}  STATE      CODE  ADDRESS          STARTED\n", "NAME");
    for row in rows {
        let code = row.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let dash = || "-".to_owned();
        let (address, started) =
            (row.address.clone().unwrap_or_else(dash), row.started.clone().unwrap_or_else(dash));
        text.push_str(&format!(
            "{:8}  {:width$}  {:9}  {code:>4}  {address:15}  {started}\n",
            &row.id[..8.min(row.id.len())],
            row.name,
            row.state
        ));
    }
    text
}
