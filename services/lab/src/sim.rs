//! `minutehand-lab sim`: simulated clusters, from seeds.

use minutehand_cli::{Console, Exit, Failure};
use minutehand_sim::{Options, Planted, Report, Verdict, planted_bugs};
use serde::Serialize;
use serde_json::json;

use crate::args::SimArgs;

/// The word that lists the bugs instead of planting one.
const LIST: &str = "list";
/// Words that differ by more letters than this are not taken for each other.
const TYPING_ERRORS_MAX: usize = 3;

/// A bug that can be planted, as it is listed.
#[derive(Serialize)]
struct Listed {
    name: String,
    about: &'static str,
}

/// Runs seeds until one breaks a promise, or all have been run. With a planted bug the hunt is over
/// when it is found.
pub(crate) fn run(args: &SimArgs, json: bool, console: &mut Console) -> Result<(), Failure> {
    match args.break_rule.as_deref() {
        Some(LIST) => list(json, console),
        Some(word) => simulate(args, Some(parse_rule(word)?), json, console),
        None => simulate(args, None, json, console),
    }
}

fn list(json: bool, console: &mut Console) -> Result<(), Failure> {
    let bugs = planted_bugs();
    let listed = bugs.iter().map(|bug| Listed {
        name: bug.to_string(),
        about: bug.about(),
    });
    if json {
        return listed.into_iter().try_for_each(|bug| console.json(&bug));
    }
    let rows = listed.map(|bug| vec![bug.name, bug.about.to_owned()]);
    console.table(
        &["rule", "what is broken"],
        rows.collect(),
        "there are no rules to break",
    )
}

fn parse_rule(word: &str) -> Result<Planted, Failure> {
    word.parse().map_err(|_| {
        let names = planted_bugs().into_iter().map(|bug| bug.to_string());
        let near = names
            .map(|name| (strsim::damerau_levenshtein(word, &name), name))
            .min();
        let hint = match near.filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX) {
            Some((_, name)) => format!("did you mean {name}? --break list lists them"),
            None => "--break list lists them".to_owned(),
        };
        Failure::new(Exit::Usage, format!("there is no rule {word:?} to break")).with_hint(hint)
    })
}

fn simulate(
    args: &SimArgs,
    planted: Option<Planted>,
    json: bool,
    console: &mut Console,
) -> Result<(), Failure> {
    let options = Options {
        planted,
        ledger: args.ledger,
        ..Options::default()
    };
    let mut events = 0;
    for report in
        minutehand_sim::run_each(args.from..args.from.saturating_add(args.seeds), &options)
    {
        let seed = report.seed;
        events += report.events;
        if json {
            console.json(&as_json(&report))?;
            console.flush()?;
        }
        let Verdict::Violation(violation) = &report.verdict else {
            continue;
        };
        let found = format!("seed {seed}: {violation}");
        return match planted {
            Some(_) if json => Ok(()),
            Some(rule) => console.line(&format!("{rule}: found by {found}")),
            None => {
                let ledger = if args.ledger { " --ledger" } else { "" };
                let hint = format!("minutehand-lab sim --from {seed} --seeds 1{ledger} repeats it");
                Err(Failure::new(Exit::Failed, found).with_hint(hint))
            }
        };
    }
    match planted {
        Some(rule) => Err(Failure::new(
            Exit::Failed,
            format!("{rule}: not found in {} seeds", args.seeds),
        )),
        None if json => Ok(()),
        None => console.line(&format!(
            "{} seeds, {events} events: every promise was kept",
            args.seeds
        )),
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    json!({
        "seed": report.seed,
        "ok": report.is_ok(),
        "violations": violations,
        "virtual_ms": report.virtual_ms,
        "events": report.events,
        "commands": report.commands,
        "published": report.published,
        "ticks": report.ticks,
        "blocks": report.blocks,
        "trace_hash": format!("{:016x}", report.trace_hash),
    })
}
