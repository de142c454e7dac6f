//! Drivers and their wrappers.

use std::collections::BTreeSet;

use minutehand_xtask::drivers::{bans, check};
use minutehand_xtask::{Finding, Package};

const LIST: &str = r#"
[bans]
deny = [
    { crate = "fjall", wrappers = ["ours"], reason = "one wrapper" },
    { crate = "openssl-sys", reason = "needs headers" },
]
"#;

fn used_by(name: &str, dependents: &[&str]) -> Vec<String> {
    let package = Package {
        name: name.into(),
        is_member: false,
        layer: None,
        is_pure: false,
        is_cluster: false,
        has_cluster_feature: false,
        declared: Vec::new(),
        dependents: dependents
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
    };
    check(&bans(LIST).expect("the list is one"), [package].iter())
        .iter()
        .map(Finding::to_string)
        .collect()
}

#[test]
fn a_driver_used_past_its_wrapper_is_found() {
    assert_eq!(used_by("fjall", &["ours"]), [""; 0]);
    assert_eq!(
        used_by("fjall", &["ours", "theirs"]),
        ["theirs: must not use fjall: one wrapper"]
    );
    assert_eq!(
        used_by("openssl-sys", &["ours"]),
        ["ours: must not use openssl-sys: needs headers"]
    );
    assert_eq!(used_by("serde", &["ours", "theirs"]), [""; 0]);
}

#[test]
fn a_list_that_says_too_little_is_refused() {
    assert_eq!(
        bans("[bans]\n").unwrap_err(),
        ".deny.toml: bans.deny is not an array"
    );
    let error = bans(&LIST.replace(", reason = \"needs headers\"", "")).unwrap_err();
    assert_eq!(error, ".deny.toml: the ban of openssl-sys has no `reason`");
}
