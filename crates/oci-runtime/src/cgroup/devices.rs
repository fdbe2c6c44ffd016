//! Device rules as an eBPF program (`BPF_PROG_TYPE_CGROUP_DEVICE`): rules to a table, table to instructions; pure.
//!
//! The rules of config.json are statements in time, as if written one after another to v1's `devices.allow` and
//! `devices.deny`. They are first folded into a default and its exceptions, so that an access allowed by two rules
//! (one for reading, one for writing) is allowed, which no first-match order over the rules gives.

use linux::bpf::Instruction;

use crate::spec::resources::DeviceRule;

/// What every container may use, whatever its rules: making nodes, the standard devices, its own terminals.
pub const DEFAULTS: [(char, Option<u32>, Option<u32>, u32); 11] = [
    ('c', None, None, DeviceRule::MKNOD),
    ('b', None, None, DeviceRule::MKNOD),
    ('c', Some(1), Some(3), DeviceRule::ALL),
    ('c', Some(1), Some(5), DeviceRule::ALL),
    ('c', Some(1), Some(7), DeviceRule::ALL),
    ('c', Some(1), Some(8), DeviceRule::ALL),
    ('c', Some(1), Some(9), DeviceRule::ALL),
    ('c', Some(5), Some(0), DeviceRule::ALL),
    ('c', Some(5), Some(1), DeviceRule::ALL),
    ('c', Some(5), Some(2), DeviceRule::ALL),
    ('c', Some(136), None, DeviceRule::ALL),
];

/// A set of devices and the accesses that differ from the default for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// `c` or `b`.
    pub kind: char,
    /// `None` is any.
    pub major: Option<u32>,
    /// `None` is any.
    pub minor: Option<u32>,
    /// Accesses.
    pub access: u32,
}

/// The outcome of all rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Answer where no exception matches.
    pub allow: bool,
    /// The exceptions.
    pub exceptions: Vec<Exception>,
}

impl Table {
    /// Folds the config's rules, then [`DEFAULTS`].
    #[must_use]
    pub fn new(rules: &[DeviceRule]) -> Self {
        let mut table = Self::default();
        for rule in rules {
            table.apply(*rule);
        }
        for (kind, major, minor, access) in DEFAULTS {
            table.apply(DeviceRule { allow: true, kind, major, minor, access });
        }
        table
    }

    fn apply(&mut self, rule: DeviceRule) {
        let all_devices = rule.major.is_none() && rule.minor.is_none();
        if rule.kind == 'a' && all_devices && rule.access == DeviceRule::ALL {
            *self = Self { allow: rule.allow, exceptions: Vec::new() };
            return;
        }
        let kinds: &[char] = if rule.kind == 'a' { &['c', 'b'] } else { &[rule.kind] };
        for &kind in kinds {
            self.apply_kind(
                Exception { kind, major: rule.major, minor: rule.minor, access: rule.access },
                rule.allow,
            );
        }
    }

    fn apply_kind(&mut self, new: Exception, allow: bool) {
        let covers = |e: &Exception| {
            e.kind == new.kind
                && (new.major.is_none() || e.major == new.major)
                && (new.minor.is_none() || e.minor == new.minor)
        };
        if allow == self.allow {
            // A rule that says what the default says takes its accesses away from the exceptions it covers.
            for exception in self.exceptions.iter_mut().filter(|e| covers(e)) {
                exception.access &= !new.access;
            }
            self.exceptions.retain(|e| e.access != 0);
            return;
        }
        let same = |e: &&mut Exception| (e.kind, e.major, e.minor) == (new.kind, new.major, new.minor);
        match self.exceptions.iter_mut().find(same) {
            Some(exception) => exception.access |= new.access,
            None => self.exceptions.push(new),
        }
    }

    /// What the program answers; the reference that it is tested against.
    #[must_use]
    pub fn allows(&self, kind: char, major: u32, minor: u32, access: u32) -> bool {
        let hit = self.exceptions.iter().any(|e| {
            let here =
                e.kind == kind && e.major.is_none_or(|m| m == major) && e.minor.is_none_or(|m| m == minor);
            here && if self.allow { access & e.access != 0 } else { access & !e.access == 0 }
        });
        hit != self.allow
    }
}

// Registers and operations of `linux/bpf.h`: R1 the context, R2 type, R3 access, R4 major, R5 minor, R0 the answer.
const LDX_W: u8 = 0x61;
const MOV32_K: u8 = 0xb4;
const MOV32_X: u8 = 0xbc;
const AND32_K: u8 = 0x54;
const RSH32_K: u8 = 0x74;
const JEQ32_K: u8 = 0x16;
const JNE32_K: u8 = 0x56;
const EXIT: u8 = 0x95;

fn op(code: u8, dst: u8, src: u8, off: i16, imm: u32) -> Instruction {
    Instruction { code, regs: dst | src << 4, off, imm: imm.cast_signed() }
}

/// Instructions of one exception: the tests, then the answer. Each failed test jumps to the next exception.
fn exception(e: Exception, allow_default: bool) -> Vec<Instruction> {
    let kind = if e.kind == 'b' { 1 } else { 2 };
    let mut tests = vec![op(JNE32_K, 2, 0, 0, kind)];
    if e.access != DeviceRule::ALL {
        let (mask, jump) =
            if allow_default { (e.access, JEQ32_K) } else { (!e.access & DeviceRule::ALL, JNE32_K) };
        // Deny where any refused access is asked for; allow only where nothing beyond the allowed is.
        tests.extend([op(MOV32_X, 0, 3, 0, 0), op(AND32_K, 0, 0, 0, mask), op(jump, 0, 0, 0, 0)]);
    }
    tests.extend(e.major.map(|major| op(JNE32_K, 4, 0, 0, major)));
    tests.extend(e.minor.map(|minor| op(JNE32_K, 5, 0, 0, minor)));
    let length = tests.len();
    for (i, test) in tests.iter_mut().enumerate().filter(|(_, t)| t.code == JNE32_K || t.code == JEQ32_K) {
        // Over the rest of the tests and the two instructions of the answer.
        test.off = i16::try_from(length - i - 1 + 2).unwrap_or(i16::MAX);
    }
    tests.extend([op(MOV32_K, 0, 0, 0, u32::from(!allow_default)), op(EXIT, 0, 0, 0, 0)]);
    tests
}

/// The program of a table.
#[must_use]
pub fn program(table: &Table) -> Vec<Instruction> {
    let mut program = vec![
        op(LDX_W, 2, 1, 0, 0),
        op(MOV32_X, 3, 2, 0, 0),
        op(AND32_K, 2, 0, 0, 0xffff),
        op(RSH32_K, 3, 0, 0, 16),
        op(LDX_W, 4, 1, 4, 0),
        op(LDX_W, 5, 1, 8, 0),
    ];
    for e in &table.exceptions {
        program.extend(exception(*e, table.allow));
    }
    program.extend([op(MOV32_K, 0, 0, 0, u32::from(table.allow)), op(EXIT, 0, 0, 0, 0)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a program of ours as the kernel would.
    fn interpret(program: &[Instruction], kind: char, major: u32, minor: u32, access: u32) -> bool {
        let context = [access << 16 | if kind == 'b' { 1 } else { 2 }, major, minor];
        let mut r = [0_u32; 11];
        let mut pc = 0;
        loop {
            let i = program[pc];
            let (dst, src, imm) = ((i.regs & 15) as usize, (i.regs >> 4) as usize, i.imm.cast_unsigned());
            pc += 1;
            let jump = match i.code {
                LDX_W => {
                    r[dst] = context[i.off as usize / 4];
                    false
                }
                MOV32_K => {
                    r[dst] = imm;
                    false
                }
                MOV32_X => {
                    r[dst] = r[src];
                    false
                }
                AND32_K => {
                    r[dst] &= imm;
                    false
                }
                RSH32_K => {
                    r[dst] >>= imm;
                    false
                }
                JEQ32_K => r[dst] == imm,
                JNE32_K => r[dst] != imm,
                EXIT => return r[0] != 0,
                other => panic!("unknown operation {other:#x}"),
            };
            if jump {
                pc += i.off as usize;
            }
        }
    }

    fn rule(allow: bool, kind: char, major: Option<u32>, minor: Option<u32>, access: u32) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access }
    }

    #[test]
    fn folding() {
        let deny_all = rule(false, 'a', None, None, 7);
        let read = rule(true, 'c', Some(10), Some(1), DeviceRule::READ);
        let write = rule(true, 'c', Some(10), Some(1), DeviceRule::WRITE);
        let table = Table::new(&[deny_all, read, write]);
        assert!(table.allows('c', 10, 1, DeviceRule::READ | DeviceRule::WRITE));
        assert!(!table.allows('c', 10, 2, DeviceRule::READ));
        assert!(table.allows('c', 1, 3, DeviceRule::READ), "null is always there");
        assert!(table.allows('b', 8, 0, DeviceRule::MKNOD), "nodes may be made");
        assert!(!table.allows('b', 8, 0, DeviceRule::READ));
        let open =
            Table::new(&[rule(true, 'a', None, None, 7), rule(false, 'b', Some(8), None, DeviceRule::WRITE)]);
        assert!(open.allows('b', 8, 3, DeviceRule::READ));
        assert!(!open.allows('b', 8, 3, DeviceRule::READ | DeviceRule::WRITE));
        let late = Table::new(&[read, deny_all]);
        assert!(!late.allows('c', 10, 1, DeviceRule::READ), "a later rule wins");
    }

    fn any_rule() -> impl Strategy<Value = DeviceRule> {
        let number = || prop_oneof![Just(None), (0_u32..4).prop_map(Some)];
        let kind = prop_oneof![Just('a'), Just('b'), Just('c')];
        (any::<bool>(), kind, number(), number(), 1_u32..8)
            .prop_map(|(a, k, ma, mi, acc)| rule(a, k, ma, mi, acc))
    }

    proptest! {
        #[test]
        fn program_answers_as_the_table(rules in prop::collection::vec(any_rule(), 0..12)) {
            let table = Table::new(&rules);
            let program = program(&table);
            for kind in ['b', 'c'] {
                for (major, minor) in [(0, 0), (1, 3), (2, 1), (3, 2), (5, 0), (136, 7), (400, 9)] {
                    for access in 1..8 {
                        let (want, got) = (
                            table.allows(kind, major, minor, access),
                            interpret(&program, kind, major, minor, access),
                        );
                        prop_assert_eq!(want, got, "{} {}:{} {}", kind, major, minor, access);
                    }
                }
            }
        }
    }
}
