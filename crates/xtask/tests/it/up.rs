//! What `cargo xtask up` understands.

use std::ffi::OsString;
use std::path::Path;

use minutehand_testkit::Size;
use minutehand_xtask::UpOptions;

fn parse(line: &str) -> Result<UpOptions, String> {
    UpOptions::parse(
        &line
            .split_whitespace()
            .map(OsString::from)
            .collect::<Vec<_>>(),
    )
}

#[test]
fn one_of_each_is_what_nobody_asked_otherwise() {
    let options = parse("--env-file a/servers.env").unwrap();
    assert_eq!(options.size, Size::default());
    assert_eq!(options.env_file, Path::new("a/servers.env"));
}

#[test]
fn options_come_in_any_order_and_with_or_without_an_equals_sign() {
    let size = Size {
        brokers: 3,
        cassandra_nodes: 4,
        datacenters: 2,
    };
    for line in [
        "--cassandra 4 --datacenters 2 --brokers 3 --env-file f",
        "--env-file=f --brokers=3 --datacenters=2 --cassandra=4",
    ] {
        assert_eq!(
            parse(line).unwrap(),
            UpOptions {
                size,
                env_file: "f".into()
            },
            "{line}"
        );
    }
}

#[test]
fn two_datacenters_have_two_nodes_unless_more_are_asked_for() {
    assert_eq!(
        parse("--datacenters 2 --env-file f")
            .unwrap()
            .size
            .cassandra_nodes,
        2
    );
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    for (line, reason) in [
        (
            "",
            "up needs --env-file F, the file that the endpoints are written to",
        ),
        ("--env-file", "--env-file lacks its value"),
        (
            "--env-file f --brokers two",
            "--brokers is \"two\"; it must be a number",
        ),
        ("--env-file f --brokers 2", "2 brokers; it must be 1 or 3"),
        ("--env-file f --etcd 3", "up has no option \"--etcd\""),
        (
            "--env-file f --cassandra 1 --datacenters 2",
            "2 datacenters with 1 Cassandra node: each needs one",
        ),
    ] {
        assert_eq!(parse(line).unwrap_err(), reason, "{line}");
    }
}
