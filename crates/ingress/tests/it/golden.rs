//! The bytes of commands, kept as a file: an owner of a later release must come to the same ones.
//!
//! `UPDATE_FIXTURES=1` writes them anew; for what was released, that is a mistake.

use std::fmt::Write;
use std::path::PathBuf;

use crate::support::{Record, record};

fn samples() -> Vec<(&'static str, Record<'static>)> {
    let queued = || record("v").with("minutehand-queue", "mail");
    let event = || {
        record("d")
            .with("ce_specversion", "1.0")
            .with("ce_id", "1")
            .with("ce_source", "a b")
            .with("ce_type", "t")
            .with("ce_minutehandqueue", "q")
    };
    vec![
        ("delay", queued().with("minutehand-delay", "5s")),
        (
            "due at",
            queued().with("minutehand-due-at", "2027-01-31T09:00:00+01:00"),
        ),
        (
            "verbatim",
            Record {
                key: None,
                value: None,
                ..queued()
            }
            .with("minutehand-delay", "5s")
            .with_raw("bytes", Some(b"\xff"))
            .with_raw("null", None),
        ),
        (
            "cron",
            queued().with("minutehand-cron", "@daily").with("x", "y"),
        ),
        ("event", event().with("ce_minutehanddelay", "1")),
        (
            "json",
            record(r#"{"queue":"q","delay":"5s"}"#).with("content-type", "application/json"),
        ),
    ]
}

#[test]
fn records_become_the_commands_that_they_always_were() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/commands.txt");
    let mut found = String::new();
    for (name, record) in samples() {
        write!(found, "{name}: ").unwrap();
        for byte in record.bytes().unwrap() {
            write!(found, "{byte:02x}").unwrap();
        }
        found.push('\n');
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(path).unwrap());
}
