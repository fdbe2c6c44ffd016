//! `orlop-pod logs`

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use cli::{Error, Kind};
use pod::logs::{Reader, Stream, parse_entry};
use pod::pods::Seen;

use crate::context::{Context, pods_error};

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Print what a pod's containers printed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id, or the beginning of an id
    pod: String,

    /// Of this container only
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,

    /// Go on until the pod ends
    #[arg(short, long)]
    follow: bool,

    /// Only the last lines of each container
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,

    /// With the time of each line
    #[arg(short, long)]
    timestamps: bool,
}

/// The log of one container.
struct Log {
    app: String,
    reader: Reader,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let mut seen = context.find(&self.pod)?;
        let mut logs = self.logs(&seen)?;
        let many = logs.len() > 1;
        for log in &mut logs {
            let mut lines = Vec::new();
            read_all(log, |line| lines.push(line))?;
            let skip = self.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
            lines.iter().skip(skip).for_each(|line| self.print(context, many, &log.app, line));
        }
        // Looked at once more after its end, for what was printed in between.
        let mut on = self.follow;
        while on {
            on = seen.is_running();
            for log in &mut logs {
                let app = log.app.clone();
                read_all(log, |line| self.print(context, many, &app, &line))?;
            }
            std::thread::sleep(POLL);
            seen = context.pods()?.find(&seen.id).map_err(pods_error)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn logs(&self, seen: &Seen) -> Result<Vec<Log>, Error> {
        let spec = seen.spec().map_err(pods_error)?;
        let mut names: Vec<String> = spec.containers.into_iter().map(|container| container.name).collect();
        if let Some(wanted) = &self.container {
            if !names.contains(wanted) {
                let message = format!("pod {} has no container {wanted}", seen.name());
                return Err(
                    Error::message(Kind::NotFound, message).hint(format!("it has: {}", names.join(", ")))
                );
            }
            names.retain(|name| name == wanted);
        }
        let open =
            |app: String| Log { reader: Reader::open(&seen.dir.join("apps").join(&app).join("log")), app };
        Ok(names.into_iter().map(open).collect())
    }

    fn print(&self, context: &Context, many: bool, app: &str, line: &[u8]) {
        let Some(entry) = parse_entry(line) else { return };
        if context.json() {
            let text = String::from_utf8_lossy(entry.text);
            let stream = if entry.stream == Stream::Stdout { "stdout" } else { "stderr" };
            cli::out_json(
                &serde_json::json!({ "time": entry.time, "container": app, "stream": stream, "text": text }),
            );
            return;
        }
        let mut out = Vec::new();
        if self.timestamps {
            out.extend(format!("{} ", entry.time).bytes());
        }
        if many {
            out.extend(format!("{app}: ").bytes());
        }
        out.extend(entry.text);
        if entry.whole {
            out.push(b'\n');
        }
        match entry.stream {
            // Bytes as they were printed, whatever their encoding; a closed pipe is nobody's loss.
            Stream::Stdout => drop(std::io::stdout().lock().write_all(&out)),
            Stream::Stderr => drop(std::io::stderr().lock().write_all(&out)),
        }
    }
}

fn read_all(log: &mut Log, mut each: impl FnMut(Vec<u8>)) -> Result<(), Error> {
    let failed = |error| {
        let context = format!("cannot read the log of {}", log.app);
        Error::new(Kind::System, anyhow::Error::new(error).context(context))
    };
    loop {
        match log.reader.next_line() {
            Ok(Some(line)) => each(line),
            Ok(None) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}
