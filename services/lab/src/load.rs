//! `minutehand-lab load`: a load on an installation.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use minutehand_cli::{Console, Exit};
use minutehand_loadtest::load::{
    BUILT_IN, HttpTarget, LoadOptions, LoadReport, Progress, Scenario, ScenarioError, Search,
    Target, Tried, Watched, compare, page, run as endure, search,
};
use minutehand_settings::Secret;

use crate::args::{LoadArgs, LoadVerb, Via};

/// The run itself failed.
const FAILED: u8 = 2;

/// Runs a load, or shows reports.
pub(crate) fn run(args: &LoadArgs, json: bool, console: &mut Console) -> ExitCode {
    let result = match &args.verb {
        Some(LoadVerb::Compare { before, after }) => show_compared(before, after, json, console),
        Some(LoadVerb::List) => list(json, console),
        None => load(args, json, console),
    };
    ended(result, json, console)
}

/// The exit code of a run, which is no success when what it printed could not be written.
pub(crate) fn ended(result: Result<bool, Failure>, json: bool, console: &mut Console) -> ExitCode {
    let written = result.and_then(|is_kept| Ok(console.flush().map(|()| is_kept)?));
    match written {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            console.failure(&failed(&*error), json);
            ExitCode::from(FAILED)
        }
    }
}

/// The run itself failed, as a problem; nothing is said of a reader that has gone.
fn failed(error: &(dyn Error + 'static)) -> minutehand_cli::Failure {
    let problem = serde_json::json!({
        "type": "urn:minutehand:problem:failed",
        "title": "The run itself failed",
    });
    minutehand_cli::Failure {
        problem: Some(problem),
        ..minutehand_cli::Failure::new(Exit::Usage, with_causes(error))
    }
}

/// Tells of a run on standard error, whether anybody can read it or not.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn list(json: bool, console: &mut Console) -> Result<bool, Failure> {
    for (name, text) in BUILT_IN {
        let about = Scenario::parse(text)?.about;
        match json {
            true => console.json(&serde_json::json!({ "name": name, "about": about }))?,
            false => console.line(&format!("{name:<16} {about}"))?,
        }
    }
    Ok(true)
}

fn load(args: &LoadArgs, json: bool, console: &mut Console) -> Result<bool, Failure> {
    let options = options(args)?;
    let mut told = |progress: &Progress| tell(&progress_line(progress));
    if args.search {
        let wanted = Search {
            p99_ms_max: args.p99_max as f64,
            ..Search::default()
        };
        // What cannot be written now cannot be later, either: the end says so.
        let mut written = Ok(());
        let mut tried = |tried: &Tried| {
            let shown = match json {
                true => console.json(&serde_json::json!({ "tried": tried })),
                false => console.line(&tried_line(tried)),
            };
            let shown = shown.and_then(|()| console.flush());
            written = std::mem::replace(&mut written, Ok(())).and(shown);
        };
        let report = search(&options, &wanted, &mut told, &mut tried)?;
        written?;
        let Some(report) = report else {
            tell("not even the lowest rate was sustained");
            return Ok(false);
        };
        return show(args, &report, json, console);
    }
    show(args, &endure(&options, &mut told)?, json, console)
}

fn show(
    args: &LoadArgs,
    report: &LoadReport,
    json: bool,
    console: &mut Console,
) -> Result<bool, Failure> {
    show_report(args.report.as_deref(), report, json, console)
}

/// Prints a report, and writes its page where one is wanted; whether every promise was kept.
pub(crate) fn show_report(
    path: Option<&Path>,
    report: &LoadReport,
    json: bool,
    console: &mut Console,
) -> Result<bool, Failure> {
    if let Some(path) = path {
        std::fs::write(path, page(report))
            .map_err(|error| format!("could not write {}: {error}", path.display()))?;
    }
    match json {
        true => console.json(report)?,
        false => {
            for (figure, unit, value) in report.figures() {
                console.line(&format!("{figure:<36} {value:>14.1} {unit}"))?;
            }
        }
    }
    for violation in &report.violations {
        tell(violation);
    }
    Ok(report.is_kept)
}

fn options(args: &LoadArgs) -> Result<LoadOptions, Failure> {
    let mut scenario = scenario(args)?;
    if let Some(seed) = args.seed {
        scenario.seed = seed;
    }
    let processes = args.watched.processes.iter();
    let processes = processes.map(|(name, pid)| Watched::Process(name.clone(), *pid));
    let folders = args.watched.folders.iter();
    let folders = folders.map(|(name, path)| Watched::Folder(name.clone(), path.clone()));
    Ok(LoadOptions {
        verify: args.verify,
        run: args.run.clone(),
        begin: args.begin,
        share: args.share,
        generators: args.generators,
        group: args.http.group.clone(),
        wait_ms: args.wait,
        early_margin_ms: args.clock_margin,
        watched: processes.chain(folders).collect(),
        events_are_done: args.events_are_done,
        ..LoadOptions::new(scenario, target(args)?)
    })
}

fn scenario(args: &LoadArgs) -> Result<Scenario, ScenarioError> {
    let scenario = Scenario::find(&args.scenario)?;
    let scenario = match args.rate {
        Some(rate) => scenario.at_rate(rate)?,
        None => scenario,
    };
    match args.lasts_ms {
        Some(lasts_ms) => scenario.lasting_ms(lasts_ms),
        None => Ok(scenario),
    }
}

fn target(args: &LoadArgs) -> Result<Target, Failure> {
    match args.via {
        Via::Http => Ok(Target::Http(HttpTarget {
            server: args.http.server.clone(),
            token: args
                .http
                .token
                .as_ref()
                .map(|token| Secret::new(token.reveal())),
            cacert: args.http.cacert.clone(),
        })),
        #[cfg(feature = "cluster")]
        Via::Kafka => kafka::target(args),
        #[cfg(not(feature = "cluster"))]
        Via::Kafka => Err(crate::rebuild::with_cluster().message.into()),
    }
}

/// The topics of an installation, as the settings of its roles describe them.
#[cfg(feature = "cluster")]
mod kafka {
    use minutehand_kafka::KafkaConfig;
    use minutehand_loadtest::load::Target;
    use toml::Table;

    use super::Failure;
    use crate::args::LoadArgs;

    pub(super) fn target(args: &LoadArgs) -> Result<Target, Failure> {
        let settings = match &args.kafka.config {
            None => Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("could not read {}: {error}", path.display()))?;
                text.parse::<Table>()
                    .map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        let mut config = config(&settings)?;
        if let Some(brokers) = &args.kafka.brokers {
            config.brokers = brokers.split(',').map(str::to_owned).collect();
        }
        Ok(Target::Kafka(Box::new(config)))
    }

    /// What `[kafka]` and `[cluster]` say; other tables are a role's own.
    fn config(settings: &Table) -> Result<KafkaConfig, Failure> {
        let kafka = settings.get("kafka").cloned();
        let mut config = match kafka {
            Some(kafka) => {
                KafkaConfig::deserialize(kafka).map_err(|error| format!("[kafka]: {error}"))?
            }
            None => KafkaConfig::default(),
        };
        let cluster = |name: &str| settings.get("cluster")?.get(name);
        if let Some(partitions) = cluster("partitions") {
            let number = partitions
                .as_integer()
                .and_then(|it| u32::try_from(it).ok());
            config.partitions = number
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("cluster.partitions is {partitions}"))?;
        }
        if let Some(region) = cluster("region").and_then(toml::Value::as_str) {
            region.clone_into(&mut config.region);
        }
        Ok(config)
    }

    use serde::Deserialize as _;

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_settings_of_a_role_say_where_the_topics_are() {
            let text = "[cluster]\npartitions = 6\nregion = \"north\"\n[kafka]\nbrokers = [\"a:1\"]\ntopic_prefix = \"mh\"\n\
                tls = true\n[scheduler]\nlisten = \"127.0.0.1:0\"\n";
            let config = config(&text.parse().expect("TOML")).expect("settings");
            assert_eq!((config.partitions, config.region.as_str()), (6, "north"));
            assert_eq!(
                (config.topic_prefix.as_str(), config.tls.enabled),
                ("mh", true)
            );
            let wrong = "[kafka]\nbroker = 1\n".parse().expect("TOML");
            let error = super::config(&wrong).expect_err("unknown").to_string();
            assert!(error.contains("[kafka]: unknown field `broker`"), "{error}");
        }
    }
}

fn progress_line(progress: &Progress) -> String {
    let Progress {
        at_s,
        asked,
        tasks,
        counts,
        start_ms,
    } = progress;
    let started = counts.started + counts.occurrences;
    let wrong = counts.twice + counts.early + counts.strange + counts.cancelled_in_vain;
    let line = format!(
        "{at_s:6.0} s  asked {asked} of {tasks}  acknowledged {}  started {started}  late p50 {} p99 {} max {} ms  wrong {wrong}",
        counts.acknowledged, start_ms.p50, start_ms.p99, start_ms.max
    );
    match std::io::stderr().is_terminal() {
        // The line before it goes.
        true => format!("\x1b[1A\x1b[2K{line}"),
        false => line,
    }
}

fn tried_line(tried: &Tried) -> String {
    let why = tried.because.as_deref().unwrap_or("");
    let word = if tried.holds {
        "sustained"
    } else {
        "not sustained:"
    };
    format!(
        "{:>10.0} tasks/s  p99 {:>8.0} ms  {word} {why}",
        tried.rate, tried.p99_ms
    )
}

fn show_compared(
    before: &Path,
    after: &Path,
    json: bool,
    console: &mut Console,
) -> Result<bool, Failure> {
    let compared = compare(&read(before)?, &read(after)?);
    for one in &compared {
        if json {
            console.json(one)?;
            continue;
        }
        let told = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        let change = one
            .change
            .map_or(String::new(), |part| format!("{:+.1} %", part * 100.0));
        console.line(&format!(
            "{:<36} {:>14} {:>14} {:<10} {change}",
            one.figure,
            told(one.before),
            told(one.after),
            one.unit
        ))?;
    }
    Ok(true)
}

/// A report: the last line of a file, so that one of a search is read as well.
fn read(path: &Path) -> Result<LoadReport, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    let line = text.trim_end().lines().last().unwrap_or_default();
    Ok(serde_json::from_str(line).map_err(|error| named(&error))?)
}
