//! Debian packages as files: an `ar` archive (`deb(5)`) whose member `data.tar.*` holds the package's files.
//!
//! The member is decompressed once into the cache and read from there: a tree refers to byte ranges of these tars, so
//! nothing is unpacked, and owners and modes survive without root.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sdk::Sdk;

use super::DebianError;

const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
const AR_HEADER_BYTES: usize = 60;

/// The `data.tar` of a package, decompressed in `cache` under the package's digest.
///
/// # Errors
/// [`DebianError::NotDeb`] for another file, [`DebianError::Resolve`] when the decompressor fails, [`DebianError::Path`].
pub fn data_tar(deb: &Path, sha256: &str, cache: &Path, sdk: &Sdk) -> Result<PathBuf, DebianError> {
    let tar = cache.join(format!("{sha256}.tar"));
    if tar.exists() {
        return Ok(tar);
    }
    fs::create_dir_all(cache).map_err(DebianError::at("create", cache))?;
    let mut file = File::open(deb).map_err(DebianError::at("open", deb))?;
    let (name, offset) = data_member(&mut file, deb)?;
    let program = match name.rsplit('.').next() {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => {
            return Err(DebianError::NotDeb {
                path: deb.to_owned(),
                what: "data.tar is not compressed by xz or zstd",
            });
        }
    };
    file.seek(SeekFrom::Start(offset)).map_err(DebianError::at("read", deb))?;
    let partial = cache.join(format!("{sha256}.partial-{}", std::process::id()));
    let out = File::create(&partial).map_err(DebianError::at("create", &partial))?;
    let mut command = sdk.command(program)?;
    // What follows the member (padding of the archive) is no compressed data.
    command.args(if program == "xz" {
        ["--decompress", "--stdout", "--single-stream"].as_slice()
    } else {
        &["-d", "-c"]
    });
    let output = command.stdin(file).stdout(out).stderr(Stdio::piped()).output();
    let output = output.map_err(|source| DebianError::Program { program: "xz", source })?;
    if !output.status.success() {
        let last_lines = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(DebianError::Resolve { program: "xz", status: output.status, last_lines });
    }
    fs::rename(&partial, &tar).map_err(DebianError::at("rename to", &tar))?;
    Ok(tar)
}

/// Finds the `data.tar*` member: its name, and where its bytes begin.
fn data_member(file: &mut File, path: &Path) -> Result<(String, u64), DebianError> {
    let wrong = |what| DebianError::NotDeb { path: path.to_owned(), what };
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(DebianError::at("read", path))?;
    if &magic != AR_MAGIC {
        return Err(wrong("no ar archive"));
    }
    let mut at = AR_MAGIC.len() as u64;
    loop {
        let mut header = [0; AR_HEADER_BYTES];
        file.read_exact(&mut header).map_err(|_| wrong("no data.tar in it"))?;
        let (name, size) = member(&header).ok_or(wrong("a damaged member header"))?;
        at += AR_HEADER_BYTES as u64;
        if name.starts_with("data.tar") {
            return Ok((name, at));
        }
        at += size.next_multiple_of(2);
        file.seek(SeekFrom::Start(at)).map_err(DebianError::at("read", path))?;
    }
}

/// Name and size of an `ar` member header.
fn member(header: &[u8; AR_HEADER_BYTES]) -> Option<(String, u64)> {
    if &header[58..] != b"`\n" {
        return None;
    }
    let name = std::str::from_utf8(&header[..16]).ok()?.trim_end().trim_end_matches('/').to_owned();
    let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
    Some((name, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_member_is_found_behind_odd_members() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.deb");
        let mut bytes = AR_MAGIC.to_vec();
        for (name, content) in
            [("debian-binary", "2.0\nx"), ("control.tar.xz", "1234"), ("data.tar.xz", "DATA")]
        {
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
            );
            bytes.extend(content.bytes());
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        fs::write(&path, &bytes).unwrap();
        let (name, at) = data_member(&mut File::open(&path).unwrap(), &path).unwrap();
        assert_eq!(
            (name.as_str(), &bytes[usize::try_from(at).unwrap()..]),
            ("data.tar.xz", b"DATA".as_slice())
        );
        fs::write(&path, &bytes[..80]).unwrap();
        assert!(data_member(&mut File::open(&path).unwrap(), &path).is_err());
    }
}
