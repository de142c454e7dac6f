//! `cargo xtask house --figures`.

use std::io::{self, Write};

use crate::figures::{HouseFigure, measure};
use crate::{Tree, Workspace, root};

/// Prints the shape of the code in numbers; as JSON one object a line.
///
/// # Errors
/// In words, when something could not be looked at.
pub fn print_figures(json: bool) -> Result<(), String> {
    let figures = figures()?;
    write_figures(&figures, json, &mut std::io::stdout().lock())
        .map_err(|error| format!("could not write to standard output: {error}"))
}

fn write_figures(figures: &[HouseFigure], json: bool, out: &mut dyn Write) -> io::Result<()> {
    for figure in figures {
        match json {
            true => writeln!(out, "{}", figure.as_json())?,
            false => writeln!(out, "{figure}")?,
        }
    }
    out.flush()
}

fn figures() -> Result<Vec<HouseFigure>, String> {
    measure(&Tree::read(&root())?, &Workspace::load(&root())?)
}
