//! `cargo xtask house --figures`.

use crate::figures::{HouseFigure, measure};
use crate::{Tree, Workspace, root};

/// Prints the shape of the code in numbers; as JSON one object a line.
///
/// # Errors
/// In words, when something could not be looked at.
pub fn print_figures(json: bool) -> Result<(), String> {
    for figure in figures()? {
        match json {
            true => println!("{}", figure.as_json()),
            false => println!("{figure}"),
        }
    }
    Ok(())
}

fn figures() -> Result<Vec<HouseFigure>, String> {
    measure(&Tree::read(&root())?, &Workspace::load(&root())?)
}
