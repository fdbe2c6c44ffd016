//! The device-mapper table that opens a verity tree (`Documentation/admin-guide/device-mapper/verity.rst`).

use block::verity::{BLOCK_BYTES, Super};
use linux::dm::Target;

use crate::cmdline::RootHash;

/// Device-mapper counts in sectors of this many bytes.
const SECTOR_BYTES: u64 = 512;

/// The one target of the device. A block that does not verify reads as an I/O error (the kernel's default).
pub(crate) fn target(tree: &Super, data: &str, hashes: &str, root: &RootHash) -> Target {
    let salt = match tree.salt.as_slice() {
        [] => "-".to_owned(),
        salt => hex(salt),
    };
    let blocks = tree.data_blocks;
    Target {
        start_sectors: 0,
        // A length beyond the partition is refused by the kernel; saturating makes it one.
        length_sectors: blocks.saturating_mul(BLOCK_BYTES as u64 / SECTOR_BYTES),
        kind: "verity".into(),
        // The tree starts at the block after the super block.
        params: format!("1 {data} {hashes} {BLOCK_BYTES} {BLOCK_BYTES} {blocks} 1 sha256 {root} {salt}"),
    }
}

/// The device-mapper UUID by which systemd and cryptsetup know a verity device.
pub(crate) fn dm_uuid(tree: &Super, name: &str) -> String {
    format!("CRYPT-VERITY-{}-{name}", hex(&tree.uuid))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_line() {
        let mut tree = Super { uuid: [0xab; 16], data_blocks: 100, salt: vec![0x12, 0x34] };
        let hash = RootHash([0xcd; 32]);
        let found = target(&tree, "/dev/vda2", "/dev/vda3", &hash);
        let cd = "cd".repeat(32);
        assert_eq!(found.params, format!("1 /dev/vda2 /dev/vda3 4096 4096 100 1 sha256 {cd} 1234"));
        assert_eq!(found.length_sectors, 800);
        assert_eq!(dm_uuid(&tree, "usr"), format!("CRYPT-VERITY-{}-usr", "ab".repeat(16)));
        tree.salt.clear();
        assert!(target(&tree, "a", "b", &hash).params.ends_with(" -"));
    }
}
