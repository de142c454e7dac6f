//! The recipes of `CONTRIBUTING.md`: what has been done by each of them stands where it says, and
//! nowhere else in the product.

use minutehand_xtask::{Tree, figures, root};

/// Whether a recipe names every file, or one of each folder.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    Files,
    Folders,
}

/// A recipe, and a word of something that was made by it.
const MADE: [(&str, Names, &str); 6] = [
    ("A route of the API", Names::Folders, "QUEUE_LEASE"),
    (
        "A query to the owners of partitions",
        Names::Files,
        "OwnerQuery::ListTasks",
    ),
    ("A setting", Names::Folders, "catch_up_rate_per_s"),
    (
        "An overlap policy",
        Names::Files,
        "OverlapPolicy::TerminateOther",
    ),
    ("A store", Names::Files, "minutehand_cassandra"),
    ("A metric", Names::Folders, "CLOCK_BEHIND"),
];

/// The laboratory: it knows what it tries.
const LABORATORY: [&str; 5] = [
    "crates/sim/",
    "crates/testkit/",
    "crates/xtask/",
    "loadtest/",
    "services/lab/",
];

/// The files that a recipe names.
fn named<'a>(contributing: &'a str, recipe: &str) -> Vec<&'a str> {
    let heading = format!("\n### {recipe}\n");
    let (_, section) = contributing
        .split_once(&heading)
        .unwrap_or_else(|| panic!("CONTRIBUTING.md has no recipe '{recipe}'"));
    let section = section.split("\n### ").next().unwrap_or(section);
    let quoted = section.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.ends_with(".rs")).collect()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[test]
fn what_a_recipe_made_stands_where_the_recipe_says() {
    let tree = Tree::read(&root()).expect("the tree can be read");
    let contributing = &tree.file("CONTRIBUTING.md").expect("it is there").text;
    let product = figures::sources(&tree);
    let product = product
        .iter()
        .filter(|source| !LABORATORY.iter().any(|part| source.path.starts_with(part)));
    let product: Vec<_> = product.collect();
    for (recipe, names, word) in MADE {
        let named = named(contributing, recipe);
        let places = product.iter().filter(|source| source.code.contains(word));
        let places: Vec<&str> = places.map(|source| source.path.as_str()).collect();
        assert!(!places.is_empty(), "{recipe}: nothing names {word}");
        for place in places {
            let is_named = match names {
                Names::Files => named.contains(&place),
                Names::Folders => named.iter().any(|path| folder(path) == folder(place)),
            };
            assert!(
                is_named,
                "{recipe}: {place} names {word}, the recipe does not"
            );
        }
    }
}
