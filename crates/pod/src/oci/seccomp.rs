//! The system call filter that containers have by default, in the runtime-spec's JSON.
//!
//! What is listed is allowed; anything else gives ENOSYS, so that a program written for a newer kernel falls back as
//! it would on an older one. What only some capability makes useful is allowed together with it. Calls that reach
//! the kernel's own state (modules, clocks, swap, keys, tracing, bpf, mounts, namespaces, io_uring) are left out.

use serde_json::{Value, json};

/// Calls that need no privilege, by what they are for.
const ALLOWED: &[&[&str]] = &[
    // Files and directories.
    &[
        "access",
        "chdir",
        "chmod",
        "chown",
        "chown32",
        "close",
        "close_range",
        "copy_file_range",
        "creat",
        "dup",
        "dup2",
        "dup3",
        "faccessat",
        "faccessat2",
        "fadvise64",
        "fadvise64_64",
        "fallocate",
        "fchdir",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "fchown",
        "fchown32",
        "fchownat",
        "fcntl",
        "fcntl64",
        "fdatasync",
        "fgetxattr",
        "flistxattr",
        "flock",
        "fremovexattr",
        "fsetxattr",
        "fstat",
        "fstat64",
        "fstatat64",
        "fstatfs",
        "fstatfs64",
        "fsync",
        "ftruncate",
        "ftruncate64",
        "futimesat",
        "getcwd",
        "getdents",
        "getdents64",
        "getxattr",
        "getxattrat",
        "ioctl",
        "lchown",
        "lchown32",
        "lgetxattr",
        "link",
        "linkat",
        "listxattr",
        "listxattrat",
        "llistxattr",
        "_llseek",
        "lremovexattr",
        "lseek",
        "lsetxattr",
        "lstat",
        "lstat64",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "name_to_handle_at",
        "newfstatat",
        "open",
        "openat",
        "openat2",
        "pread64",
        "preadv",
        "preadv2",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "read",
        "readahead",
        "readlink",
        "readlinkat",
        "readv",
        "removexattr",
        "removexattrat",
        "rename",
        "renameat",
        "renameat2",
        "rmdir",
        "sendfile",
        "sendfile64",
        "setxattr",
        "setxattrat",
        "splice",
        "stat",
        "stat64",
        "statfs",
        "statfs64",
        "statx",
        "symlink",
        "symlinkat",
        "sync",
        "sync_file_range",
        "syncfs",
        "tee",
        "truncate",
        "truncate64",
        "umask",
        "unlink",
        "unlinkat",
        "utime",
        "utimensat",
        "utimensat_time64",
        "utimes",
        "vmsplice",
        "write",
        "writev",
    ],
    // Waiting and events.
    &[
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_ctl_old",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "epoll_wait_old",
        "eventfd",
        "eventfd2",
        "fanotify_mark",
        "inotify_add_watch",
        "inotify_init",
        "inotify_init1",
        "inotify_rm_watch",
        "_newselect",
        "pause",
        "poll",
        "ppoll",
        "ppoll_time64",
        "pselect6",
        "pselect6_time64",
        "select",
        "signalfd",
        "signalfd4",
    ],
    // Memory.
    &[
        "brk",
        "cachestat",
        "get_mempolicy",
        "madvise",
        "map_shadow_stack",
        "membarrier",
        "memfd_create",
        "memfd_secret",
        "mincore",
        "mlock",
        "mlock2",
        "mlockall",
        "mmap",
        "mmap2",
        "mprotect",
        "mremap",
        "mseal",
        "msync",
        "munlock",
        "munlockall",
        "munmap",
        "pkey_alloc",
        "pkey_free",
        "pkey_mprotect",
        "process_madvise",
        "process_mrelease",
        "remap_file_pages",
    ],
    // Processes and threads. `clone` is below, with its flags.
    &[
        "arch_prctl",
        "capget",
        "capset",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "fork",
        "futex",
        "futex_requeue",
        "futex_time64",
        "futex_wait",
        "futex_waitv",
        "futex_wake",
        "getcpu",
        "getpgid",
        "getpgrp",
        "getpid",
        "getppid",
        "getpriority",
        "getsid",
        "gettid",
        "get_robust_list",
        "get_thread_area",
        "ioprio_get",
        "ioprio_set",
        "kill",
        "landlock_add_rule",
        "landlock_create_ruleset",
        "landlock_restrict_self",
        "modify_ldt",
        "pidfd_open",
        "pidfd_send_signal",
        "prctl",
        "restart_syscall",
        "rseq",
        "rt_sigaction",
        "rt_sigpending",
        "rt_sigprocmask",
        "rt_sigqueueinfo",
        "rt_sigreturn",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "rt_sigtimedwait_time64",
        "rt_tgsigqueueinfo",
        "sched_getaffinity",
        "sched_getattr",
        "sched_getparam",
        "sched_get_priority_max",
        "sched_get_priority_min",
        "sched_getscheduler",
        "sched_rr_get_interval",
        "sched_rr_get_interval_time64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
        "sched_setscheduler",
        "sched_yield",
        "seccomp",
        "set_robust_list",
        "set_thread_area",
        "set_tid_address",
        "setpgid",
        "setpriority",
        "setsid",
        "sigaction",
        "sigaltstack",
        "signal",
        "sigpending",
        "sigprocmask",
        "sigreturn",
        "sigsuspend",
        "tgkill",
        "tkill",
        "vfork",
        "wait4",
        "waitid",
        "waitpid",
    ],
    // Users, groups and limits.
    &[
        "getegid",
        "getegid32",
        "geteuid",
        "geteuid32",
        "getgid",
        "getgid32",
        "getgroups",
        "getgroups32",
        "getresgid",
        "getresgid32",
        "getresuid",
        "getresuid32",
        "getrlimit",
        "getrusage",
        "getuid",
        "getuid32",
        "prlimit64",
        "setfsgid",
        "setfsgid32",
        "setfsuid",
        "setfsuid32",
        "setgid",
        "setgid32",
        "setgroups",
        "setgroups32",
        "setregid",
        "setregid32",
        "setresgid",
        "setresgid32",
        "setresuid",
        "setresuid32",
        "setreuid",
        "setreuid32",
        "setrlimit",
        "setuid",
        "setuid32",
        "ugetrlimit",
    ],
    // Time.
    &[
        "adjtimex",
        "alarm",
        "clock_adjtime",
        "clock_adjtime64",
        "clock_getres",
        "clock_getres_time64",
        "clock_gettime",
        "clock_gettime64",
        "clock_nanosleep",
        "clock_nanosleep_time64",
        "getitimer",
        "gettimeofday",
        "nanosleep",
        "setitimer",
        "time",
        "timer_create",
        "timer_delete",
        "timer_getoverrun",
        "timer_gettime",
        "timer_gettime64",
        "timer_settime",
        "timer_settime64",
        "timerfd_create",
        "timerfd_gettime",
        "timerfd_gettime64",
        "timerfd_settime",
        "timerfd_settime64",
        "times",
    ],
    // Sockets and pipes.
    &[
        "accept",
        "accept4",
        "bind",
        "connect",
        "getpeername",
        "getsockname",
        "getsockopt",
        "listen",
        "pipe",
        "pipe2",
        "recv",
        "recvfrom",
        "recvmmsg",
        "recvmmsg_time64",
        "recvmsg",
        "send",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "setsockopt",
        "shutdown",
        "socketcall",
        "socketpair",
    ],
    // System V and POSIX queues, asynchronous I/O.
    &[
        "io_cancel",
        "io_destroy",
        "io_getevents",
        "io_pgetevents",
        "io_pgetevents_time64",
        "io_setup",
        "io_submit",
        "ipc",
        "mq_getsetattr",
        "mq_notify",
        "mq_open",
        "mq_timedreceive",
        "mq_timedreceive_time64",
        "mq_timedsend",
        "mq_timedsend_time64",
        "mq_unlink",
        "msgctl",
        "msgget",
        "msgrcv",
        "msgsnd",
        "semctl",
        "semget",
        "semop",
        "semtimedop",
        "semtimedop_time64",
        "shmat",
        "shmctl",
        "shmdt",
        "shmget",
    ],
    // What the system is.
    &["getrandom", "sysinfo", "uname"],
];

/// Calls that one of these capabilities makes useful.
const WITH_CAPABILITY: &[(&str, &[&str])] = &[
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    (
        "SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "listmount",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "pivot_root",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "statmount",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("SYS_NICE", &["mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYS_PACCT", &["acct"]),
    ("SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "ptrace"]),
    ("SYS_RAWIO", &["ioperm", "iopl"]),
    ("SYS_TIME", &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYSLOG", &["syslog"]),
];

/// `CLONE_NEW*` (sched.h): all bits that make a namespace.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// `AF_VSOCK`: reaches the hypervisor, past every network rule of the machine.
const AF_VSOCK: u64 = 40;

/// errno.h
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// The filter of a container with the given capabilities (`CAP_…`).
#[must_use]
pub fn default_profile(capabilities: &[String]) -> Value {
    let has = |name: &str| capabilities.iter().any(|held| held.strip_prefix("CAP_") == Some(name));
    let mut names: Vec<&str> = ALLOWED.concat();
    for (capability, calls) in WITH_CAPABILITY {
        if has(capability) {
            names.extend(calls.iter().filter(|call| !names.contains(call)).collect::<Vec<_>>());
        }
    }
    let allow = "SCMP_ACT_ALLOW";
    let mut rules = vec![json!({ "names": names, "action": allow })];
    let vsock = |op: &str| json!([{ "index": 0, "value": AF_VSOCK, "op": op }]);
    rules.push(json!({ "names": ["socket"], "action": allow, "args": vsock("SCMP_CMP_NE") }));
    // Personalities that change no protection: Linux, with short names, with 32-bit names.
    for value in [0u64, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        let args = json!([{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }]);
        rules.push(json!({ "names": ["personality"], "action": allow, "args": args }));
    }
    if !has("SYS_ADMIN") {
        let args =
            json!([{ "index": 0, "value": CLONE_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }]);
        rules.push(json!({ "names": ["clone"], "action": allow, "args": args }));
        // Its flags are behind a pointer: libc falls back to clone.
        rules.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }));
        // Programs tell "not permitted" from "not there" for these.
        let denied =
            ["mount", "umount2", "unshare", "setns", "pivot_root", "sethostname", "bpf", "perf_event_open"];
        rules.push(json!({ "names": denied, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(capabilities: &[&str], call: &str) -> bool {
        let capabilities: Vec<String> = capabilities.iter().map(|name| format!("CAP_{name}")).collect();
        let profile = default_profile(&capabilities);
        let rules = profile["syscalls"].as_array().unwrap();
        rules.iter().any(|rule| {
            let names = rule["names"].as_array().unwrap();
            rule["action"] == "SCMP_ACT_ALLOW"
                && rule["args"].is_null()
                && names.iter().any(|name| name == call)
        })
    }

    #[test]
    fn capabilities_open_what_they_are_for() {
        assert!(allowed(&[], "openat") && allowed(&[], "futex"));
        for call in ["mount", "unshare", "bpf", "init_module", "io_uring_setup", "keyctl", "reboot", "clone"]
        {
            assert!(!allowed(&[], call), "{call}");
        }
        assert!(allowed(&["SYS_ADMIN"], "mount") && allowed(&["SYS_ADMIN"], "clone"));
        assert!(allowed(&["SYS_TIME"], "settimeofday"));
    }

    #[test]
    fn no_call_is_listed_twice_in_a_rule() {
        let all: Vec<String> =
            super::super::capabilities::ALL.iter().map(|name| format!("CAP_{name}")).collect();
        for rule in default_profile(&all)["syscalls"].as_array().unwrap() {
            let mut names: Vec<&str> =
                rule["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{names:?}");
        }
    }
}
