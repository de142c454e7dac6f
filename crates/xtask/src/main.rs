//! `cargo xtask`: the project's own commands.

use std::ffi::OsString;
use std::process::ExitCode;

use minutehand_xtask::{
    FuzzOptions, PackageOptions, Selection, Tree, UpOptions, check_models, deploy_check, fuzz,
    house, make_clients, package, print_figures, root, run_down, run_lab, run_rig, run_tests,
    run_up,
};

const HELP: &str = "\
The project's own commands:

  cargo xtask test [--quick] [--embedded]
                             everything: prerequisites, formatting, lints, house rules, tests with real servers, wasm,
                             dependencies, documentation, fuzzing, models of the protocol, clients in other languages
                --quick      without what comes after the tests
                --embedded   without the adapters of the cluster: needs Rust, gcc and make alone
  cargo xtask tidy           the house rules alone; `house` is the same
  cargo xtask house --figures [--json]
                             the shape of the code in numbers: files, functions, repeats, assertions, comments

  cargo xtask fuzz [--seconds N] [TARGET...]
                             whatever reads bytes of others, under libFuzzer, a minute each

  cargo xtask clients        clients in Python, TypeScript, Java and Go: made from schema/openapi.json, compiled, and used by a program
  cargo xtask models         the protocol as executable models: random histories, and every rule broken once
  cargo xtask deploy-check   alerts, dashboards, compose file and Helm chart, by promtool, helm and others that must be installed

  cargo xtask package [--out DIR] [--program PATH]
                             a Debian package and a tarball: program with the roles, units, settings, completions, man pages

  cargo xtask up [--cassandra N] [--datacenters N] [--brokers N] --env-file F
                             starts Kafka, Cassandra and etcd, writes where they are to F, returns when all are ready
  cargo xtask down           stops them

  cargo xtask rig [--profile P] --scenario F [--rate N] [--for D] [--json]
                             a load on servers and roles of its own, each a process: minutehand-lab rig, built in release mode

  cargo xtask bench cluster ..., torture ...
                             have moved to `minutehand-lab`: built here with the cluster and run, on `minutehand scheduler`
";

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = given.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        ["up", ..] => match UpOptions::parse(&given[1..]) {
            Ok(options) => run_up(&options),
            Err(error) => misunderstood(&error),
        },
        ["down"] => run_down(),
        ["fuzz", words @ ..] => match FuzzOptions::parse(words) {
            Ok(options) => ended(fuzz(&options).map(drop)),
            Err(error) => misunderstood(&error),
        },
        ["clients"] => ended(make_clients().map(drop)),
        ["models"] => ended(check_models().map(drop)),
        ["rig", ..] => run_rig(&given),
        ["bench", "cluster", ..] | ["torture", ..] => run_lab(&given),
        ["test", words @ ..] => match Selection::parse(words) {
            Some(selection) => run_tests(selection),
            None => misunderstood(&format!("test has no option among {:?}", words.join(" "))),
        },
        ["tidy" | "house"] => tidy(),
        ["package", words @ ..] => match PackageOptions::parse(words) {
            Ok(options) => packed(package(&options)),
            Err(error) => misunderstood(&error),
        },
        ["deploy-check"] => ended(deploy_check()),
        ["house", "--figures"] => ended(print_figures(false)),
        ["house", "--figures", "--json"] | ["house", "--json", "--figures"] => {
            ended(print_figures(true))
        }
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        unknown => misunderstood(&format!("there is no command {:?}", unknown.join(" "))),
    }
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what was made.
fn packed(result: Result<Vec<std::path::PathBuf>, String>) -> ExitCode {
    ended(result.map(|made| {
        for path in made {
            println!("{}", path.display());
        }
    }))
}

fn misunderstood(error: &str) -> ExitCode {
    eprint!("xtask: {error}\n\n{HELP}");
    ExitCode::from(2)
}

fn tidy() -> ExitCode {
    let findings = Tree::read(&root()).and_then(|tree| house::check(&tree));
    match findings {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in findings {
                eprintln!("{finding}");
            }
            ExitCode::FAILURE
        }
        Err(error) => ended(Err(error)),
    }
}
