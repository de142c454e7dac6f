//! Layers and what pure crates link.

use std::collections::BTreeSet;

use minutehand_xtask::{Dependency, DependencyKind, Package, layers, pure};

fn package(name: &str, layer: Option<u64>, declared: &[(&str, DependencyKind)]) -> Package {
    let dependency = |(name, kind): &(&str, DependencyKind)| Dependency {
        name: (*name).into(),
        kind: *kind,
    };
    Package {
        name: name.into(),
        is_member: true,
        layer,
        is_pure: false,
        is_cluster: false,
        has_cluster_feature: false,
        declared: declared.iter().map(dependency).collect(),
        dependents: BTreeSet::new(),
    }
}

fn places(packages: &[Package]) -> Vec<String> {
    layers::check(packages.iter())
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn upward_sideways_and_unplaced_crates_are_found() {
    use DependencyKind::{Build, Dev, Normal};
    let bottom = package("bottom", Some(0), &[]);
    let good = package(
        "good",
        Some(1),
        &[("bottom", Normal), ("serde", Normal), ("top", Dev)],
    );
    let sideways = package("sideways", Some(1), &[("good", Normal)]);
    let upward = package("upward", Some(1), &[("top", Build)]);
    let top = package("top", Some(2), &[("good", Normal)]);
    let unplaced = package("unplaced", None, &[]);
    assert_eq!(
        places(&[bottom, good, sideways, upward, top, unplaced]),
        [
            "sideways: stands on layer 1 and depends on good on layer 1: dependencies point downward",
            "unplaced: says no layer in `[package.metadata.minutehand]`",
            "upward: stands on layer 1 and depends on top on layer 2: dependencies point downward",
        ]
    );
}

#[test]
fn a_pure_crate_that_links_a_runtime_is_found() {
    let listing = "minutehand-a v0.1.0\nbytes v1.11.1\ntokio v1.51.0\nminutehand-b v0.1.0\ngetrandom v0.3.0\n\
                   tokio v1.51.0 (*)\n";
    let found = pure::unexpected("minutehand-a", listing, &["minutehand-a", "minutehand-b"]);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "minutehand-a: is pure and links getrandom, which is not in `pure::ALLOWED`",
            "minutehand-a: is pure and links tokio, which is not in `pure::ALLOWED`",
        ]
    );
}
