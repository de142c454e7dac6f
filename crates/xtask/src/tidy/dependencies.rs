//! Rules about what manifests ask for.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::manifests::packages;
use crate::figures::source::Source;
use crate::{File, Finding, Tree};

/// A dependency that no line of code names is taken out; one that only tests name stands among
/// those of tests.
pub fn unused_dependencies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut asked_for = BTreeSet::new();
    for manifest in packages(tree) {
        let Ok(table) = manifest.text.parse::<Table>() else {
            continue;
        };
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let files = || {
            tree.files
                .iter()
                .filter(|file| file.is_rust() && file.path.starts_with(folder))
        };
        let product: Vec<Source> = files()
            .map(|file| Source::of(&file.path[folder.len()..], &file.text))
            .collect();
        for name in names(&table, "dependencies") {
            if !product
                .iter()
                .any(|source| has_word(&source.code, &word(&name)))
            {
                findings.push(unused(
                    manifest,
                    &name,
                    "no code but that of tests names it",
                ));
            }
            asked_for.insert(name);
        }
        for name in names(&table, "dev-dependencies") {
            if !files().any(|file| has_word(&file.text, &word(&name))) {
                findings.push(unused(manifest, &name, "no test names it"));
            }
            asked_for.insert(name);
        }
    }
    findings.extend(tree.file("Cargo.toml").into_iter().flat_map(|manifest| {
        let table = manifest.text.parse::<Table>().unwrap_or_default();
        let all = table
            .get("workspace")
            .and_then(Value::as_table)
            .map(|table| names(table, "dependencies"));
        let never = all
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !asked_for.contains(name));
        never
            .map(|name| unused(manifest, &name, "no package asks for it"))
            .collect::<Vec<_>>()
    }));
    findings
}

fn unused(manifest: &File, name: &str, why: &str) -> Finding {
    Finding::new(
        &manifest.path,
        format!("the dependency {name} is not used: {why}"),
    )
}

fn names(table: &Table, section: &str) -> Vec<String> {
    let section = table.get(section).and_then(Value::as_table);
    section
        .map(|section| section.keys().cloned().collect())
        .unwrap_or_default()
}

/// The package's name as code writes it.
fn word(name: &str) -> String {
    name.replace('-', "_")
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}
