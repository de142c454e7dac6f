//! Measurements of schedulers that come and go: take-over after a kill, planned hand-over, and how
//! partitions spread. Each has a rig of its own, and its run is audited.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use minutehand_etcd::{Directory, EtcdConfig};
use minutehand_model::{PartitionId, Timestamp};
use minutehand_node::{Clock, SystemClock};
use tokio::runtime::Runtime;

use super::rig::{Failure, Rig, RigOptions, SchedulerProgram};
use super::session::{Ending, Load, Session};

/// Each scheduler's lease, in milliseconds.
pub const LEASE_TTL_MS: i64 = 5_000;
/// Longest wait for partitions to find their owners.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// How long a placement must stay as it is to count as settled.
const SETTLED_FOR: Duration = Duration::from_secs(4);
/// Partitions of the measurements of take-over and hand-over.
const PARTITIONS: u32 = 4;

/// What was measured, and the audit of the run in which it was.
#[derive(Debug)]
pub struct Measured<T> {
    /// One value a round.
    pub rounds: Vec<T>,
    /// How the run ended.
    pub ending: Ending,
}

fn session(
    folder: PathBuf,
    scheduler: SchedulerProgram,
    nodes: usize,
    partitions: u32,
    started: usize,
) -> Result<Session, Failure> {
    let rig = RigOptions {
        folder,
        scheduler,
        nodes,
        partitions,
        lease_ttl_ms: LEASE_TTL_MS,
        look_ahead_ms: 10_000,
        dedupe_window_ms: 20_000,
        catch_up_rate_per_s: 0,
        is_direct: false,
    };
    // Something is due in every partition at every moment: so it is seen when a partition fires
    // again.
    let load = Load {
        seed: 1,
        rate: 500.0,
        horizon_ms: 5_000,
        schedules_end_ms: None,
    };
    Session::start(rig, started, load)
}

/// How long it takes after kill -9 of a scheduler until the last of its partitions fires again, in
/// milliseconds.
///
/// # Errors
/// When the rig fails, or partitions do not fire again.
pub fn take_over(
    folder: PathBuf,
    scheduler: SchedulerProgram,
    rounds: usize,
) -> Result<Measured<i64>, Failure> {
    let session = session(folder, scheduler, 2, PARTITIONS, 2)?;
    let mut owners = Owners::follow(&session)?;
    owners.settle(2)?;
    let mut took = Vec::new();
    for round in 0..rounds {
        let node = round % 2;
        let held: Vec<PartitionId> = owners.of(node);
        let epochs = session.shared().epochs();
        let killed_at_ms = SystemClock.now().as_millis();
        session.rig().kill_scheduler(node)?;
        session.note(&format!(
            "scheduler {node} killed; it had {} partitions",
            held.len()
        ));
        let limit = Instant::now() + SETTLE_LIMIT;
        let last_ms = loop {
            let first = session.shared().first_above(&epochs);
            let fired: Option<Vec<i64>> = held
                .iter()
                .map(|partition| first[partition.index()])
                .collect();
            if let Some(fired) = fired {
                break fired.into_iter().max();
            }
            if Instant::now() > limit {
                return Err(
                    format!("the partitions of scheduler {node} did not fire again").into(),
                );
            }
            thread::sleep(Duration::from_millis(20));
        };
        let took_ms = last_ms.ok_or("the killed scheduler had no partition")? - killed_at_ms;
        session.note(&format!(
            "its last partition fired again after {took_ms} ms"
        ));
        took.push(took_ms);
        session.rig().start_scheduler(node)?;
        owners.settle(2)?;
    }
    let healed_at_ms = SystemClock.now().as_millis();
    Ok(Measured {
        rounds: took,
        ending: session.finish(healed_at_ms, None)?,
    })
}

/// What a planned hand-over costs: lateness at the reader, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    /// The greatest lateness in the seconds before.
    pub before_ms: i64,
    /// The greatest lateness of what was due during the hand-over and shortly after.
    pub during_ms: i64,
}

impl HandOver {
    /// The lateness that the hand-over added.
    pub fn added_ms(&self) -> i64 {
        (self.during_ms - self.before_ms).max(0)
    }
}

/// What it costs to hand all partitions of a scheduler over to another (SIGTERM).
///
/// # Errors
/// When the rig fails.
pub fn hand_over(
    folder: PathBuf,
    scheduler: SchedulerProgram,
    rounds: usize,
) -> Result<Measured<HandOver>, Failure> {
    let session = session(folder, scheduler, 2, PARTITIONS, 2)?;
    let mut owners = Owners::follow(&session)?;
    owners.settle(2)?;
    let (mut measured, window) = (Vec::new(), Duration::from_secs(6));
    for round in 0..rounds {
        let node = round % 2;
        // All partitions are on one scheduler when its companion has gone before.
        session.rig().stop_scheduler(1 - node)?;
        owners.settle(1)?;
        session.rig().start_scheduler(1 - node)?;
        owners.settle(2)?;
        thread::sleep(window);
        let begin = SystemClock.now();
        session.rig().stop_scheduler(node)?;
        thread::sleep(window);
        let greatest = |from: Timestamp, until: Timestamp| {
            session
                .shared()
                .lateness_ms(from, until)
                .last()
                .copied()
                .unwrap_or(0)
        };
        let window_ms = window.as_millis() as i64;
        let one = HandOver {
            before_ms: greatest(
                begin.plus_millis(1_000 - window_ms),
                begin.plus_millis(-500),
            ),
            during_ms: greatest(
                begin.plus_millis(-500),
                begin.plus_millis(window_ms - 2_000),
            ),
        };
        session.note(&format!(
            "hand-over: latest by {} ms before, {} ms during",
            one.before_ms, one.during_ms
        ));
        measured.push(one);
        session.rig().start_scheduler(node)?;
        owners.settle(2)?;
    }
    let healed_at_ms = SystemClock.now().as_millis();
    Ok(Measured {
        rounds: measured,
        ending: session.finish(healed_at_ms, None)?,
    })
}

/// How partitions spread after a scheduler joined or left.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Schedulers then.
    pub nodes: usize,
    /// Partitions of the scheduler that has most.
    pub most: usize,
    /// Partitions that changed their owner.
    pub moved: usize,
    /// The most that either may be: partitions by schedulers, rounded up, of the larger number of
    /// shares.
    pub allowed: usize,
}

/// How 16 partitions spread over 2, 3, 4, 3 and 2 schedulers.
///
/// # Errors
/// When the rig fails, or partitions do not find their owners.
pub fn placement(
    folder: PathBuf,
    scheduler: SchedulerProgram,
) -> Result<Measured<Placement>, Failure> {
    const ALL: u32 = 16;
    let session = session(folder, scheduler, 4, ALL, 2)?;
    let mut owners = Owners::follow(&session)?;
    let mut before = owners.settle(2)?;
    let mut rounds = Vec::new();
    for (node, joins) in [(2, true), (3, true), (3, false), (2, false)] {
        if joins {
            session.rig().start_scheduler(node)?;
        } else {
            session.rig().stop_scheduler(node)?;
        }
        let nodes = if joins { node + 1 } else { node };
        let after = owners.settle(nodes)?;
        let moved = after
            .iter()
            .filter(|(partition, owner)| before.get(partition) != Some(owner))
            .count();
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        after
            .values()
            .for_each(|owner| *counts.entry(owner).or_default() += 1);
        let most = counts.values().max().copied().unwrap_or(0);
        let shares = if joins { nodes } else { nodes + 1 };
        let round = Placement {
            nodes,
            most,
            moved,
            allowed: (ALL as usize).div_ceil(shares),
        };
        session.note(&format!(
            "{nodes} schedulers: at most {most} partitions each, {moved} moved"
        ));
        rounds.push(round);
        before = after;
    }
    let healed_at_ms = SystemClock.now().as_millis();
    Ok(Measured {
        rounds,
        ending: session.finish(healed_at_ms, None)?,
    })
}

/// Who owns what, by node.
pub(super) type Owned = BTreeMap<PartitionId, String>;

pub(super) struct Owners {
    directory: Directory,
    partitions: u32,
}

impl Owners {
    fn follow(session: &Session) -> Result<Owners, Failure> {
        Owners::of_rig(session.rig(), session.runtime())
    }

    /// Follows who owns what on a rig.
    pub(super) fn of_rig(rig: &Rig, runtime: &Runtime) -> Result<Owners, Failure> {
        let partitions = rig.options().partitions;
        let config = EtcdConfig::new(vec![rig.etcd_endpoint()], "local");
        let directory = runtime.block_on(Directory::open(&config, partitions))?;
        Ok(Owners {
            directory,
            partitions,
        })
    }

    fn now(&self) -> Owned {
        let owners = self.directory.owners();
        let owners = owners.borrow();
        owners
            .iter()
            .map(|(partition, owner)| (*partition, owner.node.clone()))
            .collect()
    }

    /// The partitions of a node.
    pub(super) fn of(&self, node: usize) -> Vec<PartitionId> {
        let name = format!("scheduler-{node}");
        self.now()
            .into_iter()
            .filter(|(_, owner)| *owner == name)
            .map(|(partition, _)| partition)
            .collect()
    }

    /// Waits until every partition has an owner, that many nodes have their share each, and nothing
    /// has moved for a while.
    pub(super) fn settle(&mut self, nodes: usize) -> Result<Owned, Failure> {
        let limit = Instant::now() + SETTLE_LIMIT;
        let (mut last, mut since) = (self.now(), Instant::now());
        while Instant::now() < limit {
            thread::sleep(Duration::from_millis(50));
            let now = self.now();
            let owning: std::collections::BTreeSet<&String> = now.values().collect();
            let share_max = (self.partitions as usize).div_ceil(nodes);
            let has_share =
                |node: &String| now.values().filter(|one| *one == node).count() <= share_max;
            let is_whole = now.len() == self.partitions as usize
                && owning.len() == nodes
                && owning.iter().all(|node| has_share(node));
            if now != last || !is_whole {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > SETTLED_FOR {
                return Ok(now);
            }
        }
        Err(format!(
            "partitions did not find {nodes} owners in {} s: {last:?}",
            SETTLE_LIMIT.as_secs()
        )
        .into())
    }
}
