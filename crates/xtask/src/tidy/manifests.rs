//! Rules about the manifests of our crates.

use toml::Table;

use crate::{File, Finding, Tree};

/// Every crate says what it is for, on which layer it stands, and takes the lints of the workspace.
pub fn manifests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in packages(tree) {
        let manifest = match file.text.parse::<Table>() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::new(
                    &file.path,
                    format!("is not a manifest: {error}"),
                ));
                continue;
            }
        };
        let mut wants = |is_met: bool, message: &str| {
            if !is_met {
                findings.push(Finding::new(&file.path, message));
            }
        };
        let package = manifest.get("package");
        let description = package.and_then(|package| package.get("description")?.as_str());
        wants(
            description.is_some_and(|text| !text.trim().is_empty()),
            "needs a `description`",
        );
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace")?.as_bool());
        wants(lints == Some(true), "needs `[lints] workspace = true`");
        let layer = minutehand(&manifest).and_then(|ours| ours.get("layer")?.as_integer());
        wants(
            layer.is_some(),
            "needs a `layer` in `[package.metadata.minutehand]`",
        );
    }
    findings
}

/// The folders of the crates that are marked `pure = true`.
pub fn pure_crates(tree: &Tree) -> Vec<String> {
    let is_pure = |file: &&File| {
        let manifest = file.text.parse::<Table>().unwrap_or_default();
        minutehand(&manifest).and_then(|ours| ours.get("pure")?.as_bool()) == Some(true)
    };
    let folder = |file: &File| file.path.trim_end_matches("/Cargo.toml").to_owned();
    packages(tree).filter(is_pure).map(folder).collect()
}

/// The manifests of our crates.
pub(super) fn packages(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
}

fn minutehand(manifest: &Table) -> Option<&toml::Value> {
    manifest.get("package")?.get("metadata")?.get("minutehand")
}
