//! Whatever goes in comes out.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::ControlFlow;

use erofs::lz4::{self, Encoder};
use erofs::{
    Compression, Content, ContentId, Device, Image, Inode, InodeKind, Kind, Meta, Node, NodeId, Options, Tree,
};
use proptest::prelude::*;

use crate::sample::{Random, every_kind, noise, words};

fn contents() -> impl Strategy<Value = Vec<u8>> {
    let sizes = prop_oneof![0usize..200, 3900usize..4300, 0usize..300_000];
    (sizes, 0u8..4, any::<u64>()).prop_map(|(size, kind, seed)| match kind {
        0 => vec![seed as u8; size],
        1 => noise(size, seed),
        2 => words(size, seed),
        _ => [words(size / 2, seed), noise(size - size / 2, seed)].concat(),
    })
}

fn metas() -> impl Strategy<Value = Meta> {
    let ids = || prop_oneof![4 => 0u32..2000, 1 => any::<u32>()];
    let names = prop::sample::select(vec![
        "user.a",
        "user.bb",
        "trusted.x",
        "security.selinux",
        "system.posix_acl_access",
    ]);
    let values = prop::collection::vec(any::<u8>(), 0..40);
    let xattrs = prop::collection::btree_map(names.prop_map(|name| name.as_bytes().to_vec()), values, 0..3);
    (0u16..=0o7777, ids(), ids(), xattrs).prop_map(|(mode, uid, gid, xattrs)| Meta { mode, uid, gid, xattrs })
}

/// What to put where: the place is found from the number, among the directories there are.
#[derive(Debug, Clone)]
enum Put {
    File(Vec<u8>),
    Dir,
    Link(usize),
    Kind(Kind),
}

fn puts() -> impl Strategy<Value = Put> {
    let devices = || (0u32..0x1000, 0u32..0x10_0000).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        5 => contents().prop_map(Put::File),
        3 => Just(Put::Dir),
        1 => any::<usize>().prop_map(Put::Link),
        1 => prop::collection::vec(1u8..255, 1..4095).prop_map(|target| Put::Kind(Kind::Symlink(target))),
        1 => devices().prop_map(|device| Put::Kind(Kind::CharDevice(device))),
        1 => devices().prop_map(|device| Put::Kind(Kind::BlockDevice(device))),
        1 => prop_oneof![Just(Put::Kind(Kind::Fifo)), Just(Put::Kind(Kind::Socket))],
    ]
}

fn trees() -> impl Strategy<Value = (Tree, Vec<Vec<u8>>)> {
    let names = prop_oneof!["[a-c+!. ]{1,3}", "[a-z]{200,255}"];
    (metas(), prop::collection::vec((any::<usize>(), names, metas(), puts()), 0..40)).prop_map(
        |(root, puts)| {
            let (mut tree, mut contents) = (Tree::new(root), Vec::new());
            let (mut dirs, mut linkable): (Vec<Vec<u8>>, Vec<NodeId>) = (vec![Vec::new()], Vec::new());
            for (place, name, meta, put) in puts {
                let path = [dirs[place % dirs.len()].as_slice(), b"/", name.as_bytes()].concat();
                let kind = match put {
                    Put::Link(number) => {
                        if !linkable.is_empty() {
                            let _ = tree.link(&path, linkable[number % linkable.len()]);
                        }
                        continue;
                    }
                    Put::File(content) => {
                        let id = ContentId(contents.len() as u64);
                        let size_bytes = content.len() as u64;
                        contents.push(content);
                        Kind::File(Content { size_bytes, id })
                    }
                    Put::Dir => Kind::dir(),
                    Put::Kind(kind) => kind,
                };
                let is_dir = matches!(kind, Kind::Dir(_));
                match tree.insert(&path, Node { meta, kind }) {
                    Ok(_) if is_dir => dirs.push(path),
                    Ok(id) => linkable.push(id),
                    Err(_) => {}
                }
            }
            (tree, contents)
        },
    )
}

fn compressions() -> impl Strategy<Value = Compression> {
    let clusters = prop::sample::select(vec![4096u32, 8192, 16384, 32768, 65536]);
    let lz4hc =
        (1u8..=9, clusters).prop_map(|(level, cluster_bytes)| Compression::Lz4hc { level, cluster_bytes });
    prop_oneof![1 => Just(Compression::None), 4 => lz4hc]
}

fn write(tree: &Tree, contents: &Vec<Vec<u8>>, options: &Options) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let summary = erofs::write(tree, contents, options, &mut out, &mut |_| {}).unwrap();
    assert_eq!(summary.image_bytes, out.get_ref().len() as u64);
    out.into_inner()
}

/// Compares an inode of an image with the node it was made of.
fn assert_same(image: &Image<Vec<u8>>, inode: &Inode, node: &Node, contents: &[Vec<u8>]) {
    let meta =
        Meta { mode: inode.mode(), uid: inode.uid(), gid: inode.gid(), xattrs: image.xattrs(inode).unwrap() };
    assert_eq!(meta, node.meta);
    match (&node.kind, inode.kind()) {
        (Kind::File(content), InodeKind::File) => {
            let mut bytes = Vec::new();
            image.file(inode).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(bytes == contents[content.id.0 as usize], "content {} differs", content.id.0);
        }
        (Kind::Symlink(target), InodeKind::Symlink) => assert_eq!(&image.target(inode).unwrap(), target),
        (Kind::CharDevice(a), InodeKind::CharDevice(b))
        | (Kind::BlockDevice(a), InodeKind::BlockDevice(b)) => {
            assert_eq!(*a, b);
        }
        (Kind::Dir(_), InodeKind::Dir)
        | (Kind::Fifo, InodeKind::Fifo)
        | (Kind::Socket, InodeKind::Socket) => {}
        (kind, found) => panic!("{kind:?} became {found:?}"),
    }
}

/// Compares a whole image with its tree: paths, nodes, links.
fn assert_image(bytes: Vec<u8>, tree: &Tree, contents: &[Vec<u8>]) {
    let image = Image::open(bytes).unwrap();
    assert_same(&image, &image.root().unwrap(), tree.node(NodeId::ROOT), contents);
    let wanted: BTreeMap<_, _> = tree.walk().filter(|(path, _)| !path.is_empty()).collect();
    let mut numbers: BTreeMap<NodeId, (u64, u32)> = BTreeMap::new();
    let mut names: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut found = 0;
    let walked = image.walk(&mut |path, inode| {
        let id = wanted[path];
        assert_same(&image, inode, tree.node(id), contents);
        assert_eq!(*numbers.entry(id).or_insert((inode.nid(), inode.nlink())), (inode.nid(), inode.nlink()));
        *names.entry(id).or_default() += 1;
        found += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(walked.unwrap(), ControlFlow::Continue(()));
    assert_eq!(found, wanted.len());
    for (id, count) in names {
        let is_dir = matches!(tree.node(id).kind, Kind::Dir(_));
        assert!(is_dir || numbers[&id].1 == count, "{count} names, link count {}", numbers[&id].1);
    }
    for path in wanted.keys().step_by(7) {
        image.find(path).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn trees_round_trip((tree, contents) in trees(), compression in compressions(), uuid in any::<[u8; 16]>()) {
        let options = Options { compression, uuid, time_secs: 5, ..Options::default() };
        let bytes = write(&tree, &contents, &options);
        prop_assert!(bytes == write(&tree, &contents, &options), "two writes differ");
        prop_assert!(bytes == write(&tree, &contents, &Options { threads: 3, ..options }), "threads matter");
        assert_image(bytes, &tree, &contents);
    }

    #[test]
    fn damaged_images_do_no_harm(seed in any::<u64>(), flips in 1usize..40, compression in compressions()) {
        let (tree, contents) = every_kind();
        let mut bytes = write(&tree, &contents, &Options { compression, ..Options::default() });
        let mut random = Random::new(seed);
        let metadata = bytes.len() / 3 * 2;
        for _ in 0..flips {
            let near = if random.next().is_multiple_of(2) { metadata } else { 1024 };
            let at = (near + random.next() as usize % (bytes.len() - near)).min(bytes.len() - 1);
            bytes[at] = random.next() as u8;
        }
        erofs::fuzz_image(&bytes);
        bytes.truncate(random.next() as usize % bytes.len());
        erofs::fuzz_image(&bytes);
    }

    #[test]
    fn blocks_round_trip(content in contents(), level in 1u8..=9, room in prop_oneof![1usize..300, 4096usize..70_000]) {
        let mut encoder = Encoder::new(level);
        let mut out = vec![0; room];
        let (taken, written) = encoder.fill(&content, &mut out);
        check_block(&content, taken, &out[..written]);
        prop_assert!(taken == content.len() || written + 2 >= room, "{written} of {room} bytes used");
        // The same into less space.
        let less = room.div_ceil(2);
        let (taken, written) = encoder.refill(&content, &mut out[..less]);
        check_block(&content, taken, &out[..written]);
    }

    #[test]
    fn decoding_garbage_does_no_harm(block in prop::collection::vec(any::<u8>(), 0..300), length in 0usize..5000) {
        let _ = lz4::decode(&block, &mut vec![0; length]);
    }
}

/// Decodes a block, and checks the rules for its end that other decoders rely on.
fn check_block(content: &[u8], taken: usize, block: &[u8]) {
    let mut plain = vec![0; taken];
    lz4::decode(block, &mut plain).unwrap();
    assert!(plain == content[..taken], "content differs");
    let (mut at, mut done, mut last_match) = (0, 0, None);
    let length = |at: &mut usize, field: u8| {
        let more =
            if field == 15 { 1 + block[*at..].iter().take_while(|&&byte| byte == 255).count() } else { 0 };
        let further = &block[*at..*at + more];
        *at += more;
        usize::from(field) + further.iter().map(|&byte| usize::from(byte)).sum::<usize>()
    };
    while at < block.len() {
        let token = block[at];
        at += 1;
        let literals = length(&mut at, token >> 4);
        at += literals;
        done += literals;
        if at == block.len() {
            assert!(
                last_match.is_none_or(|start| start + 12 <= done && literals >= 5),
                "{last_match:?} {done} {literals}"
            );
            break;
        }
        last_match = Some(done);
        at += 2;
        done += 4 + length(&mut at, token & 15);
    }
    assert_eq!(done, taken);
}
