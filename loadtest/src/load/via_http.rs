//! Generators and consumers on the HTTP API.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use minutehand_api::time_text;
use minutehand_model::{Namespace, QueueName};
use minutehand_node::{Clock, SystemClock};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::http::{Failed, Http, HttpTarget, Leased};
use super::plan::{Ask, Change, Origin};
use super::shared::{AskedSchedules, Part, Share, Shared};
use super::verifier::Start;
use super::{LoadError, LoadOptions};

/// Tasks are handed over in steps of this length.
const STEP: Duration = Duration::from_millis(10);
/// Most tasks of one request.
const BATCH_MAX: usize = 2_000;
/// Requests of a generator that wait for an answer: beyond them it falls behind its plan.
const IN_FLIGHT_MAX: usize = 64;
/// Callers that lease from each queue.
const PULLERS: usize = 4;
/// A request is repeated for so long while nothing is heard of it: well within the window in which
/// a repetition is recognised.
const REPEATED_FOR: Duration = Duration::from_secs(15);
const REPEAT_PAUSE: Duration = Duration::from_millis(250);
/// Schedules that are created at once.
const SCHEDULES_IN_FLIGHT: usize = 64;

/// The API, and what was learned from it.
pub(super) struct ViaHttp {
    http: Http,
    partitions: u32,
}

impl ViaHttp {
    pub(super) fn open(target: &HttpTarget, runtime: &Runtime) -> Result<ViaHttp, LoadError> {
        let http = Http::new(target)?;
        let partitions = runtime
            .block_on(http.partitions())
            .map_err(|failed| LoadError::Target(words(failed)))?;
        Ok(ViaHttp { http, partitions })
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    pub(super) fn produce(
        &self,
        options: &LoadOptions,
        shared: &Arc<Shared>,
        runtime: &Runtime,
    ) -> Vec<Part> {
        let generators = options.generators;
        let start = |generator| {
            let generator = Generator {
                http: self.http.clone(),
                shared: Arc::clone(shared),
                creates: Share::of(options.share, generator, generators),
                changes: Share::of(options.share, generator, generators),
                room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            };
            let handle = runtime.handle().clone();
            std::thread::spawn(move || handle.block_on(generator.run()))
        };
        (0..generators).map(start).collect()
    }

    pub(super) fn consume(
        &self,
        options: &LoadOptions,
        shared: &Arc<Shared>,
        runtime: &Runtime,
    ) -> Vec<Part> {
        // On several machines each is to see all of it.
        let shared_group = (options.share.1 > 1).then(|| format!("load-{}", options.share.0));
        let group = options.group.clone().or(shared_group);
        let queues = options.scenario.queues();
        let pullers = queues
            .iter()
            .flat_map(|queue| (0..PULLERS).map(move |_| queue));
        let start = |queue: &QueueName| {
            let (http, shared) = (self.http.clone(), Arc::clone(shared));
            let (queue, group, handle) = (queue.clone(), group.clone(), runtime.handle().clone());
            std::thread::spawn(move || {
                handle.block_on(pull(&http, &shared, &queue, group.as_deref()));
            })
        };
        pullers.map(start).collect()
    }

    /// Creates the schedules, all of them before this returns.
    pub(super) async fn create_schedules(
        &self,
        asked: &AskedSchedules<'_>,
    ) -> Result<(), LoadError> {
        let mut under_way: JoinSet<Result<(), LoadError>> = JoinSet::new();
        for number in 0..asked.schedules.count {
            while under_way.len() >= SCHEDULES_IN_FLIGHT {
                created(under_way.join_next().await)?;
            }
            let (http, body) = (self.http.clone(), asked.body(number));
            let namespace = asked.schedules.namespace.clone();
            under_way.spawn(async move { create_schedule(&http, &namespace, &body).await });
        }
        while !under_way.is_empty() {
            created(under_way.join_next().await)?;
        }
        Ok(())
    }
}

/// What became of a creation that has ended.
fn created(ended: Option<Result<Result<(), LoadError>, JoinError>>) -> Result<(), LoadError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(LoadError::System(std::io::Error::other(error))),
        None => Ok(()),
    }
}

async fn create_schedule(
    http: &Http,
    namespace: &Namespace,
    body: &serde_json::Value,
) -> Result<(), LoadError> {
    let until = Instant::now() + REPEATED_FOR;
    loop {
        match http.schedule(namespace, body).await {
            Err(Failed::Passing(_)) if Instant::now() < until => {
                tokio::time::sleep(REPEAT_PAUSE).await;
            }
            ended => return ended.map_err(|failed| LoadError::Target(words(failed))),
        }
    }
}

fn words(failed: Failed) -> String {
    match failed {
        Failed::Passing(words) | Failed::ForGood(words) => words,
    }
}

/// One generator of tasks.
struct Generator {
    http: Http,
    shared: Arc<Shared>,
    creates: Share,
    changes: Share,
    room: Arc<Semaphore>,
}

/// Tasks that go into one request.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    numbers: Vec<u64>,
    /// When the first of them was to be asked for.
    first_ms: f64,
}

impl Generator {
    async fn run(mut self) {
        let tasks = self.shared.plan.tasks();
        let after_ms = self.shared.plan.scenario().change_after_ms as f64;
        while !self.shared.has_failed() {
            let Some(elapsed_ms) = self.shared.elapsed_ms() else {
                tokio::time::sleep(STEP).await;
                continue;
            };
            let owed = self.shared.plan.owed(elapsed_ms);
            let to_change = self.shared.plan.owed(elapsed_ms - after_ms);
            let is_behind = self.create(owed).await;
            self.change(to_change).await;
            if self.creates.is_done(tasks) && self.changes.is_done(tasks) {
                break;
            }
            if !is_behind {
                tokio::time::sleep(STEP).await;
            }
        }
        // What is still under way holds a place each.
        let _all = self.room.acquire_many(IN_FLIGHT_MAX as u32).await;
    }

    /// Hands over what is owed, a request's worth for each namespace; whether there is more.
    async fn create(&mut self, owed: u64) -> bool {
        let mut batches: BTreeMap<usize, Batch> = BTreeMap::new();
        let mut count = 0;
        while count < BATCH_MAX {
            let Some(number) = self.creates.take(owed) else {
                break;
            };
            let ask = self.shared.plan.ask(number);
            self.write(&ask, batches.entry(ask.stream).or_default());
            count += 1;
        }
        for (stream, batch) in batches {
            self.hand_over(stream, batch, false).await;
        }
        count == BATCH_MAX
    }

    async fn change(&mut self, owed: u64) {
        let mut batches: BTreeMap<usize, Batch> = BTreeMap::new();
        let mut count = 0;
        while count < BATCH_MAX {
            let Some(number) = self.changes.take(owed) else {
                break;
            };
            let ask = self.shared.plan.ask(number);
            match ask.change {
                None => continue,
                Some(Change::Repeat) => self.write(&ask, batches.entry(ask.stream).or_default()),
                Some(Change::Cancel) => self.cancel(ask).await,
            }
            count += 1;
        }
        for (stream, batch) in batches {
            self.hand_over(stream, batch, true).await;
        }
    }

    fn write(&self, ask: &Ask, batch: &mut Batch) {
        let plan = &self.shared.plan;
        let stream = plan.stream(ask);
        let mut id = String::new();
        plan.id(ask, &mut id);
        if batch.numbers.is_empty() {
            batch.first_ms = ask.at_ms;
        }
        batch.numbers.push(ask.number);
        let lines = &mut batch.lines;
        // Ids, names and payloads have no letter that JSON would escape.
        let _ = write!(
            lines,
            r#"{{"id":"{id}","queue":"{}","due_at":"{}","guarantee":"{}","precision":"{}","payload":""#,
            stream.queue,
            time_text(ask.due),
            stream.guarantee.as_str(),
            stream.precision.as_str(),
        );
        self.shared.payloads.write(ask, lines);
        lines.extend_from_slice(b"\"}\n");
    }

    async fn place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    async fn hand_over(&self, stream: usize, batch: Batch, is_repeat: bool) {
        let place = self.place().await;
        let (http, shared) = (self.http.clone(), Arc::clone(&self.shared));
        let now = SystemClock.now();
        let count = batch.numbers.len() as u64;
        if !is_repeat {
            let elapsed_ms = shared.elapsed_ms().unwrap_or(0.0);
            shared.behind(batch.first_ms, elapsed_ms);
            shared.asked.fetch_add(count, Ordering::Relaxed);
            shared.verifier().asked(now, count);
        }
        tokio::spawn(async move {
            let _place = place;
            send(&http, &shared, stream, &batch, is_repeat).await;
        });
    }

    async fn cancel(&self, ask: Ask) {
        let place = self.place().await;
        let (http, shared) = (self.http.clone(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let _place = place;
            let mut id = String::new();
            shared.plan.id(&ask, &mut id);
            let namespace = &shared.plan.stream(&ask).namespace;
            match http.cancel(namespace, &id, ask.due).await {
                Ok(true) => shared.verifier().cancelled(ask.number),
                Ok(false) => {}
                Err(Failed::Passing(_)) => shared.verifier().may_be_cancelled(ask.number),
                Err(Failed::ForGood(why)) => shared.fail(why),
            }
        });
    }
}

/// Sends a batch until something is heard of it, and tells the verifier what.
async fn send(http: &Http, shared: &Shared, stream: usize, batch: &Batch, is_repeat: bool) {
    let namespace = &shared.plan.scenario().streams[stream].namespace;
    let until = Instant::now() + REPEATED_FOR;
    let created = loop {
        match http.create(namespace, batch.lines.clone()).await {
            Ok(created) => break created,
            Err(Failed::ForGood(why)) => return shared.fail(why),
            Err(Failed::Passing(_)) if is_repeat => return,
            Err(Failed::Passing(why)) if Instant::now() > until => {
                tracing::warn!(%why, "nothing was heard of a batch");
                return shared.verifier().unknown(batch.numbers.len() as u64);
            }
            Err(Failed::Passing(_)) => tokio::time::sleep(REPEAT_PAUSE).await,
        }
    };
    if is_repeat {
        return;
    }
    let now = SystemClock.now();
    let mut verifier = shared.verifier();
    verifier.answered(batch.first_ms, now);
    for (line, why) in &created.refused {
        verifier.refused(1, &format!("line {line}: {why}"));
    }
    if created.refused_unlisted > 0 {
        // Which ones is not known.
        return verifier.refused(created.refused_unlisted, "the answer does not list them");
    }
    let refused = |at: usize| created.refused.iter().any(|(line, _)| *line == at);
    let is_whole = created.refused.is_empty();
    for (at, number) in batch.numbers.iter().enumerate() {
        if is_whole || !refused(at) {
            verifier.acknowledged(*number);
        }
    }
}

/// Leases executions, tells the verifier, and says that they have run.
async fn pull(http: &Http, shared: &Arc<Shared>, queue: &QueueName, group: Option<&str>) {
    while !shared.is_over() {
        match http.lease(queue, group).await {
            Ok(leased) if leased.is_empty() => {}
            Ok(leased) => settle(http, shared, queue, leased).await,
            Err(Failed::ForGood(why)) => return shared.fail(why),
            Err(Failed::Passing(_)) => tokio::time::sleep(REPEAT_PAUSE).await,
        }
    }
}

async fn settle(http: &Http, shared: &Shared, queue: &QueueName, leased: Vec<Leased>) {
    let at = SystemClock.now();
    let origins: Vec<Option<Origin>> = leased
        .iter()
        .map(|one| {
            let id = one.schedule.as_ref().unwrap_or(&one.task_id);
            shared.plan.origin(id)
        })
        .collect();
    {
        let mut verifier = shared.verifier();
        for (one, origin) in leased.iter().zip(&origins) {
            // What other runs have left is settled without a word.
            if let Some(origin) = *origin {
                verifier.started(&Start {
                    origin,
                    due: one.due,
                    published_at: None,
                    at,
                });
            }
        }
    }
    // An answer that is not heard of may be durable: its execution is not expected again, and comes
    // again if it is not.
    let Ok(done) = http.acknowledge(queue, &leased).await else {
        return;
    };
    let mut verifier = shared.verifier();
    for (origin, is_done) in origins.iter().zip(done) {
        if let (Some(Origin::Task(number)), true) = (origin, is_done) {
            verifier.settled(*number);
        }
    }
}
