//! Contents and trees to write.

use std::collections::BTreeMap;

use erofs::{Content, ContentId, Device, Kind, Meta, Node, Tree};

/// A small deterministic generator (xorshift64*): the same on every machine and in every release.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// Bytes that do not shrink.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..size).map(|_| random.next() as u8).collect()
}

/// Bytes that shrink as text and programs do: repeated words with noise between.
pub(crate) fn words(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let vocabulary: Vec<Vec<u8>> = (0..400).map(|index| noise(2 + index % 13, index as u64)).collect();
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        let word = &vocabulary[(random.next() % 400 * (random.next() % 400) / 400) as usize];
        out.extend_from_slice(word);
        if random.next().is_multiple_of(5) {
            out.push(random.next() as u8);
        }
    }
    out.truncate(size);
    out
}

/// A tree with every kind of node and awkward metadata, and its contents.
pub(crate) fn every_kind() -> (Tree, Vec<Vec<u8>>) {
    let contents =
        vec![words(300_000, 1), noise(5000, 2), b"#!/bin/sh\n".to_vec(), Vec::new(), words(30_000, 3)];
    let file =
        |id: usize| Kind::File(Content { size_bytes: contents[id].len() as u64, id: ContentId(id as u64) });
    let owned = |mode, uid, gid| Meta { mode, uid, gid, xattrs: BTreeMap::new() };
    let label = |meta: Meta, name: &str, value: &[u8]| {
        let xattrs = BTreeMap::from([(name.as_bytes().to_vec(), value.to_vec())]);
        Meta { xattrs, ..meta }
    };
    let selinux = |meta: Meta| label(meta, "security.selinux", b"system_u:object_r:bin_t:s0\0");
    let mut tree = Tree::new(Meta::new(0o755));
    let mut put = |path: &str, meta: Meta, kind: Kind| tree.insert(path, Node { meta, kind }).unwrap();
    put("bin", selinux(Meta::new(0o755)), Kind::dir());
    let sh = put("bin/sh", selinux(Meta::new(0o755)), file(0));
    put("bin/su", selinux(Meta::new(0o4755)), file(4));
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    put("bin/ping", label(Meta::new(0o755), "security.capability", &capability), file(1));
    put("empty", owned(0o640, 70_000, 4_000_000_000), file(3));
    put("note", label(owned(0o600, 1000, 1000), "user.note", &noise(3000, 9)), file(2));
    put("acl", label(Meta::new(0o644), "trusted.overlay.opaque", b"y"), file(2));
    put("sticky", Meta::new(0o1777), Kind::dir());
    put("fifo", Meta::new(0o600), Kind::Fifo);
    put("socket", Meta::new(0o666), Kind::Socket);
    put("null", Meta::new(0o666), Kind::CharDevice(Device { major: 1, minor: 3 }));
    put("disk", Meta::new(0o660), Kind::BlockDevice(Device { major: 259, minor: 70_000 }));
    put("short", Meta::new(0o777), Kind::Symlink(b"bin/sh".to_vec()));
    put("long", Meta::new(0o777), Kind::Symlink(vec![b'x'; 4095]));
    put("wide", selinux(Meta::new(0o755)), Kind::dir());
    for index in 0..300 {
        put(&format!("wide/{index:03}{}", "-".repeat(40)), Meta::new(0o755), Kind::dir());
    }
    tree.link("bin/bash", sh).unwrap();
    tree.link("wide/sh", sh).unwrap();
    (tree, contents)
}

/// Name, kind, mode, owner, group, links, size, time and target of what is in [`every_kind`], by `find`; long names left
/// out.
pub(crate) const EVERY_KIND_LISTING: &str = "\
acl f 644 0 0 1 10 1700000000
bin d 755 0 0 2 87 1700000000
bin/bash f 755 0 0 3 300000 1700000000
bin/ping f 755 0 0 1 5000 1700000000
bin/sh f 755 0 0 3 300000 1700000000
bin/su f 4755 0 0 1 30000 1700000000
disk b 660 0 0 1 0 1700000000
empty f 640 70000 4000000000 1 0 1700000000
fifo p 600 0 0 1 0 1700000000
note f 600 1000 1000 1 10 1700000000
null c 666 0 0 1 0 1700000000
short l 777 0 0 1 6 1700000000 bin/sh
socket s 666 0 0 1 0 1700000000
sticky d 1777 0 0 2 27 1700000000
wide d 755 0 0 302 16673 1700000000
wide/sh f 755 0 0 3 300000 1700000000
";
