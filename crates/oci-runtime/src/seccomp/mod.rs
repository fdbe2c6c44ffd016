//! From an OCI seccomp profile to classic BPF.
//!
//! Terms: a *decision* is what happens to one system call (conditions on arguments first, then an action); a
//! *segment* is a run of call numbers with one decision. The filter picks the architecture, then finds the segment by
//! binary search, so that 400 rules cost 9 comparisons a call.
//!
//! Rules for one call: without conditions the last word is the first such rule's; with conditions they are tried in
//! order, and an unconditional rule makes them moot (as in libseccomp). Names that this kernel's tables do not have
//! are passed over, as every runtime does: profiles are written for newer kernels. Calls newer than any that the
//! profile names get ENOSYS where it would refuse them, since libc falls back on that and not on EPERM.

mod assemble;
mod table;

use std::collections::BTreeMap;

use linux::seccomp::{INSTRUCTIONS_MAX, Instruction};

use crate::error::{Error, Result};
use crate::spec::seccomp::{Action, Arch, Arg, Seccomp};
use assemble::Assembler;

/// `ENOSYS`
const ENOSYS: u16 = 38;

/// Comparisons that must all hold, and what happens then.
type Conditional = (Vec<Arg>, Action);

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Tried in order: all comparisons must hold.
    pub(crate) conditional: Vec<Conditional>,
    /// If none holds.
    pub(crate) otherwise: Action,
}

/// A run of call numbers from `first` to the next segment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: u32,
    pub(crate) decision: Decision,
}

/// The number of a call on an architecture.
#[must_use]
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let row = table::TABLE.binary_search_by(|(known, ..)| known.cmp(&name)).ok()?;
    let (_, x86_64, x86, x32) = table::TABLE[row];
    let number = match arch {
        Arch::X86_64 => x86_64,
        Arch::X86 => x86,
        Arch::X32 => x32,
        Arch::Foreign => table::NO,
    };
    (number != table::NO).then_some(u32::from(number))
}

/// Conditions on one argument twice cannot be one conjunction in libseccomp; runtimes make separate rules of them,
/// and profiles rely on it.
fn conjunctions(args: &[Arg]) -> Vec<Vec<Arg>> {
    let twice = args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| a.index == b.index));
    if twice { args.iter().map(|a| vec![*a]).collect() } else { vec![args.to_vec()] }
}

/// The decisions of a profile for one architecture, by call number.
fn decisions(profile: &Seccomp, arch: Arch) -> BTreeMap<u32, Decision> {
    let mut found: BTreeMap<u32, (Vec<Conditional>, Option<Action>)> = BTreeMap::new();
    for rule in &profile.syscalls {
        for number in rule.names.iter().filter_map(|name| number(arch, name)) {
            let (conditional, last) = found.entry(number).or_default();
            if rule.args.is_empty() {
                last.get_or_insert(rule.action);
            } else {
                conditional.extend(conjunctions(&rule.args).into_iter().map(|args| (args, rule.action)));
            }
        }
    }
    let decide = |(conditional, last): (Vec<_>, Option<Action>)| match last {
        Some(otherwise) => Decision { conditional: Vec::new(), otherwise },
        None => Decision { conditional, otherwise: profile.default_action },
    };
    found.into_iter().map(|(number, rules)| (number, decide(rules))).collect()
}

/// All numbers of an architecture as few segments, from 0 upwards.
fn segments(profile: &Seccomp, arch: Arch) -> Vec<Segment> {
    let plain = |otherwise| Decision { conditional: Vec::new(), otherwise };
    let mut segments: Vec<Segment> = Vec::new();
    let mut add = |first: u32, decision: Decision| match segments.last() {
        Some(last) if last.decision == decision => {}
        _ => segments.push(Segment { first, decision }),
    };
    let mut next = 0;
    for (number, decision) in decisions(profile, arch) {
        if number > next || next == 0 && number > 0 {
            add(next, plain(profile.default_action));
        }
        add(number, decision);
        next = number + 1;
    }
    let refuses = matches!(
        profile.default_action,
        Action::Errno(_) | Action::KillThread | Action::KillProcess | Action::Trap
    );
    let beyond = if refuses && next > 0 { Action::Errno(ENOSYS) } else { profile.default_action };
    add(next, plain(beyond));
    segments
}

/// Makes the filter.
///
/// # Errors
/// [`Error::Refused`] if the kernel would not take a program this long.
pub fn compile(profile: &Seccomp) -> Result<Vec<Instruction>> {
    let wants = |arch| profile.architectures.contains(&arch);
    let mut assembler = Assembler::new();
    let x32 = wants(Arch::X32).then(|| assembler.search(&segments(profile, Arch::X32)));
    let native = assembler.search(&segments(profile, Arch::X86_64));
    let native = assembler.native(native, x32);
    let x86 = wants(Arch::X86).then(|| {
        let search = assembler.search(&segments(profile, Arch::X86));
        assembler.load_number(search)
    });
    let program = assembler.finish(native, x86);
    if program.len() > INSTRUCTIONS_MAX {
        let why = "the filter has more instructions than the kernel takes; use fewer argument conditions";
        return Err(Error::Refused { what: "linux.seccomp.syscalls".into(), why });
    }
    Ok(program)
}

#[cfg(test)]
mod tests;
