//! Hash trees equal those of `veritysetup format`, super block included.

use std::fs;

use block::verity;
use os_image::hex;

use crate::{judge, sdk};

#[test]
fn trees_equal_veritysetups() {
    let Some(sdk) = sdk("trees_equal_veritysetups") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (data, theirs) = (directory.path().join("data"), directory.path().join("hashes"));
    let uuid = [0x5a; 16];
    let uuid_text = "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a";
    // Around one, one full level and two full levels of 128 digests a block.
    for blocks in [1usize, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
        let bytes: Vec<u8> = (0..blocks * 4096).map(|at| (at / 7 % 251) as u8 ^ (at >> 12) as u8).collect();
        fs::write(&data, &bytes).unwrap();
        let _ = fs::remove_file(&theirs);
        for salt in [vec![], vec![7; 32]] {
            let salt_text = if salt.is_empty() { "-".to_owned() } else { hex(&salt) };
            let mut format = sdk.command("veritysetup").unwrap();
            format.args(["format", "--uuid", uuid_text, "--salt", &salt_text]).arg(&data).arg(&theirs);
            let said = judge(&mut format);
            let mut ours = Vec::new();
            let tree = verity::build(&mut bytes.as_slice(), &salt, uuid, &mut ours).unwrap();
            assert!(said.contains(&hex(&tree.root)), "{blocks} blocks: {said}");
            assert!(ours == fs::read(&theirs).unwrap(), "{blocks} blocks, salt {salt_text}: other bytes");
            assert_eq!(ours.len() as u64, tree.hash_bytes);
            let header = verity::Super::parse(&ours).unwrap();
            assert_eq!((header.uuid, header.data_blocks, header.salt), (uuid, blocks as u64, salt));
        }
    }
}

#[test]
fn veritysetup_accepts_our_tree_and_refuses_altered_data() {
    let Some(sdk) = sdk("veritysetup_accepts_our_tree_and_refuses_altered_data") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (data, hashes) = (directory.path().join("data"), directory.path().join("hashes"));
    let mut bytes = vec![3; 300 * 4096];
    let mut out = Vec::new();
    let tree = verity::build(&mut bytes.as_slice(), b"salt", [1; 16], &mut out).unwrap();
    fs::write(&hashes, out).unwrap();
    fs::write(&data, &bytes).unwrap();
    let verify = || {
        let mut verify = sdk.command("veritysetup").unwrap();
        verify.arg("verify").arg(&data).arg(&hashes).arg(hex(&tree.root));
        verify
    };
    judge(&mut verify());
    bytes[200 * 4096 + 5] ^= 1;
    fs::write(&data, &bytes).unwrap();
    assert!(!verify().output().unwrap().status.success());
}
