//! Rules about files, each shown to fail.

use minutehand_xtask::{Finding, Tree, tidy};

fn found(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_module_without_a_purpose_is_found() {
    let files = [
        ("crates/a/src/good.rs", "\n//! Good.\n"),
        ("crates/a/src/bare.rs", "use std::fmt;\n//! Late.\n"),
        ("crates/a/src/empty.rs", ""),
        ("crates/a/notes.md", "text"),
    ];
    let message = "must open with `//!` and what the module is for";
    assert_eq!(
        found(tidy::module_docs, &files),
        [
            format!("crates/a/src/bare.rs: {message}"),
            format!("crates/a/src/empty.rs: {message}")
        ]
    );
}

#[test]
fn a_long_file_is_found_unless_it_is_a_test() {
    let (long, full) = ("x\n".repeat(801), "x\n".repeat(800));
    let files = [
        ("crates/a/src/long.rs", &*long),
        ("crates/a/src/full.rs", &*full),
        ("crates/a/tests/long.rs", &*long),
        ("docs/long.md", &*long),
    ];
    assert_eq!(
        found(tidy::file_length, &files),
        ["crates/a/src/long.rs: has 801 lines; at most 800: split it by reason to change"]
    );
}

#[test]
fn unfinished_work_is_found() {
    let marks = [
        concat!("todo", "!(\"later\")"),
        concat!("unimplemented", "!()"),
        concat!("dbg", "!(x)"),
        concat!("#[ig", "nore = \"slow\"]"),
        concat!("// FIX", "ME"),
        concat!("// XX", "X"),
    ];
    for mark in marks {
        let text = format!("//! A.\n    {mark}\n");
        let found = found(tidy::unfinished, &[("crates/a/src/lib.rs", &text)]);
        assert_eq!(found.len(), 1, "{mark}: {found:?}");
        assert!(found[0].starts_with("crates/a/src/lib.rs:2: "), "{found:?}");
    }
    let prose = [
        (
            "docs/STYLE.md",
            concat!("`todo!` and `#[ig", "nore]` stay out"),
        ),
        ("a.bin", concat!("\0XX", "X")),
    ];
    assert_eq!(found(tidy::unfinished, &prose), [""; 0]);
}

#[test]
fn a_clock_in_a_pure_crate_is_found() {
    let pure = "[package.metadata.minutehand]\nlayer = 0\npure = true\n";
    let impure = "[package.metadata.minutehand]\nlayer = 0\n";
    let clock = "//! A.\n/// Not an Instant.\nfn now() { std::time::Instant::now(); }\n";
    let tested = "//! A.\n#[cfg(test)]\nmod tests { use std::fs; }\n";
    let files = [
        ("crates/a/Cargo.toml", pure),
        ("crates/a/src/clock.rs", clock),
        ("crates/a/src/tested.rs", tested),
        ("crates/a/tests/clock.rs", clock),
        ("crates/b/Cargo.toml", impure),
        ("crates/b/src/clock.rs", clock),
    ];
    assert_eq!(
        found(tidy::ambient_input, &files),
        ["crates/a/src/clock.rs:3: Instant in a pure crate: take it as an argument"]
    );
}

#[test]
fn rules_of_the_protocol_are_broken_in_the_simulator_only() {
    let own = "impl Rules for Lenient {\n";
    let made = concat!(
        "    let partition = Partition::",
        "obeying(Lenient, config, id);\n"
    );
    let files = [
        ("crates/node/src/owner.rs", own),
        ("crates/node/src/node.rs", made),
        ("crates/sim/src/planted.rs", own),
        ("crates/sim/src/cluster/node.rs", made),
    ];
    assert_eq!(
        found(tidy::obeyed_rules, &files),
        [
            "crates/node/src/owner.rs:1: only the simulator's partitions obey other rules than `Sound`",
            "crates/node/src/node.rs:1: only the simulator's partitions obey other rules than `Sound`",
        ]
    );
}

#[test]
fn a_stray_file_on_the_top_level_is_found_and_a_missing_one() {
    let mut files: Vec<(&str, &str)> = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "rust-toolchain.toml",
        "crates/a/Cargo.toml",
        "dashboards/a",
        "deploy/a",
        "docs/a",
        "examples/a",
        "loadtest/a",
        "schema/a",
        ".ci/run",
    ]
    .map(|path| (path, ""))
    .to_vec();
    files.push(("plan.md", ""));
    assert_eq!(
        found(tidy::top_level, &files),
        [
            "plan.md: does not belong on the top level: move it, or name it in .gitignore",
            "services: is missing from the top level",
        ]
    );
}

#[test]
fn a_long_readme_is_found() {
    let (long, full) = ("x\n".repeat(131), "x\n".repeat(130));
    assert_eq!(
        found(tidy::readme_length, &[("README.md", &long)]),
        ["README.md: has 131 lines; at most 130"]
    );
    assert_eq!(found(tidy::readme_length, &[("README.md", &full)]), [""; 0]);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let path = concat!("see /ho", "me/me/notes");
    let files = [
        ("docs/a.md", path),
        ("crates/a/src/lib.rs", "//! https://example.org/workers/\n"),
    ];
    let message = concat!("docs/a.md:1: /ho", "me/ is a path of one machine");
    assert_eq!(found(tidy::machine_paths, &files), [message]);
}

#[test]
fn a_manifest_that_says_too_little_is_found() {
    let good = "[package]\ndescription = \"A.\"\n[package.metadata.minutehand]\nlayer = 0\n[lints]\nworkspace = true\n";
    let files = [
        ("crates/good/Cargo.toml", good),
        ("crates/bare/Cargo.toml", "[package]\nname = \"bare\"\n"),
    ];
    assert_eq!(
        found(tidy::manifests, &files),
        [
            "crates/bare/Cargo.toml: needs a `description`",
            "crates/bare/Cargo.toml: needs `[lints] workspace = true`",
            "crates/bare/Cargo.toml: needs a `layer` in `[package.metadata.minutehand]`",
        ]
    );
}

#[test]
fn a_test_with_a_long_name_is_found() {
    let (long, full) = ("a".repeat(61), "b".repeat(60));
    let text = format!(
        "//! A.\n#[test]\nfn {long}() {{}}\n#[test]\nfn {full}() {{}}\nfn {long}_no_test() {{}}\n"
    );
    assert_eq!(
        found(tidy::test_names, &[("crates/a/tests/it.rs", &text)]),
        [format!(
            "crates/a/tests/it.rs:3: the name of the test {long} has 61 characters; at most 60"
        )]
    );
}

#[test]
fn a_dependency_that_nothing_names_is_found() {
    let root = "[workspace.dependencies]\nused-one = \"1\"\nnobody = \"1\"\n";
    let package =
        "[dependencies]\nused-one = \"1\"\nof-tests = \"1\"\n[dev-dependencies]\ngone = \"1\"\n";
    let source =
        "//! A.\nuse used_one::A; // of_tests\n#[cfg(test)]\nmod tests { use of_tests::B; }\n";
    let files = [
        ("Cargo.toml", root),
        ("crates/a/Cargo.toml", package),
        ("crates/a/src/lib.rs", source),
    ];
    assert_eq!(
        found(tidy::unused_dependencies, &files),
        [
            "crates/a/Cargo.toml: the dependency of-tests is not used: no code but that of tests names it",
            "crates/a/Cargo.toml: the dependency gone is not used: no test names it",
            "Cargo.toml: the dependency nobody is not used: no package asks for it",
        ]
    );
}

#[test]
fn an_error_that_says_its_cause_twice_is_found() {
    let text = "//! A.\nenum E {\n    #[error(\"a: {source}\")]\n    A { source: B },\n    #[error(\"b: {0}\")]\n    B(#[from] C),\n    \
                #[error(\"c: {0}\")]\n    C(String),\n    #[error(\"d: {reason}\")]\n    D { reason: B },\n    #[error(\n        \"e: {source}; try again\"\n    )]\n    E {\n        source: B,\n    },\n}\n";
    let lines: Vec<String> = found(tidy::error_layers, &[("crates/a/src/lib.rs", text)])
        .iter()
        .map(|finding| finding.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "crates/a/src/lib.rs:3",
            "crates/a/src/lib.rs:5",
            "crates/a/src/lib.rs:11"
        ]
    );
}

#[test]
fn what_is_unwrapped_outside_of_tests_is_found() {
    let product =
        "//! A.\nfn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests { fn c() { d().unwrap(); } }\n";
    let files = [
        ("crates/a/src/lib.rs", product),
        ("crates/a/tests/it.rs", "fn e() { f().unwrap(); }\n"),
    ];
    assert_eq!(
        found(tidy::unwraps, &files),
        ["crates/a/src/lib.rs: unwraps outside of tests: fn a() { b().unwrap(); }"]
    );
}
