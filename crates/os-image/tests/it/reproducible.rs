//! Two builds from one lock are the same, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use os_image::lock::Lock;
use os_image::manifest::Manifest;
use os_image::product::{DISK, FILES};
use os_image::{Event, Options, Product};
use sdk::Sdk;

use crate::{sdk, skip};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The real manifest and lock, with the quickest compression and a small disk: neither has a part in what is tested.
fn manifest(directory: &Path) -> PathBuf {
    let os = repository().join("os");
    let text = fs::read_to_string(os.join("orlop.toml")).unwrap();
    let text = text.replace("\nlevel = 9\n", "\nlevel = 1\n").replace("zstd-level = 19", "zstd-level = 1");
    let text = text.replace("esp-mib = 512", "esp-mib = 64").replace("usr-mib = 2048", "usr-mib = 256");
    let text = text.replace("overlay = \"tree\"", &format!("overlay = \"{}\"", os.join("tree").display()));
    let path = directory.join("orlop.toml");
    fs::write(&path, text).unwrap();
    fs::copy(os.join("orlop.lock"), directory.join("orlop.lock")).unwrap();
    path
}

/// Stand-ins for our programs: the build does not care what is in them.
fn programs(directory: &Path, manifest: &Manifest) -> PathBuf {
    let programs = directory.join("programs");
    fs::create_dir(&programs).unwrap();
    for path in manifest.programs.keys().chain([&manifest.initramfs.init]) {
        let name = path.rsplit('/').next().unwrap();
        fs::write(programs.join(name), format!("stand-in for {name}\n").repeat(1000)).unwrap();
    }
    programs
}

/// A cache of its own for what a build makes, with the packages and decompressed modules of the user's cache; `None` when
/// a package is missing there.
fn cache(directory: &Path, lock: &Lock) -> Option<PathBuf> {
    let shared = sdk::cache_dir().ok()?;
    let there = |package: &os_image::lock::Package| shared.join("debs").join(package.file_name()).exists();
    lock.packages.values().all(there).then_some(())?;
    let cache = directory.join("cache");
    fs::create_dir_all(&cache).unwrap();
    for name in ["debs", "tars", "modules"] {
        fs::create_dir_all(shared.join(name)).unwrap();
        std::os::unix::fs::symlink(shared.join(name), cache.join(name)).unwrap();
    }
    Some(cache)
}

fn build(
    sdk: &Sdk,
    manifest: &Path,
    programs: &Path,
    cache: PathBuf,
    out: PathBuf,
    threads: usize,
) -> Product {
    let options = Options {
        manifest: manifest.to_owned(),
        out,
        programs: programs.to_owned(),
        cache,
        reuse: false,
        threads,
    };
    os_image::build(&options, sdk, &mut |_: Event| {}).unwrap()
}

#[test]
fn two_builds_from_one_lock_are_byte_identical() {
    let test = "two_builds_from_one_lock_are_byte_identical";
    let Some(sdk) = sdk(test) else { return };
    let directory = tempfile::tempdir().unwrap();
    let manifest_path = manifest(directory.path());
    let parsed = Manifest::read(&manifest_path).unwrap();
    let lock = Lock::parse(&fs::read_to_string(manifest_path.with_extension("lock")).unwrap()).unwrap();
    let programs = programs(directory.path(), &parsed);
    let outs = ["a", "b"].map(|name| directory.path().join(name));
    let mut products = Vec::new();
    for (out, threads) in outs.iter().zip([1, 2]) {
        let Some(cache) = cache(&out.with_extension("work"), &lock) else {
            return skip(test, "the locked packages are not all in the cache (cargo xtask build-image)");
        };
        products.push(build(&sdk, &manifest_path, &programs, cache, out.clone(), threads));
    }
    assert_eq!(products[0], products[1]);
    for name in FILES.iter().chain([&DISK]) {
        let same = same(&outs[0].join(name), &outs[1].join(name));
        assert!(same, "{name} differs between two builds of one lock");
    }
    up_to_date(&sdk, &manifest_path, &programs, &outs[0], &products[0]);
}

/// A third run finds that nothing changed, and does nothing.
fn up_to_date(sdk: &Sdk, manifest: &Path, programs: &Path, out: &Path, product: &Product) {
    let options = Options {
        manifest: manifest.to_owned(),
        out: out.to_owned(),
        programs: programs.to_owned(),
        cache: out.join("no-cache"),
        reuse: true,
        threads: 1,
    };
    let mut events = Vec::new();
    let again = os_image::build(&options, sdk, &mut |event| events.push(event)).unwrap();
    assert_eq!(events, [Event::UpToDate]);
    assert_eq!(&again, product);
}

/// Compares two files; holes read as zeros.
fn same(a: &Path, b: &Path) -> bool {
    use std::io::Read;
    let (mut a, mut b) = (fs::File::open(a).unwrap(), fs::File::open(b).unwrap());
    if a.metadata().unwrap().len() != b.metadata().unwrap().len() {
        return false;
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = a.read(&mut left).unwrap();
        b.read_exact(&mut right[..count]).unwrap();
        if left[..count] != right[..count] {
            return false;
        }
        if count == 0 {
            return true;
        }
    }
}

#[test]
fn a_missing_program_is_named_before_any_work() {
    let Some(sdk) = sdk("a_missing_program_is_named_before_any_work") else { return };
    let directory = tempfile::tempdir().unwrap();
    let manifest = manifest(directory.path());
    let options = Options {
        manifest,
        out: directory.path().join("out"),
        programs: directory.path().join("nowhere"),
        cache: directory.path().join("cache"),
        reuse: true,
        threads: 1,
    };
    let error = os_image::build(&options, &sdk, &mut |event| panic!("{event:?}")).unwrap_err().to_string();
    assert!(error.contains("nowhere/orlop-init is missing"), "{error}");
}

#[test]
fn the_repositorys_manifest_and_lock_are_valid_and_fit_together() {
    let os = repository().join("os");
    let manifest = Manifest::read(&os.join("orlop.toml")).unwrap();
    let lock = Lock::parse(&fs::read_to_string(os.join("orlop.lock")).unwrap()).unwrap();
    for name in &manifest.debian.packages {
        assert!(
            lock.packages.contains_key(name),
            "{name} is in the manifest and not in the lock: --refresh-lock"
        );
    }
    for name in &manifest.debian.omit {
        assert!(!lock.packages.contains_key(name), "{name} is omitted and in the lock: --refresh-lock");
    }
}

#[test]
fn a_misspelt_key_is_refused_with_its_line() {
    let text = fs::read_to_string(repository().join("os/orlop.toml")).unwrap();
    let error =
        Manifest::parse(&text.replace("zstd-level", "zstd-levle"), Path::new("os/orlop.toml")).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("zstd-levle"), "{cause}");
}
