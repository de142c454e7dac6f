//! `cargo xtask test`: every check of the project, one after the other, and a summary.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::cargo::{plain_cargo, run, run_watched};
use crate::{Finding, Tally, Tree, Workspace, cargo_deny, house, pure, root};

/// The target that has no clock, no files, no sockets and no threads.
const WASM: &str = "wasm32-unknown-unknown";

/// Which groups run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that a change to the code breaks first.
    Quick,
}

/// What a group found, besides its failure.
#[derive(Default)]
struct Report {
    tally: Tally,
    notes: Vec<String>,
}

struct Group {
    title: &'static str,
    is_quick: bool,
    run: fn(&Path, &mut Report) -> Result<(), String>,
}

const GROUPS: &[Group] = &[
    Group { title: "formatting", is_quick: true, run: formatting },
    Group { title: "lints", is_quick: true, run: lints },
    Group { title: "house rules", is_quick: true, run: house_rules },
    Group { title: "tests", is_quick: true, run: tests },
    Group { title: "pure crates on wasm", is_quick: false, run: wasm },
    Group { title: "dependencies", is_quick: false, run: dependencies },
    Group { title: "documentation", is_quick: false, run: documentation },
];

/// Runs all groups of a selection, whatever fails; the last line says how many tests passed and failed. A group
/// that fails without a failed test counts as one failure.
pub fn run_tests(selection: Selection) -> ExitCode {
    let root = root();
    let groups: Vec<&Group> =
        GROUPS.iter().filter(|group| group.is_quick || selection == Selection::All).collect();
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        println!("\n=== {}/{} {}", index + 1, groups.len(), group.title);
        let started = Instant::now();
        let mut report = Report::default();
        let result = (group.run)(&root, &mut report);
        let seconds = started.elapsed().as_secs_f64();
        if result.is_err() && report.tally.failed == 0 {
            report.tally.failed = 1;
        }
        total += report.tally;
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        summary.push(format!("  {word:<6} {seconds:>7.1} s  {}", group.title));
        summary.extend(result.err().map(|error| format!("                      {error}")));
        summary.extend(report.notes.into_iter().map(|note| format!("                      note: {note}")));
    }
    println!("\n=== summary");
    for line in summary {
        println!("{line}");
    }
    println!("\n{total}");
    match total.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn formatting(root: &Path, _: &mut Report) -> Result<(), String> {
    run(plain_cargo(root).args(["fmt", "--all", "--check"]))
}

fn lints(root: &Path, _: &mut Report) -> Result<(), String> {
    run(plain_cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn house_rules(root: &Path, _: &mut Report) -> Result<(), String> {
    none_of(&house::check(&Tree::read(root)?)?)
}

fn tests(root: &Path, report: &mut Report) -> Result<(), String> {
    let mut command = plain_cargo(root);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    run_watched(&mut command, |line| {
        if let Some(tally) = Tally::parse(line) {
            report.tally += tally;
        }
    })
}

fn wasm(root: &Path, _: &mut Report) -> Result<(), String> {
    if !is_wasm_installed(root)? {
        run(Command::new("rustup").args(["target", "add", WASM])).map_err(|error| {
            format!("the target {WASM} is not installed and could not be added: {error}; add it by hand")
        })?;
    }
    let workspace = Workspace::load(root)?;
    let names = pure::names(&workspace);
    let packages = names.iter().flat_map(|name| ["--package", name]);
    run(plain_cargo(root).args(["build", "--target", WASM]).args(packages))
}

fn is_wasm_installed(root: &Path) -> Result<bool, String> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("could not run `rustc --print sysroot`: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib").join(WASM).join("lib").is_dir())
}

fn dependencies(root: &Path, report: &mut Report) -> Result<(), String> {
    report.notes.extend(cargo_deny::check(root)?);
    Ok(())
}

fn documentation(root: &Path, _: &mut Report) -> Result<(), String> {
    let mut command = plain_cargo(root);
    run(command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Prints findings; an error says how many there are.
fn none_of(findings: &[Finding]) -> Result<(), String> {
    for finding in findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("one finding, printed above".to_owned()),
        count => Err(format!("{count} findings, printed above")),
    }
}
