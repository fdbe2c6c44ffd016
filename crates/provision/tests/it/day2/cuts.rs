//! The power is cut at every system call that changes the disk: the machine is then as before or as wanted, never else.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use provision::day2::Permission;
use provision::day2::apply::{Ended, Staged, apply, stage};
use provision::day2::journal::recover;
use provision::root::Watch;
use provision::{FinalConfig, Root};

use super::Small;
use super::properties::{cases, taken};

/// Lets a number of calls pass; the next and all after it fail, and what was not synced then is lost.
#[derive(Debug)]
struct Cutter {
    /// Calls that pass.
    pass: usize,
    made: AtomicUsize,
    unsynced: Mutex<Vec<File>>,
}

impl Cutter {
    fn after(pass: usize) -> Arc<Self> {
        Arc::new(Self { pass, made: AtomicUsize::new(0), unsynced: Mutex::new(Vec::new()) })
    }

    fn was_cut(&self) -> bool {
        self.made.load(Ordering::Relaxed) > self.pass
    }
}

impl Watch for Cutter {
    fn before(&self, _: &'static str) -> io::Result<()> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        if made < self.pass {
            return Ok(());
        }
        // What delayed allocation makes of a file whose rename is on the disk and whose content is not.
        for file in self.unsynced.lock().unwrap().drain(..) {
            file.set_len(0).unwrap();
        }
        Err(io::Error::from_raw_os_error(5))
    }

    fn wrote(&self, file: &File) {
        self.unsynced.lock().unwrap().push(file.try_clone().unwrap());
    }

    fn synced(&self, file: Option<&File>) {
        let mut unsynced = self.unsynced.lock().unwrap();
        match file {
            None => unsynced.clear(),
            Some(file) => {
                let inode = |file: &File| file.metadata().unwrap().ino();
                let this = inode(file);
                unsynced.retain(|other| inode(other) != this);
            }
        }
    }
}

/// A machine with A, and a change to B that is ready to be carried out.
struct Ready {
    small: Small,
    staged: Staged,
}

fn ready(a: &FinalConfig, b: &FinalConfig) -> Ready {
    let small = Small::new();
    small.first(a).unwrap();
    let change = small.plan(b, Permission::default()).unwrap();
    let (_, now) = small.observe(b);
    let staged = small.with(|env| stage(&change, &now, &b.settings, env, &mut |_| {})).unwrap();
    Ready { small, staged }
}

impl Ready {
    fn carry_out(&mut self, b: &FinalConfig, cutter: Arc<Cutter>) -> bool {
        self.small.watch = Some(cutter);
        let staged = &self.staged;
        let ended = self.small.with(|env| apply(staged, &b.settings, env, &mut |_, _| Ok(()), &mut |_| {}));
        self.small.watch = None;
        matches!(ended, Ok(Ended::Committed))
    }

    fn declared(&self) -> Vec<u8> {
        std::fs::read(self.small.root().join("orlop/declared/current.json")).unwrap()
    }
}

/// Recovers, itself cut after some calls, and again until it gets through.
fn recover_with_cuts(small: &Small, mut pass: usize) -> usize {
    let mut cuts = 0;
    loop {
        let cutter = Cutter::after(pass);
        let root: Root = small.open().watched(cutter.clone());
        let recovered = recover(&root);
        if !cutter.was_cut() {
            // Nothing stood in its way.
            recovered.unwrap();
            return cuts;
        }
        cuts += 1;
        pass = pass * 2 + 1;
    }
}

#[test]
fn old_or_new_wherever_it_is_cut() {
    let mut runner = TestRunner::deterministic();
    let wanted = usize::try_from(cases()).unwrap() * 8;
    let (mut points, mut backs, mut forwards, mut second) = (0, 0, 0, 0);
    while points < wanted {
        let a = taken().new_tree(&mut runner).unwrap().current().0;
        let b = taken().new_tree(&mut runner).unwrap().current().0;
        let mut machine = ready(&a, &b);
        let (old, old_declared) = (machine.small.tree(), machine.declared());
        let whole = Cutter::after(usize::MAX);
        assert!(machine.carry_out(&b, whole.clone()), "uncut it is made");
        let (new, new_declared) = (machine.small.tree(), machine.declared());
        let calls = whole.made.load(Ordering::Relaxed);
        if old == new {
            continue;
        }
        machine = ready(&a, &b);
        for pass in 0..calls {
            let cutter = Cutter::after(pass);
            let made = machine.carry_out(&b, cutter.clone());
            if !cutter.was_cut() {
                // Contents that were kept by an earlier try are there: fewer calls are made.
                assert!(made && machine.declared() == new_declared);
                break;
            }
            let context = std::panic::AssertUnwindSafe(|| recover_with_cuts(&machine.small, points % 23));
            second += std::panic::catch_unwind(context).unwrap_or_else(|_| {
                panic!(
                    "A {}\nB {}\ncut after {pass}",
                    super::properties::json(&a),
                    super::properties::json(&b)
                )
            });
            points += 1;
            let (tree, declared) = (machine.small.tree(), machine.declared());
            assert!(!machine.small.root().join("orlop/apply").exists());
            // Who was told that it is made is not told wrong.
            assert!(!made || declared == new_declared);
            if declared == old_declared {
                assert_eq!(tree, old, "cut after {pass} of {calls} calls");
                backs += 1;
                // Its staged contents are all in the plan: it can be carried out again as it is.
            } else {
                assert_eq!(declared, new_declared);
                assert_eq!(tree, new, "cut after {pass} of {calls} calls");
                forwards += 1;
                machine = ready(&a, &b);
            }
        }
    }
    assert!(backs > 0 && forwards > 0 && second > 0, "{backs} {forwards} {second}");
}
