//! What the documents claim about the code: a test or a file that is named exists.
//!
//! A test is named as `path/to/file.rs::test_name`, between backticks, the path from the root of
//! the repository. A file or a folder is named by its path from there, or from the document's own
//! folder.

use crate::{Finding, Tree};

/// The document whose table of invariants names a test in every row.
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// Folders of the top level: what begins with one of them is a path.
const FOLDERS: &[&str] = &[
    ".ci/",
    "crates/",
    "dashboards/",
    "deploy/",
    "docs/",
    "loadtest/",
    "schema/",
    "services/",
];

/// Every test and every file that a document names exists, and every invariant names a test.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in file.lines() {
            for (path, name) in tests_named(line).filter(|(path, name)| !exists(tree, path, name)) {
                let message = format!("names the test {path}::{name}, which does not exist");
                findings.push(Finding::new(format!("{}:{number}", file.path), message));
            }
            for path in paths_named(line).filter(|path| !is_there(tree, path)) {
                let message = format!("names {path}, which does not exist");
                findings.push(Finding::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    findings.extend(rows_without_a_test(tree));
    findings
}

fn rows_without_a_test(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(ARCHITECTURE) else {
        return vec![Finding::new(ARCHITECTURE, "is missing")];
    };
    let section = file
        .lines()
        .skip_while(|(_, line)| *line != "## Invariants")
        .skip(1);
    let section = section.take_while(|(_, line)| !line.starts_with("## "));
    // Two rows of a table are its head and the line below it.
    let rows: Vec<_> = section
        .filter(|(_, line)| line.starts_with('|'))
        .skip(2)
        .collect();
    if rows.is_empty() {
        let what = "has no table below `## Invariants`";
        return vec![Finding::new(ARCHITECTURE, what)];
    }
    let bare = rows
        .into_iter()
        .filter(|(_, row)| tests_named(row).next().is_none());
    let found = bare.map(|(number, _)| {
        let place = format!("{ARCHITECTURE}:{number}");
        Finding::new(place, "an invariant that names no test is a wish")
    });
    found.collect()
}

/// The tests that a line names: path and name.
fn tests_named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|text| text.split_once("::"))
        .filter(|(path, _)| path.ends_with(".rs"))
}

/// The files and folders that a line names; one with a wildcard or a gap stands for many.
fn paths_named(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder)));
    paths.filter(|text| !text.contains("::") && !text.contains([' ', '<', '*', '{', '…']))
}

fn is_there(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    tree.file(path).is_some() || tree.files.iter().any(|file| file.path.starts_with(&folder))
}

fn exists(tree: &Tree, path: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    tree.file(path)
        .is_some_and(|file| file.text.contains(&function))
}
