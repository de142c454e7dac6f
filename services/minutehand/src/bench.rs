//! `minutehand bench`: picks a benchmark and prints its figures.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use minutehand_cli::{BenchArgs, Exit, Failure};
use minutehand_loadtest::{Figure, crash, end_to_end, outage, paced, startup};

/// The benchmarks, with what each measures.
const BENCHES: &[(&str, &str)] = &[
    ("engine", "the engine alone: apply and fire, one core; memory of a waiting task"),
    ("end-to-end", "created in bulk, fired, acknowledged by a no-op handler; all durable"),
    ("paced", "start lateness with due times spread evenly, at --rate tasks a second for --seconds"),
    ("highest", "the highest paced rate whose p99 of start lateness stays below one second"),
    ("startup", "from opening a folder of stored tasks until the scheduler is ready"),
    ("outage", "an hour of --tasks missed tasks beside --rate tasks a second on time: memory, lateness"),
    ("crash", "kill -9 under load, 20 times: tasks lost, executions published twice"),
    ("simulator", "virtual time to real time of the simulator: 3 nodes, 8 partitions, 100 tasks/s"),
];

/// The payload of every benchmark's tasks, in bytes.
const PAYLOAD_BYTES: usize = 256;

/// Runs one benchmark, or lists them.
pub(crate) async fn run(args: BenchArgs) -> Result<(), Failure> {
    let Some(name) = args.name.clone() else {
        for (name, about) in BENCHES {
            println!("{name:<12} {about}");
        }
        return Ok(());
    };
    let json = args.json;
    let figures = measure(&name, args).await?;
    for figure in figures {
        if json {
            println!("{}", figure.as_json());
        } else {
            println!("{figure}");
        }
    }
    Ok(())
}

async fn measure(name: &str, args: BenchArgs) -> Result<Vec<Figure>, Failure> {
    match name {
        "engine" => {
            blocking(move || {
                let tasks = args.tasks.unwrap_or(4_000_000);
                let mut figures = minutehand_loadtest::engine::memory(tasks.min(2_000_000), PAYLOAD_BYTES);
                figures.extend(minutehand_loadtest::engine::throughput(tasks, PAYLOAD_BYTES));
                figures
            })
            .await
        }
        "end-to-end" => {
            let folder = Folder::of(&args)?;
            let tasks = args.tasks.unwrap_or(2_000_000);
            end_to_end::throughput(folder.path(), tasks, PAYLOAD_BYTES).await.map_err(failed)
        }
        "paced" => {
            let folder = Folder::of(&args)?;
            let (rate, seconds) = (args.rate.unwrap_or(50_000), args.seconds.unwrap_or(20));
            let paced = paced::run(folder.path(), rate, seconds, PAYLOAD_BYTES).await.map_err(failed)?;
            Ok(paced::figures(paced))
        }
        "highest" => highest(&args).await,
        "startup" => {
            let folder = Folder::of(&args)?;
            startup::run(folder.path(), args.tasks.unwrap_or(10_000_000), PAYLOAD_BYTES).await.map_err(failed)
        }
        "outage" => {
            let folder = Folder::of(&args)?;
            let program = std::env::current_exe().map_err(|error| failed(error.into()))?;
            let (tasks, rate) = (args.tasks.unwrap_or(10_000_000), args.rate.unwrap_or(5_000));
            outage::run(&program, folder.path(), tasks, rate, PAYLOAD_BYTES).await.map_err(failed)
        }
        "outage-child" => {
            let folder = args.data_dir.ok_or_else(|| Failure::new(Exit::Usage, "--data-dir is needed"))?;
            let (tasks, rate) = (args.tasks.unwrap_or(10_000_000), args.rate.unwrap_or(5_000));
            outage::child(&folder, tasks, rate, PAYLOAD_BYTES).await.map_err(failed)?;
            Ok(Vec::new())
        }
        "crash" => {
            let folder = Folder::of(&args)?;
            let program = std::env::current_exe().map_err(|error| failed(error.into()))?;
            let path = folder.path().to_owned();
            let measured = tokio::task::spawn_blocking(move || crash::run(&program, &path, 20)).await;
            let (_, figures) = measured.map_err(|error| failed(error.into()))?.map_err(failed)?;
            Ok(figures)
        }
        // The roles of the process that is killed.
        "crash-child" | "crash-drain" => {
            let folder = args.data_dir.ok_or_else(|| Failure::new(Exit::Usage, "--data-dir is needed"))?;
            crash::child(&folder, name == "crash-drain").await.map_err(failed)?;
            Ok(Vec::new())
        }
        "simulator" => blocking(move || crate::sim::speed(args.seconds.unwrap_or(5))).await,
        other => {
            let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no benchmark {other:?}; choose one of {}", names.join(", "));
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

/// Doubles the rate, then halves the distance, as long as p99 stays below a second and the generator keeps up.
async fn highest(args: &BenchArgs) -> Result<Vec<Figure>, Failure> {
    let seconds = args.seconds.unwrap_or(10);
    let (mut low, mut high) = (0, 2 * args.rate.unwrap_or(400_000));
    let mut best = None;
    for _ in 0..5 {
        let rate = (low + high) / 2;
        let folder = Folder::of(args)?;
        let paced = paced::run(folder.path(), rate, seconds, PAYLOAD_BYTES).await.map_err(failed)?;
        let is_sustained = paced.late_ms[1] < 1_000.0 && paced.generator_lag_ms < 1_000.0;
        if is_sustained {
            (low, best) = (rate, Some(paced));
        } else {
            high = rate;
        }
    }
    let Some(paced) = best else {
        return Err(Failure::new(Exit::Failed, format!("not even {high} tasks/s were sustained")));
    };
    let mut figures =
        vec![Figure::new("highest", "sustained with p99 below one second", paced.rate as f64, "tasks/s")];
    figures.extend(paced::figures(paced));
    Ok(figures)
}

/// The folder of a benchmark: one that was named, or one that goes away afterwards.
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    fn of(args: &BenchArgs) -> Result<Folder, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unnamed =
            || std::env::temp_dir().join(format!("minutehand-bench-{}-{number}", std::process::id()));
        let (path, is_ours) = match &args.data_dir {
            Some(folder) => (folder.join(format!("run-{number}")), false),
            None => (unnamed(), true),
        };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::new(Exit::Failed, format!("could not make the folder {}: {error}", path.display()))
        })?;
        Ok(Folder { path, is_ours })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            // What cannot be removed lies in the system's folder for what is temporary.
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}

fn failed(error: end_to_end::Failure) -> Failure {
    Failure::new(Exit::Failed, format!("the benchmark could not be run: {error}"))
}

async fn blocking(measure: impl FnOnce() -> Vec<Figure> + Send + 'static) -> Result<Vec<Figure>, Failure> {
    tokio::task::spawn_blocking(measure).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}
