//! The commands: a table, and one file for each group that works alike.

mod create;
mod exec;
mod inspect;
mod plain;

use oci_runtime::Event;
use oci_runtime::state::Root;

use crate::Failure;
use crate::args::{Opt, Parsed, Verb, flag, option};
use crate::log::Log;

const BUNDLE: Opt = option("bundle", "b", "DIR", "directory with config.json (default .)");
const CONSOLE: Opt = option("console-socket", "", "SOCKET", "socket that gets the terminal");
const PID_FILE: Opt = option("pid-file", "", "FILE", "file that gets the process id");
const NO_PIVOT: Opt = flag("no-pivot", "", "move the root instead of pivot_root");
const NO_KEYRING: Opt = flag("no-new-keyring", "", "keep the caller's session keyring");
const PRESERVE: Opt = option("preserve-fds", "", "N", "pass N more descriptors on");
const DETACH: Opt = flag("detach", "d", "do not wait for the program");

/// Every command.
pub(crate) const VERBS: &[Verb] = &[
    Verb {
        name: "create",
        operands: "ID",
        help: "Make a container; its program waits for start",
        options: &[BUNDLE, CONSOLE, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE],
        trailing: false,
    },
    Verb {
        name: "start",
        operands: "ID",
        help: "Run a created container's program",
        options: &[],
        trailing: false,
    },
    Verb {
        name: "run",
        operands: "ID",
        help: "Create and start in one; in the foreground unless --detach",
        options: &[
            BUNDLE,
            CONSOLE,
            PID_FILE,
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
            DETACH,
            flag("no-subreaper", "", "do not adopt the container's orphans"),
            flag("keep", "", "do not delete the container when it ends"),
        ],
        trailing: false,
    },
    Verb {
        name: "state",
        operands: "ID",
        help: "Show a container's state as JSON",
        options: &[],
        trailing: false,
    },
    Verb {
        name: "kill",
        operands: "ID [SIGNAL]",
        help: "Send a signal (default TERM) to a container's first process",
        options: &[flag("all", "a", "to every process of the container")],
        trailing: false,
    },
    Verb {
        name: "delete",
        operands: "ID",
        help: "Remove a stopped container",
        options: &[flag("force", "f", "kill it first; no error if it is not there")],
        trailing: false,
    },
    Verb {
        name: "exec",
        operands: "ID COMMAND…",
        help: "Run a further program in a container",
        options: &[
            CONSOLE,
            option("cwd", "", "DIR", "directory to start in"),
            option("env", "e", "NAME=VALUE", "set a variable (may be given again)"),
            flag("tty", "t", "give it a terminal"),
            option("user", "u", "UID[:GID]", "user to run as"),
            option("additional-gids", "g", "GID", "further group (may be given again)"),
            option("process", "p", "FILE", "process.json to take instead"),
            DETACH,
            PID_FILE,
            option("process-label", "", "LABEL", "refused: no SELinux yet"),
            option("apparmor", "", "PROFILE", "AppArmor profile"),
            flag("no-new-privs", "", "forbid gaining privileges"),
            option("cap", "c", "CAP", "add a capability (may be given again)"),
            PRESERVE,
            flag("ignore-paused", "", "also in a paused container"),
            option("cgroup", "", "PATH", "cgroup below the container's"),
        ],
        trailing: true,
    },
    Verb {
        name: "list",
        operands: "",
        help: "List containers",
        options: &[
            option("format", "f", "FORMAT", "table (default) or json"),
            flag("quiet", "q", "ids only"),
        ],
        trailing: false,
    },
    Verb {
        name: "ps",
        operands: "ID",
        help: "List a container's process ids",
        options: &[option("format", "f", "FORMAT", "table (default) or json")],
        trailing: false,
    },
    Verb {
        name: "spec",
        operands: "",
        help: "Write a template of config.json into the bundle",
        options: &[BUNDLE, flag("rootless", "", "refused: write the user namespace by hand")],
        trailing: false,
    },
    Verb {
        name: "features",
        operands: "",
        help: "Show what orun supports as JSON",
        options: &[],
        trailing: false,
    },
];

/// Runs a command; the value is the exit code.
pub(crate) fn run(verb: &Verb, parsed: &Parsed, log: &mut Log) -> Result<u8, Failure> {
    if parsed.has("systemd-cgroup") {
        return Err(Failure::Value(
            "--systemd-cgroup: orun has no systemd driver yet; give a cgroup path".to_owned(),
        ));
    }
    let root = root(parsed);
    match verb.name {
        "create" => create::create(&root, parsed, log),
        "run" => create::run(&root, parsed, log),
        "exec" => exec::exec(&root, parsed, log),
        "start" => plain::start(&root, parsed),
        "kill" => plain::kill(&root, parsed),
        "delete" => plain::delete(&root, parsed, log),
        "state" => inspect::state(&root, parsed),
        "list" => inspect::list(&root, parsed),
        "ps" => inspect::ps(&root, parsed),
        "spec" => plain::spec(parsed),
        _ => plain::features(),
    }
}

fn root(parsed: &Parsed) -> Root {
    match parsed.value("root").filter(|r| !r.is_empty()) {
        Some(path) => Root(path.into()),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            Root::default_for(uid, std::env::var("XDG_RUNTIME_DIR").ok().as_deref())
        }
    }
}

/// Writes an engine's events down as they come.
pub(crate) fn events(log: &mut Log) -> impl FnMut(Event) + '_ {
    |event| {
        if let Event::Warning(text) = event {
            log.warning(&text);
        }
    }
}

/// Descriptors handed over by the caller, those of socket activation included, and the variables that tell of them.
pub(crate) fn handed_over(parsed: &Parsed) -> Result<(u32, Vec<String>), Failure> {
    let preserve = parsed.number("preserve-fds")?;
    let listen: u32 = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let env =
        if listen > 0 { vec![format!("LISTEN_FDS={listen}"), "LISTEN_PID=1".to_owned()] } else { Vec::new() };
    Ok((preserve + listen, env))
}
