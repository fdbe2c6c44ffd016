//! Resource limits, as far as the machine allows.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit as Kernel};

use crate::spec::process::Rlimit;

/// Sets the limits of a process (`None`: this one). Where the hard limit in force is lower and may not be raised, that
/// much is set and `warn` is told. An error names the field and the limit.
pub(crate) fn set(
    limits: &[Rlimit],
    pid: Option<Pid>,
    warn: &mut dyn FnMut(String),
) -> std::result::Result<(), (String, &'static str, Errno)> {
    for (i, limit) in limits.iter().enumerate() {
        let value = |n: u64| (n != u64::MAX).then_some(n);
        let wanted = Kernel { current: value(limit.soft), maximum: value(limit.hard) };
        let failed = |e| (format!("process.rlimits[{i}]"), limit.name, e);
        match rustix::process::prlimit(pid, limit.resource, wanted) {
            Ok(_) => {}
            Err(Errno::PERM) => {
                let set = lower(pid, limit.resource, wanted).map_err(failed)?;
                let value = set.maximum.map_or("unlimited".to_owned(), |n| n.to_string());
                warn(format!(
                    "process.rlimits[{i}]: this machine's hard limit is lower and CAP_SYS_RESOURCE is missing: {} is \
                     {value}",
                    limit.name
                ));
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

/// Sets as much of a limit as the hard limit in force (ours and the process's are the same) allows.
fn lower(pid: Option<Pid>, resource: Resource, wanted: Kernel) -> rustix::io::Result<Kernel> {
    let now = rustix::process::getrlimit(resource);
    let maximum = least(wanted.maximum, now.maximum);
    let possible = Kernel { current: least(wanted.current, maximum), maximum };
    rustix::process::prlimit(pid, resource, possible)?;
    Ok(possible)
}

/// The lower limit; none is the highest.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn none_is_the_highest() {
        assert_eq!(least(Some(1), Some(2)), Some(1));
        assert_eq!(least(None, Some(2)), Some(2));
        assert_eq!(least(None, None), None);
    }
}
