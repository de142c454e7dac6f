//! `minutehand completion SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::Failure;

pub(super) fn run(shell: Shell, console: &mut Console) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "minutehand", &mut script);
    let text = String::from_utf8_lossy(&script);
    console.line(text.trim_end())
}
