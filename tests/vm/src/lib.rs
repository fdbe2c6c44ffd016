//! Tests of whole machines: registered once, run by nextest (`tests/it`) and by `orlop test`.
//!
//! One module per subject, each with its table of [`Test`]s; [`all`] joins them. Most tests run on clones of
//! three machines (plain, configured, with a pod), so that a boot is paid once.

mod bare;
mod boot;
mod configured;
// Not yet in `all`: these four have never run. `orlop test` and nextest get them when they were seen green.
pub mod day2;
mod faults;
mod given;
mod init;
mod pods;
mod refused;
mod storage;

use vm::harness::Test;

/// Every registered test, by subject.
#[must_use]
pub fn all() -> Vec<Test> {
    [
        bare::TESTS,
        boot::TESTS,
        init::TESTS,
        configured::TESTS,
        storage::TESTS,
        refused::TESTS,
        faults::TESTS,
        pods::TESTS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = super::all().iter().map(|test| test.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
