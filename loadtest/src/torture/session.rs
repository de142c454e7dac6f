//! A rig under load: schedulers, producers and readers at work, and how it ends: everything
//! drained, and audited.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use minutehand_kafka::KafkaLog;
use minutehand_model::{Checkpoint, LogOffset, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::CommandLog;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::audit::{Audit, RunFacts, audit};
use super::plan::{Planned, Target};
use super::plant::Plant;
use super::producer::{Intents, Producer};
use super::reader::{Readers, Shared};
use super::rig::{Failure, Rig, RigOptions};
use super::workload::Workload;

/// After healing: a lease that runs out, transactions that are given up, restarts and retries, a
/// backlog to drain.
pub const RECOVERY_BOUND_MS: i64 = 40_000;
/// Processes on one machine read one clock; the log's time of a record is a little older than its
/// acknowledgement.
const CLOCK_ERROR_MS: i64 = 20;
/// How often the drain is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The load of a session.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Repeats it.
    pub seed: u64,
    /// Records a second.
    pub rate: f64,
    /// The furthest due time, in milliseconds ahead.
    pub horizon_ms: i64,
    /// When schedules end, in milliseconds from the beginning; `None`: there are only creations, no
    /// schedules and no changes.
    pub schedules_end_ms: Option<i64>,
}

/// A rig under load.
pub struct Session {
    // The order is that of dropping: processes before what they are watched by.
    rig: Arc<Rig>,
    runtime: Runtime,
    readers: Readers,
    producer: Option<JoinHandle<Producer>>,
    stop_producer: Arc<AtomicBool>,
    intents: Arc<Intents>,
    watching: Option<JoinHandle<()>>,
    begin: Instant,
    notes: Notes,
}

/// Lines for people and for the folder.
#[derive(Clone)]
struct Notes {
    begin: Instant,
    file: Arc<Mutex<std::fs::File>>,
}

impl Notes {
    fn add(&self, text: &str) {
        let line = format!("{:7.1} s  {text}\n", self.begin.elapsed().as_secs_f64());
        eprint!("{line}");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "could not write to the run's notes");
        }
    }
}

impl Session {
    /// Starts servers, `schedulers` of the rig's schedulers, producers and readers.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(options: RigOptions, schedulers: usize, load: Load) -> Result<Session, Failure> {
        let rig = Arc::new(Rig::start(options)?);
        let runtime = super::runtime()?;
        let _inside = runtime.enter();
        let client = rig.client()?;
        runtime.block_on(rig.prepare(&client))?;
        (0..schedulers).try_for_each(|node| rig.start_scheduler(node))?;
        let (runs_sender, runs) = unbounded_channel();
        let readers = Readers::start(&client, runs_sender);
        let log: Arc<dyn CommandLog> = Arc::new(KafkaLog::new(client));
        let (intents, stop_producer) = (
            Arc::new(Intents::default()),
            Arc::new(AtomicBool::new(false)),
        );
        let workload = Workload::new(load.seed, rig.options().partitions, load.horizon_ms);
        let producer = Producer {
            log,
            intents: Arc::clone(&intents),
            workload: if load.schedules_end_ms.is_some() {
                workload
            } else {
                workload.plain()
            },
            rate: load.rate,
            schedules_end: SystemClock
                .now()
                .plus_millis(load.schedules_end_ms.unwrap_or(0)),
            runs,
        };
        let (handle, stopping) = (runtime.handle().clone(), Arc::clone(&stop_producer));
        let producer = thread::spawn(move || handle.block_on(producer.run(stopping)));
        let watched = Arc::clone(&rig);
        let watching = thread::spawn(move || watched.watch_over());
        let begin = Instant::now();
        let file = std::fs::File::create(rig.folder().join("notes.txt"))?;
        let notes = Notes {
            begin,
            file: Arc::new(Mutex::new(file)),
        };
        drop(_inside);
        Ok(Session {
            rig,
            runtime,
            readers,
            producer: Some(producer),
            stop_producer,
            intents,
            watching: Some(watching),
            begin,
            notes,
        })
    }

    /// The servers and schedulers.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Where futures of this session run.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.readers.shared
    }

    /// Milliseconds since the load began.
    pub fn elapsed_ms(&self) -> i64 {
        self.begin.elapsed().as_millis() as i64
    }

    /// Writes a line to the notes.
    pub fn note(&self, text: &str) {
        self.notes.add(text);
    }

    /// A line about where everything stands.
    pub fn note_progress(&self) {
        let shared = self.shared();
        self.note(&format!(
            "{} records sent, {} executions read",
            self.intents.sent(),
            shared.executions()
        ));
    }

    /// Brings the planned faults about, each at its time, and waits until the last of them has
    /// ended; `Err` says what could not be broken or mended.
    pub fn suffer(
        &self,
        planned: &[Planned],
        mut meanwhile: impl FnMut(&Session),
    ) -> Result<(), Failure> {
        let mut under_way: Vec<JoinHandle<Result<(), String>>> = Vec::new();
        // A server may take longer to come back than was planned: its next fault waits for that.
        let mut turns: BTreeMap<Target, Arc<Mutex<()>>> = BTreeMap::new();
        for fault in planned {
            while self.elapsed_ms() < fault.at_ms {
                let left_ms = (fault.at_ms - self.elapsed_ms()).clamp(0, 1_000);
                thread::sleep(Duration::from_millis(left_ms.unsigned_abs()));
                meanwhile(self);
            }
            let (rig, notes, fault) = (Arc::clone(&self.rig), self.notes.clone(), *fault);
            let turn = Arc::clone(turns.entry(fault.target).or_default());
            under_way.push(thread::spawn(move || {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                notes.add(&format!("{} of {}", fault.kind.as_str(), fault.target));
                rig.begin(&fault).map_err(|error| error.to_string())?;
                thread::sleep(Duration::from_millis(fault.lasts_ms.unsigned_abs()));
                rig.end(&fault).map_err(|error| error.to_string())?;
                notes.add(&format!(
                    "{} of {} has ended",
                    fault.kind.as_str(),
                    fault.target
                ));
                Ok(())
            }));
        }
        while under_way.iter().any(|fault| !fault.is_finished()) {
            thread::sleep(Duration::from_millis(200));
            meanwhile(self);
        }
        for fault in under_way {
            fault
                .join()
                .map_err(|_| "a thread that brings a fault about panicked")??;
        }
        Ok(())
    }

    /// Stops the producers, waits until everything due is out, ends the schedulers, reads the rest
    /// and audits it.
    ///
    /// # Errors
    /// When the end cannot be brought about; what schedulers do wrong is in the audit.
    pub fn finish(mut self, healed_at_ms: i64, plant: Option<Plant>) -> Result<Ending, Failure> {
        self.stop_producer.store(true, Ordering::Relaxed);
        let producer = self
            .producer
            .take()
            .ok_or("the producer has been stopped before")?;
        let producer = producer.join().map_err(|_| "the producer panicked")?;
        let partitions = self.rig.options().partitions;
        let last_due = self.runtime.block_on(producer.sentinels(partitions));
        self.note("the producers have ended; waiting for what is due");
        let is_drained = self.drain(last_due);
        let drained_at_ms = SystemClock.now().as_millis();
        self.note(if is_drained {
            "everything due is out"
        } else {
            "not everything due is out in time"
        });
        self.rig.stop_schedulers()?;
        if let Some(watching) = self.watching.take() {
            watching
                .join()
                .map_err(|_| "the watch over the schedulers panicked")?;
        }
        let mut recorded = self.readers.finish();
        recorded.intents = self.intents.take();
        if plant.is_some_and(|plant| !plant.put_into(&mut recorded)) {
            return Err("there was no place for the planted mistake".into());
        }
        self.notes.add("auditing");
        let facts = RunFacts {
            healed_at_ms,
            // F has passed everything that is due before the sentinels: none of it may be missing.
            ended_at_ms: if is_drained {
                last_due.as_millis()
            } else {
                drained_at_ms
            } + RECOVERY_BOUND_MS,
            recovery_bound_ms: RECOVERY_BOUND_MS,
            dedupe_window_ms: self.rig.options().dedupe_window_ms,
            clock_error_ms: CLOCK_ERROR_MS,
        };
        let audit = audit(recorded, facts);
        self.rig.keep_logs();
        Ok(Ending {
            audit,
            is_drained,
            ended_by_themselves: self.rig.ended_by_themselves(),
        })
    }

    /// Waits until every partition's checkpoint says that the sentinels and everything before are
    /// out.
    fn drain(&self, last_due: Timestamp) -> bool {
        let bound_ms = last_due.as_millis().max(SystemClock.now().as_millis()) + RECOVERY_BOUND_MS;
        let is_done = |(checkpoint, log_end): (Option<Checkpoint>, LogOffset)| {
            checkpoint.is_some_and(|checkpoint| {
                let frontier = &checkpoint.frontier;
                let has_passed = frontier.head.due >= last_due;
                let is_whole = frontier.gaps.is_empty()
                    && frontier.backlog.is_empty()
                    && frontier.owed_after.is_none();
                has_passed && is_whole && checkpoint.applied >= log_end
            })
        };
        let mut next_note = Instant::now() + Duration::from_secs(5);
        while SystemClock.now().as_millis() < bound_ms {
            if self.shared().standings().into_iter().all(is_done) {
                return true;
            }
            if Instant::now() > next_note {
                next_note += Duration::from_secs(5);
                self.note_progress();
            }
            thread::sleep(LOOK_EVERY);
        }
        false
    }
}

/// How a session ended.
#[derive(Debug)]
pub struct Ending {
    /// The audit of everything that was read.
    pub audit: Audit,
    /// Whether everything due was out in time, as the schedulers say.
    pub is_drained: bool,
    /// Schedulers that ended without being asked to.
    pub ended_by_themselves: u64,
}
