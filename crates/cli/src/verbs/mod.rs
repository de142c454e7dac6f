//! What each verb does.

mod audit;
mod completion;
mod config;
mod explain;
mod import_crontab;
mod lease;
mod man;
mod pages;
mod queue;
mod schedule;
mod schema;
mod task;
mod task_import;
mod time_cells;

use clap::error::ErrorKind;

use crate::args::{Cli, ConfigVerb, ImportVerb, Role, TaskVerb, Verb};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::hooks::Commands;

/// Carries a command line out on the process's own streams.
pub async fn run(cli: Cli, commands: &dyn Commands) -> Exit {
    run_on(cli, commands, &mut Console::of_process()).await
}

/// Says why a command line was not understood, or shows the help or the version that was asked for;
/// answers how the program ends. With `--json` among the words the reason is a problem document on
/// standard output, too.
pub fn usage_error(
    error: &clap::Error,
    words: &[std::ffi::OsString],
    console: &mut Console,
) -> Exit {
    if !error.use_stderr() {
        let shown = console.help(&error.render());
        return ended(shown, false, console);
    }
    let text = error.render().to_string();
    let text = text.trim_end();
    let _ = console.note(text);
    if words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json" || word.as_encoded_bytes().starts_with(b"--json="))
    {
        let failure = Failure::new(Exit::Usage, in_one_line(error, text));
        let _ = console.json(&failure.as_problem());
        let _ = console.flush();
    }
    Exit::Usage
}

/// What is wrong with a command line, without the help around it: its first paragraph.
fn in_one_line(error: &clap::Error, text: &str) -> String {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return "a verb is missing; --help lists them".to_owned();
    }
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let words: Vec<&str> = lines.map(str::trim).collect();
    let words = words.join(" ");
    words.strip_prefix("error: ").unwrap_or(&words).to_owned()
}

/// Carries a command line out on the given streams.
pub async fn run_on(cli: Cli, commands: &dyn Commands, console: &mut Console) -> Exit {
    let json = cli.json;
    let result = carry_out(cli, commands, console).await;
    ended(result, json, console)
}

/// How the program ends: not well when what it printed could not be written.
fn ended(result: Result<(), Failure>, json: bool, console: &mut Console) -> Exit {
    match result.and_then(|()| console.flush()) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            let _ = console.flush();
            console.failure(&failure, json);
            failure.exit
        }
    }
}

async fn carry_out(
    cli: Cli,
    commands: &dyn Commands,
    console: &mut Console,
) -> Result<(), Failure> {
    let json = cli.json;
    match cli.verb {
        Verb::Dev(args) => commands.dev(*args).await,
        Verb::Bench(args) => Err(commands.lab(args.line("bench", json))),
        Verb::Sim(args) => Err(commands.lab(args.line("sim", json))),
        Verb::Scheduler(args) => commands.role(Role::Scheduler, args).await,
        Verb::Gateway(args) => commands.role(Role::Gateway, args).await,
        Verb::Worker(args) => commands.role(Role::Worker, args).await,
        Verb::Schema(command) => schema::run(commands, command.verb, console, json).await,
        Verb::Task(command) => match command.verb {
            TaskVerb::Import(args) => task_import::run(&command.server, &args, console, json).await,
            verb => task::run(&command.server, verb, console, json).await,
        },
        Verb::Schedule(command) => {
            let key = command.key.as_deref();
            schedule::run(&command.server, key, command.verb, console, json).await
        }
        Verb::Queue(command) => queue::run(&command.server, command.verb, console, json).await,
        Verb::Bucket(command) => queue::buckets(&command.server, command.verb, console, json).await,
        Verb::Partition(command) => {
            queue::partitions(&command.server, command.verb, console, json).await
        }
        Verb::Import(command) => {
            let ImportVerb::Crontab(args) = command.verb;
            import_crontab::run(&command.server, &args, console, json).await
        }
        Verb::Explain(args) if args.batch => explain::batch(&args, console),
        Verb::Explain(args) => explain::one(&args, console, json),
        Verb::Config(command) => {
            let ConfigVerb::Show(args) = command.verb;
            config::show(commands, &args, console, json)
        }
        Verb::Completion(args) => completion::run(args.shell, console),
        Verb::Man(args) => man::run(args.dir.as_deref(), console),
    }
}
