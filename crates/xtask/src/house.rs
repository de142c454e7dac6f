//! All rules of the house on the real tree.

use crate::{Finding, Tree, Workspace, documents, drivers, layers, pure, root, tidy};

/// Every rule: files, manifests, documents, layers, drivers, pure crates.
///
/// # Errors
/// In words, when something could not be looked at.
pub fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let root = root();
    let workspace = Workspace::load(&root)?;
    let mut findings: Vec<Finding> = tidy::RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.extend(documents::check(tree));
    findings.extend(layers::check(workspace.members()));
    let bans = drivers::bans(tree.file(".deny.toml").map_or("", |file| &file.text))?;
    findings.extend(drivers::check(&bans, workspace.packages.iter()));
    findings.extend(pure::check(&root, &workspace)?);
    Ok(findings)
}
