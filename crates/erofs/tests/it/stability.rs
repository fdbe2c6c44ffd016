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
        (lz4hc(1, 4096), "2357ca77aca84c0a2b20b64c97a064e192a9bdcc16c5b81e1de490425086bb49"),
        (lz4hc(7, 65536), "54b97897d76456567f17e3baacf4d6a0f4a2dd3fc277e5b6fe22dd9e511cbc5f"),
        (lz4hc(9, 65536), "97b5501afbb4f22f649818decabea2f6ac67c787287b46f655631ae1c4484100"),
    ];
    let found: Vec<_> = known.iter().map(|&(compression, _)| digest(compression, 1)).collect();
    let known: Vec<_> = known.iter().map(|&(_, digest)| digest).collect();
    assert_eq!(found, known);
}

#[test]
fn threads_do_not_matter() {
    assert_eq!(digest(Compression::DEFAULT, 1), digest(Compression::DEFAULT, 4));
}
