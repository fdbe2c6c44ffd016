//! Entries for fuzzing: parsers of bytes from outside must answer to anything without a panic.

use crate::drive::{Image, Volume};
use crate::fetch::data_url;
use crate::fetch::documents::decode_source_maps;
use crate::net::dns;
use crate::plan::install::Install;

/// `data:` URLs of configs.
pub fn data_url(bytes: &[u8]) {
    if let Ok(url) = std::str::from_utf8(bytes) {
        let _ = data_url::decode(url);
    }
}

/// Answers of name servers.
pub fn dns_answer(bytes: &[u8]) {
    for record_type in [1, 28] {
        let _ = dns::decode_answer(bytes, "www.example.org", record_type);
    }
}

/// Unit files of a config or an image.
pub fn unit_file(bytes: &[u8]) {
    let install = Install::parse(&String::from_utf8_lossy(bytes));
    for unit in ["a.service", "a@.service", "a@b.service", ""] {
        let _ = install.links(unit);
    }
}

/// Source maps beside a config.
pub fn source_map(bytes: &[u8]) {
    let _ = decode_source_maps(bytes);
}

/// Drives: the bytes as an image of any format, and files of every volume found on it.
pub fn drive(bytes: &[u8]) {
    let image = Image(bytes);
    for volume in Volume::on(&image, bytes.len() as u64).unwrap_or_default() {
        for path in ["/user-data", "/openstack/latest/user_data", "/CustomData.bin"] {
            let _ = volume.read(&image, path);
        }
    }
}

/// An ISO 9660 image behind its empty first sectors, where a fuzzer would find nothing.
pub fn iso9660(bytes: &[u8]) {
    drive(&[&[0; 16 * 2048], bytes].concat());
}

/// A UDF image of 512-byte blocks behind the blocks before its anchor.
pub fn udf(bytes: &[u8]) {
    drive(&[&[0; 256 * 512], bytes].concat());
}

/// Messages of Hyper-V's driver.
pub fn kvp_message(bytes: &[u8]) {
    crate::platform::fuzz_kvp(bytes);
}

/// OVF environments.
pub fn ovf_environment(bytes: &[u8]) {
    crate::platform::fuzz_ovf(bytes);
}

/// Packets of TFTP servers.
pub fn tftp_packet(bytes: &[u8]) {
    let _ = crate::net::tftp::decode(bytes);
}

/// Answers of metadata services: credentials and tokens.
pub fn imds_json(bytes: &[u8]) {
    let _ = (crate::fetch::cloud::role(bytes), crate::fetch::cloud::bearer(bytes));
}

/// URLs and ARNs of S3.
pub fn s3_url(bytes: &[u8]) {
    if let Ok(url) = std::str::from_utf8(bytes)
        && let Ok(object) = crate::fetch::cloud::s3::parse(url)
    {
        let _ = object.target("us-east-1").url();
    }
}

/// Add-ons with kernel arguments, as somebody may have left them on the ESP; and that what is built is read back.
pub fn kernel_addon(bytes: &[u8]) {
    crate::execute::fuzz_addon(bytes);
}

/// LUKS headers.
pub fn luks_header(bytes: &[u8]) {
    crate::observe::fuzz_luks(bytes);
}

/// Notes of a first boot that was cut short.
pub fn first_boot_notes(bytes: &[u8]) {
    let _ = serde_json::from_slice::<crate::notes::Notes>(bytes);
}

/// Files of day 2: observed states and declarations. What is read is written and read again.
pub fn day2_files(bytes: &[u8]) {
    use crate::day2::Declaration;
    use crate::observe::state::State;
    if let Ok(state) = State::parse(bytes) {
        assert_eq!(State::parse(&state.to_json()).ok().as_ref(), Some(&state));
        if let Some(declared) = &state.declared {
            let _ = crate::day2::baseline(&state.observed, declared);
            let _ = crate::day2::drift::drift(declared, &state.observed);
        }
    }
    let _ = Declaration::parse(bytes).map(|declared| declared.config());
}
