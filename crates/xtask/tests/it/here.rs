//! The rules on the repository itself.

use minutehand_xtask::{Finding, Tree, Workspace, documents, drivers, layers, pure, root, tidy};

fn assert_none(findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn files_keep_the_rules() {
    let tree = Tree::read(&root()).expect("the tree can be read");
    assert_none(tidy::RULES.iter().flat_map(|rule| rule(&tree)).collect());
}

#[test]
fn pure_crates_are_given_the_time() {
    let tree = Tree::read(&root()).expect("the tree can be read");
    assert!(
        tidy::pure_crates(&tree).contains(&"crates/engine".to_owned()),
        "the engine is pure"
    );
    assert_none(tidy::ambient_input(&tree));
}

#[test]
fn documents_name_tests_that_exist() {
    assert_none(documents::check(
        &Tree::read(&root()).expect("the tree can be read"),
    ));
}

#[test]
fn dependencies_point_downward() {
    let workspace = Workspace::load(&root()).expect("cargo answers");
    assert!(
        workspace.members().count() > 10,
        "the workspace has its crates"
    );
    assert_none(layers::check(workspace.members()));
}

#[test]
fn pure_crates_link_only_what_is_allowed() {
    let workspace = Workspace::load(&root()).expect("cargo answers");
    assert!(
        pure::names(&workspace).contains(&"minutehand-engine"),
        "the engine is pure"
    );
    assert_none(pure::check(&root(), &workspace).expect("cargo answers"));
}

#[test]
fn drivers_have_one_wrapper_each() {
    let text = std::fs::read_to_string(root().join(".deny.toml")).expect("the list can be read");
    let bans = drivers::bans(&text).expect("the list is one");
    let workspace = Workspace::load(&root()).expect("cargo answers");
    let fjall = workspace
        .packages
        .iter()
        .find(|package| package.name == "fjall")
        .expect("fjall is used");
    assert!(
        fjall.dependents.contains("minutehand-embedded"),
        "by its wrapper"
    );
    assert_none(drivers::check(&bans, workspace.packages.iter()));
}
