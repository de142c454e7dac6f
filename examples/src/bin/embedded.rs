//! The scheduler inside a program of one's own: no server, one folder.
//!
//! Opens a store, starts the scheduler on it, creates a task that is due in a moment, runs it, and
//! ends in order.

use std::error::Error;
use std::sync::Arc;

use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::Config;
use minutehand_model::{Namespace, QueueName, Task, TaskId, Timestamp};
use minutehand_node::{Clock, SystemClock, ValidTask};
use minutehand_standalone::Scheduler;
use minutehand_worker::{Run, Verdict, Worker};
use tokio::sync::mpsc;

/// How far ahead the task is due, in milliseconds.
const DELAY_MS: i64 = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A program that is to survive a restart names a folder of its own.
    let folder = tempfile::tempdir()?;
    let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(|| SystemClock.now());
    let store = EmbeddedStore::open(StoreConfig::new(folder.path(), 1, now))?;
    let scheduler = Scheduler::start(Arc::clone(&store), Config::default());
    scheduler.ready().await?;

    // A handler is an async closure; what it answers decides whether the task is tried again.
    let queue = QueueName::parse("greetings")?;
    let (done, mut finished) = mpsc::channel(1);
    let handler = move |run: Run| {
        let done = done.clone();
        async move {
            println!("hello, {}", String::from_utf8_lossy(&run.task().payload));
            let _ = done.send(()).await;
            Verdict::success()
        }
    };
    let worker = Worker::builder(store)
        .handle(queue.clone(), handler, 1)
        .build()?;
    let working =
        tokio::spawn(worker.run(async move { finished.recv().await.unwrap_or_default() }));

    // Acknowledged is durable: a crash from here on loses nothing.
    let due = SystemClock.now().plus_millis(DELAY_MS);
    let id = TaskId::parse("first")?;
    let task = Task {
        payload: "world".into(),
        ..Task::new(Namespace::parse("default")?, id, queue, due)
    };
    scheduler
        .gateway()
        .create_named(ValidTask::new(task, SystemClock.now())?)
        .await?;
    println!("created; due in {DELAY_MS} ms");

    working.await??;
    scheduler.stop().await?;
    println!("stopped in order");
    Ok(())
}
