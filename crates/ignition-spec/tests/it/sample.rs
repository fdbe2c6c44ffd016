//! Configs made from the schema table: for every field a value that fits and one of another type; and random configs.

use ignition_spec::Spec;
use ignition_spec::config::Config;
use ignition_spec::schema::{ConfigValue, Field, Shape};
use serde_json::{Map, Value, json};

/// A SHA-512 of nothing in particular.
pub(crate) const HASH: &str = "sha512-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What an object of `section` must have to be valid.
fn required(section: &str) -> Value {
    match section {
        "Disk" => json!({"device": "/dev/vdb"}),
        "Partition" => json!({"number": 1}),
        "Raid" => json!({"name": "r", "level": "raid1", "devices": ["/dev/vdb"]}),
        "Filesystem" => json!({"device": "/dev/vdb", "format": "ext4"}),
        "Luks" => json!({"name": "l", "device": "/dev/vdb"}),
        "ClevisCustom" => json!({"pin": "tpm2", "config": "{}"}),
        "Tang" => json!({"url": "http://tang", "thumbprint": "x"}),
        "Directory" | "File" => json!({"path": "/a"}),
        "Link" => json!({"path": "/a", "target": "/b"}),
        "Resource" => json!({"source": "https://h/a"}),
        "Verification" => json!({"hash": HASH}),
        "HttpHeader" => json!({"name": "X-A", "value": "b"}),
        "PasswdUser" | "PasswdGroup" => json!({"name": "core"}),
        "Unit" => json!({"name": "a.service"}),
        "Dropin" => json!({"name": "a.conf"}),
        _ => json!({}),
    }
}

/// A text that `field` of `section` takes; most take any.
fn text(section: &str, field: &Field) -> &'static str {
    if let Some(choice) = field.choices.iter().find(|choice| choice.since == 0) {
        return choice.text;
    }
    match (section, field.camel) {
        ("Partition", "guid" | "typeGuid") => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        ("Filesystem", "path") => "/var",
        ("Proxy", "httpProxy" | "httpsProxy") => "https://proxy:3128",
        ("Tang", "advertisement") => "{}",
        ("Unit" | "Dropin", "contents") => "[Service]\nA=b\n",
        ("Raid", "devices") => "/dev/vdc",
        (_, key) => match required(section)[key].as_str() {
            Some(text) => Box::leak(text.to_owned().into_boxed_str()),
            None => "x",
        },
    }
}

/// A value that fits `shape`, which is that of `field` in `section`.
pub(crate) fn fitting(section: &str, field: &Field, shape: Shape) -> Value {
    match shape {
        Shape::Text => text(section, field).into(),
        Shape::Integer => if field.camel == "mode" { 0o644 } else { 1 }.into(),
        Shape::Boolean => {
            let off = matches!(field.camel, "overwrite" | "wipeFilesystem");
            (!off).into()
        }
        Shape::List(item) => Value::Array(vec![fitting(section, field, item())]),
        Shape::Section(name, _) => required(name),
        Shape::Map(_) | Shape::Any => json!({}),
    }
}

/// A value of another type.
pub(crate) fn mistyped(shape: Shape) -> Value {
    match shape {
        Shape::Text => 5.into(),
        Shape::Integer => "5".into(),
        Shape::Boolean => "true".into(),
        Shape::List(_) => json!({}),
        Shape::Section(..) | Shape::Map(_) => json!([]),
        Shape::Any => unreachable!("Ignition has no field of any type"),
    }
}

/// A field with the way to it from the root.
#[derive(Clone)]
pub(crate) struct Place {
    /// Name of the section that has it.
    pub(crate) section: &'static str,
    pub(crate) field: &'static Field,
    /// Keys and the section's name below each, from the root; `true` where the key holds a list.
    above: Vec<(&'static Field, &'static str, bool)>,
}

impl Place {
    /// `$.storage.files.0.path`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::from("$");
        for (field, _, list) in &self.above {
            path = format!("{path}.{}{}", field.camel, if *list { ".0" } else { "" });
        }
        format!("{path}.{}", self.field.camel)
    }

    /// The spec that brought it and all above it.
    pub(crate) fn since(&self) -> u8 {
        let above = self.above.iter().map(|(field, ..)| field.since);
        let since = above.chain([self.field.since]).max().unwrap_or(0);
        // In 3.0 what the section `ignition` refers to had no compression; see `Reader`.
        let early = self.above.first().is_some_and(|(field, ..)| field.camel == "ignition");
        if early && self.field.camel == "compression" { since.max(1) } else { since }
    }

    /// A config of `spec` whose field has `value`, and which is valid but for that.
    pub(crate) fn config(&self, spec: Spec, value: Value) -> Value {
        let mut inner = required(self.section);
        insert(&mut inner, self.field.camel, value);
        // Some fields exclude or need others.
        match (self.section, self.field.camel) {
            ("Filesystem", "wipeFilesystem") => {}
            ("Partition", "label") => drop(inner.as_object_mut().map(|map| map.remove("number"))),
            ("Resource", "verification") => {}
            _ => {}
        }
        for (field, section, list) in self.above.iter().rev() {
            let value = if *list { Value::Array(vec![inner]) } else { inner };
            let above = self
                .above
                .iter()
                .position(|(other, name, _)| (other.camel, *name) == (field.camel, *section));
            let holder = above.and_then(|at| at.checked_sub(1)).map_or("Config", |at| self.above[at].1);
            inner = required(holder);
            insert(&mut inner, field.camel, value);
        }
        let version = Value::Object(Map::from_iter([("version".to_owned(), spec.to_string().into())]));
        let ignition = inner.get_mut("ignition").map(Value::take).unwrap_or(version.clone());
        let mut all = version;
        if let (Some(all), Value::Object(own)) = (all.as_object_mut(), &ignition) {
            all.extend(own.clone());
        }
        let whole = matches!((self.above.len(), self.field.camel), (0, "ignition"));
        insert(&mut inner, "ignition", if whole && !ignition.is_object() { ignition } else { all });
        inner
    }
}

fn insert(object: &mut Value, key: &str, value: Value) {
    object.as_object_mut().expect("an object").insert(key.to_owned(), value);
}

/// Every field of the newest spec.
pub(crate) fn places() -> Vec<Place> {
    fn visit(shape: Shape, above: &[(&'static Field, &'static str, bool)], out: &mut Vec<Place>) {
        let Shape::Section(section, fields) = shape else { return };
        for field in fields {
            out.push(Place { section, field, above: above.to_vec() });
            let (below, list) = match (field.shape)() {
                Shape::List(item) => (item(), true),
                other => (other, false),
            };
            if let Shape::Section(name, _) = below {
                visit(below, &[above, &[(field, name, list)]].concat(), out);
            }
        }
    }
    let mut out = Vec::new();
    visit(Config::shape(), &[], &mut out);
    out
}

/// A small generator of numbers; seeded, so that every run judges the same configs.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const TEXTS: &[&str] = &[
    "",
    "x",
    "/",
    "/a",
    "/a/",
    "//a",
    "/a/../b",
    "relative/path",
    "a b",
    "/dev/vdb",
    "/dev/vdc",
    "a.service",
    "a@.service",
    "a@1.service",
    "b.timer",
    "x.mounts",
    "z.conf",
    "https://h/a",
    "http://h:80/x?y#z",
    "s3://b/k",
    "s3://b/k?versionId=",
    "tftp://h/f",
    "gs://b/o",
    "ftp://h/f",
    "arn:aws:s3:::b/k",
    "data:,hi",
    "data:;base64,aGk=",
    "data:;base64,a",
    "data:",
    "://",
    "%zz",
    "http://[::1",
    "gzip",
    "xz",
    "ext4",
    "btrfs",
    "xfs",
    "vfat",
    "swap",
    "none",
    "virtiofs",
    "raid0",
    "raid1",
    "linear",
    "mirror",
    "raid-1",
    "10",
    "[Unit]\nA=b\n",
    "[Unit",
    "A=b",
    "[Install]\nWantedBy=x\n",
    "sha512-00",
    "sha256-",
    "md5-00",
    "nodash",
    "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "0fc63daf",
    "a:b",
    "label-of-more-than-thirty-six-characters!",
    "tpm2",
    "sss",
    "tang",
    "pkcs11",
    "{}",
    "{",
    "ä",
    "\u{1}",
    "core",
    "true",
];

const NUMBERS: &[i64] =
    &[-1, 0, 1, 2, 7, 100, 420, 493, 511, 512, 1023, 4095, 4096, 7777, 2048, 1 << 40, i64::MAX];

/// A value for `shape`: mostly one that fits, else one of the pool, null, or of another type.
fn random_value(random: &mut Random, section: &str, field: &Field, shape: Shape, spec: Spec) -> Value {
    let kind = random.below(100);
    match (kind, shape) {
        (98, _) => return Value::Null,
        (99, shape) if random.below(4) == 0 => return mistyped(shape),
        _ => {}
    }
    match shape {
        Shape::Text if kind < 60 => fitting(section, field, shape),
        Shape::Text => (*random.pick(TEXTS)).into(),
        Shape::Integer if kind < 60 => fitting(section, field, shape),
        Shape::Integer => (*random.pick(NUMBERS)).into(),
        Shape::Boolean => (random.below(2) == 0).into(),
        Shape::List(item) => {
            let count = [1, 1, 1, 2, 2, 3, 0][random.below(7)];
            (0..count).map(|_| random_value(random, section, field, item(), spec)).collect()
        }
        Shape::Section(name, fields) => random_section(random, name, fields, spec),
        Shape::Map(_) | Shape::Any => json!({}),
    }
}

fn random_section(random: &mut Random, name: &str, fields: &'static [Field], spec: Spec) -> Value {
    let mut object = required(name);
    if random.below(12) == 0 {
        object = json!({});
    }
    for field in fields {
        let known = field.since <= spec.minor_number() || random.below(40) == 0;
        if known && random.below(4) == 0 {
            insert(&mut object, field.camel, random_value(random, name, field, (field.shape)(), spec));
        }
    }
    object
}

/// A config of `spec`: some sections, mostly valid.
pub(crate) fn random_config(random: &mut Random, spec: Spec) -> Value {
    let Shape::Section(name, fields) = Config::shape() else { unreachable!("a config is a section") };
    let mut config = random_section(random, name, fields, spec);
    let version = json!({"version": spec.to_string()});
    match config.get_mut("ignition") {
        Some(Value::Object(ignition)) => drop(ignition.insert("version".into(), spec.to_string().into())),
        _ => insert(&mut config, "ignition", version),
    }
    config
}
