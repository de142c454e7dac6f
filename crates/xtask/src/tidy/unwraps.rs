//! A rule about what may end a program.

use crate::figures::SUITE;
use crate::figures::source::Source;
use crate::{Finding, Tree};

/// Outside of tests nothing is unwrapped: an `expect` states the invariant. Clippy has such a lint,
/// but it knows no tests of whole crates.
pub fn unwraps(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = tree.files.iter().filter(|file| file.is_rust());
    for file in files.filter(|file| !file.path.starts_with(SUITE)) {
        let source = Source::of(&file.path, &file.text);
        let lines = source
            .code
            .lines()
            .filter(|line| line.contains(".unwrap()"));
        findings.extend(lines.map(|line| {
            let message = format!("unwraps outside of tests: {}", line.trim());
            Finding::new(&file.path, message)
        }));
    }
    findings
}
