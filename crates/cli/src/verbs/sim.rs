//! `minutehand sim`

use crate::args::SimArgs;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::hooks::{Commands, PlantedBug};

/// The word that lists the bugs instead of planting one.
const LIST: &str = "list";
/// Words that differ by more letters than this are not taken for each other.
const TYPING_ERRORS_MAX: usize = 3;

pub(super) async fn run(
    commands: &dyn Commands,
    args: SimArgs,
    console: &mut Console,
) -> Result<(), Failure> {
    let Some(word) = args.break_rule.as_deref() else { return commands.sim(args).await };
    let bugs = commands.planted_bugs();
    if word == LIST {
        return list(&bugs, args.json, console);
    }
    if bugs.iter().any(|bug| bug.name == word) {
        return commands.sim(args).await;
    }
    let near = bugs.iter().map(|bug| (strsim::damerau_levenshtein(word, &bug.name), &bug.name)).min();
    let hint = match near.filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX) {
        Some((_, name)) => format!("did you mean {name}? --break list lists them"),
        None => "--break list lists them".to_owned(),
    };
    Err(Failure::new(Exit::Usage, format!("there is no rule {word:?} to break")).with_hint(hint))
}

fn list(bugs: &[PlantedBug], json: bool, console: &mut Console) -> Result<(), Failure> {
    if json {
        return bugs.iter().try_for_each(|bug| console.json(bug));
    }
    let rows = bugs.iter().map(|bug| vec![bug.name.clone(), bug.about.clone()]);
    console.table(&["rule", "what is broken"], rows.collect(), "there are no rules to break")
}
