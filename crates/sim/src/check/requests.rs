//! Runs by request: a trigger runs once, a backfill runs each of its times once, and nothing else
//! claims to be either.

use std::collections::BTreeMap;

use minutehand_model::{LogOffset, RunCause, Timestamp};

use super::policies::promises;
use super::revisions::{Life, ScheduleRun, lives_with_runs};
use crate::journal::{Journal, Logged, PartitionJournal, Said};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for (life, runs) in lives_with_runs(journal, about)? {
        let named = |what: String| format!("schedule {}: {what}", life.schedule);
        check_triggers(journal, about, &life, &runs).map_err(named)?;
        check_backfills(journal, about, &life, &runs).map_err(named)?;
        check_stopped(about, &life, &runs).map_err(named)?;
        check_equal(about, &life, &runs).map_err(named)?;
    }
    Ok(())
}

/// The producer asks for minutes. A flipped bit may make decades of them, which nobody waits for
/// the end of.
const RANGE_MS_MAX: i64 = minutehand_model::time::DAY_MS;

fn is_settled(journal: &Journal, record: &Logged) -> bool {
    record.appended_at_ms < journal.ended_at_ms - journal.recovery_bound_ms
}

/// The records that ask something of a schedule.
fn asked<'a>(about: &'a PartitionJournal, life: &'a Life) -> impl Iterator<Item = &'a Logged> {
    let all = about.log.iter();
    all.filter(|record| life.is_asked(&record.said))
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
    for record in asked(about, life) {
        let Said::Trigger { overlap, .. } = &record.said else {
            continue;
        };
        let count = by_offset.remove(&record.offset).unwrap_or(0);
        let definition = life
            .reign_at(record.offset)
            .and_then(|reign| reign.definition.as_ref());
        let allowed = usize::from(definition.is_some());
        if count > allowed {
            return Err(format!(
                "the trigger at offset {} ran {count} times",
                record.offset
            ));
        }
        let at_once = definition.is_some_and(|definition| {
            promises(overlap.unwrap_or(definition.overlap)).runs_side_by_side
        });
        if at_once && count == 0 && is_settled(journal, record) {
            return Err(format!("the trigger at offset {} never ran", record.offset));
        }
    }
    match by_offset.into_keys().next() {
        Some(offset) => Err(format!(
            "a run claims to be triggered by offset {offset}, which is no trigger"
        )),
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
    for record in asked(about, life) {
        let Said::Backfill { from, to, .. } = &record.said else {
            continue;
        };
        let Some(reign) = life
            .reign_at(record.offset)
            .filter(|reign| reign.definition.is_some())
        else {
            continue;
        };
        if to.millis_since(*from) > RANGE_MS_MAX {
            return Ok(());
        }
        // What a later revision finds still to be done it does by its own calendar.
        let later = life
            .reigns
            .iter()
            .filter(|later| later.offset >= reign.offset);
        let mut any: Vec<Timestamp> = later
            .filter_map(|reign| reign.times.as_ref())
            .flat_map(|times| times.between(from.plus_millis(-1), *to))
            .collect();
        any.sort_unstable();
        any.dedup();
        any.into_iter()
            .for_each(|nominal| *allowed.entry(nominal).or_default() += 1);
        // What rests with the schedule, or is part of another backfill as well, need not run once
        // more.
        let is_last = life
            .reigns
            .last()
            .is_some_and(|last| last.offset == reign.offset && !last.is_paused);
        let is_stopped = about.log.iter().any(|record| {
            matches!(record.said, Said::StopBackfill { .. }) && life.is_asked(&record.said)
        });
        if is_last && !is_stopped && life.is_transparent() && is_settled(journal, record) {
            let times = reign
                .times
                .iter()
                .flat_map(|times| times.between(from.plus_millis(-1), *to));
            wanted.extend(times.map(|nominal| (nominal, 1)));
        }
    }
    for (nominal, count) in &ran {
        let most = allowed.get(nominal).copied().unwrap_or(0);
        if *count > most {
            return Err(format!(
                "{nominal} was backfilled {count} times, {most} were asked for"
            ));
        }
    }
    for (nominal, least) in &wanted {
        let count = ran.get(nominal).copied().unwrap_or(0);
        if count < *least {
            return Err(format!(
                "{nominal} was backfilled {count} times, {least} were asked for"
            ));
        }
    }
    Ok(())
}

/// What is left of a backfill that was stopped does not run.
fn check_stopped(
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    for record in asked(about, life) {
        let Said::StopBackfill { backfill, .. } = &record.said else {
            continue;
        };
        let stopped = about.applied_by(record.offset);
        let goes_on = |run: &&ScheduleRun| {
            (run.cause, run.offset) == (RunCause::Backfill, *backfill) && run.tick >= stopped
        };
        if let Some(run) = runs.iter().find(goes_on) {
            let nominal = run.nominal;
            return Err(format!(
                "{nominal} of backfill {backfill} ran, which offset {} stopped",
                record.offset
            ));
        }
    }
    Ok(())
}

/// What waits in one backfill is not part of another that comes meanwhile.
fn check_equal(about: &PartitionJournal, life: &Life, runs: &[ScheduleRun]) -> Result<(), String> {
    let backfilled = || runs.iter().filter(|run| run.cause == RunCause::Backfill);
    for run in backfilled() {
        let asked = about.applied_by(run.offset);
        let mut earlier =
            backfilled().filter(|one| one.nominal == run.nominal && one.offset < run.offset);
        let lives_on = |one: &&ScheduleRun| {
            let between = one.offset..run.offset;
            one.tick >= asked && !life.deletions().any(|offset| between.contains(&offset))
        };
        if let Some(one) = earlier.find(lives_on) {
            let nominal = run.nominal;
            let (first, second) = (one.offset, run.offset);
            return Err(format!(
                "{nominal} waited in backfill {first}, and ran in backfill {second} as well"
            ));
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
        let asked = story()
            .says(
                500,
                Said::Trigger {
                    namespace,
                    schedule,
                    overlap: None,
                },
            )
            .ticks(600, &[]);
        let once = run_as(asked.clone(), 500, 500, 500, "/trigger");
        assert_eq!(once.ask(check), Ok(()));
        assert!(asked.ask(check).is_err());
        assert!(
            run_as(once.clone(), 500, 500, 500, "/trigger")
                .ask(check)
                .is_err()
        );
        assert!(run_as(once, 500, 500, 0, "/trigger").ask(check).is_err());
    }

    #[test]
    fn a_backfill_runs_each_of_its_times_once() {
        let (namespace, schedule) = names();
        let (from, to) = (ms(10_000), ms(30_000));
        let asked = story()
            .says(
                40_000,
                Said::Backfill {
                    namespace,
                    schedule,
                    from,
                    to,
                },
            )
            .ticks(41_000, &[]);
        let ran = |times: &[i64]| {
            times.iter().fold(asked.clone(), |story, at| {
                run_as(story, *at, 41_000, 0, "/backfill")
            })
        };
        assert_eq!(ran(&[10_000, 20_000, 30_000]).ask(check), Ok(()));
        assert!(ran(&[10_000, 20_000]).ask(check).is_err());
        assert!(ran(&[10_000, 20_000, 30_000, 30_000]).ask(check).is_err());
        assert!(ran(&[10_000, 20_000, 30_000, 40_000]).ask(check).is_err());
    }

    #[test]
    fn a_backfill_that_was_stopped_goes_no_further() {
        let (namespace, schedule) = names();
        let (from, to) = (ms(10_000), ms(30_000));
        let name = || (namespace.clone(), schedule.clone());
        let asked = story().says(
            40_000,
            Said::Backfill {
                namespace: name().0,
                schedule: name().1,
                from,
                to,
            },
        );
        let begun = run_as(
            asked.ticks(41_000, &[]),
            10_000,
            41_000,
            40_000,
            "/backfill",
        );
        let backfill = minutehand_model::LogOffset::at(40_000);
        let stop = Said::StopBackfill {
            namespace,
            schedule,
            backfill,
        };
        let stopped = begun.says(42_000, stop).ticks(43_000, &[]);
        assert_eq!(stopped.ask(check), Ok(()));
        assert!(
            run_as(stopped, 20_000, 43_000, 40_000, "/backfill")
                .ask(check)
                .is_err()
        );
    }

    #[test]
    fn what_waits_in_one_backfill_is_not_part_of_another() {
        let (namespace, schedule) = names();
        let (from, to) = (ms(10_000), ms(20_000));
        let asks = |story: Story, at: u64| {
            let (namespace, schedule) = (namespace.clone(), schedule.clone());
            story.says(
                at,
                Said::Backfill {
                    namespace,
                    schedule,
                    from,
                    to,
                },
            )
        };
        let both = |ran_before_ms: Option<i64>| {
            let first = asks(story(), 40_000);
            let first = match ran_before_ms {
                Some(at_ms) => run_as(first.ticks(at_ms, &[]), 10_000, at_ms, 40_000, "/backfill"),
                None => first,
            };
            asks(first, 45_000).ticks(46_000, &[])
        };
        let again = run_as(both(Some(41_000)), 10_000, 46_000, 45_000, "/backfill");
        let whole = run_as(again, 20_000, 46_000, 40_000, "/backfill");
        assert_eq!(
            whole.ask(check),
            Ok(()),
            "it had run when it was asked for again"
        );
        let waited = run_as(both(None), 10_000, 46_000, 40_000, "/backfill");
        assert!(
            run_as(waited, 10_000, 46_000, 45_000, "/backfill")
                .ask(check)
                .is_err()
        );
    }
}
