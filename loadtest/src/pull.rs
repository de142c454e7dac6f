//! Pulling over HTTP: what waits in a queue of `dev` is leased and acknowledged in batches, by
//! programs that do nothing else.

use std::io::BufReader;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Figure;
use crate::dev::{Dev, call, connect};
use crate::end_to_end::{Failure, cpu_seconds};

/// Leases that one call asks for, and answers that one call gives.
const BATCH: usize = 100;
/// Programs that pull at once, each on a connection of its own.
const PULLERS: usize = 8;
/// Tasks in one call that creates them.
const BULK: u64 = 10_000;
/// Pause between two looks at the queue.
const LOOK: Duration = Duration::from_millis(50);
const JSON: &str = "application/json";

/// Creates so many tasks, waits until all of them wait in their queue, and measures how fast they
/// are leased and acknowledged.
///
/// # Errors
/// When the child cannot be started or asked, or an answer is not taken.
pub fn run(
    program: &Path,
    folder: &Path,
    tasks: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    let dev = Dev::start(program, folder, &["--set", "worker.unclaimed=keep"])?;
    create(&dev, tasks, payload_bytes)?;
    let (began, cpu, own_cpu) = (Instant::now(), dev.cpu_seconds(), cpu_seconds());
    drain(&dev.address, tasks)?;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, own_cpu) = (dev.cpu_seconds() - cpu, cpu_seconds() - own_cpu);
    let each = |cpu: f64| cpu / tasks as f64 * 100_000.0;
    let rate = Figure::new(
        "pull",
        "leased and acknowledged over HTTP, durable",
        tasks as f64 / seconds,
        "executions/s",
    );
    Ok(vec![
        rate.with("batch", BATCH)
            .with("pullers", PULLERS)
            .with("tasks", tasks)
            .with("payload_bytes", payload_bytes),
        Figure::new(
            "pull",
            "CPU of the server per 100,000 executions",
            each(cpu),
            "s",
        ),
        Figure::new(
            "pull",
            "CPU of those who pull per 100,000 executions",
            each(own_cpu),
            "s",
        ),
    ])
}

/// Creates the tasks, due now, and waits until all are published.
fn create(dev: &Dev, tasks: u64, payload_bytes: usize) -> Result<(), Failure> {
    let mut stream = BufReader::new(dev.connect()?);
    let payload = "x".repeat(payload_bytes);
    let line = format!("{{\"queue\":\"bench\",\"delay\":0,\"payload\":\"{payload}\"}}\n");
    for first in (0..tasks).step_by(BULK as usize) {
        let count = BULK.min(tasks - first);
        let lines = line.repeat(usize::try_from(count)?);
        call(
            &mut stream,
            "POST",
            "/v1/namespaces/default/tasks:bulk",
            "application/x-ndjson",
            &lines,
        )?;
    }
    loop {
        let queue = call(&mut stream, "GET", "/v1/queues/bench", JSON, "")?;
        let queue: serde_json::Value = serde_json::from_str(&queue)?;
        if queue["waiting"] == tasks {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// Pulls until so many executions are acknowledged.
fn drain(address: &str, tasks: u64) -> Result<(), Failure> {
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let pullers: Vec<_> = (0..PULLERS)
            .map(|_| scope.spawn(|| pull(address, &done, tasks)))
            .collect();
        pullers
            .into_iter()
            .try_for_each(|puller| puller.join().map_err(|_| "a puller panicked")?)
    })
}

fn pull(address: &str, done: &AtomicU64, tasks: u64) -> Result<(), Failure> {
    const ASK: &str = r#"{"max":100,"wait":"100ms","visibility":"10m"}"#;
    let mut stream = BufReader::new(connect(address)?);
    while done.load(Ordering::Relaxed) < tasks {
        let leased = call(&mut stream, "POST", "/v1/queues/bench:lease", JSON, ASK)?;
        let ids: Vec<&str> = values(&leased, "\"lease_id\":\"").collect();
        if ids.is_empty() {
            continue;
        }
        let items: Vec<String> = ids
            .iter()
            .map(|id| format!("{{\"lease_id\":\"{id}\"}}"))
            .collect();
        let body = format!("{{\"items\":[{}]}}", items.join(","));
        let told = call(&mut stream, "POST", "/v1/queues/bench:ack", JSON, &body)?;
        let taken = values(&told, "\"status\":\"")
            .filter(|status| *status == "done")
            .count();
        if taken != ids.len() {
            return Err(format!("{taken} of {} answers were taken: {told}", ids.len()).into());
        }
        done.fetch_add(taken as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// What stands behind a name in JSON, up to the next quote: ids and words have none.
fn values<'a>(json: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    json.split(name)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}
