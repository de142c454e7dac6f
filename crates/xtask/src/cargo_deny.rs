//! cargo-deny: licences, bans, sources, advisories.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo::{plain_cargo, run};

/// The version that is installed when there is none.
const VERSION: &str = "0.20.2";

/// How long fetching the advisories may take: where their host cannot be reached, git may try for
/// minutes.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// Checks licences, bans and sources, and advisories where their database can be reached; answers
/// what was left out.
///
/// # Errors
/// In words, when a check fails or cargo-deny cannot be had.
pub(crate) fn check(root: &Path) -> Result<Option<String>, String> {
    let program = find_or_install(root)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(root);
        command
    };
    run(&mut deny(&["check", "licenses", "bans", "sources"]))?;
    if !succeeds_in_time(&mut deny(&["fetch", "db"])) {
        return Ok(Some(
            "advisories not looked up: their database cannot be reached".to_owned(),
        ));
    }
    run(&mut deny(&["check", "advisories"]))?;
    Ok(None)
}

/// The one on the path, or the one of an earlier run, or a new one in the user's cache.
fn find_or_install(root: &Path) -> Result<PathBuf, String> {
    let on_path = PathBuf::from("cargo-deny");
    if succeeds_in_time(Command::new(&on_path).arg("--version")) {
        return Ok(on_path);
    }
    let folder = cache_folder(root).join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !succeeds_in_time(Command::new(&program).arg("--version")) {
        println!("installing cargo-deny {VERSION} in the cache, once; this takes a minute or two");
        // It runs for a second: building it fast is worth more than a fast program.
        run(plain_cargo(root)
            .args([
                "install",
                "cargo-deny",
                "--locked",
                "--quiet",
                "--version",
                VERSION,
                "--root",
            ])
            .arg(&folder)
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))
        .map_err(|error| format!("cargo-deny is not installed and could not be: {error}"))?;
    }
    Ok(program)
}

fn cache_folder(root: &Path) -> PathBuf {
    let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    match xdg.filter(|path| path.is_absolute()).or_else(home) {
        Some(cache) => cache.join("minutehand"),
        None => root.join("target/tools"),
    }
}

/// Whether a command succeeds, silently, within the limit.
fn succeeds_in_time(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = quiet.spawn() else {
        return false;
    };
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if started.elapsed() < FETCH_LIMIT => thread::sleep(Duration::from_millis(50)),
            Ok(None) | Err(_) => {
                // Whether it still runs or has just ended makes no difference now.
                drop(child.kill());
                drop(child.wait());
                return false;
            }
        }
    }
}
