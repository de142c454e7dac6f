//! Planned hand-overs under load: many partitions change hands while tens of thousands of tasks a
//! second are due and a backlog is being caught up with; then once more while Cassandra does not
//! answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use minutehand_kafka::Client;
use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};
use tokio::runtime::Runtime;

use super::measure::{LEASE_TTL_MS, Owners};
use super::rig::{Failure, Rig, RigOptions, SchedulerProgram};
use super::watch::{Change, Watch};
use crate::cluster::generator::{self, Due, Load};
use crate::cluster::terms::{PAYLOAD_BYTES, joined, on_a_thread, queue};

/// Partitions of the command log and of the queue.
pub const PARTITIONS: u32 = 16;
/// Late executions a second that each partition catches up with, so that the backlog lasts.
const CATCH_UP_RATE_PER_S: u64 = 100;
/// Missed tasks in all.
const BACKLOG_TASKS: u64 = 600_000;
/// What is due further ahead than schedulers look lies in Cassandra meanwhile.
const LOOK_AHEAD_MS: i64 = 8_000;
/// From creation to due time.
const AHEAD_MS: (i64, i64) = (1_000, 10_000);
/// How long lateness is watched before a hand-over, and after the last partition has found its
/// owner.
const WINDOW: Duration = Duration::from_secs(6);
/// A hand-over is over when everybody fires again; longest wait for that.
const FIRING_MAX: Duration = Duration::from_secs(60);
/// The end is waited for as long as something comes within this time, but no longer than that: what
/// is left follows the backlog.
const QUIET_MAX: Duration = Duration::from_secs(5);
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long Cassandra is away before a hand-over, and how long it stays away when nobody can fire
/// without it.
const AWAY_BEFORE: Duration = Duration::from_secs(3);
const AWAY_AFTER: Duration = Duration::from_secs(10);
/// How often partitions are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What happened to the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One scheduler joined, and was given its share.
    Join,
    /// One left as planned (SIGTERM), and the other was given what it had.
    Leave,
    /// One left as planned while Cassandra did not answer.
    LeaveWithoutCassandra,
}

impl Kind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Join => "one joins",
            Kind::Leave => "one leaves",
            Kind::LeaveWithoutCassandra => "one leaves, Cassandra away",
        }
    }
}

/// A hand-over of some partitions. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// What happened.
    pub kind: Kind,
    /// Partitions that changed hands.
    pub partitions: usize,
    /// The greatest lateness of any partition in the seconds before.
    pub before_ms: i64,
    /// The greatest lateness of each partition that changed hands, of what was due meanwhile and
    /// shortly after and was not left to the backlog; rising.
    pub during_ms: Vec<i64>,
    /// From the last execution of the old owner to the first of the new one, of each partition;
    /// rising.
    pub idle_ms: Vec<i64>,
    /// From the request to leave until the old owner had published its last execution.
    pub fired_on_ms: Option<i64>,
    /// From the request to leave until the process had ended.
    pub left_ms: Option<i64>,
    /// From Cassandra's return until the last partition fired again, where it had to be waited for.
    pub after_return_ms: Option<i64>,
    /// Late executions that came during it, a second: what was caught up with.
    pub catching_up_per_s: f64,
}

impl HandOver {
    /// The greatest lateness that it added.
    pub fn added_ms(&self) -> i64 {
        (self.during_ms.last().copied().unwrap_or(0) - self.before_ms).max(0)
    }

    /// The greatest time in which nobody published anything of a partition.
    pub fn idle_ms_max(&self) -> i64 {
        self.idle_ms.last().copied().unwrap_or(0)
    }
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// One after the other.
    pub hand_overs: Vec<HandOver>,
    /// Tasks a second that were asked for.
    pub rate: f64,
    /// Executions a second that were read before the first of them.
    pub read_per_s: f64,
    /// Tasks of the load that had not come in the end: what is late by some seconds is left behind,
    /// and follows the backlog.
    pub left_behind: i64,
    /// Executions of tasks that had come before.
    pub twice: u64,
    /// Executions that came before their time.
    pub early: u64,
}

/// A rig of two schedulers under load. Load and reader end with it.
struct Loaded {
    over: Arc<AtomicBool>,
    rig: Rig,
    owners: Owners,
    watch: Arc<Watch>,
    runtime: Runtime,
}

/// Measures hand-overs between two schedulers at so many tasks a second.
///
/// # Errors
/// When the rig fails, or partitions do not find their owners.
pub fn hand_overs(
    folder: PathBuf,
    scheduler: SchedulerProgram,
    rate: f64,
) -> Result<Measured, Failure> {
    let rig = Rig::start(RigOptions {
        folder,
        scheduler,
        nodes: 2,
        partitions: PARTITIONS,
        lease_ttl_ms: LEASE_TTL_MS,
        look_ahead_ms: LOOK_AHEAD_MS,
        dedupe_window_ms: 10_000,
        catch_up_rate_per_s: CATCH_UP_RATE_PER_S,
        is_direct: true,
    })?;
    let runtime = super::runtime()?;
    let _inside = runtime.enter();
    let client = rig.client()?;
    runtime.block_on(rig.prepare(&client))?;
    runtime.block_on(client.ensure_queue(&queue()))?;
    miss(&runtime, &client)?;

    let loaded_from = SystemClock.now();
    let watch = Arc::new(Watch::new(PARTITIONS, loaded_from));
    let owners = Owners::of_rig(&rig, &runtime)?;
    drop(_inside);
    let mut loaded = Loaded {
        over: Arc::default(),
        rig,
        owners,
        watch,
        runtime,
    };
    let reading = loaded.runtime.spawn_blocking({
        let (client, watch) = (Arc::clone(&client), Arc::clone(&loaded.watch));
        move || {
            watch
                .read(&client, &client.names().executions(&queue()))
                .map_err(crate::cluster::Failure::from)
        }
    });
    (0..2).try_for_each(|node| loaded.rig.start_scheduler(node))?;
    loaded.owners.settle(2)?;
    let sending = {
        let _inside = loaded.runtime.enter();
        let load = Load {
            rate,
            due: Due::Ahead(AHEAD_MS.0, AHEAD_MS.1),
            payload_bytes: PAYLOAD_BYTES,
            queue: queue(),
            lasts: Duration::from_secs(3_600),
            waiting_max: None,
        };
        let over = Arc::clone(&loaded.over);
        on_a_thread(&client, move |client| {
            generator::run_until(client, &load, |_| over.load(Ordering::Relaxed))
        })
    };
    // The rate has come up when the first that was due as late as can be has come out.
    thread::sleep(Duration::from_millis(AHEAD_MS.1.unsigned_abs()) + WINDOW);
    let (before, since) = (loaded.watch.count(), Instant::now());
    thread::sleep(WINDOW);
    let read_per_s = (loaded.watch.count() - before) as f64 / since.elapsed().as_secs_f64();

    let hand_overs = loaded.hand_overs();
    loaded.over.store(true, Ordering::Relaxed);
    let sent = loaded.runtime.block_on(joined(sending))?;
    loaded.drain(sent);
    loaded.watch.stop();
    loaded.runtime.block_on(joined(reading))?;
    loaded.rig.stop_schedulers()?;
    loaded.rig.keep_logs();
    Ok(Measured {
        hand_overs: hand_overs?,
        rate,
        read_per_s,
        left_behind: sent as i64 - loaded.watch.distinct() as i64,
        twice: loaded.watch.twice(),
        early: loaded.watch.early(),
    })
}

/// Tasks that nobody ran in time: they are due before the first scheduler begins.
fn miss(runtime: &Runtime, client: &Arc<Client>) -> Result<(), Failure> {
    let now = SystemClock.now();
    let load = Load {
        rate: 100_000.0,
        due: Due::Between(now.plus_millis(-60_000), now.plus_millis(-10_000)),
        payload_bytes: PAYLOAD_BYTES,
        queue: queue(),
        lasts: Duration::from_secs(60),
        waiting_max: Some((Arc::default(), BACKLOG_TASKS)),
    };
    let sending = on_a_thread(client, move |client| {
        generator::run_until(client, &load, |sent| sent >= BACKLOG_TASKS)
    });
    runtime.block_on(joined(sending))?;
    Ok(())
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.watch.stop();
    }
}

impl Loaded {
    /// Two rounds of one scheduler that leaves and joins again, then one that leaves while
    /// Cassandra is away.
    fn hand_overs(&mut self) -> Result<Vec<HandOver>, Failure> {
        let mut all = Vec::new();
        for node in 0..2 {
            all.push(self.leave(node, Kind::Leave)?);
            all.push(self.join(node)?);
        }
        self.rig
            .cassandra()
            .iter()
            .try_for_each(|server| server.pause())?;
        thread::sleep(AWAY_BEFORE);
        all.push(self.leave(0, Kind::LeaveWithoutCassandra)?);
        Ok(all)
    }

    fn join(&mut self, node: usize) -> Result<HandOver, Failure> {
        thread::sleep(WINDOW);
        let begin = SystemClock.now();
        let (from, caught_up) = (self.watch.changes(), self.watch.caught_up());
        self.rig.start_scheduler(node)?;
        self.owners.settle(2)?;
        let moved = self.held_by(node);
        self.await_firing(&moved, &from)?;
        thread::sleep(WINDOW);
        Ok(self.measured(Kind::Join, begin, &moved, &from, caught_up))
    }

    fn leave(&mut self, node: usize, kind: Kind) -> Result<HandOver, Failure> {
        thread::sleep(WINDOW);
        let moved = self.held_by(node);
        let (from, caught_up) = (self.watch.changes(), self.watch.caught_up());
        let begin = SystemClock.now();
        self.rig.stop_scheduler(node)?;
        let left_ms = SystemClock.now().millis_since(begin);
        let mut returned = None;
        if kind == Kind::LeaveWithoutCassandra {
            let waits_until = Instant::now() + AWAY_AFTER;
            while Instant::now() < waits_until && !self.fires(&moved, &from) {
                thread::sleep(LOOK);
            }
            returned = (!self.fires(&moved, &from)).then(|| SystemClock.now());
            self.rig
                .cassandra()
                .iter()
                .try_for_each(|server| server.resume())?;
        }
        self.await_firing(&moved, &from)?;
        let after_return_ms =
            returned.map(|returned| self.last_first_ms(&moved, &from) - returned.as_millis());
        self.owners.settle(1)?;
        thread::sleep(WINDOW);
        let measured = self.measured(kind, begin, &moved, &from, caught_up);
        let last_of_old = self
            .changed(&moved, &from)
            .map(|change| change.last_of_old_ms)
            .max();
        let fired_on_ms = last_of_old.map(|last_ms| last_ms - begin.as_millis());
        Ok(HandOver {
            left_ms: Some(left_ms),
            fired_on_ms,
            after_return_ms,
            ..measured
        })
    }

    fn held_by(&self, node: usize) -> Vec<u32> {
        self.owners
            .of(node)
            .into_iter()
            .map(|partition| partition.number())
            .collect()
    }

    /// The first change of each of these partitions after some that were known.
    fn changed<'a>(
        &self,
        moved: &'a [u32],
        known: &'a [usize],
    ) -> impl Iterator<Item = Change> + use<'a> {
        let watch = Arc::clone(&self.watch);
        moved
            .iter()
            .filter_map(move |partition| watch.change(*partition, known[*partition as usize]))
    }

    fn fires(&self, moved: &[u32], known: &[usize]) -> bool {
        self.changed(moved, known).count() == moved.len()
    }

    fn last_first_ms(&self, moved: &[u32], known: &[usize]) -> i64 {
        self.changed(moved, known)
            .map(|change| change.first_of_new_ms)
            .max()
            .unwrap_or(0)
    }

    fn await_firing(&self, moved: &[u32], known: &[usize]) -> Result<(), Failure> {
        let limit = Instant::now() + FIRING_MAX;
        while !self.fires(moved, known) {
            if Instant::now() > limit {
                let count = moved.len() - self.changed(moved, known).count();
                return Err(format!(
                    "{count} partitions did not fire again in {} s",
                    FIRING_MAX.as_secs()
                )
                .into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn measured(
        &self,
        kind: Kind,
        begin: Timestamp,
        moved: &[u32],
        known: &[usize],
        caught_up: u64,
    ) -> HandOver {
        let window_ms = WINDOW.as_millis() as i64;
        let before = (
            begin.plus_millis(1_000 - window_ms),
            begin.plus_millis(-1_000),
        );
        let end =
            Timestamp::from_millis(self.last_first_ms(moved, known)).plus_millis(window_ms / 2);
        let worst = |partition: u32, (from, until)| self.watch.worst_ms(partition, from, until);
        let mut during_ms: Vec<i64> = moved
            .iter()
            .map(|partition| worst(*partition, (begin.plus_millis(-1_000), end)))
            .collect();
        let mut idle_ms: Vec<i64> = self
            .changed(moved, known)
            .map(|change| change.first_of_new_ms - change.last_of_old_ms)
            .collect();
        during_ms.sort_unstable();
        idle_ms.sort_unstable();
        let seconds = SystemClock.now().millis_since(begin).max(1) as f64 / 1_000.0;
        HandOver {
            kind,
            partitions: moved.len(),
            before_ms: (0..PARTITIONS)
                .map(|partition| worst(partition, before))
                .max()
                .unwrap_or(0),
            during_ms,
            idle_ms,
            fired_on_ms: None,
            left_ms: None,
            after_return_ms: None,
            catching_up_per_s: (self.watch.caught_up() - caught_up) as f64 / seconds,
        }
    }

    /// Waits for what was sent, as long as something comes.
    fn drain(&self, sent: u64) {
        let begun = Instant::now();
        let (mut last, mut since) = (0, begun);
        while self.watch.distinct() < sent
            && since.elapsed() < QUIET_MAX
            && begun.elapsed() < DRAIN_MAX
        {
            let seen = self.watch.distinct();
            if seen > last {
                (last, since) = (seen, Instant::now());
            }
            thread::sleep(LOOK);
        }
    }
}

/// The greatest of some hand-overs by their kind.
pub fn worst_by_kind(hand_overs: &[HandOver]) -> BTreeMap<&'static str, &HandOver> {
    let mut worst: BTreeMap<&'static str, &HandOver> = BTreeMap::new();
    for one in hand_overs {
        let known = worst.entry(one.kind.as_str()).or_insert(one);
        if one.added_ms() > known.added_ms() {
            *known = one;
        }
    }
    worst
}
