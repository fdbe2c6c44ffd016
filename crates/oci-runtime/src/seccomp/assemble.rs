//! Classic BPF, written from its end: jumps go forward only, so every target is known when a jump is made.

use linux::seccomp::Instruction;

use super::{Decision, Segment};
use crate::spec::seccomp::{Action, Arg, Op};

// Operations of `linux/filter.h`.
pub(super) const LD_ABS: u16 = 0x20;
pub(super) const JA: u16 = 0x05;
pub(super) const JEQ: u16 = 0x15;
pub(super) const JGT: u16 = 0x25;
pub(super) const JGE: u16 = 0x35;
pub(super) const AND: u16 = 0x54;
pub(super) const RET: u16 = 0x06;

// Offsets in `struct seccomp_data` of `linux/seccomp.h`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` of `linux/audit.h`.
pub(super) const AUDIT_X86_64: u32 = 0xc000_003e;
pub(super) const AUDIT_I386: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT` of `asm/unistd.h`.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// `SECCOMP_RET_*` of `linux/seccomp.h`.
pub(super) fn encode(action: Action) -> u32 {
    match action {
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno(number) => 0x0005_0000 | u32::from(number),
        Action::Trace(data) => 0x7ff0_0000 | u32::from(data),
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

/// Where a jump can go: a written instruction, or an action, for which a return is written wherever one is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Index from the end of the program.
    At(usize),
    Do(Action),
}

/// A program under way, its last instruction first.
#[derive(Debug)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    returns: Vec<(Action, usize)>,
    /// Written decisions with conditions: profiles give many calls the same ones.
    decided: Vec<(Decision, Target)>,
}

/// Farthest conditional jump; two less than the field holds, for two trampolines written in between.
const NEAR: usize = 253;

impl Assembler {
    pub(super) fn new() -> Self {
        Self { reversed: Vec::new(), returns: Vec::new(), decided: Vec::new() }
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Target {
        self.reversed.push(Instruction { code, jt, jf, k });
        Target::At(self.reversed.len() - 1)
    }

    /// A place that does the same as `target` and can be jumped to from the next few instructions.
    fn near(&mut self, target: Target) -> usize {
        let here = self.reversed.len();
        match target {
            Target::At(index) if here - index <= NEAR => index,
            Target::At(index) => {
                let distance = u32::try_from(here - index - 1).unwrap_or(u32::MAX);
                self.push(JA, 0, 0, distance);
                here
            }
            Target::Do(action) => {
                let known = self.returns.iter().rev().find(|(known, _)| *known == action);
                match known {
                    Some((_, index)) if here - index <= NEAR => *index,
                    _ => {
                        self.push(RET, 0, 0, encode(action));
                        self.returns.push((action, here));
                        here
                    }
                }
            }
        }
    }

    fn jump(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let here = self.reversed.len();
        let distance = |index: usize| u8::try_from(here - index - 1).unwrap_or(u8::MAX);
        self.push(code, distance(yes), distance(no), k)
    }

    /// Makes sure that what was written last is `target`, so that falling through gets there.
    fn fall_to(&mut self, target: Target) {
        let last = Target::At(self.reversed.len().wrapping_sub(1));
        if target != last {
            let near = self.near(target);
            let here = self.reversed.len();
            if near + 1 != here {
                self.push(JA, 0, 0, u32::try_from(here - near - 1).unwrap_or(u32::MAX));
            }
        }
    }

    fn load(&mut self, offset: u32, then: Target) -> Target {
        self.fall_to(then);
        self.push(LD_ABS, 0, 0, offset)
    }

    fn masked(&mut self, mask: u32, then: Target) -> Target {
        if mask == u32::MAX {
            return then;
        }
        self.fall_to(then);
        self.push(AND, 0, 0, mask)
    }

    /// A 64-bit comparison of an argument: the high half decides unless it is equal.
    fn compare(&mut self, arg: Arg, yes: Target, no: Target) -> Target {
        let halves = |value: u64| {
            (u32::try_from(value >> 32).unwrap_or(0), u32::try_from(value & 0xffff_ffff).unwrap_or(0))
        };
        let low = ARGS + 8 * u32::from(arg.index);
        let (value_high, value_low) = halves(arg.value);
        let order = |this: &mut Self, code: u16, yes: Target, no: Target| {
            let test = this.jump(code, value_low, yes, no);
            let test = this.load(low, test);
            let equal = this.jump(JEQ, value_high, test, no);
            let test = this.jump(JGT, value_high, yes, equal);
            this.load(low + 4, test)
        };
        let equal = |this: &mut Self, mask: (u32, u32), value: (u32, u32), yes: Target, no: Target| {
            let test = this.jump(JEQ, value.1, yes, no);
            let test = this.masked(mask.1, test);
            let test = this.load(low, test);
            let test = this.jump(JEQ, value.0, test, no);
            let test = this.masked(mask.0, test);
            this.load(low + 4, test)
        };
        let all = (u32::MAX, u32::MAX);
        match arg.op {
            Op::Equal => equal(self, all, (value_high, value_low), yes, no),
            Op::NotEqual => equal(self, all, (value_high, value_low), no, yes),
            Op::Greater => order(self, JGT, yes, no),
            Op::GreaterEqual => order(self, JGE, yes, no),
            Op::LessEqual => order(self, JGT, no, yes),
            Op::Less => order(self, JGE, no, yes),
            Op::MaskedEqual => {
                equal(self, (value_high, value_low), halves(arg.value & arg.value_two), yes, no)
            }
        }
    }

    fn decide(&mut self, segment: &Segment) -> Target {
        if let Some((_, target)) = self.decided.iter().find(|(known, _)| *known == segment.decision) {
            return *target;
        }
        let mut otherwise = Target::Do(segment.decision.otherwise);
        for (args, action) in segment.decision.conditional.iter().rev() {
            let mut matched = Target::Do(*action);
            for arg in args.iter().rev() {
                matched = self.compare(*arg, matched, otherwise);
            }
            otherwise = matched;
        }
        if !segment.decision.conditional.is_empty() {
            self.decided.push((segment.decision.clone(), otherwise));
        }
        otherwise
    }

    /// Binary search with the call's number in the accumulator.
    pub(super) fn search(&mut self, segments: &[Segment]) -> Target {
        let targets: Vec<Target> = segments.iter().map(|s| self.decide(s)).collect();
        self.halve(segments, &targets)
    }

    fn halve(&mut self, segments: &[Segment], targets: &[Target]) -> Target {
        if segments.len() == 1 {
            return targets[0];
        }
        let middle = segments.len() / 2;
        let upper = self.halve(&segments[middle..], &targets[middle..]);
        let lower = self.halve(&segments[..middle], &targets[..middle]);
        self.jump(JGE, segments[middle].first, upper, lower)
    }

    pub(super) fn load_number(&mut self, then: Target) -> Target {
        self.load(NUMBER, then)
    }

    /// x86_64 and x32 share an architecture word and differ by a bit of the number.
    pub(super) fn native(&mut self, native: Target, x32: Option<Target>) -> Target {
        let x32 = match x32 {
            Some(search) => {
                let stripped = self.masked(!X32_BIT, search);
                // A search that is one action for all numbers needs no number.
                if stripped == search { search } else { stripped }
            }
            None => Target::Do(Action::KillProcess),
        };
        let split = self.jump(JGE, X32_BIT, x32, native);
        self.load_number(split)
    }

    /// Puts the choice of architecture before everything and gives the program in the kernel's order.
    pub(super) fn finish(mut self, native: Target, x86: Option<Target>) -> Vec<Instruction> {
        let other = match x86 {
            Some(search) => self.jump(JEQ, AUDIT_I386, search, Target::Do(Action::KillProcess)),
            None => Target::Do(Action::KillProcess),
        };
        let start = self.jump(JEQ, AUDIT_X86_64, native, other);
        self.load(ARCH, start);
        self.reversed.reverse();
        self.reversed
    }
}
