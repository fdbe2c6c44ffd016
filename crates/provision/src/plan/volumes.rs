//! RAID arrays and LUKS volumes: what is made, what is kept, and the exact arguments of mdadm, cryptsetup and clevis.

use ignition_spec::config::{Clevis, Luks, Raid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::disks::{Coming, describe, guard, list, missing};
use super::{Action, Draft, Progress};
use crate::error::Problem;
use crate::event::Phase;
use crate::fetch::resource::Resource;
use crate::observe::Device;

/// Where keys of volumes that open by a key file are, and the table that opens them at boot (crypttab(5)).
pub const KEY_DIR: &str = "/etc/luks";
/// See crypttab(5).
pub const CRYPTTAB: &str = "/etc/crypttab";

/// A LUKS2 volume to make or open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name below `/dev/mapper`.
    pub name: String,
    /// Device as the config names it.
    pub device: String,
    /// Label in the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// UUID in the header; drawn when it is made if the config gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Further arguments of `cryptsetup luksFormat`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Whether discards pass; kept in the header.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
    /// Further arguments of `cryptsetup luksOpen`; kept in the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_options: Vec<String>,
    /// The key; drawn when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Resource>,
    /// What opens it beside the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

/// A clevis pin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// `sss`, or the custom pin's name.
    pub name: String,
    /// Its JSON.
    pub config: String,
    /// Advertisements that are fetched first, so that a server that is not there yet is waited for.
    pub advertisements: Vec<String>,
    /// Whether so much of it can be reached now that the volume must open by it: then it is closed and opened so.
    pub proves: bool,
    /// Whether opening it takes the network.
    pub needs_network: bool,
}

impl Volume {
    /// From a config's section.
    fn of(luks: &Luks) -> Result<Self, Box<Problem>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let key = match given(&luks.key_file.source) {
            Some(_) => {
                Some(Resource::of(&luks.key_file).map_err(|e| Box::new(Problem::of(&e).hint(e.hint())))?)
            }
            None => None,
        };
        Ok(Self {
            name: luks.name.clone(),
            device: luks.device.clone().unwrap_or_default(),
            label: given(&luks.label),
            uuid: given(&luks.uuid),
            options: luks.options.clone(),
            discard: luks.discard == Some(true),
            open_options: luks.open_options.clone(),
            key,
            pin: pin(&luks.clevis)?,
        })
    }

    /// Arguments of cryptsetup that make it on `node` with the key in `key_file`.
    pub fn format_args(&self, node: &str, key_file: &str) -> Vec<String> {
        let mut args = words(&["luksFormat", "--type", "luks2", "--key-file", key_file]);
        args.extend(self.label.iter().flat_map(|label| words(&["--label", label])));
        args.extend(self.uuid.iter().flat_map(|uuid| words(&["--uuid", uuid])));
        args.extend(self.options.iter().cloned());
        args.push(node.to_owned());
        args
    }

    /// Arguments of cryptsetup that open it and keep how it is opened in its header.
    pub fn open_args(&self, node: &str, key_file: &str) -> Vec<String> {
        let mut args = words(&["luksOpen", node, &self.name, "--key-file", key_file, "--persistent"]);
        if self.discard {
            args.push("--allow-discards".into());
        }
        args.extend(self.open_options.iter().cloned());
        args
    }

    /// The programs that a pin takes once the volume is open, in order; the key that was drawn is removed last.
    pub fn pin_commands(&self, node: &str, key_file: &str) -> Vec<(&'static str, Vec<String>)> {
        let Some(pin) = &self.pin else { return Vec::new() };
        let bind = ["luks", "bind", "-f", "-k", key_file, "-d", node, &pin.name, &pin.config];
        let mut commands = vec![("clevis", words(&bind))];
        if pin.proves {
            commands.push(("cryptsetup", words(&["luksClose", &self.name])));
            commands.push(("clevis", words(&["luks", "unlock", "-d", node, "-n", &self.name])));
        }
        if self.key.is_none() {
            commands.push(("cryptsetup", words(&["luksRemoveKey", node, key_file])));
        }
        commands
    }

    /// Its node when it is open.
    pub fn mapped(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    /// Where its key is kept for later boots; `None` for what opens by a pin.
    pub fn key_path(&self) -> Option<String> {
        self.pin.is_none().then(|| format!("{KEY_DIR}/{}", self.name))
    }

    /// Its line of crypttab(5).
    pub fn crypttab_line(&self, uuid: &str) -> String {
        let key = self.key_path().unwrap_or_else(|| "none".into());
        let network = self.pin.as_ref().is_some_and(|pin| pin.needs_network);
        let network = if network { "_netdev," } else { "" };
        format!("{} UUID={uuid} {key} luks,{network}x-initrd.attach\n", self.name)
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// The pin of a config: custom, or Shamir's scheme over tang servers and the TPM.
fn pin(clevis: &Clevis) -> Result<Option<Pin>, Box<Problem>> {
    let custom = &clevis.custom;
    if let Some(name) = custom.pin.clone().filter(|name| !name.is_empty()) {
        return Ok(Some(Pin {
            name,
            config: custom.config.clone().unwrap_or_default(),
            needs_network: custom.needs_network == Some(true),
            ..Pin::default()
        }));
    }
    let tpm2 = clevis.tpm2 == Some(true);
    if clevis.tang.is_empty() && !tpm2 {
        return Ok(None);
    }
    let mut tang = Vec::new();
    let mut advertisements = Vec::new();
    for server in &clevis.tang {
        let mut entry = json!({"url": server.url});
        if let Some(thumbprint) = server.thumbprint.as_deref().filter(|text| !text.is_empty()) {
            entry["thp"] = json!(thumbprint);
        }
        match server.advertisement.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => {
                let advertisement: Value = serde_json::from_str(text).map_err(|error| {
                    Box::new(Problem::while_doing("the tang advertisement is not JSON", &error))
                })?;
                entry["adv"] = advertisement;
            }
            None => advertisements.push(format!("{}/adv", server.url.trim_end_matches('/'))),
        }
        tang.push(entry);
    }
    let mut pins = json!({});
    if !tang.is_empty() {
        pins["tang"] = Value::Array(tang);
    }
    if tpm2 {
        pins["tpm2"] = json!({});
    }
    let threshold = clevis.threshold.unwrap_or(1);
    let reachable = advertisements.len() + usize::from(tpm2);
    Ok(Some(Pin {
        name: "sss".into(),
        config: json!({"pins": pins, "t": threshold}).to_string(),
        proves: i64::try_from(reachable).is_ok_and(|reachable| reachable >= threshold),
        needs_network: !clevis.tang.is_empty(),
        advertisements,
    }))
}

/// Arguments of mdadm that make an array; the members' nodes come behind them.
pub fn raid_args(raid: &Raid) -> Vec<String> {
    let spares = raid.spares.unwrap_or(0);
    let active = i64::try_from(raid.devices.len()).unwrap_or(i64::MAX) - spares;
    let level = raid.level.as_deref().unwrap_or_default();
    let mut args =
        words(&["--create", &raid.name, "--force", "--run", "--homehost", "any", "--level", level]);
    args.extend(words(&["--raid-devices", &active.to_string()]));
    if spares > 0 {
        args.extend(words(&["--spare-devices", &spares.to_string()]));
    }
    args.extend(raid.options.iter().cloned());
    args
}

/// The node of an array.
pub fn raid_node(name: &str) -> String {
    if name.starts_with("/dev") { name.to_owned() } else { format!("/dev/md/{name}") }
}

pub(super) fn plan_raid(draft: &mut Draft<'_>, coming: &mut Coming) {
    let wanted = draft.wanted;
    for (index, raid) in wanted.config.storage.raid.iter().enumerate() {
        if draft.progress >= Progress::Assembled {
            break;
        }
        let origin = format!("$.storage.raid.{index}");
        let mut contents = Vec::new();
        for (n, member) in raid.devices.iter().enumerate() {
            let place = format!("{origin}.devices.{n}");
            match draft.observed.devices.get(member) {
                _ if coming.contains(member) => {}
                Some(device) => {
                    if guard(draft, &place, member, device) {
                        let found =
                            device.contents.iter().map(|found| format!("{} on {member}", describe(found)));
                        contents.extend(found);
                    }
                }
                None => missing(draft, &place, member),
            }
        }
        draft.need_program(&origin, "mdadm");
        coming.add(raid_node(&raid.name));
        let (name, args, members) = (raid.name.clone(), raid_args(raid), raid.devices.clone());
        draft.step(Phase::Disks, origin, Action::MakeRaid { name, args, members, contents });
    }
}

pub(super) fn plan_luks(draft: &mut Draft<'_>, coming: &mut Coming) {
    let wanted = draft.wanted;
    for (index, luks) in wanted.config.storage.luks.iter().enumerate() {
        if draft.progress >= Progress::Unlocked {
            break;
        }
        let origin = format!("$.storage.luks.{index}");
        if luks.cex.enabled == Some(true) {
            let hint = "use a key file or a clevis pin";
            draft.refuse(&format!("{origin}.cex"), "CEX keys exist on s390x only; this is not one", hint);
            continue;
        }
        match Volume::of(luks) {
            Ok(volume) => plan_volume(draft, &origin, luks, volume, coming),
            Err(problem) => draft.problem(&origin, *problem),
        }
    }
}

fn plan_volume(draft: &mut Draft<'_>, origin: &str, luks: &Luks, volume: Volume, coming: &mut Coming) {
    let name = volume.device.clone();
    draft.need_program(origin, "cryptsetup");
    if volume.pin.is_some() {
        draft.need_program(&format!("{origin}.clevis"), "clevis");
    }
    coming.add(volume.mapped());
    match draft.observed.devices.get(&name) {
        _ if coming.contains(&name) => {}
        None => return missing(draft, &format!("{origin}.device"), &name),
        Some(device) => {
            let wipe = luks.wipe_volume == Some(true) || draft.observed.made_volume(&volume, device);
            if !wipe && !device.contents.is_empty() {
                return reuse(draft, origin, volume, device);
            }
            if !guard(draft, &format!("{origin}.device"), &name, device) {
                return;
            }
            if wipe {
                draft.need_program(&format!("{origin}.wipeVolume"), "wipefs");
                let contents = device.contents.iter().map(describe).collect();
                let action = Action::Wipe { device: name.clone(), contents };
                draft.step(Phase::Disks, format!("{origin}.wipeVolume"), action);
            }
        }
    }
    draft.step(Phase::Disks, origin, Action::MakeLuks { volume: Box::new(volume) });
}

/// Opens a volume that is there, or says why not.
fn reuse(draft: &mut Draft<'_>, origin: &str, volume: Volume, device: &Device) {
    let why_not = match device.contents.as_slice() {
        [found] if found.kind == "crypto_LUKS" => not_reusable(&volume, found, device),
        found => Some(format!("it holds {}", list(found))),
    };
    match why_not {
        None => draft.step(Phase::Disks, origin, Action::OpenLuks { volume: Box::new(volume) }),
        Some(why) => {
            let message = format!("{} cannot be used as LUKS volume {}: {why}", volume.device, volume.name);
            draft.refuse(origin, message, "set wipeVolume: true to lose what is there");
        }
    }
}

fn not_reusable(volume: &Volume, found: &crate::observe::Content, device: &Device) -> Option<String> {
    let header = device.luks.as_ref();
    let differs = |what: &str, is: &Option<String>, wanted: &Option<String>| {
        let wanted = wanted.as_ref()?;
        (is.as_ref() != Some(wanted)).then(|| format!("its {what} is {is:?}, not {wanted:?}"))
    };
    if header.is_some_and(|header| header.version != 2) {
        return Some("it is LUKS version 1".into());
    }
    if volume.pin.is_some() {
        return Some("what its clevis binding is cannot be told from its header".into());
    }
    if volume.key.is_none() {
        return Some("the config gives no key file that would open it".into());
    }
    let discard = header.is_some_and(|header| header.flags.iter().any(|flag| flag == "allow-discards"));
    if discard != volume.discard {
        return Some(format!(
            "discards are {} in its header",
            if discard { "allowed" } else { "not allowed" }
        ));
    }
    differs("label", &found.label, &volume.label).or_else(|| differs("UUID", &found.uuid, &volume.uuid))
}

/// Key files and crypttab of the volumes, once they are there.
pub(super) fn plan_keys(draft: &mut Draft<'_>) {
    use super::action::{Access, Base, Id};
    let wanted = draft.wanted;
    let storage = &wanted.config.storage;
    let volumes: Vec<Volume> = storage.luks.iter().filter_map(|luks| Volume::of(luks).ok()).collect();
    if volumes.is_empty() {
        return;
    }
    let access = |mode| Access { mode, user: Id::Number(0), group: Id::Number(0) };
    if volumes.iter().any(|volume| volume.key_path().is_some()) && !draft.observed.nodes.contains_key(KEY_DIR)
    {
        let action = Action::Directory { path: KEY_DIR.into(), access: access(0o700), exists: false };
        draft.step(Phase::Files, "$.storage.luks", action);
    }
    let mut lines = String::new();
    for (index, volume) in volumes.iter().enumerate() {
        let origin = format!("$.storage.luks.{index}");
        if let Some(path) = volume.key_path() {
            let (name, access) = (volume.name.clone(), access(0o600));
            draft.step(Phase::Files, format!("{origin}.keyFile"), Action::KeepKey { name, path, access });
        }
        let header = draft.observed.devices.get(&volume.device);
        let header =
            header.and_then(|device| device.contents.iter().find(|found| found.kind == "crypto_LUKS"));
        let uuid = header.and_then(|found| found.uuid.clone()).or_else(|| volume.uuid.clone());
        lines.push_str(&volume.crypttab_line(uuid.as_deref().unwrap_or("(drawn when it is made)")));
    }
    let declared = storage.files.iter().any(|file| file.path == CRYPTTAB);
    let old = draft.observed.crypttab.clone();
    let exists = declared || old.is_some();
    let ours = |line: &str| volumes.iter().any(|volume| line.split_whitespace().next() == Some(&volume.name));
    let base = match (declared, old) {
        (true, _) => Base::Existing,
        (false, None) => Base::Text(lines.clone()),
        (false, Some(old)) => {
            let others: String =
                old.lines().filter(|line| !ours(line)).map(|line| format!("{line}\n")).collect();
            Base::Text(others + &lines)
        }
    };
    let append = if declared { vec![Resource::of_bytes(lines.as_bytes())] } else { Vec::new() };
    let action = Action::File { path: CRYPTTAB.into(), access: access(0o600), base, append, exists };
    draft.step(Phase::Files, "$.storage.luks", action);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignition_spec::Config;

    fn config(storage: &str) -> Config {
        let text = format!(r#"{{"ignition": {{"version": "3.6.0"}}, "storage": {{{storage}}}}}"#);
        ignition_spec::parse(text.as_bytes()).unwrap_or_else(|report| panic!("{report}")).config
    }

    fn volume(fields: &str) -> Volume {
        let config = config(&format!(r#""luks": [{{"name": "v", "device": "/dev/x", {fields}}}]"#));
        Volume::of(&config.storage.luks[0]).unwrap()
    }

    #[test]
    fn arguments_of_mdadm() {
        let devices = r#""devices": ["/dev/a", "/dev/b", "/dev/c"]"#;
        for (fields, expected) in [
            (r#""level": "raid1""#, "--level raid1 --raid-devices 3"),
            (r#""level": "raid5", "spares": 0"#, "--level raid5 --raid-devices 3"),
            (r#""level": "raid1", "spares": 1"#, "--level raid1 --raid-devices 2 --spare-devices 1"),
            (
                r#""level": "raid1", "options": ["--metadata=1.0", "--bitmap=none"]"#,
                "--level raid1 --raid-devices 3 --metadata=1.0 --bitmap=none",
            ),
        ] {
            let config = config(&format!(r#""raid": [{{"name": "r", {devices}, {fields}}}]"#));
            let args = raid_args(&config.storage.raid[0]).join(" ");
            assert_eq!(args, format!("--create r --force --run --homehost any {expected}"));
        }
        assert_eq!(raid_node("data"), "/dev/md/data");
        assert_eq!(raid_node("/dev/md/data"), "/dev/md/data");
    }

    #[test]
    fn arguments_of_cryptsetup() {
        let plain = volume(r#""wipeVolume": true"#);
        assert_eq!(
            plain.format_args("/dev/vdb", "/k").join(" "),
            "luksFormat --type luks2 --key-file /k /dev/vdb"
        );
        assert_eq!(
            plain.open_args("/dev/vdb", "/k").join(" "),
            "luksOpen /dev/vdb v --key-file /k --persistent"
        );
        let full = volume(
            r#""label": "L", "uuid": "00000000-1111-4222-8333-444444444444", "options": ["--cipher", "c"],
               "discard": true, "openOptions": ["--perf-no_read_workqueue"]"#,
        );
        assert_eq!(
            full.format_args("/dev/vdb", "/k").join(" "),
            "luksFormat --type luks2 --key-file /k --label L --uuid 00000000-1111-4222-8333-444444444444 --cipher c /dev/vdb"
        );
        assert_eq!(
            full.open_args("/dev/vdb", "/k").join(" "),
            "luksOpen /dev/vdb v --key-file /k --persistent --allow-discards --perf-no_read_workqueue"
        );
        assert_eq!(plain.pin_commands("/dev/vdb", "/k"), []);
    }

    #[test]
    fn pins_and_what_they_run() {
        let tang = r#"{"url": "http://t/", "thumbprint": "x"}"#;
        let known = r#"{"url": "http://u", "thumbprint": "y", "advertisement": "{\"payload\": \"p\"}"}"#;
        for (clevis, config, proves, network) in [
            (r#""tpm2": true"#.to_owned(), r#"{"pins":{"tpm2":{}},"t":1}"#, true, false),
            (
                format!(r#""tang": [{tang}]"#),
                r#"{"pins":{"tang":[{"url":"http://t/","thp":"x"}]},"t":1}"#,
                true,
                true,
            ),
            (
                format!(r#""tang": [{tang}], "tpm2": true, "threshold": 2"#),
                r#"{"pins":{"tang":[{"url":"http://t/","thp":"x"}],"tpm2":{}},"t":2}"#,
                true,
                true,
            ),
            (
                format!(r#""tang": [{tang}, {known}], "threshold": 2"#),
                r#"{"pins":{"tang":[{"url":"http://t/","thp":"x"},{"url":"http://u","thp":"y","adv":{"payload":"p"}}]},"t":2}"#,
                false,
                true,
            ),
        ] {
            let pin = volume(&format!(r#""clevis": {{{clevis}}}"#)).pin.unwrap();
            assert_eq!((pin.name.as_str(), pin.config.as_str()), ("sss", config));
            assert_eq!((pin.proves, pin.needs_network), (proves, network), "{clevis}");
            let first = if clevis.contains("tang") { vec!["http://t/adv".to_owned()] } else { vec![] };
            assert_eq!(pin.advertisements, first);
        }
        let custom = r#""clevis": {"custom": {"pin": "tpm2", "config": "{\"a\":1}", "needsNetwork": true}}"#;
        let custom = volume(custom);
        let shown = |volume: &Volume| -> Vec<String> {
            let commands = volume.pin_commands("/dev/vdb", "/k").into_iter();
            commands.map(|(program, args)| format!("{program} {}", args.join(" "))).collect()
        };
        assert_eq!(
            shown(&custom),
            [r#"clevis luks bind -f -k /k -d /dev/vdb tpm2 {"a":1}"#, "cryptsetup luksRemoveKey /dev/vdb /k"]
        );
        let keyed = volume(r#""keyFile": {"source": "data:,k"}, "clevis": {"tpm2": true}"#);
        assert_eq!(
            shown(&keyed),
            [
                r#"clevis luks bind -f -k /k -d /dev/vdb sss {"pins":{"tpm2":{}},"t":1}"#,
                "cryptsetup luksClose v",
                "clevis luks unlock -d /dev/vdb -n v"
            ]
        );
    }

    #[test]
    fn lines_of_crypttab() {
        let keyed = volume(r#""keyFile": {"source": "data:,k"}"#);
        assert_eq!(keyed.crypttab_line("U"), "v UUID=U /etc/luks/v luks,x-initrd.attach\n");
        let tpm = volume(r#""clevis": {"tpm2": true}"#);
        assert_eq!(tpm.crypttab_line("U"), "v UUID=U none luks,x-initrd.attach\n");
        let tang = volume(r#""clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}"#);
        assert_eq!(tang.crypttab_line("U"), "v UUID=U none luks,_netdev,x-initrd.attach\n");
    }
}
