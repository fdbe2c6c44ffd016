//! The writer and the reader beside erofs-utils and the kernel.

use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

use erofs::{Compression, Image, InodeKind, Options};
use tempfile::TempDir;

use crate::scan::scan;
use crate::{sample, tools};

const COMPRESSIONS: [Compression; 4] = [
    Compression::None,
    Compression::Lz4hc { level: 1, cluster_bytes: 4096 },
    Compression::Lz4hc { level: 6, cluster_bytes: 65536 },
    Compression::Lz4hc { level: 9, cluster_bytes: 16384 },
];

/// Prints why a test does nothing, and says whether.
fn skipped(test: &str, wanted: bool, reason: &str) -> bool {
    if !wanted {
        println!("SKIP {test}: {reason}");
    }
    !wanted
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn success(output: &Output) -> &Output {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stdout));
    output
}

/// A directory like a small `/usr`: this crate's sources, this test's program, files of awkward sizes, links.
fn sample_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Command::new("cp").arg("-r").arg(source.join("src")).arg(at("src")).output().unwrap();
    success(&copy);
    let mut program = Vec::new();
    File::open(std::env::current_exe().unwrap()).unwrap().take(3 << 20).read_to_end(&mut program).unwrap();
    fs::write(at("program"), program).unwrap();
    for size in [0usize, 1, 4000, 4064, 4065, 4095, 4096, 4097, 8192, 70_000] {
        fs::write(at(&format!("noise-{size}")), sample::noise(size, size as u64)).unwrap();
        fs::write(at(&format!("zeros-{size}")), vec![0; size]).unwrap();
        fs::write(at(&format!("words-{size}")), sample::words(size, size as u64)).unwrap();
    }
    fs::write(at("zeros-large"), vec![0; 13 << 20]).unwrap();
    fs::write(at("words-large"), sample::words(5 << 20, 1)).unwrap();
    fs::hard_link(at("words-4097"), at("link")).unwrap();
    std::os::unix::fs::symlink("words-4097", at("symlink")).unwrap();
    fs::create_dir(at("many")).unwrap();
    for index in 0..700 {
        fs::write(at(&format!("many/{index:03}")), format!("{index}\n")).unwrap();
    }
    dir
}

fn write_image(dir: &Path, image: &Path, compression: Compression) -> erofs::Summary {
    let (tree, files) = scan(dir).unwrap();
    let options = Options { compression, ..Options::default() };
    erofs::write(&tree, &files, &options, &mut File::create(image).unwrap(), &mut |_| {}).unwrap()
}

/// Compares two directories with the machine's own `diff`.
fn same(a: &Path, b: &Path) {
    success(&Command::new("diff").arg("-r").arg("--no-dereference").args([a, b]).output().unwrap());
}

#[test]
fn fsck_extracts_what_was_written() {
    if skipped("fsck_extracts_what_was_written", tools::sdk().is_some(), "no SDK tree with erofs-utils") {
        return;
    }
    let (dir, work) = (sample_dir(), tempfile::tempdir().unwrap());
    for (index, compression) in COMPRESSIONS.into_iter().enumerate() {
        let (image, out) = (work.path().join("image"), work.path().join(format!("out-{index}")));
        write_image(dir.path(), &image, compression);
        let mut fsck = tools::command("fsck.erofs").unwrap();
        fsck.arg(format!("--extract={}", out.display())).arg("--no-preserve-owner").arg(&image);
        success(&fsck.output().unwrap());
        same(dir.path(), &out);
    }
}

#[test]
fn dump_names_the_features() {
    if skipped("dump_names_the_features", tools::sdk().is_some(), "no SDK tree with erofs-utils") {
        return;
    }
    let (dir, work) = (sample_dir(), tempfile::tempdir().unwrap());
    let image = work.path().join("image");
    let summary = write_image(dir.path(), &image, Compression::DEFAULT);
    let output = tools::command("dump.erofs").unwrap().arg("-s").arg(&image).output().unwrap();
    let text = String::from_utf8_lossy(&success(&output).stdout).into_owned();
    for feature in ["sb_csum", "mtime", "0padding", "compr_cfgs", "big_pcluster", "ztailpacking"] {
        assert!(text.contains(feature), "{feature} is not in\n{text}");
    }
    let inodes = text.lines().find_map(|line| line.strip_prefix("Filesystem inode count:")).unwrap();
    assert_eq!(inodes.trim(), summary.inodes.to_string());
}

#[test]
fn images_of_mkfs_are_read() {
    if skipped("images_of_mkfs_are_read", tools::sdk().is_some(), "no SDK tree with erofs-utils") {
        return;
    }
    let (dir, work) = (sample_dir(), tempfile::tempdir().unwrap());
    let settings: [&[&str]; 8] = [
        &[],
        &["-Enoinline_data"],
        &["-zlz4"],
        &["-zlz4", "-Elegacy-compress"],
        &["-zlz4hc", "-C65536"],
        &["-zlz4hc", "-C32768", "-Elegacy-compress"],
        &["-zlz4hc", "-C65536", "-Eztailpacking"],
        &["-zlz4hc,level=12", "-C16384", "-Eztailpacking", "-b512"],
    ];
    for (index, setting) in settings.iter().enumerate() {
        let image = work.path().join(format!("image-{index}"));
        let mut mkfs = tools::command("mkfs.erofs").unwrap();
        let output =
            mkfs.arg("--quiet").arg("-T7").args(*setting).arg(&image).arg(dir.path()).output().unwrap();
        success(&output);
        let files = compare_with_dir(&Image::open(File::open(&image).unwrap()).unwrap(), dir.path());
        assert!(files > 700, "{setting:?}: only {files} files");
    }
}

/// Compares every file of an image with the directory it was made of; gives the number of files.
fn compare_with_dir(image: &Image<File>, dir: &Path) -> usize {
    let mut files = 0;
    let walked = image.walk(&mut |path, inode| {
        let path = dir.join(std::str::from_utf8(path).unwrap());
        assert_eq!(inode.mtime_secs(), 7);
        match inode.kind() {
            InodeKind::File => {
                let mut content = Vec::new();
                image.file(inode).unwrap().read_to_end(&mut content).unwrap();
                assert!(content == fs::read(&path).unwrap(), "{} differs", path.display());
                files += 1;
            }
            InodeKind::Symlink => {
                let target = String::from_utf8(image.target(inode).unwrap()).unwrap();
                assert_eq!(fs::read_link(&path).unwrap(), Path::new(&target));
            }
            kind => assert_eq!(kind, InodeKind::Dir),
        }
        ControlFlow::Continue(())
    });
    assert_eq!(walked.unwrap(), ControlFlow::Continue(()));
    files
}

#[test]
fn no_larger_and_no_slower_than_mkfs() {
    if skipped("no_larger_and_no_slower_than_mkfs", tools::sdk().is_some(), "no SDK tree with erofs-utils") {
        return;
    }
    let dir = tools::sdk().unwrap().path("usr/sbin");
    let work = tempfile::tempdir().unwrap();
    let (ours, theirs) = (work.path().join("ours"), work.path().join("theirs"));
    let (own_before, children_before) = tools::cpu_ticks();
    write_image(&dir, &ours, Compression::DEFAULT);
    let mut mkfs = tools::command("mkfs.erofs").unwrap();
    mkfs.args(["--quiet", "-zlz4hc", "-C65536", "-T0", "-x-1", "--all-root", "--workers=1"]);
    success(&mkfs.arg(&theirs).arg(&dir).output().unwrap());
    let (own, children) = tools::cpu_ticks();
    let bytes = |path: &Path| fs::metadata(path).unwrap().len() as f64;
    let size = bytes(&ours) / bytes(&theirs);
    let cpu = (own - own_before) as f64 / (children - children_before).max(1) as f64;
    println!("size ratio {size:.3}, CPU time ratio {cpu:.3}");
    assert!(size <= 1.05, "{size:.3} times the size of mkfs.erofs's image");
    // The checks of a debug build cost time that a release does not take; `cargo xtask bench erofs` measures that.
    assert!(cfg!(debug_assertions) || cpu <= 1.0, "{cpu:.3} times the CPU time of mkfs.erofs");
}

/// Mounts the image in a mount namespace of its own and runs a script with the mount as `$1`.
fn mounted(image: &Path, script: &str) -> String {
    let mount = tempfile::tempdir().unwrap();
    let script = format!("mount -t erofs -o loop,ro \"$0\" \"$1\" && cd \"$1\" && {script}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &script]).arg(image).arg(mount.path());
    let output = command.output().unwrap();
    String::from_utf8(success(&output).stdout.clone()).unwrap()
}

/// Whether this machine can mount such an image at all.
fn can_mount() -> bool {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let _ = Command::new("modprobe").arg("erofs").output();
    is_root()
        && (filesystems.contains("erofs") || Path::new("/sys/module/erofs").exists())
        && Path::new("/dev/loop-control").exists()
}

#[test]
fn root_kernel_reads_what_was_written() {
    if skipped("root_kernel_reads_what_was_written", can_mount(), "needs root, loop devices and EROFS") {
        return;
    }
    let (dir, work) = (sample_dir(), tempfile::tempdir().unwrap());
    for compression in COMPRESSIONS {
        let image = work.path().join("image");
        write_image(dir.path(), &image, compression);
        let script = format!("diff -r --no-dereference . {}", dir.path().display());
        mounted(&image, &script);
    }
}

#[test]
fn root_kernel_sees_all_metadata() {
    if skipped("root_kernel_sees_all_metadata", can_mount(), "needs root, loop devices and EROFS") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("image");
    let (tree, contents) = sample::every_kind();
    let options = Options { time_secs: 1_700_000_000, ..Options::default() };
    erofs::write(&tree, &contents, &options, &mut File::create(&image).unwrap(), &mut |_| {}).unwrap();
    let find = "find . -mindepth 1 ! -name long ! -name '[0-9]*' -printf '%P %y %m %U %G %n %s %T@ %l\\n'";
    let listing = mounted(&image, &format!("{find} | sed 's/[.]0000000000 / /; s/ $//' | LC_ALL=C sort"));
    assert_eq!(listing, sample::EVERY_KIND_LISTING);
    let rest = mounted(&image, "stat -c %t:%T null disk; readlink long | wc -c; find wide -type d | wc -l");
    assert_eq!(rest, "1:3\n103:11170\n4096\n301\n");
    if !skipped("xattrs of root_kernel_sees_all_metadata", which("getfattr"), "no getfattr") {
        let xattrs = mounted(&image, "getfattr -h -R -d -m - -e hex . | grep -c =");
        assert_eq!(xattrs.trim(), "9");
    }
}

fn which(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
