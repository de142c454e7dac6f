//! Dependencies among our crates point strictly downward.

use std::collections::BTreeMap;

use crate::{DependencyKind, Finding, Package};

/// Every dependency of a crate of ours on another lies on a lower layer; what only tests use is
/// exempt.
pub fn check<'a>(members: impl Iterator<Item = &'a Package>) -> Vec<Finding> {
    let members: BTreeMap<&str, &Package> = members
        .map(|package| (package.name.as_str(), package))
        .collect();
    let mut findings = Vec::new();
    for package in members.values() {
        let Some(layer) = package.layer else {
            findings.push(Finding::new(
                &package.name,
                "says no layer in `[package.metadata.minutehand]`",
            ));
            continue;
        };
        for dependency in package
            .declared
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Dev)
        {
            let Some(below) = members
                .get(dependency.name.as_str())
                .and_then(|below| below.layer)
            else {
                continue;
            };
            if below >= layer {
                let message = format!(
                    "stands on layer {layer} and depends on {} on layer {below}: dependencies point downward",
                    dependency.name
                );
                findings.push(Finding::new(&package.name, message));
            }
        }
    }
    findings
}
