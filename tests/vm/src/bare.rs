//! The quickest speed itself: a program straight on the image's kernel.

use std::path::Path;

use vm::harness::{Bare, Body, Lab, Speed, Test, TestResult};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "vm_bare_program_and_exit_code",
    about: "a program runs straight from an initramfs, with modules and a disk, and its exit code comes out",
    speed: Speed::Initramfs,
    idle_secs: 15,
    provokes: &[],
    body: Body::Lab(exit_code),
}];

fn exit_code(lab: &Lab) -> TestResult {
    let script = "read -r line < /proc/mounts; echo \"first mount: $line\"; \
                  test -b /dev/vda || exit 3; exit 7";
    let mut bare = Bare::new(&init()?, Path::new("/bin/sh"), &["-c", script])
        .modules(&lab.image.modules(), &["virtio_blk"])?;
    bare.disks_mib = vec![8];
    let outcome = lab.run_bare(&bare)?;
    if outcome.code != 7 || !outcome.console.contains("first mount: ") || !outcome.troubles.is_empty() {
        return Err(format!("not as expected: {outcome:?}").into());
    }
    Ok(())
}

/// `vm-init`, which cargo puts beside every program of the workspace.
fn init() -> Result<std::path::PathBuf, vm::harness::Failure> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2); // a test program is one folder deeper, in `deps`
    let found = folders.map(|folder| folder.join("vm-init")).find(|path| path.exists());
    found.ok_or_else(|| {
        format!("no vm-init beside {}: build it with `cargo build -p vm-tests`", own.display()).into()
    })
}
