//! `cargo xtask test`: every check of the project, one after the other, and a summary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use minutehand_testkit::{Available, Missing, with_causes};

use crate::cargo::{plain_cargo, run, run_watched};
use crate::fuzz_command::{FuzzOptions, fuzz};
use crate::{
    Finding, Tally, Tree, Workspace, cargo_deny, check_models, house, make_clients, print_figures,
    pure, root,
};

/// The target that has no clock, no files, no sockets and no threads.
const WASM: &str = "wasm32-unknown-unknown";

/// What is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only what a change to the code breaks first.
    pub is_quick: bool,
    /// Only what builds and runs on a machine with Rust, gcc and make: without the packages that
    /// are marked `package.metadata.minutehand.cluster`, and without the features `cluster` of
    /// others.
    pub is_embedded: bool,
}

impl Selection {
    /// Reads the words behind `test`; `None` when one is unknown.
    pub fn parse(words: &[&str]) -> Option<Selection> {
        let mut selection = Selection::default();
        for word in words {
            match *word {
                "--quick" => selection.is_quick = true,
                "--embedded" => selection.is_embedded = true,
                _ => return None,
            }
        }
        Some(selection)
    }

    fn includes(self, group: &Group) -> bool {
        (group.is_quick || !self.is_quick) && !(group.is_of_cluster && self.is_embedded)
    }
}

/// The words by which cargo is told what to build.
///
/// Everything, with the cluster; or what is not of the cluster.
pub fn packages(workspace: &Workspace, selection: Selection) -> Vec<String> {
    let mut words = vec!["--workspace".to_owned()];
    if selection.is_embedded {
        for package in workspace.members().filter(|package| package.is_cluster) {
            words.extend(["--exclude".to_owned(), package.name.clone()]);
        }
    } else {
        for package in workspace
            .members()
            .filter(|package| package.has_cluster_feature)
        {
            words.extend(["--features".to_owned(), format!("{}/cluster", package.name)]);
        }
    }
    words
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
    /// Without it, the others cannot go well where it fails.
    is_of_cluster: bool,
    run: fn(&Task, &mut Report) -> Result<(), String>,
}

/// What groups are given.
struct Task {
    root: PathBuf,
    selection: Selection,
}

const PLAIN: Group = Group {
    title: "",
    is_quick: false,
    is_of_cluster: false,
    run: |_, _| Ok(()),
};

const GROUPS: &[Group] = &[
    Group {
        title: "prerequisites",
        is_quick: true,
        is_of_cluster: true,
        run: prerequisites,
    },
    Group {
        title: "formatting",
        is_quick: true,
        run: formatting,
        ..PLAIN
    },
    Group {
        title: "lints",
        is_quick: true,
        run: lints,
        ..PLAIN
    },
    Group {
        title: "house rules",
        is_quick: true,
        run: house_rules,
        ..PLAIN
    },
    Group {
        title: "tests",
        is_quick: true,
        run: tests,
        ..PLAIN
    },
    Group {
        title: "the program by itself",
        run: alone,
        ..PLAIN
    },
    Group {
        title: "pure crates on wasm",
        run: wasm,
        ..PLAIN
    },
    Group {
        title: "dependencies",
        run: dependencies,
        ..PLAIN
    },
    Group {
        title: "documentation",
        run: documentation,
        ..PLAIN
    },
    Group {
        title: "fuzzing",
        run: fuzzing,
        ..PLAIN
    },
    Group {
        title: "models of the protocol",
        run: models,
        ..PLAIN
    },
    Group {
        title: "clients in other languages",
        run: clients,
        ..PLAIN
    },
    Group {
        title: "figures",
        is_quick: true,
        run: figures,
        ..PLAIN
    },
];

/// Runs all groups of a selection, whatever fails; the last line says how many tests passed and
/// failed. A group that fails without a failed test counts as one failure.
pub fn run_tests(selection: Selection) -> ExitCode {
    let task = Task {
        root: root(),
        selection,
    };
    let groups: Vec<&Group> = GROUPS
        .iter()
        .filter(|group| selection.includes(group))
        .collect();
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        println!("\n=== {}/{} {}", index + 1, groups.len(), group.title);
        let started = Instant::now();
        let mut report = Report::default();
        let result = (group.run)(&task, &mut report);
        let is_hopeless = result.is_err() && group.is_of_cluster;
        let seconds = started.elapsed().as_secs_f64();
        if result.is_err() && report.tally.failed == 0 {
            report.tally.failed = 1;
        }
        total += report.tally;
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        summary.push(format!("  {word:<6} {seconds:>7.1} s  {}", group.title));
        summary.extend(
            result
                .err()
                .map(|error| format!("                      {error}")),
        );
        summary.extend(
            report
                .notes
                .into_iter()
                .map(|note| format!("                      note: {note}")),
        );
        if is_hopeless {
            summary.push("                      the other groups were not run".to_owned());
            break;
        }
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

/// What this machine lacks is installed where that may be done; elsewhere all of it is named at
/// once.
fn prerequisites(_: &Task, report: &mut Report) -> Result<(), String> {
    let missing = minutehand_testkit::missing();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing:{}", list(&missing));
    match minutehand_testkit::install(&missing) {
        Ok(()) => {}
        Err(error) => println!("nothing was installed: {}", with_causes(&error)),
    }
    let still_missing = minutehand_testkit::missing();
    if still_missing.is_empty() {
        report
            .notes
            .push("Debian packages were installed".to_owned());
        return Ok(());
    }
    Err(format!(
        "missing:{}\n                      `cargo xtask test --embedded` tests what needs none of it",
        list(&still_missing)
    ))
}

fn list(missing: &[Missing]) -> String {
    missing
        .iter()
        .map(|missing| format!("\n                      - {missing}"))
        .collect()
}

fn formatting(task: &Task, _: &mut Report) -> Result<(), String> {
    run(plain_cargo(&task.root).args(["fmt", "--all", "--check"]))
}

fn lints(task: &Task, _: &mut Report) -> Result<(), String> {
    run(task
        .cargo("clippy")?
        .args(["--all-targets", "--", "-D", "warnings"]))
}

fn house_rules(task: &Task, _: &mut Report) -> Result<(), String> {
    none_of(&house::check(&Tree::read(&task.root)?)?)
}

fn tests(task: &Task, report: &mut Report) -> Result<(), String> {
    let mut command = task.cargo("test")?;
    command.arg("--no-fail-fast");
    // Held to the end of the tests; the servers die with it, and with this process.
    let servers = if task.selection.is_embedded {
        None
    } else {
        Some(start_servers(task)?)
    };
    if let Some(servers) = &servers {
        for (name, value) in servers.endpoints().variables() {
            command.env(name, value);
        }
    }
    let result = run_watched(&mut command, |line| {
        if let Some(tally) = Tally::parse(line) {
            report.tally += tally;
        }
    });
    if result.is_err() {
        report.notes.extend(
            servers
                .as_ref()
                .and_then(|servers| keep_logs(&task.root, servers)),
        );
    }
    result
}

/// Copies the servers' logs, which would go with them; answers where they are.
fn keep_logs(root: &Path, servers: &Available) -> Option<String> {
    let folder = root.join("target/server-logs");
    fs::create_dir_all(&folder).ok()?;
    let servers = servers.own_servers();
    for server in &servers {
        fs::copy(server.log(), folder.join(format!("{}.log", server.name()))).ok()?;
    }
    (!servers.is_empty()).then(|| "the servers' logs are in target/server-logs".to_owned())
}

/// Builds the tests first: servers that wait for a compiler take memory from it.
fn start_servers(task: &Task) -> Result<Available, String> {
    run(task.cargo("test")?.arg("--no-run"))?;
    println!("starting Kafka, Cassandra and etcd, those that the environment does not name");
    Available::find().map_err(|error| with_causes(&error))
}

impl Task {
    /// A command of cargo for all the packages of the selection.
    fn cargo(&self, command: &str) -> Result<Command, String> {
        let workspace = Workspace::load(&self.root)?;
        let mut cargo = plain_cargo(&self.root);
        cargo
            .arg(command)
            .args(packages(&workspace, self.selection));
        Ok(cargo)
    }
}

/// Tests turn on features that the program is released without: what it needs must not come from
/// them.
fn alone(task: &Task, _: &mut Report) -> Result<(), String> {
    run(plain_cargo(&task.root).args(["check", "--package", "minutehand"]))
}

fn wasm(task: &Task, _: &mut Report) -> Result<(), String> {
    let root = &task.root;
    if !is_wasm_installed(root)? {
        run(Command::new("rustup").args(["target", "add", WASM])).map_err(|error| {
            format!(
                "the target {WASM} is not installed and could not be added: {error}; add it by hand"
            )
        })?;
    }
    let workspace = Workspace::load(root)?;
    let names = pure::names(&workspace);
    let packages = names.iter().flat_map(|name| ["--package", name]);
    run(plain_cargo(root)
        .args(["build", "--target", WASM])
        .args(packages))
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

fn dependencies(task: &Task, report: &mut Report) -> Result<(), String> {
    report.notes.extend(cargo_deny::check(&task.root)?);
    Ok(())
}

fn documentation(task: &Task, _: &mut Report) -> Result<(), String> {
    run(task
        .cargo("doc")?
        .arg("--no-deps")
        .env("RUSTDOCFLAGS", "-D warnings"))
}

/// Each target counts as a test.
fn fuzzing(task: &Task, report: &mut Report) -> Result<(), String> {
    if task.selection.is_embedded {
        report
            .notes
            .push("left out: the fuzzer is built with a compiler of C++".to_owned());
        return Ok(());
    }
    report.tally.passed += fuzz(&FuzzOptions::default())?;
    Ok(())
}

/// Each mode counts as a test, and each broken rule.
fn models(task: &Task, report: &mut Report) -> Result<(), String> {
    if task.selection.is_embedded {
        report
            .notes
            .push("left out: the models need Python".to_owned());
        return Ok(());
    }
    report.tally.passed += check_models()?;
    Ok(())
}

/// Each language counts as a test.
fn clients(task: &Task, report: &mut Report) -> Result<(), String> {
    if task.selection.is_embedded {
        report
            .notes
            .push("left out: the generators need Java, Node, Python and Go".to_owned());
        return Ok(());
    }
    report.tally.passed += make_clients()?;
    Ok(())
}

/// Printed for whoever compares; nothing here fails by its value.
fn figures(_: &Task, _: &mut Report) -> Result<(), String> {
    print_figures(false)
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
