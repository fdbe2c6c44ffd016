//! Makes an image from files, as an OCI layout: the same input gives the same bytes.
//!
//! Meant for examples and tests: one layer, one platform. Entries are sorted by path, parents are added, times are
//! [`ImageSpec::created_secs`], owners are what the entry says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, HashingWriter};
use crate::layout::{Layout, LayoutError, REF_NAME, io_error};
use crate::manifest::{Compression, Descriptor, ImageConfig, Manifest, Platform, RootFs, RunConfig, media};

/// What to make.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Its tag in the layout: `1`, `latest`.
    pub tag: String,
    /// What is in it.
    pub files: Vec<Entry>,
    /// Defaults of the process.
    pub config: RunConfig,
    /// For which machines.
    pub platform: Platform,
    /// Time of the image and of every file, seconds since 1970.
    pub created_secs: u64,
    /// How the layer is compressed.
    pub compression: Compression,
}

impl Default for ImageSpec {
    fn default() -> Self {
        Self {
            tag: "latest".to_owned(),
            files: Vec::new(),
            config: RunConfig::default(),
            platform: Platform::host(),
            created_secs: 0,
            compression: Compression::Gzip,
        }
    }
}

/// One file of the image.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path in the image, with or without a leading slash.
    pub path: String,
    /// Permission bits, setuid and the like included.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// What it is.
    pub content: Content,
}

/// What a file of the image is.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file with the bytes of this one.
    File(PathBuf),
    /// A symbolic link to this text.
    Symlink(String),
    /// A hard link to this path of the image.
    Hardlink(String),
    /// A directory.
    Directory,
}

impl Entry {
    /// A file of root's with these bytes.
    pub fn bytes(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, uid: 0, gid: 0, content: Content::Bytes(bytes.into()) }
    }

    /// A file of root's, copied from the machine.
    pub fn file(path: impl Into<String>, mode: u32, from: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode, uid: 0, gid: 0, content: Content::File(from.into()) }
    }

    /// A symbolic link of root's.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o777, uid: 0, gid: 0, content: Content::Symlink(target.into()) }
    }

    /// A directory of root's.
    pub fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, uid: 0, gid: 0, content: Content::Directory }
    }
}

/// The entries of a directory of the machine, all below `prefix` in the image and owned by root.
///
/// # Errors
/// [`LayoutError::Io`]; sockets, fifos and devices are refused by it.
pub fn entries_of_directory(dir: &Path, prefix: &str) -> Result<Vec<Entry>, LayoutError> {
    let mut entries = Vec::new();
    let mut pending = vec![(dir.to_owned(), prefix.trim_matches('/').to_owned())];
    while let Some((dir, prefix)) = pending.pop() {
        for item in std::fs::read_dir(&dir).map_err(io_error("read", &dir))? {
            let path = item.map_err(io_error("read", &dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inside = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let meta = path.symlink_metadata().map_err(io_error("read", &path))?;
            let content = if meta.is_dir() {
                pending.push((path.clone(), inside.clone()));
                Content::Directory
            } else if meta.is_symlink() {
                let target = std::fs::read_link(&path).map_err(io_error("read", &path))?;
                Content::Symlink(target.to_string_lossy().into_owned())
            } else if meta.is_file() {
                Content::File(path.clone())
            } else {
                return Err(io_error("pack", &path)(io::Error::other("it is no file, directory or link")));
            };
            entries.push(Entry {
                path: inside,
                mode: meta.permissions().mode() & 0o7777,
                uid: 0,
                gid: 0,
                content,
            });
        }
    }
    Ok(entries)
}

/// Writes `spec` as an OCI layout in `out_dir`. Other tags that the layout already holds are kept.
///
/// # Errors
/// [`LayoutError`] where a source file cannot be read or the layout cannot be written.
pub fn build_layout(out_dir: &Path, spec: &ImageSpec) -> Result<Digest, LayoutError> {
    let layout = Layout::create(out_dir)?;
    let (layer, diff_id) = write_layer(&layout, spec)?;
    let config = ImageConfig {
        created: Some(rfc3339(spec.created_secs)),
        architecture: spec.platform.architecture.clone(),
        os: spec.platform.os.clone(),
        config: spec.config.clone(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
    };
    let config = write_json(&layout, media::CONFIG, &config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.to_owned()),
        config,
        layers: vec![layer],
        annotations: BTreeMap::new(),
    };
    let mut entry = write_json(&layout, media::MANIFEST, &manifest)?;
    let digest = entry.digest.clone();
    entry.platform = Some(spec.platform.clone());
    entry.annotations.insert(REF_NAME.to_owned(), spec.tag.clone());
    let mut manifests = layout.index().map(|index| index.manifests).unwrap_or_default();
    manifests.retain(|other| other.annotations.get(REF_NAME) != Some(&spec.tag));
    manifests.push(entry);
    layout.write_index(manifests)?;
    Ok(digest)
}

fn write_json<T: serde::Serialize>(
    layout: &Layout,
    media_type: &str,
    value: &T,
) -> Result<Descriptor, LayoutError> {
    let bytes = serde_json::to_vec(value).expect("documents of ours always serialise");
    let digest = layout.write_blob(&bytes)?;
    Ok(descriptor(media_type, digest, bytes.len() as u64))
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

/// Writes the one layer; gives its descriptor and its digest before compression.
fn write_layer(layout: &Layout, spec: &ImageSpec) -> Result<(Descriptor, Digest), LayoutError> {
    let beside = layout.dir().join(format!("layer.tmp-{}", std::process::id()));
    let pack = || {
        let out = HashingWriter::new(io::BufWriter::new(File::create(&beside)?));
        let (out, diff_id) = match spec.compression {
            Compression::None => write_tar(out, spec)?,
            Compression::Gzip => {
                let encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(6));
                let (encoder, diff_id) = write_tar(encoder, spec)?;
                (encoder.finish()?, diff_id)
            }
            Compression::Zstd => {
                let (encoder, diff_id) = write_tar(zstd::Encoder::new(out, 6)?, spec)?;
                (encoder.finish()?, diff_id)
            }
        };
        let (mut out, digest, size) = out.finish();
        out.flush()?;
        Ok((digest, size, diff_id))
    };
    let (digest, size, diff_id) = pack().map_err(io_error("write", &beside))?;
    let path = layout.blob_path(&digest);
    std::fs::rename(&beside, &path).map_err(io_error("write", &path))?;
    let media_type = match spec.compression {
        Compression::None => media::LAYER_TAR,
        Compression::Gzip => media::LAYER_GZIP,
        Compression::Zstd => media::LAYER_ZSTD,
    };
    Ok((descriptor(media_type, digest, size), diff_id))
}

fn write_tar<W: Write>(out: W, spec: &ImageSpec) -> io::Result<(W, Digest)> {
    let mut tar = tar::Builder::new(HashingWriter::new(out));
    for (path, entry) in with_parents(&spec.files) {
        append(&mut tar, &path, &entry, spec.created_secs)?;
    }
    let (out, digest, _) = tar.into_inner()?.finish();
    Ok((out, digest))
}

/// Entries by path, the directories above each of them added, a later entry in place of an earlier one.
fn with_parents(files: &[Entry]) -> BTreeMap<String, Entry> {
    let mut all = BTreeMap::new();
    for entry in files {
        let path = entry.path.trim_matches('/').to_owned();
        for (at, _) in path.match_indices('/') {
            let parent = path[..at].to_owned();
            all.entry(parent.clone()).or_insert_with(|| Entry::directory(parent, 0o755));
        }
        if !path.is_empty() {
            all.insert(path, entry.clone());
        }
    }
    all
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, entry: &Entry, mtime: u64) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid);
    header.set_gid(entry.gid);
    header.set_mtime(mtime);
    header.set_size(0);
    match &entry.content {
        Content::Bytes(bytes) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
        Content::File(from) => {
            let file = File::open(from)
                .map_err(|source| io::Error::new(source.kind(), format!("{}: {source}", from.display())))?;
            let size = file.metadata()?.size();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(size);
            tar.append_data(&mut header, path, file.take(size))
        }
        Content::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
        Content::Hardlink(target) => {
            header.set_entry_type(tar::EntryType::Link);
            tar.append_link(&mut header, path, target.trim_start_matches('/'))
        }
        Content::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), io::empty())
        }
    }
}

/// `1970-01-01T00:00:00Z` of seconds since 1970, by Howard Hinnant's days-to-civil rule.
#[must_use]
pub fn rfc3339(secs: u64) -> String {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_262_399), "2026-11-21T11:59:59Z");
    }

    #[test]
    fn equal_input_gives_equal_bytes_and_a_pinned_digest() {
        let spec = ImageSpec {
            tag: "1".to_owned(),
            files: vec![
                Entry::bytes("/www/index.html", 0o644, "hello\n"),
                Entry::symlink("bin/sh", "busybox"),
                Entry::directory("tmp", 0o1777),
            ],
            platform: Platform { architecture: "amd64".into(), os: "linux".into(), variant: None },
            compression: Compression::None,
            ..ImageSpec::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let first = build_layout(&dir.path().join("a"), &spec).unwrap();
        let second = build_layout(&dir.path().join("b"), &spec).unwrap();
        assert_eq!(first, second);
        // Pinned: a change here changes every image that was made before.
        assert_eq!(
            first.to_string(),
            "sha256:2aaec3e411b49585e97d1c14ab094ef9299f3ab260966d8d1439ef28f748d3e8"
        );
    }
}
