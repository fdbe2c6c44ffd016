//! `orlop-pod prepare`, and what it shares with `run`

use std::path::PathBuf;
use std::process::ExitCode;

use cli::{Error, Kind};
use pod::pods::Handle;
use pod::spec::Pod;

use crate::context::{Context, Fetching, parse_declaration, prepare_error, read_declaration};

/// Prepare a pod: fetch its images, so that starting it needs no network
///
/// Prints the id that run-prepared takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
}

/// Which pod.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The declaration in this file, a subset of the Kubernetes Pod
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "image")]
    file: Option<PathBuf>,

    /// The declaration of this name in /etc/pods.d, for pod@NAME.service
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "image"], hide = true)]
    pub(crate) unit: Option<String>,

    /// A pod of one container with this image
    #[arg(required_unless_present_any = ["file", "unit"])]
    image: Option<String>,

    /// The pod's name; the image's last part if none is given
    #[arg(long, value_name = "NAME", requires = "image")]
    name: Option<String>,

    /// Lead a port of the machine to the container (repeatable)
    #[arg(short, long, value_name = "HOST:CONTAINER[/udp]", requires = "image")]
    port: Vec<String>,

    /// Set a variable (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", requires = "image")]
    env: Vec<String>,

    /// Mount a path of the machine (repeatable)
    #[arg(long, value_name = "HOST:PATH[:ro]", requires = "image")]
    volume: Vec<String>,

    /// Use the machine's own network
    #[arg(long, requires = "image")]
    host_network: bool,

    /// In place of the image's own command, after --
    #[arg(last = true, requires = "image")]
    args: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let (text, spec) = self.what.declaration(context)?;
        let handle = prepare(context, &text, &spec)?;
        if context.json() {
            cli::out_json(&serde_json::json!({ "id": handle.id() }));
        } else {
            cli::out(&format!("{}\n", handle.id()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prepares a pod, its images fetched as its declaration says.
pub(crate) fn prepare(context: &Context, text: &str, spec: &Pod) -> Result<Handle, Error> {
    let (pods, store) = (context.pods()?, context.store()?);
    let mut fetch = |reference: &oci_image::Reference| context.fetch(&store, reference).map_err(Fetching);
    pod::prepare::prepare(&pods, &store, text, spec, &mut fetch).map_err(prepare_error)
}

impl What {
    /// The declaration, written or made up from the options.
    pub(crate) fn declaration(&self, context: &Context) -> Result<(String, Pod), Error> {
        if let Some(name) = &self.unit {
            let path = context.dirs.declared.join(format!("{name}.yaml"));
            let (text, spec) = read_declaration(&path)?;
            if spec.name != *name {
                let message = format!("{} declares the pod {}, not {name}", path.display(), spec.name);
                let hint = format!("name the file {}.yaml, or the pod {name}", spec.name);
                return Err(Error::message(Kind::Config, message).hint(hint));
            }
            return Ok((text, spec));
        }
        if let Some(file) = &self.file {
            return read_declaration(file);
        }
        let text = self.made_up()?;
        let spec = parse_declaration("command line", &text)?;
        Ok((text, spec))
    }

    /// A declaration of one container; JSON is YAML.
    fn made_up(&self) -> Result<String, Error> {
        let image = self.image.clone().unwrap_or_default();
        let reference = crate::context::reference(&image)?;
        let last = reference.repository.rsplit('/').next().unwrap_or_default();
        let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let name = self.name.clone().unwrap_or(plain);
        let ports = self.port.iter().map(|text| port(text)).collect::<Result<Vec<_>, _>>()?;
        let env = self.env.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
        let mut volumes = Vec::new();
        let mut mounts = Vec::new();
        for (i, text) in self.volume.iter().enumerate() {
            let mut parts = text.splitn(3, ':');
            let (Some(host), Some(path)) = (parts.next(), parts.next()) else {
                return Err(usage(format!("--volume {text}: HOST:PATH or HOST:PATH:ro is needed")));
            };
            let read_only = match parts.next() {
                None | Some("rw") => false,
                Some("ro") => true,
                Some(other) => return Err(usage(format!("--volume {text}: {other} is neither ro nor rw"))),
            };
            volumes.push(serde_json::json!({ "name": format!("v{i}"), "hostPath": { "path": host } }));
            mounts.push(
                serde_json::json!({ "name": format!("v{i}"), "mountPath": path, "readOnly": read_only }),
            );
        }
        let pod = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name },
            "spec": {
                "restartPolicy": "Never",
                "hostNetwork": self.host_network,
                "containers": [{ "name": "main", "image": image, "args": self.args, "ports": ports, "env": env, "volumeMounts": mounts }],
                "volumes": volumes,
            },
        });
        Ok(pod.to_string())
    }
}

fn usage(message: String) -> Error {
    Error::message(Kind::Usage, message)
}

fn port(text: &str) -> Result<serde_json::Value, Error> {
    let wrong = || usage(format!("--port {text}: HOST:CONTAINER or HOST:CONTAINER/udp is needed"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (host, container) = ports.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    Ok(serde_json::json!({
        "hostPort": number(host)?, "containerPort": number(container)?, "protocol": protocol.to_uppercase(),
    }))
}

fn pair(text: &str) -> Result<serde_json::Value, Error> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| usage(format!("--env {text}: NAME=VALUE is needed")))?;
    Ok(serde_json::json!({ "name": name, "value": value }))
}
