//! The executors: how many runs a second they carry out, on the embedded store, durable to the end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use minutehand_model::{QueueName, RetryPolicy, Task};
use minutehand_node::{Clock, SystemClock};
use minutehand_worker::{
    Confinement, Handler, NoPoolObserver, PoolConfig, PoolExecutor, Run, URL_HEADER, Verdict,
    WebhookConfig, WebhookExecutor,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::Figure;
use crate::end_to_end::{Counts, Failure, Rig, Work};
use crate::engine::sample_task;
use crate::pace::Pace;

/// The child of the pool: the example that is shipped.
const CHILD: &str = include_str!("../../examples/pool/pool.py");
/// Children of the pool.
const CHILDREN: usize = 2;
/// Runs in progress at once, as a worker's settings have it: more of them are connections that the
/// process may not open.
const RUNS_MAX: usize = 256;
/// Endpoints that answer at once, beside the one that does not.
const GOOD_ENDPOINTS: u64 = 100;
/// How long the slow endpoint takes.
const SLOW_ANSWER: Duration = Duration::from_secs(30);
/// Steps in which paced tasks are created, and how far ahead.
const STEP_MS: i64 = 20;
const AHEAD_MS: i64 = 2_000;

/// A handler whose ends are counted: their lateness, from the due time to the end of the run.
struct Counted<H> {
    inner: H,
    counts: Counts,
    /// Ends that were no success.
    failed: Arc<AtomicU64>,
    /// Runs for this target are not counted.
    left_out: Option<String>,
}

#[async_trait]
impl<H: Handler> Handler for Counted<H> {
    async fn run(&self, run: Run) -> Verdict {
        let verdict = self.inner.run(run.clone()).await;
        let is_left_out =
            self.left_out.is_some() && run.header(URL_HEADER) == self.left_out.as_deref();
        if !is_left_out {
            let late_ms = SystemClock.now().millis_since(run.task().due);
            self.counts.lateness.record(late_ms);
            self.counts.ran.fetch_add(1, Ordering::Relaxed);
            if !matches!(verdict, Verdict::Success { .. })
                && self.failed.fetch_add(1, Ordering::Relaxed) == 0
            {
                eprintln!("the first run that failed: {verdict:?}");
            }
        }
        verdict
    }

    fn target(&self, task: &Task) -> Option<String> {
        self.inner.target(task)
    }
}

/// Runs tasks that are due at once through a handler; answers how many a second.
async fn rate_of(
    folder: &Path,
    handler: impl Handler,
    tasks: u64,
    task: impl Fn(u64) -> Task,
) -> Result<f64, Failure> {
    let (counts, failed) = (Counts::default(), Arc::new(AtomicU64::new(0)));
    let counted = Counted {
        inner: handler,
        counts: counts.clone(),
        failed: Arc::clone(&failed),
        left_out: None,
    };
    let work = Work {
        runs_max: RUNS_MAX,
        has_gates: false,
    };
    let rig = Rig::working(folder, Arc::new(counted), counts, work).await?;
    let warm_up = tasks / 10;
    rig.create_tasks(0..warm_up, &task).await?;
    rig.until_settled(warm_up).await?;
    let began = Instant::now();
    rig.create_tasks(warm_up..warm_up + tasks, &task).await?;
    rig.until_settled(warm_up + tasks).await?;
    let seconds = began.elapsed().as_secs_f64();
    rig.stop().await?;
    match failed.load(Ordering::Relaxed) {
        0 => Ok(tasks as f64 / seconds),
        failed => Err(format!("{failed} of {tasks} runs failed").into()),
    }
}

/// One line in, one line out: a Python program in a pool.
pub async fn pool(folder: &Path, tasks: u64, payload_bytes: usize) -> Result<Vec<Figure>, Failure> {
    let child = folder.join("pool.py");
    std::fs::write(&child, CHILD)?;
    let config = PoolConfig {
        queues: vec![QueueName::parse("bench")?],
        command: vec!["python3".to_owned(), child.to_string_lossy().into_owned()],
        children_max: CHILDREN,
        confinement: Confinement::default(),
        ..PoolConfig::default()
    };
    let executor = PoolExecutor::new(config, Arc::new(NoPoolObserver))?.ok_or("no pool")?;
    let task = |number| sample_task(number, SystemClock.now(), payload_bytes);
    let rate = rate_of(folder, executor, tasks, task).await?;
    let figure = Figure::new(
        "pool",
        "created, run by a child, settled; durable",
        rate,
        "runs/s",
    );
    Ok(vec![
        figure.with("children", CHILDREN).with("child", "python3"),
    ])
}

/// Calls of a local server that keeps connections open.
pub async fn webhook(
    folder: &Path,
    tasks: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    let url = endpoint(Duration::ZERO).await?;
    let executor = WebhookExecutor::new(reaching_loopback(Some(url)))?;
    let task = |number| sample_task(number, SystemClock.now(), payload_bytes);
    let rate = rate_of(folder, executor, tasks, task).await?;
    let figure = "created, posted, answered, settled; durable";
    Ok(vec![Figure::new("webhook", figure, rate, "calls/s")])
}

/// A hundred endpoints that answer at once, alone and beside one that takes half a minute.
pub async fn slow_endpoint(
    folder: &Path,
    rate: u64,
    seconds: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    let mut good = Vec::new();
    for _ in 0..GOOD_ENDPOINTS {
        good.push(endpoint(Duration::ZERO).await?);
    }
    let slow = endpoint(SLOW_ANSWER).await?;
    let mut figures = Vec::new();
    for (figure, slow) in [
        ("p99 of the good ones, alone", None),
        ("p99 of the good ones, beside a slow one", Some(slow)),
    ] {
        let folder = folder.join(if slow.is_some() { "beside" } else { "alone" });
        std::fs::create_dir_all(&folder)?;
        let (p99, failed) =
            lateness_of_good(&folder, &good, slow, (rate, seconds), payload_bytes).await?;
        let of = Figure::new("webhook-slow", figure, p99, "ms");
        figures.push(of.with("rate", rate).with("failed", failed));
    }
    Ok(figures)
}

async fn lateness_of_good(
    folder: &Path,
    good: &[String],
    slow: Option<String>,
    (rate, seconds): (u64, u64),
    payload_bytes: usize,
) -> Result<(f64, u64), Failure> {
    let (counts, failed) = (Counts::default(), Arc::new(AtomicU64::new(0)));
    let counted = Counted {
        inner: WebhookExecutor::new(reaching_loopback(None))?,
        counts: counts.clone(),
        failed: Arc::clone(&failed),
        left_out: slow.clone(),
    };
    let rig = Rig::of(folder, Arc::new(counted), counts).await?;
    let start = SystemClock.now();
    let urls: Vec<&String> = good.iter().chain(&slow).collect();
    let task = |number: u64| {
        let due_in_ms = AHEAD_MS + (number * 1_000 / rate) as i64;
        let url = urls[(number % urls.len() as u64) as usize];
        Task {
            headers: vec![(URL_HEADER.to_owned(), url.clone())],
            retry: RetryPolicy::NEVER,
            ..sample_task(number, start.plus_millis(due_in_ms), payload_bytes)
        }
    };
    let pace = Pace {
        start,
        rate,
        lasts_ms: seconds as i64 * 1_000,
        step_ms: STEP_MS,
    };
    let (mut number, mut created) = (0, 0);
    while let Some(step) = pace.step(number).await {
        (number, created) = (number + 1, step.tasks.end);
        rig.create_tasks(step.tasks, &task).await?;
    }
    let of_good = (0..created).filter(|number| number % (urls.len() as u64) < good.len() as u64);
    let wanted = of_good.count() as u64;
    while rig.ran.load(Ordering::Relaxed) < wanted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let p99 = rig.lateness.quantile_ms(0.99);
    rig.stop().await?;
    Ok((p99, failed.load(Ordering::Relaxed)))
}

fn reaching_loopback(url: Option<String>) -> WebhookConfig {
    WebhookConfig {
        url,
        private_networks: true,
        ..WebhookConfig::default()
    }
}

/// A server on a port of its own that answers every request after so long; answers its URL.
async fn endpoint(after: Duration) -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection, after));
        }
    });
    Ok(url)
}

/// Reads requests of known length and answers each, until the other side has gone.
async fn answer(mut connection: TcpStream, after: Duration) -> std::io::Result<()> {
    const LENGTH: &str = "content-length:";
    connection.set_nodelay(true)?;
    let (reader, mut writer) = connection.split();
    let mut reader = BufReader::new(reader);
    let (mut line, mut body, mut length) = (String::new(), Vec::new(), 0);
    while reader.read_line(&mut line).await? > 0 {
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(given) = header.strip_prefix(LENGTH) {
            length = given.trim().parse().unwrap_or(0);
        }
        if header.is_empty() {
            body.resize(length, 0);
            reader.read_exact(&mut body).await?;
            tokio::time::sleep(after).await;
            writer
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await?;
            length = 0;
        }
        line.clear();
    }
    Ok(())
}
