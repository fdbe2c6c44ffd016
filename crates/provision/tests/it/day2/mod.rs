//! Day 2: changes of what is declared, on trees in memory.

mod changes;
mod cuts;
mod properties;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use provision::day2::apply::{Ended, apply, stage};
use provision::day2::{Change, Declaration, Permission, plan_change};
use provision::fetch::resource::Net;
use provision::net::Clock as _;
use provision::net::http::Client;
use provision::observe::Observed;
use provision::root::Watch;
use provision::{Durability, Env, Error, Event, FinalConfig, Root};

use crate::machine::{Recorder, TestClock, be_root};

/// Nodes by path, in a form that tells everything that counts: kind, mode, owner, content, and which names are one file.
pub(crate) type Tree = BTreeMap<String, String>;

/// A tree with an OS in it.
pub(crate) struct Small {
    dir: tempfile::TempDir,
    clock: TestClock,
    pub(crate) recorder: Recorder,
    pub(crate) watch: Option<Arc<dyn Watch>>,
}

impl Small {
    pub(crate) fn new() -> Self {
        be_root();
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let small = Self {
            dir: dir.unwrap(),
            clock: TestClock::default(),
            recorder: Recorder::default(),
            watch: None,
        };
        for (path, text) in [
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:7:8::/home/me:/bin/sh\n"),
            ("etc/group", "root:x:0:\nme:x:8:\n"),
            ("etc/os", "default\n"),
            ("usr/etc/os", "default\n"),
            ("etc/os.d/part", "part\n"),
            ("usr/etc/os.d/part", "part\n"),
            ("opt/own", "somebody's\n"),
            (
                "usr/lib/systemd/system/os.service",
                "[Service]\nExecStart=/usr/bin/os\n[Install]\nWantedBy=multi-user.target\n",
            ),
            (
                "usr/lib/systemd/system/many@.service",
                "[Install]\nWantedBy=multi-user.target\nDefaultInstance=one\n",
            ),
        ] {
            small.put(path, text);
        }
        std::fs::create_dir_all(small.root().join("var/home")).unwrap();
        std::os::unix::fs::symlink("var/home", small.root().join("home")).unwrap();
        let wants = small.root().join("etc/systemd/system/multi-user.target.wants");
        std::fs::create_dir_all(&wants).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/system/os.service", wants.join("os.service")).unwrap();
        small
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    pub(crate) fn open(&self) -> Root {
        let root = Root::open(&self.root(), Durability::AtEnd).unwrap();
        match &self.watch {
            Some(watch) => root.watched(watch.clone()),
            None => root,
        }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Env<'_>) -> T) -> T {
        let mut up = |_: &str| Ok(());
        let client = Client::default();
        let mut env = Env {
            root: self.open(),
            devices: block::devices::Devices::default(),
            programs: &self.recorder,
            net: Net::new(client, &self.clock, &mut up),
            device_timeout: Duration::ZERO,
            boot_id: "boot".into(),
            options: provision::execute::Options::default(),
            keys: BTreeMap::new(),
            mount_points_made: Default::default(),
        };
        work(&mut env)
    }

    /// A first boot with a config.
    pub(crate) fn first(&self, wanted: &FinalConfig) -> Result<(), Error> {
        self.with(|env| provision::provision(wanted, env, &mut |_| {})).map(drop)
    }

    pub(crate) fn observe(&self, wanted: &FinalConfig) -> (Option<Declaration>, Observed) {
        let root = self.open();
        let old = Declaration::load(&root).unwrap();
        let devices = block::devices::Devices::default();
        let seen =
            provision::day2::observe::observe(&wanted.config, old.as_ref(), &root, &devices, &self.recorder);
        (old, seen.unwrap())
    }

    pub(crate) fn plan(&self, wanted: &FinalConfig, permission: Permission) -> Result<Change, Error> {
        let (old, now) = self.observe(wanted);
        plan_change(wanted, old.as_ref(), &now, permission, self.clock.now())
    }

    pub(crate) fn carry_out(
        &self,
        wanted: &FinalConfig,
        change: &Change,
        judge: Result<(), &str>,
    ) -> Result<Ended, Error> {
        let (_, now) = self.observe(wanted);
        let mut events = |_: Event| {};
        self.with(|env| {
            let staged = stage(change, &now, &wanted.settings, env, &mut events)?;
            apply(&staged, &wanted.settings, env, &mut |_, _| judge.map_err(str::to_owned), &mut events)
        })
    }

    /// Applies a config on the running machine, and insists that it stays.
    pub(crate) fn apply(&self, wanted: &FinalConfig) -> Result<Change, Error> {
        let change = self.plan(wanted, Permission::default())?;
        match self.carry_out(wanted, &change, Ok(()))? {
            Ended::Committed => Ok(change),
            Ended::TakenBack(why) => Err(why),
        }
    }

    /// All of the tree but the house's own records.
    pub(crate) fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        let mut inodes = BTreeMap::new();
        walk(&self.root(), "", &mut inodes, &mut tree);
        tree
    }
}

fn walk(dir: &Path, below: &str, inodes: &mut BTreeMap<u64, String>, tree: &mut Tree) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        if matches!(path.as_str(), "/orlop" | "/usr" | "/etc/.ignition-result.json") {
            continue;
        }
        let meta = entry.path().symlink_metadata().unwrap();
        let what = if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
        } else if meta.is_dir() {
            walk(&entry.path(), &path, inodes, tree);
            format!("{:o}", meta.mode() & 0o7777)
        } else {
            let first = inodes.entry(meta.ino()).or_insert_with(|| path.clone()).clone();
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            format!("{:o} {text:?} ={first}", meta.mode() & 0o7777)
        };
        tree.insert(path, format!("{what} {}:{}", meta.uid(), meta.gid()));
    }
}

pub(crate) fn config(json: &str) -> FinalConfig {
    match ignition_spec::parse(json.as_bytes()) {
        Ok(parsed) => FinalConfig::of(parsed.config),
        Err(report) => panic!("{report}\n{json}"),
    }
}

/// A config with these sections.
pub(crate) fn storage(text: &str) -> FinalConfig {
    config(&format!(r#"{{"ignition": {{"version": "3.5.0"}}, {text}}}"#))
}
