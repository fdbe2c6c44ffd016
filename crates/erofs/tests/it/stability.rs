//! The bytes of images never change: machines rebuild them from a tree and compare root hashes.

use std::io::Cursor;

use erofs::{Compression, Options};
use sha2::{Digest, Sha256};

use crate::sample;

fn digest(compression: Compression, threads: usize) -> String {
    let (tree, contents) = sample::every_kind();
    let options = Options {
        compression,
        uuid: *b"orlop fixed uuid",
        volume_name: *b"usr\0\0\0\0\0\0\0\0\0\0\0\0\0",
        time_secs: 1_700_000_000,
        threads,
    };
    let mut out = Cursor::new(Vec::new());
    erofs::write(&tree, &contents, &options, &mut out, &mut |_| {}).unwrap();
    Sha256::digest(out.into_inner()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A failure here means that installed machines would refuse every update. Only a new format version, chosen by the
/// release that wants it, may add other digests beside these.
#[test]
fn images_are_what_they_were() {
    let lz4hc = |level, cluster_bytes| Compression::Lz4hc { level, cluster_bytes };
    let known = [
        (Compression::None, "c23a3cd9981562378860142ca0f5a2cfece3a636c637597ac10f011a6ccf7756"),
        (lz4hc(1, 4096), "be9f01f790f8b77cfa335018565fa6f5f75e093ae8bb11cbbc300431a4056c54"),
        (lz4hc(6, 65536), "dd2fb0a872d9d86032f6ddc31cbb0b1750f6f9d43b08ace9f9880d8738e3b925"),
        (lz4hc(9, 65536), "a60be8fd3e74c2f18966b6f344d84a70cfae1f742572f2ab6a410701a22d2f7d"),
    ];
    let found: Vec<_> = known.iter().map(|&(compression, _)| digest(compression, 1)).collect();
    let known: Vec<_> = known.iter().map(|&(_, digest)| digest).collect();
    assert_eq!(found, known);
}

#[test]
fn threads_do_not_matter() {
    assert_eq!(digest(Compression::DEFAULT, 1), digest(Compression::DEFAULT, 4));
}
