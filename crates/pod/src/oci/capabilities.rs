//! Capabilities of containers (capabilities(7)), without their `CAP_`.

/// All that Linux 6.12 has, by number.
pub const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless its declaration says otherwise: podman's default set.
pub const DEFAULT: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The capabilities of a container, sorted, with their `CAP_`: the default ones, less `drop`, plus `add`.
///
/// `ALL` in either list stands for every one; a name that is in both lists is added, as Kubernetes has it.
#[must_use]
pub fn chosen(add: &[String], drop: &[String]) -> Vec<String> {
    let has = |list: &[String], name: &str| list.iter().any(|other| other == name);
    let mut names: Vec<String> = ALL
        .iter()
        .filter(|name| {
            let base = DEFAULT.contains(name) && !has(drop, "ALL") && !has(drop, name);
            base || has(add, name) || (has(add, "ALL") && !has(drop, name))
        })
        .map(|name| format!("CAP_{name}"))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_combined_as_kubernetes_does() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&[], &[]).len(), DEFAULT.len());
        assert_eq!(chosen(&list(&["NET_ADMIN"]), &list(&["ALL"])), ["CAP_NET_ADMIN"]);
        assert_eq!(chosen(&list(&["ALL"]), &list(&["SYS_ADMIN"])).len(), ALL.len() - 1);
        assert!(!chosen(&[], &list(&["CHOWN"])).contains(&"CAP_CHOWN".to_owned()));
        assert!(DEFAULT.iter().all(|name| ALL.contains(name)));
    }
}
