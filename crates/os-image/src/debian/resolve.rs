//! Package names to exact versions, by apt inside `mmdebstrap`: it checks the archive's signature and knows the rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::DebianError;
use crate::lock::Package;
use crate::manifest::Debian;

/// Run by `mmdebstrap` with `$1` = the directory it works in: what would be installed, and the archive's paragraph of each.
const HOOK: &str = r#"set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get -qq --simulate install PACKAGES > "$1/orlop-simulate"
sed -n -E 's/^Inst ([^ ]+) \(([^ ]+) .*/\1=\2/p' "$1/orlop-simulate" > "$1/orlop-names"
apt-cache show --no-all-versions $(cat "$1/orlop-names") > "$1/orlop-show"
"#;

/// Resolves the manifest's packages against the mirror as it is now.
///
/// # Errors
/// [`DebianError::Program`] without `mmdebstrap`, [`DebianError::Resolve`] when a package is unknown or the mirror is not
/// reached, [`DebianError::Answer`].
pub fn resolve(debian: &Debian, mirror: &str) -> Result<BTreeMap<String, Package>, DebianError> {
    let scratch = Scratch::new()?;
    let hook = HOOK.replace("PACKAGES", &debian.packages.join(" "));
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new("mmdebstrap");
    command
        .arg(if root { "--mode=root" } else { "--mode=unshare" })
        .args(["--variant=custom", "--format=null"]);
    command.args(["--architectures=amd64", "--aptopt=APT::Install-Recommends \"false\""]);
    command.arg(format!("--customize-hook={hook}"));
    command.arg(format!("--customize-hook=copy-out /orlop-show {}", scratch.0.display()));
    command
        .args([&debian.suite, "-", mirror])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().map_err(|source| DebianError::Program { program: "mmdebstrap", source })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> =
            text.lines().filter(|line| line.contains("E: ") || line.contains("Err:")).collect();
        let last_lines = lines[lines.len().saturating_sub(4)..].join(" / ");
        return Err(DebianError::Resolve { program: "mmdebstrap", status: output.status, last_lines });
    }
    let answer = scratch.0.join("orlop-show");
    let text = fs::read_to_string(&answer).map_err(DebianError::at("read", &answer))?;
    let mut packages = parse(&text)?;
    packages.retain(|name, _| !debian.omit.contains(name));
    Ok(packages)
}

/// The paragraphs of `apt-cache show` (deb822: `Field: value`, blank line between).
fn parse(text: &str) -> Result<BTreeMap<String, Package>, DebianError> {
    let mut packages = BTreeMap::new();
    for paragraph in text.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let value = |field: &'static str| {
            let found = paragraph.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
            let package = paragraph.lines().next().unwrap_or_default();
            found.map(str::to_owned).ok_or_else(|| DebianError::Answer { package: package.to_owned(), field })
        };
        let package = Package {
            name: value("Package")?,
            version: value("Version")?,
            sha256: value("SHA256")?,
            path: value("Filename")?,
        };
        packages.insert(package.name.clone(), package);
    }
    Ok(packages)
}

/// A directory of `$TMPDIR` for one answer, removed with the handle.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, DebianError> {
        let path = std::env::temp_dir().join(format!("orlop-resolve-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(DebianError::at("create", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in a temporary directory harms nobody.
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_packages() {
        let text = "Package: a\nVersion: 1:2\nDescription: x\n y\nSHA256: ab\nFilename: pool/a.deb\n\nPackage: b\nVersion: 1\n";
        let error = parse(text).unwrap_err().to_string();
        assert_eq!(error, "the resolver's answer for Package: b has no SHA256");
        let packages = parse(text.split("\n\n").next().unwrap()).unwrap();
        assert_eq!(packages["a"].version, "1:2");
        assert_eq!(packages["a"].path, "pool/a.deb");
    }
}
