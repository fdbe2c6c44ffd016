//! Names to addresses without `getaddrinfo`.
//!
//! glibc's `getaddrinfo` loads NSS modules at run time, which a static program cannot do: it crashes or answers
//! nothing. The programs of the image and `orlop-init` are static, so they resolve names by this crate.
//!
//! Principles:
//! - What an administrator expects of `resolv.conf(5)` and `hosts(5)` holds: hosts first, then the name servers in
//!   order with `search`, `ndots`, `timeout` and `attempts`. NSS, mDNS and DNSSEC are not done here.
//! - Files are read at each look-up, so that a lease that changes the servers needs no restart.
//! - Parsing is apart from I/O: [`conf`] and [`message`] take text and bytes.
//!
//! Modules: [`conf`] (`resolv.conf`, `hosts`), [`message`] (RFC 1035), [`lookup`] (servers, retries),
//! [`adapter`] (ureq's resolver).

pub mod adapter;
pub mod conf;
pub mod lookup;
pub mod message;

pub use adapter::HttpResolver;
pub use lookup::{Error, Resolver};

/// Fuzz entry: any bytes as the answer of a name server.
pub fn fuzz_message(bytes: &[u8]) {
    let _ = message::parse_answer(bytes, 0, "a.example", message::Kind::A);
    let _ = message::parse_answer(bytes, 0, "a.example", message::Kind::Aaaa);
}
