//! The sections of our own variant.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ignition_spec::check::Checker;
use ignition_spec::merge::{Foreign, Merger};
use ignition_spec::read::Reader;
use ignition_spec::schema::{Choice, ConfigValue, Listing, Shape};
use ignition_spec::section;
use ignition_spec::tree::{Node, Plain, Value};
use ignition_spec::write::Writer;

use crate::goyaml;
use crate::rules::orlop as rules;

/// The types of variables.
pub(crate) const TYPES: &[Choice] =
    &[Choice::new("string", 0), Choice::new("int", 0), Choice::new("bool", 0), Choice::new("list", 0)];

/// When pods start again.
pub(crate) const RESTARTS: &[Choice] =
    &[Choice::new("always", 0), Choice::new("on-failure", 0), Choice::new("never", 0)];

/// When updates are applied.
pub(crate) const STRATEGIES: &[Choice] =
    &[Choice::new("immediate", 0), Choice::new("window", 0), Choice::new("manual", 0)];

section! {
    /// Further Butane files.
    Merging {
        /// Butane files to merge over this one when it is transpiled, in this order.
        merge: Vec<FragmentReference> = "merge",
    }
}

section! {
    /// A Butane file to merge.
    FragmentReference [check rules::fragment] {
        /// The file, in the files folder.
        local: String = "local",
    }
}

section! {
    /// A value that is given when the config is transpiled; `${NAME}` in any value of this file stands for it.
    Variable [key |v| Cow::Borrowed(&v.name)] {
        /// Its name: letters, digits and `_`.
        name: String = "name",
        /// `string` when not given.
        r#type: Option<String> = "type" of TYPES,
        /// The value when none is given.
        default: Loose = "default",
        /// What it is for.
        description: Option<String> = "description",
        /// It must be given, even where nothing refers to it.
        required: Option<bool> = "required",
    }
}

section! {
    /// A pod: containers that the machine runs. It becomes `/etc/pods.d/NAME.yaml`.
    Pod [key |p| Cow::Borrowed(&p.name)] [check rules::pod] {
        /// Its name, a DNS label.
        name: String = "name",
        /// The Pod itself, as YAML text or as an object.
        inline: Loose = "inline",
        /// A file of the files folder with the Pod.
        local: Option<String> = "local",
        /// Short form: the image of the only container.
        image: Option<String> = "image",
        /// In place of the image's entrypoint.
        command: Vec<String> = "command",
        /// In place of the image's command.
        args: Vec<String> = "args",
        /// Environment.
        env: BTreeMap<String, String> = "env",
        /// `[[IP:]HOST:]CONTAINER[/udp]`, each.
        ports: Vec<String> = "ports",
        /// `SOURCE:PATH[:ro]`, each; SOURCE is a path of the machine, or a name for an empty directory.
        volumes: Vec<String> = "volumes",
        /// When it is started again: `always`, `on-failure` or `never`.
        restart: Option<String> = "restart" of RESTARTS,
        /// It uses the machine's own network.
        host_network: Option<bool> = "hostNetwork",
    }
}

section! {
    /// What must hold after an update for it to be good. It becomes `/etc/orlop/health.d/NAME.yaml`.
    HealthCheck [key |h| Cow::Borrowed(&h.name)] [check rules::health_check] {
        /// Its name: letters, digits, `-`, `_`, `.`.
        name: String = "name",
        /// A unit that must be active.
        unit: Option<String> = "unit",
        /// A program, with an absolute path, and its arguments; it must exit with 0.
        command: Vec<String> = "command",
        /// A page that must be served.
        http: HttpCheck = "http",
        /// A container that must run.
        container: ContainerCheck = "container",
        /// Seconds between two tries; 5 when not given.
        interval_secs: Option<i64> = "intervalSecs",
        /// Seconds that one try may take; 10 when not given.
        timeout_secs: Option<i64> = "timeoutSecs",
        /// Seconds after the boot by which it must have passed; 300 when not given.
        within_secs: Option<i64> = "withinSecs",
    }
}

section! {
    /// A page that must be served.
    HttpCheck {
        /// Its URL, http or https.
        url: String = "url",
        /// The status that it must have; any of 200 to 299 when not given.
        status: Option<i64> = "status",
        /// What must be in its first 64 KiB.
        contains: Option<String> = "contains",
    }
}

section! {
    /// A container that must run.
    ContainerCheck {
        /// Its pod.
        pod: String = "pod",
        /// Its name in the pod; all of the pod's when not given.
        name: Option<String> = "name",
    }
}

section! {
    /// How the machine updates itself. It becomes `/etc/orlop/update.toml`.
    Updates [check rules::updates] {
        /// The stream to follow.
        stream: Option<String> = "stream",
        /// When updates are applied: `immediate`, `window` or `manual`.
        strategy: Option<String> = "strategy" of STRATEGIES,
        /// When the machine may restart for an update, with strategy `window`.
        windows: Vec<Window> = "windows",
        /// The time zone of the windows; UTC when not given.
        time_zone: Option<String> = "timeZone",
    }
}

section! {
    /// A time of the week.
    Window [check rules::window] {
        /// Days: `mon` to `sun`; every day when there are none.
        days: Vec<String> = "days",
        /// When it starts: `HH:MM`.
        start: String = "start",
        /// How many minutes it lasts.
        length_minutes: i64 = "lengthMinutes",
    }
}

/// A value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loose {
    /// Not given.
    #[default]
    Unset,
    /// A scalar as it is written, quotes resolved.
    Scalar(String),
    /// A list of scalars.
    List(Vec<String>),
    /// An object, or a list of more than scalars, as YAML.
    Yaml(String),
}

impl ConfigValue for Loose {
    fn read(&mut self, node: &Node<'_>, _: &mut Reader<'_>) {
        let scalar = |node: &Node<'_>| match &node.value {
            Value::Text(text) | Value::Plain(text, _) => Some(text.to_string()),
            _ => None,
        };
        *self = match &node.value {
            Value::Null | Value::Plain(_, Plain::Null) => Loose::Unset,
            Value::Seq(items) => match items.iter().map(scalar).collect() {
                Some(items) => Loose::List(items),
                None => Loose::Yaml(goyaml::write(node)),
            },
            Value::Map(_) => Loose::Yaml(goyaml::write(node)),
            _ => scalar(node).map_or(Loose::Unset, Loose::Scalar),
        };
    }

    fn write(&self, out: &mut Writer) {
        if let Loose::Scalar(text) | Loose::Yaml(text) = self {
            out.string(text);
        }
    }

    fn is_absent(&self) -> bool {
        *self == Loose::Unset
    }

    fn walk(&self, _: &mut Checker<'_>) {}

    fn merge(_: &Self, child: &Self, _: Listing, _: &Foreign<'_>, merger: &mut Merger) -> Self {
        merger.from_child();
        child.clone()
    }

    fn shape() -> Shape {
        Shape::Any
    }
}
