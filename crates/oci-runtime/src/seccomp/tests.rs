use super::*;
use crate::spec::seccomp::{Op, Rule};
use assemble::{AND, AUDIT_I386, AUDIT_X86_64, JA, JEQ, JGE, JGT, LD_ABS, RET, X32_BIT, encode};
use proptest::prelude::*;

/// One system call as a filter sees it.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: u32,
    arch: u32,
    args: [u64; 6],
}

/// Runs a filter as the kernel would, and checks what its verifier checks.
fn interpret(program: &[Instruction], call: Call) -> u32 {
    let word = |offset: u32| match offset {
        0 => call.number,
        4 => call.arch,
        16.. => {
            let value = call.args[(offset as usize - 16) / 8];
            if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 }
        }
        other => panic!("offset {other}"),
    };
    let (mut a, mut pc) = (0_u32, 0_usize);
    loop {
        let i = program[pc];
        pc += 1;
        let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
        match i.code {
            LD_ABS => a = word(i.k),
            AND => a &= i.k,
            JA => pc += i.k as usize,
            JEQ => pc += jump(a == i.k),
            JGT => pc += jump(a > i.k),
            JGE => pc += jump(a >= i.k),
            RET => return i.k,
            other => panic!("operation {other:#x}"),
        }
    }
}

/// What the profile says of a call, straight from its rules.
fn reference(profile: &Seccomp, arch: Arch, number: u32, args: [u64; 6]) -> Action {
    judge(&decisions(profile, arch), profile.default_action, number, args)
}

fn judge(rules: &BTreeMap<u32, Decision>, default: Action, number: u32, args: [u64; 6]) -> Action {
    match rules.get(&number) {
        Some(decision) => {
            let holds = |arg: &Arg| {
                let got = args[usize::from(arg.index)];
                match arg.op {
                    Op::NotEqual => got != arg.value,
                    Op::Less => got < arg.value,
                    Op::LessEqual => got <= arg.value,
                    Op::Equal => got == arg.value,
                    Op::GreaterEqual => got >= arg.value,
                    Op::Greater => got > arg.value,
                    Op::MaskedEqual => got & arg.value == arg.value & arg.value_two,
                }
            };
            let hit = decision.conditional.iter().find(|(all, _)| all.iter().all(holds));
            hit.map_or(decision.otherwise, |(_, action)| *action)
        }
        None => {
            let newest = rules.keys().next_back().copied();
            match (newest, default) {
                (
                    Some(newest),
                    Action::Errno(_) | Action::KillThread | Action::KillProcess | Action::Trap,
                ) if number > newest => Action::Errno(ENOSYS),
                (_, default) => default,
            }
        }
    }
}

fn rule(names: &[&str], action: Action, args: &[Arg]) -> Rule {
    Rule { names: names.iter().map(|n| (*n).to_owned()).collect(), action, args: args.to_vec() }
}

fn profile(default_action: Action, syscalls: Vec<Rule>) -> Seccomp {
    let architectures = vec![Arch::X86_64, Arch::X86, Arch::X32];
    Seccomp { default_action, architectures, flags: 0, syscalls }
}

fn run(profile: &Seccomp, arch: Arch, number: u32, args: [u64; 6]) -> u32 {
    let program = compile(profile).unwrap();
    let (audit, number) = match arch {
        Arch::X86 => (AUDIT_I386, number),
        Arch::X32 => (AUDIT_X86_64, number | X32_BIT),
        _ => (AUDIT_X86_64, number),
    };
    interpret(&program, Call { number, arch: audit, args })
}

#[test]
fn the_table_is_sorted_and_known_numbers_are_right() {
    assert!(table::TABLE.is_sorted_by(|a, b| a.0 < b.0));
    for (name, x86_64, x86, x32) in [
        ("read", Some(0), Some(3), Some(0)),
        ("execve", Some(59), Some(11), Some(520)),
        ("socketcall", None, Some(102), None),
        ("clone3", Some(435), Some(435), Some(435)),
        ("no_such_call", None, None, None),
    ] {
        assert_eq!(number(Arch::X86_64, name), x86_64, "{name}");
        assert_eq!(number(Arch::X86, name), x86, "{name}");
        assert_eq!(number(Arch::X32, name), x32, "{name}");
    }
}

#[test]
fn architectures_are_kept_apart() {
    let profile = profile(Action::Errno(1), vec![rule(&["execve"], Action::Allow, &[])]);
    let allow = encode(Action::Allow);
    assert_eq!(run(&profile, Arch::X86_64, 59, [0; 6]), allow);
    assert_eq!(run(&profile, Arch::X86, 11, [0; 6]), allow);
    assert_eq!(run(&profile, Arch::X32, 520, [0; 6]), allow);
    assert_eq!(run(&profile, Arch::X86_64, 11, [0; 6]), encode(Action::Errno(1)));
    let native = Seccomp { architectures: vec![], ..profile };
    assert_eq!(run(&native, Arch::X86, 11, [0; 6]), encode(Action::KillProcess));
    assert_eq!(run(&native, Arch::X32, 520, [0; 6]), encode(Action::KillProcess));
    assert_eq!(run(&native, Arch::X86_64, 59, [0; 6]), allow);
    let program = compile(&native).unwrap();
    let foreign = Call { number: 59, arch: 0xc000_00b7, args: [0; 6] };
    assert_eq!(interpret(&program, foreign), encode(Action::KillProcess));
}

#[test]
fn an_empty_profile_is_its_default() {
    for default in [Action::Allow, Action::Errno(1), Action::Log] {
        assert_eq!(run(&profile(default, vec![]), Arch::X86_64, 1, [0; 6]), encode(default), "{default:?}");
    }
}

#[test]
fn calls_newer_than_the_profile_get_enosys() {
    let old = profile(Action::Errno(1), vec![rule(&["read", "openat2"], Action::Allow, &[])]);
    assert_eq!(run(&old, Arch::X86_64, 438, [0; 6]), encode(Action::Errno(ENOSYS)));
    assert_eq!(run(&old, Arch::X86_64, 436, [0; 6]), encode(Action::Errno(1)));
    let open = profile(Action::Allow, vec![rule(&["read"], Action::Errno(1), &[])]);
    assert_eq!(run(&open, Arch::X86_64, 438, [0; 6]), encode(Action::Allow));
}

#[test]
fn every_comparison() {
    let big = 0x1_0000_0005_u64;
    let samples = [0, 4, 5, 6, big - 1, big, big + 1, 0x2_0000_0000, 0xffff_ffff, u64::MAX];
    for op in crate::spec::seccomp::OPS.map(|(_, op)| op) {
        for value in [5, big, 0, u64::MAX] {
            let arg = Arg { index: 2, value, value_two: 0x1_0000_0001, op };
            let profile = profile(Action::Allow, vec![rule(&["write"], Action::Errno(9), &[arg])]);
            for sample in samples {
                let args = [7, 7, sample, 7, 7, 7];
                let want = encode(reference(&profile, Arch::X86_64, 1, args));
                assert_eq!(run(&profile, Arch::X86_64, 1, args), want, "{op:?} {value:#x} {sample:#x}");
            }
        }
    }
}

#[test]
fn one_argument_twice_means_either() {
    let arg = |value| Arg { index: 0, value, value_two: 0, op: Op::Equal };
    let profile = profile(Action::Errno(1), vec![rule(&["personality"], Action::Allow, &[arg(0), arg(8)])]);
    for (value, action) in [(0, Action::Allow), (8, Action::Allow), (1, Action::Errno(1))] {
        assert_eq!(run(&profile, Arch::X86_64, 135, [value, 0, 0, 0, 0, 0]), encode(action));
    }
}

#[test]
fn far_jumps_are_bridged() {
    // Every other call with its own errno: some 180 segments, more than a byte can jump over.
    let names: Vec<&str> = table::TABLE.iter().map(|row| row.0).collect();
    let rules = names.iter().enumerate().map(|(i, name)| {
        let arg = Arg { index: 0, value: i as u64, value_two: 0, op: Op::GreaterEqual };
        rule(
            &[name],
            Action::Errno(u16::try_from(i).unwrap()),
            if i % 3 == 0 { std::slice::from_ref(&arg) } else { &[] },
        )
    });
    let profile = Seccomp { architectures: vec![], ..profile(Action::Allow, rules.collect()) };
    let program = compile(&profile).unwrap();
    assert!(program.len() > 1000, "{}", program.len());
    for number in 0..600 {
        for first in [0, 250, 1000] {
            let args = [first, 0, 0, 0, 0, 0];
            let want = encode(reference(&profile, Arch::X86_64, number, args));
            let call = Call { number, arch: AUDIT_X86_64, args };
            assert_eq!(interpret(&program, call), want, "{number} {first}");
        }
    }
}

#[test]
fn a_filter_too_long_is_refused() {
    let args = [0, 1, 2].map(|index| Arg { index, value: 1 << 40, value_two: 0, op: Op::Less });
    let rules = (0..600).map(|i| rule(&["read", "write", "openat"], Action::Errno(i), &args));
    assert!(
        compile(&profile(Action::Allow, rules.collect())).unwrap_err().to_string().contains("fewer argument")
    );
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(Action::Log),
        Just(Action::KillProcess),
        Just(Action::Trap),
        (1_u16..100).prop_map(Action::Errno),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let name = prop::sample::select(table::TABLE.iter().map(|row| row.0.to_owned()).collect::<Vec<_>>());
    let op = prop::sample::select(crate::spec::seccomp::OPS.map(|(_, op)| op).to_vec());
    let value = || prop_oneof![0_u64..4, Just(1 << 32), any::<u64>()];
    let arg = (0_u8..3, value(), value(), op).prop_map(|(index, value, value_two, op)| Arg {
        index,
        value,
        value_two,
        op,
    });
    let names = prop::collection::vec(name, 1..12);
    (names, any_action(), prop::collection::vec(arg, 0..3)).prop_map(|(names, action, args)| Rule {
        names,
        action,
        args,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_filter_says_what_the_rules_say(
        default in any_action(),
        rules in prop::collection::vec(any_rule(), 0..8),
        args in prop::array::uniform6(prop_oneof![0_u64..4, Just(1_u64 << 32), any::<u64>()]),
    ) {
        let profile = profile(default, rules);
        let program = compile(&profile).unwrap();
        for (arch, audit, bit) in [(Arch::X86_64, AUDIT_X86_64, 0), (Arch::X86, AUDIT_I386, 0), (Arch::X32, AUDIT_X86_64, X32_BIT)] {
            let rules = decisions(&profile, arch);
            for number in (0..560).chain([100_000]) {
                let want = encode(judge(&rules, default, number, args));
                let got = interpret(&program, Call { number: number | bit, arch: audit, args });
                prop_assert_eq!(got, want, "{:?} {} {:?}", arch, number, args);
            }
        }
    }
}
