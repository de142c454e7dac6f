//! `cargo xtask torture`: faults on the real stack.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use minutehand_loadtest::torture::{
    Failure, Kind, Options, Plant, SchedulerProgram, figures, run, scheduler,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Schedulers on real servers under load and faults drawn from a seed, audited.

  minutehand-torture [--minutes N] [--seed S] [--rate R] [--nodes N] [--partitions P] [--folder F]
                     [--faults KINDS] [--scheduler PATH] [--plant MISTAKE] [--keep] [--json]

  --minutes N       how long faults go on (5)
  --seed S          repeats a run; drawn from the clock when not given
  --rate R          records a second (2000)
  --nodes N         schedulers (3)
  --partitions P    partitions (4)
  --folder F        where logs and journals are kept (target/torture/SEED)
  --faults KINDS    all, schedulers, connections, servers, disks or none (all)
  --scheduler PATH  the binary whose `scheduler` is tortured; a plain scheduler of this program when not given
  --measure NAME    take-over, hand-over or placement instead of a torture: figures, one a line
  --plant MISTAKE   put a mistake into what was read: the audit must fail
  --keep            keep the journals of a good run too; of a bad one they are always kept
  --json            one object at the end, on the standard output

The exit code is 0 when every promise was kept, 1 when not, and 2 when the run itself failed.
";

struct Words {
    minutes: f64,
    seed: u64,
    rate: f64,
    nodes: usize,
    partitions: u32,
    folder: Option<PathBuf>,
    scheduler: Option<PathBuf>,
    plant: Option<Plant>,
    kinds: &'static [Kind],
    keep: bool,
    measure: Option<String>,
    json: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Words>, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut parsed = Words {
        minutes: 5.0,
        seed: since.as_millis() as u64 % 1_000_000,
        rate: 2_000.0,
        nodes: 3,
        partitions: 4,
        folder: None,
        scheduler: None,
        plant: None,
        kinds: Kind::ALL,
        keep: false,
        measure: None,
        json: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--minutes" => parsed.minutes = value()?.parse()?,
            "--seed" => parsed.seed = value()?.parse()?,
            "--rate" => parsed.rate = value()?.parse()?,
            "--nodes" => parsed.nodes = value()?.parse()?,
            "--partitions" => parsed.partitions = value()?.parse()?,
            "--folder" => parsed.folder = Some(value()?.into()),
            "--scheduler" => parsed.scheduler = Some(value()?.into()),
            "--plant" => parsed.plant = Some(value()?.parse()?),
            "--faults" => parsed.kinds = kinds(&value()?)?,
            "--measure" => parsed.measure = Some(value()?),
            "--keep" => parsed.keep = true,
            "--json" => parsed.json = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("there is no option {word:?}; see --help").into()),
        }
    }
    Ok(Some(parsed))
}

fn kinds(word: &str) -> Result<&'static [Kind], Failure> {
    match word {
        "all" => Ok(Kind::ALL),
        "schedulers" => Ok(Kind::OF_SCHEDULERS),
        "connections" => Ok(Kind::OF_CONNECTIONS),
        "servers" => Ok(Kind::OF_SERVERS),
        "disks" => Ok(Kind::OF_DISKS),
        "none" => Ok(&[]),
        _ => Err(format!("there are no faults {word:?}; see --help").into()),
    }
}

fn torture(words: Words) -> Result<bool, Failure> {
    let program = match words.scheduler {
        Some(path) => {
            SchedulerProgram { path: path.canonicalize()?, arguments: vec!["scheduler".to_owned()] }
        }
        None => SchedulerProgram { path: std::env::current_exe()?, arguments: vec!["scheduler".to_owned()] },
    };
    let folder = words.folder.unwrap_or_else(|| PathBuf::from("target/torture").join(words.seed.to_string()));
    std::fs::create_dir_all(&folder)?;
    if let Some(name) = &words.measure {
        let figures = figures::figures(name, &folder.canonicalize()?, &program, words.minutes, words.seed)?;
        let kept = figures
            .iter()
            .filter(|one| ["lost", "twice", "early", "promises not kept"].contains(&&*one.figure));
        let is_ok = kept.map(|one| one.value).sum::<f64>() == 0.0;
        for figure in figures {
            if words.json { println!("{}", figure.as_json()) } else { println!("{figure}") }
        }
        return Ok(is_ok);
    }
    let options = Options {
        rate: words.rate,
        nodes: words.nodes.max(1),
        partitions: words.partitions.max(1),
        plant: words.plant,
        keep: words.keep,
        kinds: words.kinds.to_vec(),
        ..Options::new(words.seed, (words.minutes * 60_000.0) as i64, folder.canonicalize()?, program)
    };
    let outcome = run(options)?;
    eprint!("{}", outcome.text());
    if words.json {
        println!("{}", outcome.json());
    }
    Ok(outcome.is_ok())
}

fn main() -> ExitCode {
    let is_scheduler = std::env::args().nth(1).as_deref() == Some("scheduler");
    // That connections break is what this is about: the rig's own clients need not say so.
    let filter = if is_scheduler {
        "info,scylla=warn"
    } else {
        "warn,librdkafka=off,rdkafka=off,minutehand_kafka=off"
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    if is_scheduler {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let ended = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(scheduler::run()));
        return ended.map_or_else(|error| failed(&*error), |()| ExitCode::SUCCESS);
    }
    match parse(std::env::args().skip(1)) {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(words)) => match torture(words) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => failed(&*error),
        },
        Err(error) => failed(&*error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("minutehand-torture: {}", minutehand_testkit::with_causes(error));
    ExitCode::from(2)
}
