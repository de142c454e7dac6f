//! Occurrences of schedules: every owed one ran once, or was left out for a reason its policy
//! knows; none ran outside.

use std::collections::BTreeSet;

use minutehand_model::{MisfireRule, Place, RunCause, Timestamp};

use super::policies::promises;
use super::revisions::{Expected, Life, ScheduleRun, is_triggered, lives, runs};
use crate::journal::{Journal, PartitionJournal};

/// What is decided later than this is owed, and does not run after the end of its schedule.
pub(super) const OWED_MS: i64 = 10_000;
/// What F had passed when its revision was applied is decided within so many ticks.
const CAUGHT_UP_WITHIN: usize = 50;

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let lives = lives(journal, about);
    let mut runs = runs(about)?;
    for life in &lives {
        let name = (life.namespace.clone(), life.schedule.clone());
        let runs = runs.remove(&name).unwrap_or_default();
        check_life(journal, about, life, &runs)
            .map_err(|what| format!("schedule {}: {what}", life.schedule))?;
    }
    match runs.into_keys().next() {
        Some((_, schedule)) => Err(format!(
            "{schedule} ran, but no revision of it was accepted"
        )),
        None => Ok(()),
    }
}

fn check_life(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let end = Timestamp::from_millis(journal.ended_at_ms + journal.clock_error_ms);
    let expected = life.expected(end);
    let calendar: Vec<&ScheduleRun> = runs
        .iter()
        .filter(|run| run.cause == RunCause::Calendar)
        .collect();
    let (mut seen, mut ran) = (BTreeSet::new(), BTreeSet::new());
    let deleted = life
        .reigns
        .iter()
        .filter(|reign| reign.definition.is_none());
    let took_effect = |reign: &super::revisions::Reign| {
        about
            .ticks
            .iter()
            .position(|tick| tick.applied > reign.offset)
    };
    let deletions: Vec<usize> = deleted.filter_map(took_effect).collect();
    for run in &calendar {
        // Created again while a clock that was ahead is back, it runs times that its predecessor
        // has run.
        let life_number = deletions.iter().filter(|tick| **tick <= run.tick).count();
        if !ran.insert((run.nominal, life_number)) {
            return Err(format!("{} ran twice", run.nominal));
        }
        seen.insert(run.nominal);
        let is_expected = expected
            .binary_search_by_key(&run.nominal, |one| one.nominal)
            .is_ok();
        if !is_expected {
            return Err(format!(
                "{} ran, and is no time of the schedule",
                run.nominal
            ));
        }
        let jitter_ms = run.due.millis_since(run.nominal);
        // What waited is not due after it began; the clock that it began by may be behind the one
        // that it waited by.
        if !(-2 * journal.clock_error_ms..=life.jitter_ms_max()).contains(&jitter_ms) {
            return Err(format!(
                "{} was due {jitter_ms} ms later than its time",
                run.nominal
            ));
        }
    }
    let due_for_certain = |one: &&Expected| {
        let last_ms = one.nominal.as_millis() + life.jitter_ms_max();
        one.is_certain && last_ms < journal.ended_at_ms - journal.recovery_bound_ms
    };
    let owed = expected.iter().filter(due_for_certain);
    let owed: Vec<Expected> = owed
        .filter(|one| !may_have_ended(about, life, one))
        .copied()
        .collect();
    if life.is_transparent() {
        if let Some(missing) = owed.iter().find(|one| !seen.contains(&one.nominal)) {
            let reign = &life.reigns[missing.reign];
            let (offset, after) = (reign.offset, reign.after);
            return Err(format!(
                "{} never ran; it is owed by the revision at offset {offset}, in force after {after}",
                missing.nominal
            ));
        }
        return Ok(());
    }
    check_misfire(about, life, &owed, &calendar)?;
    check_runs_max(about, life, &owed, runs)
}

/// What was left out by the misfire policy had come too late; what ran had not.
fn check_misfire(
    about: &PartitionJournal,
    life: &Life,
    owed: &[Expected],
    calendar: &[&ScheduleRun],
) -> Result<(), String> {
    let only_misfires = life.definitions().all(|definition| {
        promises(definition.overlap).runs_side_by_side
            && definition.runs_max.is_none()
            && !definition.pause_on_failure
    });
    if !only_misfires {
        return Ok(());
    }
    for one in owed {
        let Some(definition) = life.reigns[one.reign].definition.as_ref() else {
            continue;
        };
        let policy = definition.misfire;
        let run = calendar.iter().find(|run| run.nominal == one.nominal);
        if let Some(run) = run {
            let late_ms = about.ticks[run.tick].published_at_ms - run.due.as_millis();
            let latest_ms = match policy.rule {
                MisfireRule::None => policy.grace_ms,
                MisfireRule::All | MisfireRule::Latest => policy.grace_ms.max(policy.window_ms),
                MisfireRule::OneNow => i64::MAX,
            };
            if late_ms > latest_ms {
                return Err(format!(
                    "{} ran {late_ms} ms late against its misfire policy",
                    one.nominal
                ));
            }
            continue;
        }
        // What F had passed when the revision was applied was decided only then, however late that
        // was.
        let took_effect = about
            .ticks
            .iter()
            .find(|tick| tick.applied > life.reigns[one.reign].offset);
        if took_effect.is_some_and(|tick| tick.head.due >= one.nominal) {
            continue;
        }
        let Some(late_ms) = latest_decision_ms(about, life, one, definition.jitter_ms) else {
            continue;
        };
        let least_ms = match policy.rule {
            MisfireRule::All => policy.grace_ms.max(policy.window_ms),
            MisfireRule::Latest | MisfireRule::OneNow | MisfireRule::None => policy.grace_ms,
        };
        if late_ms <= least_ms {
            return Err(format!(
                "{} did not run, though it was only {late_ms} ms late",
                one.nominal
            ));
        }
    }
    Ok(())
}

/// How late at most, after its nominal time, an occurrence that did not run was decided; `None`
/// when it was not decided for certain.
///
/// It was due between its nominal time and the end of the jitter, and one of the ticks decided it in
/// which F came through there, or caught up with what it had left behind there. The latest by its
/// owner's clock counts: that need not be the last one, because the next owner's clock may be behind.
fn latest_decision_ms(
    about: &PartitionJournal,
    life: &Life,
    one: &Expected,
    jitter_ms: i64,
) -> Option<i64> {
    // A tick may end in the middle of a due time, before the schedule's own place in it.
    let first = Place {
        due: one.nominal,
        offset: life.reigns.first()?.offset,
    };
    let last = Place {
        due: one.nominal.plus_millis(jitter_ms),
        offset: life.reigns[one.reign].offset,
    };
    let passed = about.ticks.iter().position(|tick| tick.has_decided(last))?;
    let deciding = about.ticks[..=passed]
        .iter()
        .filter(|tick| tick.head >= first);
    deciding
        .map(|tick| tick.published_at_ms - one.nominal.as_millis())
        .max()
}

/// Whether an occurrence may have been decided so late that its schedule had ended by then.
pub(super) fn may_have_ended(about: &PartitionJournal, life: &Life, one: &Expected) -> bool {
    let reign = &life.reigns[one.reign];
    let Some(definition) = reign.definition.as_ref() else {
        return false;
    };
    let Some(end) = definition.end else {
        return false;
    };
    let applied = about.applied_by(reign.offset);
    let was_passed = about
        .ticks
        .get(applied)
        .is_some_and(|tick| tick.head.due >= one.nominal);
    let caught_up = || {
        // Where a clock went back, F goes through it again when that clock comes there.
        let since = about.ticks.iter().skip(applied);
        let since = since.skip_while(|tick| tick.published_at_ms < one.nominal.as_millis());
        let ticks = since.take(CAUGHT_UP_WITHIN);
        ticks
            .map(|tick| tick.published_at_ms - one.nominal.as_millis())
            .max()
    };
    let late_ms = latest_decision_ms(about, life, one, definition.jitter_ms);
    let late_ms = late_ms.max(was_passed.then(caught_up).flatten());
    late_ms.is_some_and(|late_ms| late_ms > OWED_MS && one.nominal.plus_millis(late_ms) > end)
}

/// A schedule that was never revised starts no more runs than it may, and not fewer when nothing
/// else stops it.
fn check_runs_max(
    about: &PartitionJournal,
    life: &Life,
    owed: &[Expected],
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let [reign] = &life.reigns[..] else {
        return Ok(());
    };
    let Some(definition) = reign.definition.as_ref() else {
        return Ok(());
    };
    let Some(max) = definition.runs_max.filter(|_| !is_triggered(about, life)) else {
        return Ok(());
    };
    if runs.len() as u64 > max {
        return Err(format!("it ran {} times, {max} are allowed", runs.len()));
    }
    let nothing_else = promises(definition.overlap).runs_side_by_side
        && definition.misfire == minutehand_model::MisfirePolicy::default()
        && !definition.pause_on_failure;
    let wanted = (owed.len() as u64).min(max);
    if nothing_else && (runs.len() as u64) < wanted {
        return Err(format!("it ran {} times, {wanted} were owed", runs.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::check;
    use crate::check::story::schedules::{definition, every, pause, revise, run};
    use crate::check::story::{Story, ms};
    use minutehand_model::{MisfirePolicy, MisfireRule, Place};

    /// A schedule every 10 s that ran at these seconds, in ticks at their time and one at the end.
    fn story(times_s: &[i64]) -> Story {
        let story = revise(Story::default(), 0, 1, Some(definition(every(10))));
        let story = times_s.iter().fold(story.ticks(1, &[]), |story, time_s| {
            let at_ms = time_s * 1_000;
            run(story.ticks(at_ms, &[]), at_ms, 0)
        });
        story.ticks(50_500, &[])
    }

    fn ask(story: &Story) -> Result<(), String> {
        let mut journal = story.journal();
        journal.ended_at_ms = 50_500;
        check(&journal, &story.partition)
    }

    #[test]
    fn every_occurrence_runs_once_and_none_outside() {
        assert_eq!(ask(&story(&[10, 20, 30, 40])), Ok(()));
        assert!(ask(&story(&[10, 30, 40])).is_err(), "one is missing");
        assert!(ask(&story(&[10, 20, 30, 30, 40])).is_err(), "one ran twice");
        assert!(
            ask(&story(&[10, 20, 25, 30, 40])).is_err(),
            "one is no time of the schedule"
        );
    }

    #[test]
    fn a_new_revision_governs_what_comes_after_it() {
        let before = [10_000, 20_000]
            .iter()
            .fold(story(&[]), |story, at_ms| run(story, *at_ms, 0));
        let revised = revise(before, 25_000, 2, Some(definition(every(7)))).ticks(51_000, &[]);
        let right = [28_000, 35_000, 42_000, 49_000]
            .iter()
            .fold(revised, |story, at| run(story, *at, 0));
        let mut right = right;
        // The revision took effect at once.
        right
            .partition
            .ticks
            .iter_mut()
            .for_each(|tick| tick.applied = LogOffset::START);
        right.partition.ticks[1].applied = LogOffset::at(25_001);
        right.partition.ticks[1].head.due = crate::check::story::ms(25_000);
        assert_eq!(ask(&right), Ok(()));
        let both = run(right.clone(), 30_000, 0);
        assert!(ask(&both).is_err(), "the old revision still ran");
        right.partition.publications.pop();
        assert!(ask(&right).is_err(), "the new one did not run");
    }

    #[test]
    fn what_is_in_time_is_no_misfire() {
        let rule = |rule| {
            let misfire = MisfirePolicy {
                rule,
                window_ms: 60_000,
                grace_ms: 500,
            };
            let mut definition = definition(every(10));
            definition.misfire = misfire;
            revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[])
        };
        let ran =
            |story: Story, at_ms: i64| run(story.ticks(at_ms, &[]), at_ms / 10_000 * 10_000, 0);
        let four = |story: Story| {
            [10_100, 20_100, 30_100, 40_100]
                .iter()
                .fold(story, |story, at| ran(story, *at))
        };
        assert_eq!(ask(&four(rule(MisfireRule::None))), Ok(()));
        let left_out = ran(
            ran(ran(rule(MisfireRule::None), 10_100), 20_100).ticks(30_100, &[]),
            40_100,
        );
        assert!(
            ask(&left_out).is_err(),
            "30 s was left out though it was in time"
        );
        let left_out = ran(
            ran(ran(rule(MisfireRule::None), 10_100), 20_100).ticks(32_000, &[]),
            40_100,
        );
        assert_eq!(ask(&left_out), Ok(()));
        let too_late = ran(
            ran(ran(ran(rule(MisfireRule::None), 10_100), 20_100), 32_000),
            40_100,
        );
        assert!(ask(&too_late).is_err(), "30 s ran though it was too late");
    }

    /// A schedule every 10 s with this jitter, that left out the occurrence of 30 s: F stopped once
    /// at `head`, when the owner's clock said `at_ms`, and was past the jitter when a clock said
    /// `after_ms`.
    fn left_out(jitter_ms: i64, head: Place, at_ms: i64, after_ms: i64) -> Story {
        let mut definition = definition(every(10));
        definition.jitter_ms = jitter_ms;
        definition.misfire = MisfirePolicy {
            rule: MisfireRule::None,
            window_ms: 60_000,
            grace_ms: 3_000,
        };
        let story = revise(Story::default(), 5, 1, Some(definition)).ticks(10, &[]);
        let ran = |story: Story, at_ms: i64| run(story.ticks(at_ms + 900, &[]), at_ms, 5);
        let stopped = ran(ran(story, 10_000), 20_000)
            .ticks(at_ms, &[])
            .but(|tick| tick.head = head);
        let past = Place::end_of(ms(30_900));
        ran(
            stopped.ticks(after_ms, &[]).but(|tick| tick.head = past),
            40_000,
        )
    }

    #[test]
    fn a_misfire_is_judged_by_the_clocks_that_may_have_decided_it() {
        let within_jitter = Place {
            due: ms(30_514),
            offset: LogOffset::at(5),
        };
        assert_eq!(
            ask(&left_out(719, within_jitter, 7_000_000, 31_000)),
            Ok(()),
            "that clock was ahead"
        );
        assert!(
            ask(&left_out(719, within_jitter, 30_520, 31_000)).is_err(),
            "all clocks were right"
        );
        let before_nominal = Place::end_of(ms(29_999));
        assert!(
            ask(&left_out(719, before_nominal, 7_000_000, 31_000)).is_err(),
            "F had not come there"
        );
        let before_schedule = Place {
            due: ms(30_000),
            offset: LogOffset::at(4),
        };
        assert_eq!(
            ask(&left_out(0, before_schedule, 30_000, 35_000)),
            Ok(()),
            "its place came 5 s later"
        );
        let at_schedule = Place {
            due: ms(30_000),
            offset: LogOffset::at(5),
        };
        assert!(
            ask(&left_out(0, at_schedule, 30_000, 35_000)).is_err(),
            "its place came in time"
        );
    }

    #[test]
    fn what_is_owed_late_may_go_with_its_schedule() {
        let every_ten = || Some(definition(every(10)));
        let paused = pause(
            revise(Story::default(), 0, 1, every_ten()),
            5_000,
            2,
            definition(every(10)),
        );
        let resumed = revise(paused.ticks(6_000, &[]), 8_000, 3, every_ten());
        let unheard = resumed
            .ticks(40_000, &[])
            .but(|tick| tick.applied = LogOffset::at(7_000));
        let heard = unheard
            .ticks(41_000, &[])
            .but(|tick| tick.head = Place::end_of(ms(40_000)));
        let first = run(heard, 10_000, 0);
        let deleted = |story: Story| revise(story, 42_000, 4, None).ticks(42_500, &[]);
        assert_eq!(ask(&deleted(first.clone())), Ok(()), "F had not gone on");
        assert!(ask(&deleted(first.ticks(41_500, &[]))).is_err(), "F had");
    }

    #[test]
    fn what_f_had_not_come_to_goes_with_its_schedule() {
        let stood_at = |head: Place| {
            let created =
                revise(Story::default(), 5, 1, Some(definition(every(10)))).ticks(10, &[]);
            let story = run(created.ticks(10_000, &[]), 10_000, 5)
                .ticks(20_000, &[])
                .but(|tick| tick.head = head);
            ask(&revise(story, 21_000, 2, None).ticks(22_000, &[]))
        };
        assert_eq!(
            stood_at(Place {
                due: ms(20_000),
                offset: LogOffset::at(4)
            }),
            Ok(())
        );
        assert!(stood_at(Place::end_of(ms(20_000))).is_err());
    }

    #[test]
    fn a_pause_that_is_heard_of_with_the_creation_counts() {
        let ran = |times_s: &[i64]| {
            let created = revise(Story::default(), 5_000, 1, Some(definition(every(10))));
            let paused = pause(created, 25_000, 2, definition(every(10)));
            let unheard = paused
                .ticks(40_000, &[])
                .but(|tick| tick.applied = LogOffset::START);
            ask(&times_s
                .iter()
                .fold(unheard.ticks(41_000, &[]), |story, at| {
                    run(story, at * 1_000, 5_000)
                }))
        };
        assert_eq!(ran(&[10, 20]), Ok(()));
        assert!(
            ran(&[10, 20, 30, 40]).is_err(),
            "the pause had come before these"
        );
        assert!(ran(&[10]).is_err(), "20 s was owed");
    }
}
