//! Running cargo from a program that cargo runs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Cargo, in the repository, as if it had been typed there: without what `cargo run` and `cargo
/// test` tell the programs they start. Build scripts that watch those variables would otherwise
/// build everything anew.
pub fn plain_cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, its output going where ours goes.
///
/// # Errors
/// In words, when it could not be started or did not succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let words = in_words(command);
    let status = command
        .status()
        .map_err(|error| format!("could not run `{words}`: {error}"))?;
    succeeded(status, &words)
}

/// Sees whether tools are there, each named with where it can be had.
///
/// # Errors
/// Those that are missing, in words.
pub(crate) fn require(tools: &[(&str, &str)]) -> Result<(), String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&folders).any(|folder| folder.join(tool).is_file());
    let missing: Vec<String> = tools
        .iter()
        .filter(|(tool, _)| !is_there(tool))
        .map(|(tool, source)| format!("{tool} ({source})"))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("missing: {}", missing.join(", "))),
    }
}

/// The same as [`run`], showing each line of the standard output to a function as it is passed on.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_watched(
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<(), String> {
    let words = in_words(command);
    let failed = |error| format!("could not run `{words}`: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| format!("`{words}` has no output"))?;
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        std::io::stdout().write_all(&line).map_err(failed)?;
        on_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().map_err(failed)?;
    succeeded(status, &words)
}

fn succeeded(status: ExitStatus, words: &str) -> Result<(), String> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("`{words}` failed")),
    }
}

/// What a command prints.
///
/// # Errors
/// As [`run`], with what it says of the failure.
pub(crate) fn told(command: &mut Command) -> Result<String, String> {
    let words = in_words(command);
    let output = command
        .output()
        .map_err(|error| format!("could not run `{words}`: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "`{words}` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The command as it would be typed.
pub(crate) fn in_words(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
