//! Whether a container's first process would take notice of its stop signal.
//!
//! The kernel drops a signal to the first process of a pid namespace unless the process has a handler for it
//! (pid_namespaces(7)): the default action of SIGTERM, to end, does not happen there. A server without a handler would
//! thus run through the whole grace period, at each stop and at each shutdown of the machine. What its author left to
//! the default is done for it: it is ended.

/// Stop signals whose default action is to end the process, by name and number (signal(7), x86 and arm).
const ENDING: [(&str, u32); 6] =
    [("HUP", 1), ("INT", 2), ("QUIT", 3), ("USR1", 10), ("USR2", 12), ("TERM", 15)];

/// Whether the process with this `/proc/PID/status` has left `signal` (`TERM`, `SIGTERM`, `15`) to a default action
/// that would end it. One that handles it, ignores it, or blocks it to read it by signalfd(2), knows what it does.
#[must_use]
pub fn is_deaf(status: &str, signal: &str) -> bool {
    let name = signal.strip_prefix("SIG").unwrap_or(signal);
    let Some((_, number)) =
        ENDING.iter().find(|(known, number)| *known == name || number.to_string() == name)
    else {
        return false;
    };
    let has = |field: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
            .map(|mask| mask >> (number - 1) & 1 == 1)
    };
    // A status that cannot be read says nothing: the signal is sent as it is.
    ["SigCgt", "SigIgn", "SigBlk"].iter().all(|field| has(field) == Some(false))
}

#[cfg(test)]
mod tests {
    use super::is_deaf;

    fn status(blocked: u64, ignored: u64, caught: u64) -> String {
        format!(
            "Name:\tx\nSigPnd:\t0000000000000000\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
        )
    }

    #[test]
    fn only_a_default_action_is_done_for_a_process() {
        const TERM: u64 = 1 << 14;
        assert!(is_deaf(&status(0, 0, 0), "TERM"));
        assert!(is_deaf(&status(0, 0, 1), "SIGTERM"));
        assert!(is_deaf(&status(0, TERM, 0), "1"));
        assert!(!is_deaf(&status(TERM, 0, 0), "TERM"));
        assert!(!is_deaf(&status(0, TERM, 0), "15"));
        assert!(!is_deaf(&status(0, 0, TERM), "TERM"));
        assert!(!is_deaf(&status(0, 0, 0), "WINCH"), "its default action ends nobody");
        assert!(!is_deaf("", "TERM"));
    }
}
