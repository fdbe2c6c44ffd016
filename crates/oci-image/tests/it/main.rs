//! Integration tests of `oci-image`.

mod serve;
