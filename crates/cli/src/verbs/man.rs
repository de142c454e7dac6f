//! `minutehand man [--dir DIR]`

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// The page of the whole command on standard output, or one page per verb in a folder.
pub(super) fn run(dir: Option<&Path>, console: &mut Console) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = dir else {
        let page = page(&command)?;
        return console.line(String::from_utf8_lossy(&page).trim_end());
    };
    let could_not = |error: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("could not write to {}: {error}", dir.display()),
        )
    };
    fs::create_dir_all(dir).map_err(could_not)?;
    let mut count = 0;
    for (name, page) in pages(&command)? {
        fs::write(dir.join(format!("{name}.1")), page).map_err(could_not)?;
        count += 1;
    }
    console.note(&format!("wrote {count} pages to {}", dir.display()))
}

/// The pages of a command and of everything below it, each with its file's name without the
/// section. A command that was built knows its full name: `minutehand-task-create`.
fn pages(command: &Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let mut found = vec![(name, page(command)?)];
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help" && !below.is_hide_set())
    {
        found.extend(pages(below)?);
    }
    Ok(found)
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("could not write a manual page: {error}"),
            )
        })?;
    Ok(page)
}
