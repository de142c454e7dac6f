//! What `cargo xtask test` tests.

use minutehand_xtask::{Selection, Workspace, packages, root};

#[test]
fn options_are_independent_and_others_are_refused() {
    assert_eq!(Selection::parse(&[]), Some(Selection::default()));
    let both = Selection {
        is_quick: true,
        is_embedded: true,
    };
    assert_eq!(Selection::parse(&["--embedded", "--quick"]), Some(both));
    assert_eq!(Selection::parse(&["--fast"]), None);
}

#[test]
fn the_embedded_part_leaves_out_what_is_marked_and_nothing_else() {
    let workspace = Workspace::load(&root()).unwrap();
    let words = packages(
        &workspace,
        Selection {
            is_embedded: true,
            is_quick: false,
        },
    );
    let marked = ["cassandra", "etcd", "kafka", "testkit"].map(|name| format!("minutehand-{name}"));
    let left_out: Vec<&String> = words.iter().skip(2).step_by(2).collect();
    assert_eq!(words[..2], ["--workspace", "--exclude"]);
    assert!(
        marked.iter().all(|name| left_out.contains(&name)),
        "{words:?}"
    );
    let is_marked = |name: &String| {
        workspace
            .members()
            .any(|member| member.is_cluster && member.name == *name)
    };
    assert!(left_out.iter().all(|name| is_marked(name)), "{words:?}");
}

#[test]
fn everything_is_tested_with_all_features_of_the_cluster() {
    let mut workspace = Workspace::load(&root()).unwrap();
    for member in workspace
        .packages
        .iter_mut()
        .filter(|package| package.is_member)
    {
        member.has_cluster_feature = member.name == "minutehand";
    }
    let words = packages(&workspace, Selection::default());
    assert_eq!(words, ["--workspace", "--features", "minutehand/cluster"]);
}
