//! What documents claim.

use minutehand_xtask::{Tree, documents};

fn found(architecture: &str) -> Vec<String> {
    let tree = Tree::of(&[
        ("docs/ARCHITECTURE.md", architecture),
        (
            "crates/a/src/lib.rs",
            "//! A.\n#[test]\nfn holds() {}\nfn held_by_more(seed: u64) {}\n",
        ),
    ]);
    documents::check(&tree)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn tests_that_exist_are_fine() {
    let text = "## Invariants\n\n| what | held by |\n|---|---|\n| it | `crates/a/src/lib.rs::holds` |\n\n## More\n| a | b |\n";
    assert_eq!(found(text), [""; 0]);
}

#[test]
fn tests_that_do_not_exist_are_found_wherever_they_are_named() {
    let text = "See `crates/a/src/lib.rs::held` and `crates/b/src/lib.rs::holds`.\n## Invariants\n\n|a|b|\n|-|-|\n\
                |c|`crates/a/src/lib.rs::held_by_more`|\n";
    assert_eq!(
        found(text),
        [
            "docs/ARCHITECTURE.md:1: names the test crates/a/src/lib.rs::held, which does not exist",
            "docs/ARCHITECTURE.md:1: names the test crates/b/src/lib.rs::holds, which does not exist",
        ]
    );
}

#[test]
fn an_invariant_without_a_test_is_found() {
    let text = "## Invariants\n\n|a|b|\n|-|-|\n|it holds|because|\n";
    assert_eq!(
        found(text),
        ["docs/ARCHITECTURE.md:5: an invariant that names no test is a wish"]
    );
    assert_eq!(
        found("# Nothing\n"),
        ["docs/ARCHITECTURE.md: has no table below `## Invariants`"]
    );
}

#[test]
fn files_and_folders_that_do_not_exist_are_found() {
    let text = "See `crates/a/src/lib.rs`, `crates/a/`, `crates/b/src`, `docs/*.md` and `cargo run`.\n## Invariants\n\n|a|b|\n|-|-|\n\
                |c|`crates/a/src/lib.rs::holds`|\n";
    assert_eq!(
        found(text),
        ["docs/ARCHITECTURE.md:1: names crates/b/src, which does not exist"]
    );
}
