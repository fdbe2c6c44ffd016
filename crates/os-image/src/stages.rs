//! The stages after the tree: each makes files of the image directory from files made before.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use block::guid::Guid;
use block::verity::{self, RootHash};
use erofs::Compression;
use sdk::Sdk;
use sha2::{Digest, Sha256};

use crate::boot::{bzimage, initramfs, pe};
use crate::build::{BuildError, Event, Options, Stage};
use crate::disk::{self, esp, image, root};
use crate::hex;
use crate::lock::Lock;
use crate::manifest::{Image, Manifest};
use crate::product::{DISK, FILE, FILES, FileInfo, Product, VERSION};
use crate::tree::{KernelModules, OsTree, os_release_text};

/// Finished files of each kind that are kept for inputs that come back.
const KEPT_FILES: usize = 3;
/// Level of zstd for the figure of the compressed image: quick, and the image is compressed already.
const MEASURE_LEVEL: i32 = 3;

/// What the stages share.
pub(crate) struct Workshop<'a> {
    pub(crate) options: &'a Options,
    pub(crate) manifest: &'a Manifest,
    pub(crate) lock: &'a Lock,
    pub(crate) sdk: &'a Sdk,
    pub(crate) out: &'a Path,
    pub(crate) tree: &'a OsTree,
}

/// `usr.erofs` as made.
pub(crate) struct UsrImage {
    /// Digest of the tree in it.
    pub(crate) tree: [u8; 32],
}

impl Workshop<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// `ID_VERSION`: labels of partitions.
    fn release(&self) -> String {
        format!("{}_{}", self.manifest.image.id, self.manifest.image.version)
    }

    /// Writes `usr.erofs`, or takes it from the cache when the same tree was written before.
    pub(crate) fn usr(&mut self, events: &mut dyn FnMut(Event)) -> Result<UsrImage, BuildError> {
        let tree = self.tree.digest()?;
        let rules = &self.manifest.usr;
        let compression = match rules.compression.as_str() {
            "none" => Compression::None,
            _ => Compression::Lz4hc { level: rules.level, cluster_bytes: rules.cluster_kib * 1024 },
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&Sha256::new_with_prefix("erofs uuid").chain_update(tree).finalize()[..16]);
        let options = erofs::Options {
            compression,
            uuid,
            time_secs: self.lock.time_secs,
            threads: self.options.threads,
            ..erofs::Options::default()
        };
        let path = self.path("usr.erofs");
        let key =
            Sha256::new_with_prefix(tree).chain_update(format!("{compression:?} {}", options.time_secs));
        let kept = self.options.cache.join("usr").join(format!("{}.erofs", &hex(&key.finalize())[..32]));
        if self.options.reuse && fs::copy(&kept, &path).is_ok() {
            events(Event::Detail(Stage::Usr, "from the cache".to_owned()));
            return Ok(UsrImage { tree });
        }
        let partial = self.path("usr.erofs.partial");
        let file = File::create(&partial).map_err(BuildError::at("create", &partial))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut told = u64::MAX;
        erofs::write(&self.tree.tree, &self.tree.contents, &options, &mut out, &mut |event| {
            if let erofs::Event::Content { done_bytes, total_bytes } = event {
                let percent = done_bytes * 100 / total_bytes.max(1);
                if percent != told {
                    told = percent;
                    events(Event::Detail(Stage::Usr, format!("{percent} %")));
                }
            }
        })?;
        out.flush().map_err(BuildError::at("write", &partial))?;
        fs::rename(&partial, &path).map_err(BuildError::at("rename to", &path))?;
        keep(&path, &kept);
        Ok(UsrImage { tree })
    }

    /// Writes `usr.verity` and returns the root hash.
    pub(crate) fn verity(&mut self, usr: &UsrImage) -> Result<RootHash, BuildError> {
        let (data, hashes) = (self.path("usr.erofs"), self.path("usr.verity"));
        // The salt makes equal blocks of different releases hash differently; it need not be secret, only fixed.
        let salt: [u8; 32] = Sha256::new_with_prefix("verity salt").chain_update(usr.tree).finalize().into();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&Sha256::new_with_prefix("verity uuid").chain_update(usr.tree).finalize()[..16]);
        let file = File::open(&data).map_err(BuildError::at("open", &data))?;
        let out = File::create(&hashes).map_err(BuildError::at("create", &hashes))?;
        let mut out = BufWriter::new(out);
        let tree = verity::build(&mut BufReader::new(file), &salt, uuid, &mut out)?;
        out.flush().map_err(BuildError::at("write", &hashes))?;
        Ok(tree.root)
    }

    /// Writes `vmlinuz`, `vmlinux` (the same where it cannot be unpacked) and `initramfs.cpio.zst`.
    pub(crate) fn initramfs(&mut self, init: &Path) -> Result<(), BuildError> {
        let (rules, path) = (&self.manifest.initramfs, self.path("initramfs.cpio.zst"));
        let archive = initramfs::archive(rules, init, &self.tree.kernel)?;
        let key = Sha256::new_with_prefix(&archive).chain_update(rules.zstd_level.to_le_bytes());
        let kept = self.options.cache.join("initramfs").join(format!("{}.zst", &hex(&key.finalize())[..32]));
        if !self.options.reuse || fs::copy(&kept, &path).is_err() {
            self.write("initramfs.cpio.zst", &initramfs::compress(&archive, rules.zstd_level)?)?;
            keep(&path, &kept);
        }
        let kernel = &self.tree.kernel.image;
        self.write("vmlinux", bzimage::unpack(kernel).as_deref().unwrap_or(kernel))?;
        self.write("vmlinuz", kernel)
    }

    /// Writes `cmdline` and `uki.efi`.
    pub(crate) fn uki(&mut self, root_hash: &RootHash) -> Result<(), BuildError> {
        let image = &self.manifest.image;
        let words: Vec<String> = std::iter::once(format!("usrhash={}", hex(root_hash)))
            .chain(image.command_line.iter().cloned())
            .collect();
        let cmdline = words.join(" ");
        let stub = self.sdk.path("usr/lib/systemd/boot/efi/linuxx64.efi.stub");
        let stub = fs::read(&stub).map_err(BuildError::at("read", &stub))?;
        let initramfs = self.path("initramfs.cpio.zst");
        let initramfs = fs::read(&initramfs).map_err(BuildError::at("read", &initramfs))?;
        let os_release = os_release_text(image);
        // The kernel comes last: it may unpack itself behind its own end.
        let sections: [pe::Section<'_>; 5] = [
            (".osrel", os_release.as_bytes()),
            (".cmdline", cmdline.as_bytes()),
            (".uname", self.tree.kernel.release.as_bytes()),
            (".initrd", &initramfs),
            (".linux", &self.tree.kernel.image),
        ];
        let uki = pe::assemble(&stub, &sections)?;
        self.write("cmdline", cmdline.as_bytes())?;
        self.write("uki.efi", &uki)
    }

    /// Writes `disk.raw`.
    pub(crate) fn disk(&mut self, root_hash: &RootHash) -> Result<(), BuildError> {
        let Image { id, version, tries, .. } = &self.manifest.image;
        let (sizes, release, time_secs) = (&self.manifest.disk, self.release(), self.lock.time_secs);
        let (esp_file, root_file) = (self.path("esp.partial"), self.path("root.partial"));
        let serial = name_id(&release, "esp serial").0;
        let esp = esp::Esp {
            loader: &self.sdk.path("usr/lib/systemd/boot/efi/systemd-bootx64.efi"),
            uki: &self.path("uki.efi"),
            uki_name: &format!("{id}-{version}+{tries}.efi"),
            size_mib: sizes.esp_mib,
            serial: u32::from_be_bytes([serial[0], serial[1], serial[2], serial[3]]),
            time_secs,
        };
        esp::make(&esp, &esp_file, self.sdk)?;
        root::make(sizes.root_mib, name_id(&release, "root file system"), time_secs, &root_file, self.sdk)?;
        let names =
            image::Names { release: release.clone(), usr: verity::partition_ids(root_hash), id: name_id };
        let (usr, verity) = (self.path("usr.erofs"), self.path("usr.verity"));
        let files = image::Files { esp: &esp_file, usr: &usr, verity: &verity, root: &root_file };
        let parts = image::parts(sizes, &names, files);
        image::write(&parts, name_id(&release, "disk"), &self.path(DISK))?;
        for path in [esp_file, root_file] {
            fs::remove_file(&path).map_err(BuildError::at("remove", &path))?;
        }
        Ok(())
    }

    /// Writes `disk.qcow2`.
    pub(crate) fn qcow2(&mut self) -> Result<(), BuildError> {
        let mut convert = self.sdk.command("qemu-img")?;
        convert
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .arg(self.path(DISK))
            .arg(self.path("disk.qcow2"));
        Ok(disk::run("qemu-img", &mut convert, self.lock.time_secs)?)
    }

    /// Writes `manifest.json`, last: it makes the directory count as finished.
    pub(crate) fn product(
        &mut self,
        usr: &UsrImage,
        root_hash: &RootHash,
        inputs_sha256: String,
    ) -> Result<Product, BuildError> {
        let (tree_names, tree_bytes) = self.tree.totals();
        let mut product = Product {
            format: VERSION,
            id: self.manifest.image.id.clone(),
            version: self.manifest.image.version.clone(),
            time_secs: self.lock.time_secs,
            kernel: self.tree.kernel.release.clone(),
            root_hash: hex(root_hash),
            tree_sha256: hex(&usr.tree),
            tree_names,
            tree_bytes,
            disk_bytes: fs::metadata(self.path(DISK))
                .map_err(BuildError::at("read", &self.path(DISK)))?
                .len(),
            compressed_bytes: compressed(&self.path("usr.erofs"))? + compressed(&self.path("uki.efi"))?,
            packages: self.lock.packages.values().map(|p| (p.name.clone(), p.version.clone())).collect(),
            files: Default::default(),
            inputs_sha256,
        };
        for name in FILES {
            let path = self.path(name);
            let info = FileInfo::read(&path).map_err(BuildError::at("read", &path))?;
            product.files.insert((*name).to_owned(), info);
        }
        let partial = self.path("manifest.json.partial");
        let text =
            serde_json::to_vec_pretty(&product).expect("a product has no map with keys that are not strings");
        fs::write(&partial, text).map_err(BuildError::at("write", &partial))?;
        fs::rename(&partial, self.path(FILE)).map_err(BuildError::at("rename to", &self.path(FILE)))?;
        Ok(product)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BuildError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(BuildError::at("write", &path))
    }
}

/// A name-based id: the same for the same release and purpose, in the form of a version 8 UUID (RFC 9562).
fn name_id(release: &str, purpose: &str) -> Guid {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(format!("orlop {release} {purpose}"))[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    Guid(id)
}

/// Puts a finished file into the cache, beside the youngest others. Failing to is no failure of the build.
fn keep(path: &Path, kept: &Path) {
    let Some(directory) = kept.parent() else { return };
    let _ = fs::create_dir_all(directory);
    let partial = kept.with_extension("partial");
    if fs::copy(path, &partial).is_ok() {
        let _ = fs::rename(&partial, kept);
    }
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut images: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    images.sort();
    for (_, path) in images.iter().rev().skip(KEPT_FILES) {
        let _ = fs::remove_file(path);
    }
}

/// Bytes of a file through zstd.
fn compressed(path: &Path) -> Result<u64, BuildError> {
    /// Counts what is written.
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let file = File::open(path).map_err(BuildError::at("open", path))?;
    let mut count = Count(0);
    zstd::stream::copy_encode(file, &mut count, MEASURE_LEVEL).map_err(BuildError::at("compress", path))?;
    Ok(count.0)
}

/// Fills `modules/` of the image directory: the kernel's modules and their indexes, for machines started from a small
/// initramfs by tests.
pub(crate) fn copy_modules(kernel: &KernelModules, out: &Path) -> Result<(), BuildError> {
    let target = out.join("modules");
    let _ = fs::remove_dir_all(&target);
    copy_tree(&kernel.directory, &target)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(BuildError::at("create", to))?;
    for entry in fs::read_dir(from).map_err(BuildError::at("read", from))? {
        let entry = entry.map_err(BuildError::at("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(BuildError::at("read", from))?.is_dir() {
            copy_tree(&source, &target)?;
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).map_err(BuildError::at("copy", &source))?;
        }
    }
    Ok(())
}
