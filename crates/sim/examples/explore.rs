//! A small front end for work on the simulator itself.
//!
//!     explore seeds FROM COUNT [SECONDS]    the verdict of each seed that is not fine, and a summary
//!     explore all FROM COUNT [SECONDS]      the same with everything written to the timetable
//!     explore large FROM COUNT              the same for five nodes and sixteen partitions
//!     explore trace SEED [RULE]             the whole trace of a seed, then its report
//!     explore trace-large SEED              the same for five nodes and sixteen partitions
//!     explore break RULE|all [SEEDS]        hunts planted bugs
//!     explore speed SECONDS                 virtual time to real time

use std::time::Instant;

use minutehand_model::Persist;
use minutehand_sim::{Options, Planted, Report, hunt, planted_bugs, run, speed};

fn number(arguments: &[String], index: usize, default: u64) -> u64 {
    arguments
        .get(index)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn print(report: &Report) {
    println!("seed {} {:?}", report.seed, report.verdict);
    for violation in report.violations.iter().skip(1).take(3) {
        println!("     also {violation}");
    }
    println!("     faults: {}", report.fault_model);
    let happened = report
        .faults
        .counts()
        .into_iter()
        .filter(|(_, count)| *count > 0);
    println!("     happened: {:?}", happened.collect::<Vec<_>>());
}

fn seeds(from: u64, count: u64, options: &Options) {
    let begin = Instant::now();
    let (mut bad, mut virtual_ms, mut published) = (0, 0, 0);
    for seed in from..from + count {
        let report = run(seed, options);
        virtual_ms += report.virtual_ms;
        published += report.published;
        if !report.is_ok() {
            bad += 1;
            print(&report);
        }
    }
    let real_s = begin.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {bad} bad, {published} published, {:.0} virtual hours in {real_s:.1} s",
        virtual_ms as f64 / 3_600_000.0
    );
}

fn break_rules(which: &str, seeds: u64) {
    let all = planted_bugs();
    let chosen = all
        .into_iter()
        .filter(|planted| which == "all" || planted.as_str() == which);
    for planted in chosen {
        let begin = Instant::now();
        let found = match hunt(planted, seeds) {
            Some(hunted) => format!("{:>4} seeds, {}", hunted.tried, hunted.violation),
            None => format!("NOT FOUND in {seeds}"),
        };
        println!(
            "{:<20} {:>6.1} s {found}",
            planted.as_str(),
            begin.elapsed().as_secs_f64()
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("seeds") => {
            let options = Options {
                virtual_seconds: number(&arguments, 3, 90),
                ..Options::default()
            };
            seeds(
                number(&arguments, 1, 0),
                number(&arguments, 2, 100),
                &options,
            );
        }
        Some("all") => {
            let virtual_seconds = number(&arguments, 3, 90);
            let options = Options {
                virtual_seconds,
                persist: Some(Persist::All),
                ..Options::default()
            };
            seeds(
                number(&arguments, 1, 0),
                number(&arguments, 2, 100),
                &options,
            );
        }
        Some("large") => {
            let options = Options {
                nodes: 5,
                partitions: 16,
                tasks_per_second: 60,
                ..Options::default()
            };
            seeds(
                number(&arguments, 1, 0),
                number(&arguments, 2, 100),
                &options,
            );
        }
        Some("trace") => {
            let planted = arguments
                .get(2)
                .and_then(|word| word.parse::<Planted>().ok());
            let report = run(
                number(&arguments, 1, 0),
                &Options {
                    trace: true,
                    planted,
                    ..Options::default()
                },
            );
            println!("{}", report.trace.as_deref().unwrap_or_default());
            print(&report);
        }
        Some("trace-large") => {
            let options = Options {
                nodes: 5,
                partitions: 16,
                tasks_per_second: 60,
                ..Options::default()
            };
            let report = run(
                number(&arguments, 1, 0),
                &Options {
                    trace: true,
                    ..options
                },
            );
            println!("{}", report.trace.as_deref().unwrap_or_default());
            print(&report);
        }
        Some("break") => {
            let which = arguments.get(1).map_or("all", String::as_str);
            break_rules(which, number(&arguments, 2, 200));
        }
        Some("speed") => println!("{:?}", speed(number(&arguments, 1, 60))),
        _ => println!(
            "seeds FROM COUNT [SECONDS] | all FROM COUNT [SECONDS] | large FROM COUNT | trace SEED [RULE] | break RULE|all [SEEDS] | speed SECONDS"
        ),
    }
}
