//! A laboratory without the cluster, asked for what needs it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use minutehand_cli::{Exit, Failure};

/// What builds and runs the laboratory with the cluster.
const WORDS: &[&str] = &[
    "run",
    "--release",
    "--package",
    "minutehand-lab",
    "--features",
    "cluster",
    "--",
];

/// Under `cargo run`, builds the laboratory with the cluster and becomes it; returns when that is
/// not possible.
pub(crate) fn with_cluster() -> Failure {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let needed = "this build has no cluster";
    let Some(cargo) = std::env::var_os("CARGO") else {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        return Failure::new(Exit::Failed, needed).with_hint(format!(
            "cargo {} {}",
            WORDS.join(" "),
            words.join(" ")
        ));
    };
    crate::load::tell(&format!("{needed}: building it with --features cluster"));
    let error = Command::new(cargo).args(WORDS).args(words).exec();
    Failure::new(
        Exit::Failed,
        format!("{needed}, and cargo could not be run to build one: {error}"),
    )
}
