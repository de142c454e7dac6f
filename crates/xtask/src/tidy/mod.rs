//! Rules about the files themselves: their place, their size, their beginnings and what may not
//! stand in them.

mod dependencies;
mod errors;
mod layout;
mod manifests;
mod sources;
mod test_names;
mod unwraps;

use crate::{Finding, Tree};

pub use dependencies::unused_dependencies;
pub use errors::error_layers;
pub use layout::{machine_paths, readme_length, top_level};
pub use manifests::{manifests, pure_crates};
pub use sources::{ambient_input, file_length, module_docs, obeyed_rules, unfinished};
pub use test_names::test_names;
pub use unwraps::unwraps;

/// Every rule about files.
pub const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    ambient_input,
    error_layers,
    file_length,
    machine_paths,
    manifests,
    module_docs,
    obeyed_rules,
    readme_length,
    test_names,
    top_level,
    unfinished,
    unused_dependencies,
    unwraps,
];
