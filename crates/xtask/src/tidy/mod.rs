//! Rules about the files themselves: their place, their size, their beginnings and what may not stand in them.

mod layout;
mod manifests;
mod sources;

use crate::{Finding, Tree};

pub use layout::{machine_paths, readme_length, top_level};
pub use manifests::{manifests, pure_crates};
pub use sources::{ambient_input, file_length, module_docs, unfinished};

/// Every rule about files.
pub const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    ambient_input,
    file_length,
    machine_paths,
    manifests,
    module_docs,
    readme_length,
    top_level,
    unfinished,
];
