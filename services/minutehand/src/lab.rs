//! `minutehand sim` and `minutehand bench`: words that have moved to the program `minutehand-lab`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use minutehand_cli::{Exit, Failure};

/// The laboratory's program; `cargo build` puts it beside this one.
const PROGRAM: &str = "minutehand-lab";

/// Becomes the laboratory, given these words; returns when there is none beside this program.
pub(crate) fn become_it(words: &[OsString]) -> Failure {
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let line = line.join(" ");
    let path = std::env::current_exe().map(|own| own.with_file_name(PROGRAM));
    let Some(path) = path.ok().filter(|path| path.is_file()) else {
        let verb = words
            .first()
            .map(|word| word.to_string_lossy())
            .unwrap_or_default();
        let moved =
            format!("`{verb}` has moved to the program {PROGRAM}, which is not beside this one");
        return Failure::new(Exit::Failed, moved)
            .with_hint(format!("cargo run --release --package {PROGRAM} -- {line}"));
    };
    crate::say::error(&format!(
        "`minutehand {line}` is `{PROGRAM} {line}` now; the old words go with the next release"
    ));
    let error = Command::new(&path).args(words).exec();
    Failure::new(
        Exit::Failed,
        format!("could not run {}: {error}", path.display()),
    )
}
