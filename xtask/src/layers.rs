//! The layers of ARCHITECTURE.md, held from `cargo metadata`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::run::root;

/// Edges inside one layer; everything else goes down.
const EDGES: &[(&str, &str)] = &[("butane", "ignition-spec"), ("block", "linux"), ("pod", "oci-image")];

/// Dependencies that only fronts (and `cli`) may have: engines neither parse a command line nor print.
const FRONT_ONLY: &[&str] = &["clap", "anyhow", "indicatif", "tracing-subscriber"];

/// An async runtime is never needed this far down.
const NO_TOKIO: &[&str] =
    &["linux", "block", "store", "deploy", "provision", "oci-runtime", "orun", "orlop-init"];

/// Names that say nothing.
const NO_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "core"];

/// One crate of ours as the check sees it.
struct Crate<'a> {
    name: &'a str,
    layer: u64,
    depends: Vec<&'a str>,
}

pub(crate) fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cannot read `cargo metadata`")?;
    let crates = crates(&metadata)?;
    let mut faults = check(&crates);
    faults.extend(lints(&metadata));
    if faults.is_empty() {
        cli::say(&format!("layers: {} crates keep to them", crates.len()));
        return Ok(());
    }
    bail!("{} breaches of ARCHITECTURE.md:\n  {}", faults.len(), faults.join("\n  "));
}

/// The workspace's crates with their layers; xtask and test crates stand outside.
fn crates(metadata: &Metadata) -> Result<Vec<Crate<'_>>> {
    let mut crates = Vec::new();
    for package in &metadata.packages {
        if !package.manifest_path.starts_with(metadata.workspace_root.join("crates")) {
            continue;
        }
        let layer = package.metadata["orlop"]["layer"]
            .as_u64()
            .with_context(|| format!("{} states no [package.metadata.orlop] layer", package.name))?;
        let depends = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.as_str())
            .collect();
        crates.push(Crate { name: package.name.as_str(), layer, depends });
    }
    Ok(crates)
}

fn check(crates: &[Crate<'_>]) -> Vec<String> {
    let layer: BTreeMap<&str, u64> = crates.iter().map(|c| (c.name, c.layer)).collect();
    let mut faults = Vec::new();
    for Crate { name, layer: own, depends } in crates {
        if NO_NAMES.contains(name) {
            faults.push(format!("{name}: a name that says nothing"));
        }
        for dependency in depends {
            if let Some(theirs) = layer.get(dependency)
                && theirs >= own
                && !EDGES.contains(&(name, dependency))
            {
                faults.push(format!("{name} (layer {own}) uses {dependency} (layer {theirs})"));
            }
            if FRONT_ONLY.contains(dependency) && *own < 3 && *name != "cli" {
                faults.push(format!("{name} (layer {own}) uses {dependency}, which is for fronts"));
            }
            if *dependency == "tokio" && NO_TOKIO.contains(name) {
                faults.push(format!("{name} uses tokio"));
            }
        }
    }
    faults
}

/// Every package takes the workspace's lints (`unsafe` forbidden), but `linux`, which states its own.
fn lints(metadata: &Metadata) -> Vec<String> {
    let inherits = |package: &Package| {
        std::fs::read_to_string(&package.manifest_path)
            .is_ok_and(|text| text.contains("[lints]\nworkspace = true"))
    };
    metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() != "linux" && !inherits(package))
        .map(|package| format!("{} does not take the workspace's lints", package.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(name: &'a str, layer: u64, depends: &[&'a str]) -> Crate<'a> {
        Crate { name, layer, depends: depends.to_vec() }
    }

    #[test]
    fn down_is_fine_up_and_across_are_not() {
        let crates = [at("erofs", 0, &[]), at("linux", 1, &["erofs"]), at("sdk", 1, &["linux"])];
        assert_eq!(check(&crates), ["sdk (layer 1) uses linux (layer 1)"]);
        assert_eq!(check(&[at("a", 0, &["b"]), at("b", 2, &[])]), ["a (layer 0) uses b (layer 2)"]);
    }

    #[test]
    fn named_edges_are_fine() {
        assert!(check(&[at("butane", 0, &["ignition-spec"]), at("ignition-spec", 0, &[])]).is_empty());
    }

    #[test]
    fn engines_do_not_print_and_the_kernel_layer_does_not_await() {
        assert_eq!(check(&[at("vm", 2, &["clap"])]).len(), 1);
        assert_eq!(check(&[at("linux", 1, &["tokio"])]).len(), 1);
        assert!(check(&[at("orlop", 3, &["clap"]), at("cli", 2, &["clap"])]).is_empty());
    }
}
