#![no_main]

// A config that is accepted must also give a filter and a device program, or refuse to.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(spec) = oci_runtime::spec::parse(data) {
        let _ = spec.linux.seccomp.as_ref().map(oci_runtime::seccomp::compile);
        let table = oci_runtime::cgroup::devices::Table::new(&spec.linux.resources.devices);
        let _ = oci_runtime::cgroup::devices::program(&table);
        let _ = oci_runtime::cgroup::limits::writes(&spec.linux.resources);
    }
});
