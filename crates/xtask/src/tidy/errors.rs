//! Rules about errors.

use crate::{Finding, Tree};

/// An error says its own layer: whoever prints the chain would say a cause twice that its text
/// already holds.
///
/// Found are variants of `thiserror` whose text holds the field `source`, or the first one where
/// that is the cause.
pub fn error_layers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let mut lines = file.lines().peekable();
        while let Some((number, line)) = lines.next() {
            let Some(first) = line.trim().strip_prefix("#[error(") else {
                continue;
            };
            // An attribute may go over several lines.
            let mut text = first.to_owned();
            while !text.ends_with(")]")
                && let Some((_, below)) = lines.next()
            {
                text.push_str(below.trim());
            }
            // The variant below, up to the next text.
            let mut variant = String::new();
            while let Some((_, below)) =
                lines.next_if(|(_, below)| !below.trim().starts_with("#[error("))
            {
                variant.push_str(below);
                variant.push('\n');
                if matches!(below, "    }," | "}" | "};") || below.ends_with("),") {
                    break;
                }
            }
            let says_named = text.contains("{source}") || text.contains("{source:");
            let has_named = variant.contains("source:");
            let says_first = text.contains("{0}") || text.contains("{0:");
            let has_first = variant.contains("(#[from]") || variant.contains("(#[source]");
            if (says_named && has_named) || (says_first && has_first) {
                let message = "the text of this error holds its cause, which the chain says again: \
                               leave it to the chain, or name the field otherwise than `source`";
                findings.push(Finding::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    findings
}
