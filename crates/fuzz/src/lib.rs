//! Everything that reads bytes of others, each as a [`Target`]: a function that takes any bytes and
//! must not panic, hang, or answer what it would not accept again.
//!
//! `cargo xtask fuzz` runs every target under libFuzzer for a while. What it finds is put into
//! `corpus/<target>/`, and from then on the ordinary tests run it too (`tests/corpus.rs`).

mod blocks;
mod cron;
mod crontab;
mod kafka;
mod records;

/// Something that reads bytes of others.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line, and of its folder of inputs.
    pub name: &'static str,
    /// Reads the bytes and asserts what must hold of the outcome.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "cron",
        run: cron::run,
    },
    Target {
        name: "crontab",
        run: crontab::run,
    },
    Target {
        name: "json",
        run: kafka::json,
    },
    Target {
        name: "kafka-headers",
        run: kafka::headers,
    },
    Target {
        name: "records",
        run: records::run,
    },
    Target {
        name: "blocks",
        run: blocks::run,
    },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
