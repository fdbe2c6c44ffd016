//! What `orlop up` and the tests add to a user's config, as one Ignition config that merges both.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The Ignition version of the additions: stable, and old enough for every reader here.
const VERSION: &str = "3.5.0";

/// Where the container tools of a machine find the registry of `--images`.
const REGISTRIES_DROP_IN: &str = "/etc/containers/registries.conf.d/50-orlop-up.conf";

/// The workstation, as a machine on QEMU's user network sees it.
pub const HOST_FROM_GUEST: &str = "10.0.2.2";

/// Name of the fw_cfg item with the config.
pub const CONFIG_ITEM: &str = "opt/com.coreos/config";

/// Name of the fw_cfg item with the source map, so that errors name lines of the user's own file.
pub const SOURCE_MAP_ITEM: &str = "opt/io.orlop/source-map";

/// What is added to the kernel's command line. A machine that waits at its failure screen would leave the user,
/// or a test, without a word; and systemd is to tell what it starts, which the image leaves out.
pub const KERNEL_ARGS: &[&str] = &["orlop.on_failure=poweroff", "systemd.show_status=1"];

/// What is added to a user's config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// A public key that may log in as `core`.
    pub ssh_key: Option<String>,
    /// The port of the registry on the workstation that serves images named `localhost/…`.
    pub registry_port: Option<u16>,
    /// The machine's name.
    pub hostname: Option<String>,
}

impl Additions {
    /// The additions as an Ignition config.
    fn to_config(&self) -> Value {
        let mut files = Vec::new();
        if let Some(port) = self.registry_port {
            files.push(file(REGISTRIES_DROP_IN, &registries_conf(port)));
        }
        if let Some(name) = &self.hostname {
            files.push(file("/etc/hostname", &format!("{name}\n")));
        }
        let mut config = json!({
            "ignition": {"version": VERSION},
            "systemd": {"units": [{"name": "orlop-guest-agent.service", "enabled": true}]},
        });
        if !files.is_empty() {
            config["storage"] = json!({"files": files});
        }
        if let Some(key) = &self.ssh_key {
            config["passwd"] = json!({"users": [{"name": "core", "sshAuthorizedKeys": [key]}]});
        }
        config
    }

    /// The whole config: additions first, so that the user's own has the last word.
    #[must_use]
    pub fn merged(&self, user: Option<&[u8]>) -> Vec<u8> {
        let additions = self.to_config().to_string();
        let parts = std::iter::once(additions.as_bytes()).chain(user);
        let merge: Vec<Value> = parts.map(|part| json!({"source": data_url(part)})).collect();
        json!({"ignition": {"version": VERSION, "config": {"merge": merge}}}).to_string().into_bytes()
    }
}

/// containers-registries.conf(5), version 2.
fn registries_conf(port: u16) -> String {
    format!(
        "[[registry]]\nprefix = \"localhost\"\nlocation = \"{HOST_FROM_GUEST}:{port}\"\ninsecure = true\n"
    )
}

/// A file that the user's config may replace. It must not be there before: the image's own stay as they are.
fn file(path: &str, contents: &str) -> Value {
    json!({"path": path, "overwrite": true, "mode": 0o644, "contents": {"source": data_url(contents.as_bytes())}})
}

fn data_url(bytes: &[u8]) -> String {
    format!("data:;base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(config: &[u8], index: usize) -> Value {
        let config: Value = serde_json::from_slice(config).unwrap();
        let source = config["ignition"]["config"]["merge"][index]["source"].as_str().unwrap().to_owned();
        let bytes = STANDARD.decode(source.strip_prefix("data:;base64,").unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_users_config_comes_last_and_untouched() {
        let user = br#"{"ignition":{"version":"3.0.0"}}"#;
        let merged = Additions::default().merged(Some(user));
        assert_eq!(part(&merged, 1), serde_json::from_slice::<Value>(user).unwrap());
        let unit = &part(&merged, 0)["systemd"]["units"][0];
        assert_eq!(
            (unit["name"].as_str(), unit["enabled"].as_bool()),
            (Some("orlop-guest-agent.service"), Some(true))
        );
    }

    #[test]
    fn key_registry_and_name_are_added() {
        let additions = Additions {
            ssh_key: Some("ssh-ed25519 AAAA".into()),
            registry_port: Some(5000),
            hostname: Some("web".into()),
        };
        let config = part(&additions.merged(None), 0);
        assert_eq!(config["passwd"]["users"][0]["sshAuthorizedKeys"][0], "ssh-ed25519 AAAA");
        assert_eq!(config["storage"]["files"][0]["path"], REGISTRIES_DROP_IN);
        assert_eq!(config["storage"]["files"][1]["path"], "/etc/hostname");
        assert!(registries_conf(5000).contains("location = \"10.0.2.2:5000\""));
    }
}
