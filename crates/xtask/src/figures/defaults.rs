//! The code as rustfmt writes it by itself: what can be compared with other projects.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use super::source::Source;

/// The sources of texts, each formatted at rustfmt's defaults.
///
/// # Errors
/// In words, when rustfmt cannot be run or refuses a file.
pub(super) fn formatted(texts: &[(&str, &str)]) -> Result<Vec<Source>, String> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = texts.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = texts
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(one).collect()))
            .collect();
        let done = parts.into_iter().map(|part| match part.join() {
            Ok(sources) => sources,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let done: Result<Vec<Vec<Source>>, String> = done.collect();
        done.map(|parts| parts.into_iter().flatten().collect())
    })
}

fn one((path, text): &(&str, &str)) -> Result<Source, String> {
    let failed = |error: std::io::Error| format!("could not run rustfmt on {path}: {error}");
    let mut rustfmt = Command::new("rustfmt")
        // Not the settings of this repository.
        .args([
            "--edition",
            "2024",
            "--config",
            "max_width=100,use_small_heuristics=Default",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let input = rustfmt.stdin.take();
    let output = thread::scope(|scope| {
        // Written beside the reading: neither waits for the other.
        let writer =
            scope.spawn(|| input.map_or(Ok(()), |mut input| input.write_all(text.as_bytes())));
        let output = rustfmt.wait_with_output();
        writer.join().map_or(Ok(()), |written| written).and(output)
    });
    let output = output.map_err(failed)?;
    match output.status.success() {
        true => Ok(Source::of(path, &String::from_utf8_lossy(&output.stdout))),
        false => Err(format!(
            "rustfmt refuses {path}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
