//! `cargo xtask`: the project's own commands.

use std::process::ExitCode;

use minutehand_xtask::{Selection, Tree, house, root, run_tests};

const HELP: &str = "\
The project's own commands:

  cargo xtask test           everything: formatting, lints, house rules, tests, wasm, dependencies, documentation
  cargo xtask test --quick   the same without wasm, dependencies and documentation
  cargo xtask tidy           the house rules alone
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => run_tests(Selection::All),
        ["test", "--quick"] => run_tests(Selection::Quick),
        ["tidy"] => tidy(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        unknown => {
            eprint!("xtask: there is no command {:?}\n\n{HELP}", unknown.join(" "));
            ExitCode::from(2)
        }
    }
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
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
