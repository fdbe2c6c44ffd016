//! Look-ups against a name server of the test's own on loopback, and against any bytes.

use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        resolve::fuzz_message(&bytes);
    }
}

#[test]
fn hosts_and_numbers_need_no_server() {
    let dir = std::env::temp_dir().join(format!("orlop-resolve-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("etc")).unwrap();
    std::fs::write(dir.join("etc/hosts"), "10.0.0.7 db\n").unwrap();
    let resolver = resolve::Resolver::at(&dir);
    let ask =
        |name: &str| resolver.lookup(name, None).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ask("db"), ["10.0.0.7"]);
    assert_eq!(ask("192.0.2.9"), ["192.0.2.9"]);
    assert_eq!(ask("[::1]"), ["::1"]);
    assert_eq!(ask("localhost"), ["127.0.0.1", "::1"]);
    std::fs::remove_dir_all(&dir).unwrap();
}
