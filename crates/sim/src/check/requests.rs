//! Runs by request: a trigger runs once, a backfill runs each of its times once, and nothing else claims to be either.

use std::collections::BTreeMap;

use minutehand_model::{LogOffset, OverlapPolicy, RunCause, Timestamp};

use super::revisions::{Life, ScheduleRun, lives, runs};
use crate::journal::{Journal, Logged, PartitionJournal, Said};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let mut runs = runs(about)?;
    for life in lives(journal, about) {
        let runs = runs.remove(&(life.namespace.clone(), life.schedule.clone())).unwrap_or_default();
        let named = |what: String| format!("schedule {}: {what}", life.schedule);
        check_triggers(journal, about, &life, &runs).map_err(named)?;
        check_backfills(journal, about, &life, &runs).map_err(named)?;
    }
    Ok(())
}

/// The producer asks for minutes. A flipped bit may make decades of them, which nobody waits for the end of.
const RANGE_MS_MAX: i64 = minutehand_model::time::DAY_MS;

fn is_settled(journal: &Journal, record: &Logged) -> bool {
    record.appended_at_ms < journal.ended_at_ms - journal.recovery_bound_ms
}

fn check_triggers(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let mut by_offset: BTreeMap<LogOffset, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.cause == RunCause::Trigger) {
        *by_offset.entry(run.offset).or_default() += 1;
    }
    for record in &about.log {
        let Said::Trigger { namespace, schedule, overlap } = &record.said else { continue };
        if (namespace, schedule) != (&life.namespace, &life.schedule) {
            continue;
        }
        let count = by_offset.remove(&record.offset).unwrap_or(0);
        let definition = life.reign_at(record.offset).and_then(|reign| reign.definition.as_ref());
        let allowed = usize::from(definition.is_some());
        if count > allowed {
            return Err(format!("the trigger at offset {} ran {count} times", record.offset));
        }
        let at_once = definition
            .is_some_and(|definition| overlap.unwrap_or(definition.overlap) == OverlapPolicy::AllowAll);
        if at_once && count == 0 && is_settled(journal, record) {
            return Err(format!("the trigger at offset {} never ran", record.offset));
        }
    }
    match by_offset.into_keys().next() {
        Some(offset) => Err(format!("a run claims to be triggered by offset {offset}, which is no trigger")),
        None => Ok(()),
    }
}

fn check_backfills(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let mut ran: BTreeMap<Timestamp, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.cause == RunCause::Backfill) {
        *ran.entry(run.nominal).or_default() += 1;
    }
    let mut allowed: BTreeMap<Timestamp, usize> = BTreeMap::new();
    let mut wanted: BTreeMap<Timestamp, usize> = BTreeMap::new();
    for record in &about.log {
        let Said::Backfill { namespace, schedule, from, to } = &record.said else { continue };
        if (namespace, schedule) != (&life.namespace, &life.schedule) {
            continue;
        }
        let Some(reign) = life.reign_at(record.offset).filter(|reign| reign.definition.is_some()) else {
            continue;
        };
        if to.millis_since(*from) > RANGE_MS_MAX {
            return Ok(());
        }
        // What a later revision finds still to be done it does by its own calendar.
        let later = life.reigns.iter().filter(|later| later.offset >= reign.offset);
        let mut any: Vec<Timestamp> = later
            .filter_map(|reign| reign.times.as_ref())
            .flat_map(|times| times.between(from.plus_millis(-1), *to))
            .collect();
        any.sort_unstable();
        any.dedup();
        any.into_iter().for_each(|nominal| *allowed.entry(nominal).or_default() += 1);
        // What rests with the schedule, or is part of another backfill as well, need not run once more.
        let is_last = life.reigns.last().is_some_and(|last| last.offset == reign.offset && !last.is_paused);
        if is_last && life.is_transparent() && is_settled(journal, record) {
            let times = reign.times.iter().flat_map(|times| times.between(from.plus_millis(-1), *to));
            wanted.extend(times.map(|nominal| (nominal, 1)));
        }
    }
    for (nominal, count) in &ran {
        let most = allowed.get(nominal).copied().unwrap_or(0);
        if *count > most {
            return Err(format!("{nominal} was backfilled {count} times, {most} were asked for"));
        }
    }
    for (nominal, least) in &wanted {
        let count = ran.get(nominal).copied().unwrap_or(0);
        if count < *least {
            return Err(format!("{nominal} was backfilled {count} times, {least} were asked for"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::check::story::schedules::{definition, every, names, revise, run_as};
    use crate::check::story::{Story, ms};
    use crate::journal::Said;

    fn story() -> Story {
        revise(Story::default(), 0, 1, Some(definition(every(10)))).ticks(1, &[])
    }

    #[test]
    fn a_trigger_runs_once() {
        let (namespace, schedule) = names();
        let asked = story().says(500, Said::Trigger { namespace, schedule, overlap: None }).ticks(600, &[]);
        let once = run_as(asked.clone(), 500, 500, 500, "/trigger");
        assert_eq!(once.ask(check), Ok(()));
        assert!(asked.ask(check).is_err());
        assert!(run_as(once.clone(), 500, 500, 500, "/trigger").ask(check).is_err());
        assert!(run_as(once, 500, 500, 0, "/trigger").ask(check).is_err());
    }

    #[test]
    fn a_backfill_runs_each_of_its_times_once() {
        let (namespace, schedule) = names();
        let (from, to) = (ms(10_000), ms(30_000));
        let asked = story().says(40_000, Said::Backfill { namespace, schedule, from, to }).ticks(41_000, &[]);
        let ran = |times: &[i64]| {
            times.iter().fold(asked.clone(), |story, at| run_as(story, *at, 41_000, 0, "/backfill"))
        };
        assert_eq!(ran(&[10_000, 20_000, 30_000]).ask(check), Ok(()));
        assert!(ran(&[10_000, 20_000]).ask(check).is_err());
        assert!(ran(&[10_000, 20_000, 30_000, 30_000]).ask(check).is_err());
        assert!(ran(&[10_000, 20_000, 30_000, 40_000]).ask(check).is_err());
    }
}
