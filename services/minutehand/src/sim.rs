//! `minutehand sim`: simulated clusters, from seeds.

use minutehand_cli::{Exit, Failure, PlantedBug, SimArgs};
use minutehand_loadtest::Figure;
use minutehand_sim::{Options, Planted, Report, UnknownPlanted, Verdict, planted_bugs};
use serde_json::json;

/// Runs seeds until one breaks a promise, or all have been run. With a planted bug the hunt is over when it is found.
pub(crate) async fn run(args: SimArgs) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || simulate(&args))
        .await
        .unwrap_or_else(|error| Err(Failure::new(Exit::Failed, format!("the simulator failed: {error}"))))
}

fn simulate(args: &SimArgs) -> Result<(), Failure> {
    let planted = args.break_rule.as_deref().map(parse_rule).transpose()?;
    let options = Options { planted, ..Options::default() };
    let mut events = 0;
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let report = minutehand_sim::run(seed, &options);
        events += report.events;
        if args.json {
            println!("{}", as_json(&report));
        }
        if let Verdict::Violation(violation) = &report.verdict {
            let found = format!("seed {seed}: {violation}");
            return match planted {
                Some(rule) => {
                    if !args.json {
                        println!("{rule}: found by {found}");
                    }
                    Ok(())
                }
                None => Err(Failure::new(Exit::Failed, found)
                    .with_hint(format!("minutehand sim --from {seed} --seeds 1 repeats it"))),
            };
        }
    }
    if let Some(rule) = planted {
        return Err(Failure::new(Exit::Failed, format!("{rule}: not found in {} seeds", args.seeds)));
    }
    if !args.json {
        println!("{} seeds, {events} events: every promise was kept", args.seeds);
    }
    Ok(())
}

fn parse_rule(word: &str) -> Result<Planted, Failure> {
    word.parse().map_err(|unknown: UnknownPlanted| Failure::new(Exit::Usage, unknown.to_string()))
}

/// The bugs that can be planted.
pub(crate) fn planted() -> Vec<PlantedBug> {
    let bug = |rule: &Planted| PlantedBug { name: rule.to_string(), about: rule.about().to_owned() };
    planted_bugs().iter().map(bug).collect()
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

/// How much faster than real time the simulator runs on a healthy cluster, as a benchmark.
pub(crate) fn speed(real_seconds_about: u64) -> Vec<Figure> {
    /// Enough virtual time for a first look at the pace.
    const LOOK_SECONDS: u64 = 120;
    let look = minutehand_sim::speed(LOOK_SECONDS);
    let seconds = (look.ratio * real_seconds_about as f64).clamp(LOOK_SECONDS as f64, 36_000.0) as u64;
    let speed = minutehand_sim::speed(seconds);
    vec![
        Figure::new("simulator", "virtual time to real time", speed.ratio, "x")
            .with("nodes", 3)
            .with("partitions", 8)
            .with("tasks_per_second", 100)
            .with("virtual_seconds", speed.virtual_seconds),
        Figure::new("simulator", "events", speed.events_per_second, "events/s"),
    ]
}
