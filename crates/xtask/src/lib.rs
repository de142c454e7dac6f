//! The project's own tool: one command that tests everything, and the rules of the house as tests.
//!
//! A rule takes what it looks at as a value (a [`Tree`] of files, a list of packages) and answers
//! with findings, so that each has a test that shows it can fail. `cargo xtask test` runs them on
//! the real tree, and so does `cargo test -p minutehand-xtask`.

pub mod documents;
pub mod drivers;
pub mod figures;
pub mod house;
pub mod layers;
pub mod pure;
pub mod tidy;

mod cargo;
mod cargo_deny;
mod clients_command;
mod deploy_command;
mod figures_command;
mod fuzz_command;
mod lab_command;
mod models_command;
mod package_command;
mod packages;
mod tally;
mod test_command;
mod tree;
mod up_command;

use std::fmt;
use std::path::{Path, PathBuf};

pub use cargo::plain_cargo;
pub use clients_command::make_clients;
pub use deploy_command::deploy_check;
pub use figures_command::print_figures;
pub use fuzz_command::{FuzzOptions, fuzz};
pub use lab_command::{run_lab, run_rig};
pub use models_command::check_models;
pub use package_command::{PackageOptions, package};
pub use packages::{Dependency, DependencyKind, Package, Workspace};
pub use tally::Tally;
pub use test_command::{Selection, packages, run_tests};
pub use tree::{File, Tree};
pub use up_command::{UpOptions, run_down, run_up};

/// Something that breaks a rule: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A path from the root of the repository, a package, or a line of one of them.
    pub place: String,
    /// What is wrong, and where it is not obvious, what is right.
    pub message: String,
}

impl Finding {
    /// A finding at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding {
            place: place.into(),
            message: message.into(),
        }
    }

    /// What is said of the lines of files, each with the place of its line.
    pub fn of_lines<'a>(
        files: impl Iterator<Item = &'a File>,
        say: impl Fn(&File, &str) -> Vec<String>,
    ) -> Vec<Finding> {
        let of_file = |file: &'a File| {
            let said = file.lines().map(|(number, line)| (number, say(file, line)));
            let found = said.flat_map(|(number, messages)| {
                let place = format!("{}:{number}", file.path);
                let finding = move |message| Finding::new(place.clone(), message);
                messages.into_iter().map(finding)
            });
            found.collect::<Vec<_>>()
        };
        files.flat_map(of_file).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The root of the repository that this crate was built in.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent()
        .and_then(Path::parent)
        .unwrap_or(own)
        .to_owned()
}
