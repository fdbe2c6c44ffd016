//! Each registered test under nextest, in a process of its own.
//!
//! Without an image they are skipped, loudly; where `CI` is `true` that is a failure.

mod tutorial;

use std::path::{Path, PathBuf};

use vm::harness::run::{Verdict, run};
use vm::harness::{Lab, LabError};

/// Where `orlop build` and `cargo xtask build-image` put the image, and where what is kept of failures goes.
fn places() -> (PathBuf, PathBuf) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let image = std::env::var_os("ORLOP_IMAGE_DIR").map_or_else(|| target.join("orlop/image"), PathBuf::from);
    (image, target.join("orlop/test-results"))
}

#[expect(clippy::print_stderr, reason = "a skipped test says so where nextest shows it")]
fn run_registered(name: &str) {
    let test = vm_tests::all().into_iter().find(|test| test.name == name).expect("registered");
    let (image, results) = places();
    let sdk = std::env::var_os("ORLOP_SDK").filter(|path| !path.is_empty()).map(PathBuf::from);
    let lab = match Lab::open(&image, sdk.as_deref(), &results) {
        Ok(lab) => lab,
        Err(error @ LabError::NoImage { .. }) if std::env::var("CI").as_deref() != Ok("true") => {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            eprintln!("SKIP {name}: {error} ({why})");
            return;
        }
        Err(error) => {
            panic!("no lab: {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        }
    };
    let outcome = run(&lab, &test);
    if let Verdict::Failed(reason) = outcome.verdict {
        let kept = outcome.kept.map(|path| format!("\nkept: {}", path.display())).unwrap_or_default();
        panic!("{reason}{kept}");
    }
}

/// One function per registered test, so that nextest sees them; [`every_test_is_here`] holds the list complete.
macro_rules! registered {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run_registered(stringify!($name)); })*
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

registered! {
    vm_bare_program_and_exit_code
    vm_boots_by_uefi
    vm_boots_directly_in_least_ram
    vm_usr_cannot_be_written
    vm_idle_ram
    vm_reboot_keeps_state
    vm_saved_machines_stand_apart
    vm_wrong_root_hash_refused
    vm_cut_first_boot_starts_again
    vm_failure_screen_has_a_shell
    vm_root_grows_and_boot_is_recorded
    vm_config_users_files_links
    vm_config_second_disk
    vm_config_units
    vm_config_mirror_luks_vfat_swap
    vm_config_kernel_arguments
    vm_wrong_hash_refused
    vm_unreachable_url_named
    vm_butane_error_at_its_line
    vm_power_cut_keeps_what_was_synced
    vm_disk_fault_reaches_the_program
    vm_network_cut_and_clock
    vm_pod_answers_and_restarts
    vm_pod_exit_codes
}

#[test]
fn every_test_is_here() {
    let registered: Vec<&str> = vm_tests::all().iter().map(|test| test.name).collect();
    assert_eq!(NAMES, registered);
}
