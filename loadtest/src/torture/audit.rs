//! The audit: a run's records become the journal that the simulator's checkers know, and they are
//! asked; what only a run on real servers has (acknowledgements, counts in headers) is checked
//! here.

use std::collections::{BTreeMap, HashMap, HashSet};

use minutehand_model::{LogOffset, TaskKey, Timestamp};
use minutehand_sim::Violation;
use minutehand_sim::journal::{Journal, PartitionJournal, Published, Said, TickEntry};

use super::recorded::{Heard, Intent, ReadRecord, Recorded, RecordedPartition};

/// What the auditor must know about a run besides what was read. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts {
    /// When the last fault ended.
    pub healed_at_ms: i64,
    /// Everything due `recovery_bound_ms` before this must be out.
    pub ended_at_ms: i64,
    /// How long after healing everything that is due must be out.
    pub recovery_bound_ms: i64,
    /// How long owners remember what ran.
    pub dedupe_window_ms: i64,
    /// How far the clocks of the processes and the log are apart, at most.
    pub clock_error_ms: i64,
}

/// What an audit came to.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Promises that were not kept: what each checker noticed first in each partition.
    pub violations: Vec<Violation>,
    /// Records that were acknowledged to producers.
    pub acknowledged: u64,
    /// Records of which producers heard nothing.
    pub unknown: u64,
    /// Executions that were read.
    pub executions: u64,
    /// Ticks that were read.
    pub ticks: u64,
    /// Acknowledged records that are not in the log, and tasks that were due and never came.
    pub lost: u64,
    /// Executions too many.
    pub twice: u64,
    /// Executions before their time.
    pub early: u64,
    /// The journal, to look into a failure.
    pub journal: Journal,
}

impl Audit {
    /// Whether every promise was kept.
    pub fn is_ok(&self) -> bool {
        self.violations.is_empty() && self.lost + self.twice + self.early == 0
    }
}

/// Audits a run.
pub fn audit(recorded: Recorded, facts: RunFacts) -> Audit {
    let Recorded {
        partitions,
        intents,
    } = recorded;
    let mut violations = Vec::new();
    let (mut lost, mut journals) = (0, Vec::new());
    let mut intents_by_partition: BTreeMap<u32, Vec<&Intent>> = BTreeMap::new();
    for intent in &intents {
        intents_by_partition
            .entry(intent.partition)
            .or_default()
            .push(intent);
    }
    for (number, recorded) in (0..).zip(partitions) {
        let meant = intents_by_partition.remove(&number).unwrap_or_default();
        let mut add = |checker, message| {
            violations.push(Violation {
                checker,
                partition: Some(number),
                message,
            });
        };
        recorded
            .unreadable
            .iter()
            .take(1)
            .for_each(|what| add("readable", what.clone()));
        let missing = missing_acknowledged(&recorded.log, &meant);
        lost += missing.len() as u64;
        if let Some(offset) = missing.first() {
            add(
                "acknowledged",
                format!("the record acknowledged at offset {offset} is not there"),
            );
        }
        if let Err(what) = check_meant(&recorded.log, &meant) {
            add("phantom", what);
        }
        if let Err(what) = check_counts(&recorded) {
            add("torn ticks", what);
        }
        let (journal, orphan) = partition_journal(recorded);
        if let Some(what) = orphan {
            add("torn ticks", what);
        }
        journals.push(journal);
    }
    let journal = Journal {
        healed_at_ms: facts.healed_at_ms,
        ended_at_ms: facts.ended_at_ms,
        recovery_bound_ms: facts.recovery_bound_ms,
        healthy_lateness_ms: None,
        on_time_ms: None,
        dedupe_window_ms: facts.dedupe_window_ms,
        clock_skew_ms_max: None,
        clock_error_ms: facts.clock_error_ms,
        closings: Vec::new(),
        partitions: journals,
    };
    violations.extend(minutehand_sim::audit(&journal));
    let sum = |count: &dyn Fn(&PartitionJournal) -> usize| {
        journal.partitions.iter().map(count).sum::<usize>() as u64
    };
    let has = |checker: &str| u64::from(violations.iter().any(|one| one.checker == checker));
    let acknowledged = intents
        .iter()
        .filter(|one| matches!(one.heard, Heard::Acknowledged(_)))
        .count() as u64;
    let end_ms = facts.ended_at_ms - facts.recovery_bound_ms;
    Audit {
        acknowledged,
        unknown: intents.len() as u64 - acknowledged,
        executions: sum(&|one| one.publications.len()),
        ticks: sum(&|one| one.ticks.len()),
        lost: (lost + sum(&|one| never_out(one, end_ms)))
            .max(has("no loss"))
            .max(has("occurrences")),
        twice: sum(&repeated)
            .max(has("exactly once"))
            .max(has("at most once")),
        early: sum(&early).max(has("never early")),
        violations,
        journal,
    }
}

/// Offsets that were acknowledged and hold something else, or nothing.
fn missing_acknowledged(log: &[ReadRecord], meant: &[&Intent]) -> Vec<LogOffset> {
    let is_there = |offset: LogOffset, digest: u64| {
        let found = log.binary_search_by_key(&offset, |record| record.logged.offset);
        found.is_ok_and(|index| log[index].digest == digest)
    };
    let mut missing: Vec<LogOffset> = meant
        .iter()
        .filter_map(|intent| match intent.heard {
            Heard::Acknowledged(offset) if !is_there(offset, intent.digest) => Some(offset),
            _ => None,
        })
        .collect();
    missing.sort_unstable();
    missing
}

/// Everything in the log was meant by a producer, but for what ticks derive.
fn check_meant(log: &[ReadRecord], meant: &[&Intent]) -> Result<(), String> {
    let meant: HashSet<u64> = meant.iter().map(|intent| intent.digest).collect();
    let stranger = log.iter().find(|record| {
        !matches!(record.logged.said, Said::Moved { .. }) && !meant.contains(&record.digest)
    });
    match stranger {
        Some(record) => {
            let Said::Unreadable { position } = &record.logged.said else {
                return Err(format!(
                    "nobody wrote the record at offset {}: {:?}",
                    record.logged.offset, record.logged.said
                ));
            };
            Err(format!("nobody wrote the record at {position}"))
        }
        None => Ok(()),
    }
}

/// What ticks derived and rejected is all there, and nothing else.
fn check_counts(recorded: &RecordedPartition) -> Result<(), String> {
    let declared = recorded.checkpoints.iter().map(|one| one.declared);
    let (derived, rejected) = declared.fold((0, 0), |(derived, rejected), one| {
        (derived + one.derived, rejected + one.rejected)
    });
    let moved = recorded
        .log
        .iter()
        .filter(|record| matches!(record.logged.said, Said::Moved { .. }))
        .count();
    if derived != moved {
        return Err(format!(
            "ticks derived {derived} commands, the log holds {moved}"
        ));
    }
    if rejected != recorded.rejected.len() {
        return Err(format!(
            "ticks rejected {rejected} records, {} were read",
            recorded.rejected.len()
        ));
    }
    Ok(())
}

/// The journal of a partition, and the first execution whose tick has no checkpoint.
fn partition_journal(recorded: RecordedPartition) -> (PartitionJournal, Option<String>) {
    let mut ticks: Vec<TickEntry> = Vec::with_capacity(recorded.checkpoints.len());
    let mut by_name: HashMap<(u64, u64), usize> = HashMap::new();
    for read in &recorded.checkpoints {
        let checkpoint = &read.checkpoint;
        by_name
            .entry((checkpoint.epoch.0, checkpoint.tick))
            .or_insert(ticks.len());
        ticks.push(TickEntry {
            epoch: checkpoint.epoch.0,
            number: checkpoint.tick,
            applied: checkpoint.applied,
            replay_from: checkpoint.replay_from,
            head: checkpoint.frontier.head,
            backlog: checkpoint.frontier.backlog.clone(),
            owed_after: checkpoint.frontier.owed_after,
            // Its executions say when; a tick without any was built before it was read.
            published_at_ms: i64::MAX,
            clock_ms: read.received_at_ms,
            latest_clock_ms: read.received_at_ms,
            committed_at_ms: read.received_at_ms,
            declared: read.declared.executions,
            visible: 0,
        });
    }
    let (mut publications, mut orphan) = (Vec::with_capacity(recorded.executions.len()), None);
    for read in recorded.executions {
        let Some(tick) = by_name.get(&(read.epoch, read.tick)).copied() else {
            orphan.get_or_insert_with(|| {
                format!(
                    "{:016x} was published by epoch {} tick {}, of which there is no checkpoint",
                    read.key.low(),
                    read.epoch,
                    read.tick
                )
            });
            continue;
        };
        ticks[tick].visible += 1;
        ticks[tick].published_at_ms = ticks[tick].published_at_ms.min(read.published_at_ms);
        publications.push(Published {
            tick,
            key: read.key,
            due: read.due,
            offset: read.offset,
            guarantee: read.guarantee,
            encoded: read.encoded,
        });
    }
    for tick in &mut ticks {
        if tick.published_at_ms == i64::MAX {
            tick.published_at_ms = tick.committed_at_ms;
        }
    }
    publications.sort_by_key(|published| published.tick);
    let states = recorded.schedule_states.into_iter();
    let journal = PartitionJournal {
        log: recorded
            .log
            .into_iter()
            .map(|record| record.logged)
            .collect(),
        ticks,
        publications,
        stops: None,
        set_aside: recorded.rejected,
        unpublished: Vec::new(),
        damaged_tasks: Vec::new(),
        ledger: None,
        schedule_states: states
            .map(|((namespace, schedule), state)| (namespace, schedule, state))
            .collect(),
    };
    (journal, orphan)
}

/// Tasks that were created, never changed, due before the end, and never came: counted apart from
/// the checkers.
fn never_out(about: &PartitionJournal, end_ms: i64) -> usize {
    let mut open: HashMap<(TaskKey, Timestamp), bool> = HashMap::new();
    for record in &about.log {
        let mut is_open = |key: &TaskKey, due: &Timestamp, opens: bool| {
            let due_ms = due.as_millis().max(record.appended_at_ms);
            let entry = open.entry((*key, *due)).or_insert(due_ms < end_ms);
            *entry &= opens;
        };
        match &record.said {
            Said::Create { key, due, .. } => is_open(key, due, true),
            Said::Cancel { key, due } | Said::Move { key, due, .. } => is_open(key, due, false),
            Said::Replace { key, due, to, .. } | Said::Moved { key, due, to, .. } => {
                is_open(key, due, false);
                is_open(key, to, true);
            }
            _ => {}
        }
    }
    for published in &about.publications {
        open.remove(&(published.key, published.due));
    }
    open.into_values().filter(|is_open| *is_open).count()
}

/// Executions of one task and one record of the log beyond the first.
fn repeated(about: &PartitionJournal) -> usize {
    let mut seen = HashSet::new();
    about
        .publications
        .iter()
        .filter(|one| !seen.insert((one.key, one.due, one.offset)))
        .count()
}

/// Executions of tasks that were published, or read, before they were due.
fn early(about: &PartitionJournal) -> usize {
    let tasks: HashSet<LogOffset> = about
        .log
        .iter()
        .filter(|record| !matches!(record.said, Said::Trigger { .. } | Said::Revise(_)))
        .map(|record| record.offset)
        .collect();
    let is_early = |one: &&Published| {
        let tick = &about.ticks[one.tick];
        tasks.contains(&one.offset)
            && one.due.as_millis() > tick.published_at_ms.min(tick.committed_at_ms)
    };
    about.publications.iter().filter(is_early).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::plant::Plant;
    use crate::torture::sample::{FACTS, sample};

    #[test]
    fn a_good_run_is_found_to_be_good() {
        let audit = audit(sample(), FACTS);
        assert!(audit.is_ok(), "{:?}", audit.violations);
        assert_eq!(
            (audit.acknowledged, audit.unknown, audit.executions),
            (7, 1, 4)
        );
        assert_eq!((audit.lost, audit.twice, audit.early), (0, 0, 0));
    }

    #[test]
    fn every_planted_mistake_is_seen_by_the_checker_it_is_meant_for() {
        for (plant, checkers) in Plant::ALL {
            let mut recorded = sample();
            assert!(plant.put_into(&mut recorded), "{plant:?} found no place");
            let audit = audit(recorded, FACTS);
            assert!(!audit.is_ok(), "{plant:?} was not seen");
            for checker in *checkers {
                let seen = audit.violations.iter().any(|one| one.checker == *checker);
                assert!(
                    seen,
                    "{plant:?} was not seen by {checker:?}, only {:?}",
                    audit.violations
                );
            }
        }
    }

    #[test]
    fn what_is_lost_repeated_or_early_is_counted() {
        let counts = |plant: Plant| {
            let mut recorded = sample();
            plant.put_into(&mut recorded);
            let audit = audit(recorded, FACTS);
            (audit.lost, audit.twice, audit.early)
        };
        assert_eq!(counts(Plant::DropExecution), (1, 0, 0));
        assert_eq!(counts(Plant::RepeatExecution), (0, 1, 0));
        assert_eq!(counts(Plant::EarlyExecution), (0, 0, 1));
        assert_eq!(counts(Plant::ForgetAcknowledged), (1, 0, 0));
    }
}
