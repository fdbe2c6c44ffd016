//! Day 2 as administrators run it, on a tree with a systemctl that only takes notes.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything here, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const WEB: &str = "variant: fcos
version: 1.5.0
storage:
  files:
    - path: /etc/motd
      overwrite: true
      contents: {inline: \"ours\\n\"}
systemd:
  units:
    - name: web.service
      enabled: true
      contents: \"[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"
";
const NOTHING: &str = "variant: fcos\nversion: 1.5.0\n";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        be_root();
        let tree = Self(tempfile::tempdir().expect("a folder"));
        for (path, text) in [
            ("etc/motd", "default\n"),
            ("usr/etc/motd", "default\n"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
            ("run/orlop/x", ""),
        ] {
            tree.put(path, text);
        }
        tree.systemctl("1");
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// A systemctl whose `is-failed` ends so.
    fn systemctl(&self, is_failed: &str) {
        let log = self.path().join("calls");
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {}\ncase \"$1\" in is-failed) exit {is_failed};; esac\n",
            log.display()
        );
        let path = self.put("usr/bin/systemctl", &text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orlop-host"));
        command.args(args).arg("--root").arg(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }

    fn wait_for(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < until, "{what}: {}", self.text("run/orlop/apply.json"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Trees have files of root. Who is not root starts the test again as root of a user namespace.
fn be_root() {
    if !rustix::process::getuid().is_root() {
        let mut again = Command::new("unshare");
        again
            .arg("--map-root-user")
            .arg(std::env::current_exe().expect("a path"))
            .args(std::env::args_os().skip(1));
        panic!("unshare --map-root-user: {}", again.exec());
    }
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn applied_looked_at_and_removed_again() {
    let tree = Tree::new();
    let dry = tree.run(&["apply", "--dry-run", "-"], WEB);
    assert!(dry.status.success(), "{}", words(&dry));
    assert!(words(&dry).contains("-default\n     +ours\n"), "{}", words(&dry));
    assert_eq!(tree.text("etc/motd"), "default\n");
    let applied = tree.run(&["apply", "-"], WEB);
    assert!(applied.status.success(), "{}", words(&applied));
    assert_eq!(tree.text("etc/motd"), "ours\n");
    let calls = tree.text("calls");
    assert!(calls.contains("daemon-reload\nstart web.service\n"), "{calls}");
    assert!(tree.run(&["diff"], "").status.success());
    tree.put("etc/motd", "by hand\n");
    let diff = tree.run(&["diff"], "");
    assert_eq!((diff.status.code(), words(&diff).as_str()), (Some(1), "/etc/motd: content was changed\n"));
    let refused = tree.run(&["apply", "-"], NOTHING);
    assert_eq!(refused.status.code(), Some(5), "{}", words(&refused));
    assert!(words(&refused).contains("/etc/motd was changed by hand"), "{}", words(&refused));
    let forced = tree.run(&["apply", "--force", "-"], NOTHING);
    assert!(forced.status.success(), "{}", words(&forced));
    assert_eq!(tree.text("etc/motd"), "default\n");
    assert!(!tree.path().join("etc/systemd").exists());
    assert!(!tree.path().join("orlop/apply").exists());
}

#[test]
fn unconfirmed_it_is_taken_back_and_confirmed_it_stays() {
    let tree = Tree::new();
    let back = tree.run(&["apply", "--confirm-within", "1s", "-"], WEB);
    assert_eq!(back.status.code(), Some(5), "{}", words(&back));
    assert!(words(&back).contains("nobody confirmed it within 1 s"), "{}", words(&back));
    assert_eq!(tree.text("etc/motd"), "default\n");
    assert!(tree.text("calls").ends_with("daemon-reload\nrestart web.service\n"), "{}", tree.text("calls"));
    let none = tree.run(&["confirm"], "");
    assert_eq!(none.status.code(), Some(4), "{}", words(&none));

    let mut asker = tree.command(&["apply", "--confirm-within", "60s", "-"]).spawn().expect("it starts");
    asker.stdin.take().expect("a pipe").write_all(WEB.as_bytes()).expect("it reads");
    tree.wait_for("waiting", |tree| tree.text("run/orlop/apply.json").contains("waiting"));
    let other = tree.run(&["apply", "-"], NOTHING);
    assert!(words(&other).contains("another change"), "{}", words(&other));
    let confirmed = tree.run(&["confirm"], "");
    assert!(confirmed.status.success(), "{}", words(&confirmed));
    let ended = asker.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", words(&ended));
    assert_eq!(tree.text("etc/motd"), "ours\n");
}

#[test]
fn when_the_asker_is_lost_it_is_taken_back() {
    let tree = Tree::new();
    let mut asker = tree.command(&["apply", "--confirm-within", "60s", "-"]).spawn().expect("it starts");
    asker.stdin.take().expect("a pipe").write_all(WEB.as_bytes()).expect("it reads");
    tree.wait_for("waiting", |tree| tree.text("run/orlop/apply.json").contains("waiting"));
    assert_eq!(tree.text("etc/motd"), "ours\n");
    asker.kill().expect("it is there");
    asker.wait().expect("it ends");
    tree.wait_for("back", |tree| {
        tree.text("run/orlop/apply.json").contains("connection that asked for it is lost")
    });
    assert_eq!(tree.text("etc/motd"), "default\n");
}

#[test]
fn failed_units_and_health_checks_take_it_back() {
    let tree = Tree::new();
    tree.systemctl("0");
    let failed = tree.run(&["apply", "-"], WEB);
    assert!(words(&failed).contains("taken back: web.service failed"), "{}", words(&failed));
    assert_eq!(tree.text("etc/motd"), "default\n");
    tree.systemctl("1");
    let check = tree.put("etc/orlop/health.d/no", "#!/bin/sh\nexit 1\n");
    std::fs::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let sick = tree.run(&["apply", "-"], WEB);
    assert!(words(&sick).contains("health.d/no failed"), "{}", words(&sick));
    assert_eq!(tree.text("etc/motd"), "default\n");
}

#[test]
fn a_change_that_was_cut_short_is_recovered() {
    let tree = Tree::new();
    let mut asker = tree.command(&["apply", "--confirm-within", "60s", "-"]).spawn().expect("it starts");
    asker.stdin.take().expect("a pipe").write_all(WEB.as_bytes()).expect("it reads");
    tree.wait_for("waiting", |tree| tree.text("run/orlop/apply.json").contains("waiting"));
    // As a power cut leaves it: the journal and the new tree, and nobody who works on them.
    let cut = Tree::new();
    let copied =
        Command::new("cp").arg("-a").arg(tree.path().join(".")).arg(cut.path()).status().expect("cp");
    assert!(copied.success());
    let _ = std::fs::remove_dir_all(cut.path().join("run/orlop"));
    assert_eq!(cut.text("etc/motd"), "ours\n");
    let recovered = cut.run(&["apply-recover"], "");
    assert!(words(&recovered).contains("is taken back"), "{}", words(&recovered));
    assert_eq!(cut.text("etc/motd"), "default\n");
    assert!(!cut.path().join("etc/systemd").exists());
    assert!(tree.run(&["confirm"], "").status.success());
    assert!(asker.wait_with_output().expect("it ends").status.success());
}

#[test]
fn a_reset_says_what_is_lost_first() {
    let tree = Tree::new();
    tree.put("var/lib/app/data", "x");
    tree.put("var/log/y", "x");
    let told = tree.run(&["reset", "--keep", "/var/lib/app"], "");
    let text = words(&told);
    for line in [
        "  lost  /var/lib (but for what is kept)\n",
        "  lost  /var/log\n",
        "  kept  /var/lib/app\n",
        "nothing is done yet",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!tree.path().join("orlop/reset.json").exists());
    assert!(tree.run(&["reset", "--keep", "/var/lib/app", "--yes"], "").status.success());
    assert_eq!(tree.text("orlop/reset.json"), "{\"version\":1,\"keep\":[\"/var/lib/app\"]}\n");
    assert!(tree.run(&["reset", "--cancel"], "").status.success());
    assert!(!tree.path().join("orlop/reset.json").exists());
    assert_eq!(tree.run(&["reset", "--keep", "/etc/ssh"], "").status.code(), Some(2));
}

#[test]
fn a_state_can_be_planned_from() {
    let tree = Tree::new();
    assert!(tree.run(&["apply", "-"], WEB).status.success());
    let output = tree.run(&["observe"], "");
    let state = provision::observe::state::State::parse(&output.stdout).expect("a state");
    assert!(state.observed.nodes.contains_key("/etc/group"));
    assert!(state.declared.is_some_and(|declared| declared.nodes.contains_key("/etc/motd")));
}
