//! Modes that were meant to be octal.

/// True when `mode` makes no sense, but would if its decimal digits were octal: 644 instead of 0644.
pub(crate) fn looks_decimal(mode: i64, directory: bool) -> bool {
    digits_as_octal(mode).is_some_and(|meant| !is_typical(mode, directory) && is_typical(meant, directory))
}

fn digits_as_octal(mode: i64) -> Option<i64> {
    (0..=7777).contains(&mode).then(|| i64::from_str_radix(&mode.to_string(), 8).ok()).flatten()
}

/// Whether somebody would set `mode` on purpose.
fn is_typical(mode: i64, directory: bool) -> bool {
    if mode == 0 {
        return true;
    }
    let Some((read, write, execute)) = combined(mode) else { return false };
    if !read {
        return false;
    }
    if directory {
        // No setuid; setgid and sticky where somebody may write.
        execute && mode & 0o4000 == 0 && (mode & 0o3000 == 0 || write)
    } else {
        // No sticky; setuid and setgid where somebody may execute and not everybody may write.
        mode & 0o1000 == 0 && (mode & 0o6000 == 0 || (execute && mode & 2 == 0))
    }
}

/// Who may do what, if the more special class never has less than the more general one and nobody may only write or
/// only execute.
fn combined(mode: i64) -> Option<(bool, bool, bool)> {
    let (mut read, mut write, mut execute) = (false, false, false);
    for shift in [0, 3, 6] {
        let bits = mode >> shift;
        let (r, w, x) = (bits & 4 != 0, bits & 2 != 0, bits & 1 != 0);
        let less_than_general = (!r && read) || (!w && write) || (!x && execute);
        let reads_without_executing = x && read && !execute;
        if less_than_general || reads_without_executing || ((w || x) && !r) {
            return None;
        }
        (read, write, execute) = (read || r, write || w, execute || x);
    }
    Some((read, write, execute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_zeros_are_seen() {
        for (mode, directory) in [(644, false), (755, false), (755, true), (600, false), (1777, true)] {
            assert!(looks_decimal(mode, directory), "{mode}");
        }
        for (mode, directory) in [(0o644, false), (0o755, true), (0, false), (420, false), (999, false)] {
            assert!(!looks_decimal(mode, directory), "{mode}");
        }
    }
}
