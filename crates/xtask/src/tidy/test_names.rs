//! Rules about the names of tests.

use crate::figures::TEST_NAME_CHARACTERS_MAX;
use crate::figures::source::Source;
use crate::{Finding, Tree};

/// The name of a test is a sentence that can be read at a glance.
pub fn test_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        for test in Source::of(&file.path, &file.text).tests {
            let length = test.name.chars().count();
            if length > TEST_NAME_CHARACTERS_MAX {
                let message = format!(
                    "the name of the test {} has {length} characters; at most {TEST_NAME_CHARACTERS_MAX}",
                    test.name
                );
                let place = format!("{}:{}", file.path, test.line);
                findings.push(Finding::new(place, message));
            }
        }
    }
    findings
}
