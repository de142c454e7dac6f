//! Rules about Rust sources.

use super::manifests::pure_crates;
use crate::{File, Finding, Tree};

/// Most lines of a source file outside tests.
const FILE_LINES_MAX: usize = 800;

/// What unfinished work looks like, in Rust sources.
const UNFINISHED_RUST: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[ig", "nore"),
];

/// What unfinished work looks like anywhere.
const UNFINISHED: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];

/// Where a pure crate would get something that its caller did not give it.
const AMBIENT: &[&str] = &[
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "RandomState",
    "thread_rng",
];

/// A module opens with what it is for.
pub fn module_docs(tree: &Tree) -> Vec<Finding> {
    let is_bare = |file: &&File| {
        let first = file.text.lines().find(|line| !line.trim().is_empty());
        file.is_rust() && !first.is_some_and(|line| line.starts_with("//!"))
    };
    let finding = |file: &File| {
        Finding::new(
            &file.path,
            "must open with `//!` and what the module is for",
        )
    };
    tree.files.iter().filter(is_bare).map(finding).collect()
}

/// No file grows into one that nobody reads.
pub fn file_length(tree: &Tree) -> Vec<Finding> {
    let sources = tree
        .files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test());
    let lengths = sources.map(|file| (file, file.text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| {
            let message = format!(
                "has {lines} lines; at most {FILE_LINES_MAX}: split it by reason to change"
            );
            Finding::new(&file.path, message)
        })
        .collect()
}

/// Nothing unfinished, and no test that does not run by itself.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let is_text = |file: &&File| file.path != "Cargo.lock" && !is_binary(file);
    Finding::of_lines(tree.files.iter().filter(is_text), |file, line| {
        let rust = if file.is_rust() { UNFINISHED_RUST } else { &[] };
        let marks = rust.iter().chain(UNFINISHED);
        let found = marks.filter(|mark| line.contains(**mark));
        let message =
            |mark: &&str| format!("{mark:?} marks unfinished work: finish it or write an issue");
        found.map(message).collect()
    })
}

/// Pure crates are given the time and everything else; they do not reach for it.
pub fn ambient_input(tree: &Tree) -> Vec<Finding> {
    let roots: Vec<String> = pure_crates(tree)
        .iter()
        .map(|folder| format!("{folder}/src/"))
        .collect();
    let is_pure =
        |file: &&File| file.is_rust() && roots.iter().any(|root| file.path.starts_with(root));
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(is_pure) {
        let product = file
            .lines()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        for (number, line) in product.filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in AMBIENT.iter().filter(|word| line.contains(**word)) {
                let message = format!("{word} in a pure crate: take it as an argument");
                findings.push(Finding::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    findings
}

/// Partitions obey all rules of the protocol but in the simulator: nothing else makes rules of its
/// own, or a partition that obeys others.
pub fn obeyed_rules(tree: &Tree) -> Vec<Finding> {
    let knows = |file: &&File| {
        !file.path.starts_with("crates/sim/") && file.path != "crates/engine/src/rules.rs"
    };
    let files = tree.files.iter().filter(|file| file.is_rust());
    Finding::of_lines(files.filter(knows), |file, line| {
        let is_own = line.starts_with("impl") && line.contains(concat!("Rules", " for "));
        let is_made = line.contains(concat!("Partition::", "obeying("))
            && file.path != "crates/engine/src/partition.rs";
        let message = "only the simulator's partitions obey other rules than `Sound`";
        (is_own || is_made)
            .then(|| message.to_owned())
            .into_iter()
            .collect()
    })
}

/// Whether the text stands for bytes that are none.
fn is_binary(file: &File) -> bool {
    file.text.contains(['\0', char::REPLACEMENT_CHARACTER])
}
