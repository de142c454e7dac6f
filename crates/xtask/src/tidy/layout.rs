//! Rules about the shape of the repository.

use std::collections::BTreeSet;

use crate::{Finding, Tree};

/// What the top level holds, besides names that begin with a dot.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "crates",
    "dashboards",
    "deploy",
    "docs",
    "examples",
    "loadtest",
    "rust-toolchain.toml",
    "schema",
    "services",
];

/// Most lines of the README.
const README_LINES_MAX: usize = 130;

/// Folders of people's machines.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
];

/// The top level holds exactly what it should.
pub fn top_level(tree: &Tree) -> Vec<Finding> {
    let names = tree
        .files
        .iter()
        .filter_map(|file| file.path.split('/').next());
    let found: BTreeSet<&str> = names.filter(|name| !name.starts_with('.')).collect();
    let wanted: BTreeSet<&str> = TOP_LEVEL.iter().copied().collect();
    let extra = found.difference(&wanted).map(|name| {
        Finding::new(
            *name,
            "does not belong on the top level: move it, or name it in .gitignore",
        )
    });
    let missing = wanted
        .difference(&found)
        .map(|name| Finding::new(*name, "is missing from the top level"));
    extra.chain(missing).collect()
}

/// The README can be read in one sitting.
pub fn readme_length(tree: &Tree) -> Vec<Finding> {
    let lines = tree
        .file("README.md")
        .map_or(0, |file| file.text.lines().count());
    match lines > README_LINES_MAX {
        true => vec![Finding::new(
            "README.md",
            format!("has {lines} lines; at most {README_LINES_MAX}"),
        )],
        false => Vec::new(),
    }
}

/// Nothing names the machine it was made on.
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let files = tree.files.iter().filter(|file| file.path != "Cargo.lock");
    Finding::of_lines(files, |_, line| {
        let named = MACHINE_FOLDERS.iter().filter(|name| line.contains(**name));
        let message = |folder: &&str| format!("{folder} is a path of one machine");
        named.map(message).collect()
    })
}
