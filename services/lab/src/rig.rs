//! `minutehand-lab rig`: servers, roles and a load, each a process.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use minutehand_cli::Console;
use minutehand_loadtest::load::Scenario;
use minutehand_loadtest::rig::{RigOptions, run as carry_out};

use crate::args::{LoadWords, RigArgs, Via};
use crate::load::{Failure, ended, show_report, tell};

/// Runs a load on a rig of its own.
pub(crate) fn run(args: &RigArgs, json: bool, console: &mut Console) -> ExitCode {
    let result = rig(args, json, console);
    ended(result, json, console)
}

fn rig(args: &RigArgs, json: bool, console: &mut Console) -> Result<bool, Failure> {
    let lab = std::env::current_exe()?;
    let program = match &args.program {
        Some(path) => path.clone(),
        None => lab.with_file_name("minutehand"),
    };
    if !program.exists() {
        let path = program.display();
        let wanted = "name the program whose roles are run with --program";
        return Err(format!("there is no {path}: {wanted}").into());
    }
    std::fs::create_dir_all(&args.at)?;
    let folder = args.at.canonicalize()?;
    // Over HTTP the load takes the executions that a worker would take.
    let workers = args
        .workers
        .unwrap_or(u8::from(args.load.via == Via::Kafka));
    let mut scenario = Scenario::find(&args.load.scenario)?;
    if let Some(lasts_ms) = args.load.lasts_ms {
        // Its events move along.
        scenario = scenario.lasting_ms(lasts_ms)?;
    }
    let options = RigOptions {
        folder,
        program: program.canonicalize()?,
        lab,
        profile: args.profile.clone(),
        settings: args.settings.clone(),
        schedulers: args.schedulers.into(),
        workers: workers.into(),
        partitions: args.partitions,
        scenario,
        load: words(&args.load)?,
    };
    let report = carry_out(options, &mut |words| tell(&format!("rig: {words}")))?;
    show_report(args.load.report.as_deref(), &report, json, console)
}

/// What the load is told.
fn words(load: &LoadWords) -> Result<Vec<String>, Failure> {
    let mut words = vec![
        "--verify".to_owned(),
        "--scenario".to_owned(),
        scenario(&load.scenario)?,
        "--via".to_owned(),
        match load.via {
            Via::Http => "http".to_owned(),
            Via::Kafka => "kafka".to_owned(),
        },
        "--generators".to_owned(),
        load.generators.to_string(),
    ];
    if let Some(rate) = load.rate {
        words.extend(["--rate".to_owned(), rate.to_string()]);
    }
    if let Some(lasts_ms) = load.lasts_ms {
        words.extend(["--for".to_owned(), format!("{lasts_ms}ms")]);
    }
    if load.search {
        let p99_max = format!("{}ms", load.p99_max);
        words.extend(["--search", "--p99-max", &p99_max].map(str::to_owned));
    }
    Ok(words)
}

/// A scenario's name, or where its file is from anywhere.
fn scenario(name_or_file: &str) -> Result<String, Failure> {
    let path = Path::new(name_or_file);
    let path: PathBuf = match path.exists() {
        true => path.canonicalize()?,
        false => path.to_owned(),
    };
    Ok(path.display().to_string())
}
