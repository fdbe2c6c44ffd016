//! The OCI runtime: lifecycle, namespaces, mounts, cgroups, seccomp, hooks.
