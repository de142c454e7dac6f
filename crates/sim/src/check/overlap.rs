//! Overlap policies: where runs must not overlap, the next starts only when its owner may know that
//! the last has ended; an occurrence is left out only while a run goes on; and nothing waits once
//! nothing runs.

use minutehand_model::{MisfirePolicy, OverlapPolicy, RunCause, ScheduleDefinition, Timestamp};

use super::course::{Course, Rests, SKEW_MS_MAX, Story, has_calm_clocks};
use super::occurrences::may_have_ended;
use super::policies::promises;
use super::revisions::{Expected, Life, Reign, ScheduleRun, lives_with_runs};
use crate::journal::{Journal, PartitionJournal, Said};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for (life, runs) in lives_with_runs(journal, about)? {
        let named = |what: String| format!("schedule {}: {what}", life.schedule);
        let story = Story::of(about, &life, &runs);
        check_one_at_a_time(&story).map_err(named)?;
        check_triggers(&story).map_err(named)?;
        if has_calm_clocks(journal) {
            check_left(journal, &story).map_err(named)?;
            check_triggers_left(&story).map_err(named)?;
        }
        check_counts(journal, about, &life, &runs).map_err(named)?;
    }
    Ok(())
}

/// What runs for certain when a run starts, and was started before it.
fn still_running<'a>(story: &'a Story<'_>, index: usize) -> Option<&'a Course> {
    let started = &story.runs[index];
    let tick = started.run.tick;
    let mut before = story.runs[..index]
        .iter()
        .filter(|one| one.incarnation == started.incarnation);
    before.find(|one| {
        one.counts(tick) || one.is_awaited && one.run.tick == tick && one.ends_first > tick
    })
}

fn overlapping(story: &Story<'_>, index: usize, earlier: &Course) -> String {
    let (started, tick) = (
        &story.runs[index].run,
        story.tick(story.runs[index].run.tick),
    );
    let earlier = earlier.run.nominal;
    format!(
        "{} was started by tick {} while {earlier} was still running",
        started.nominal, tick.number
    )
}

fn check_one_at_a_time(story: &Story<'_>) -> Result<(), String> {
    let is_alone = |definition: &ScheduleDefinition| promises(definition.overlap).is_one_at_a_time;
    let must_wait =
        |own: Option<OverlapPolicy>| own.is_none_or(|own| promises(own).is_one_at_a_time);
    check_alone(story, is_alone, must_wait)
}

/// A trigger obeys the policy that it brings, also where all others may run side by side.
fn check_triggers(story: &Story<'_>) -> Result<(), String> {
    let side_by_side =
        |definition: &ScheduleDefinition| promises(definition.overlap).runs_side_by_side;
    let must_wait =
        |own: Option<OverlapPolicy>| own.is_some_and(|own| promises(own).is_one_at_a_time);
    check_alone(story, side_by_side, must_wait)
}

/// Where a schedule has such definitions only, what must wait by its own policy starts alone.
fn check_alone(
    story: &Story<'_>,
    is_such: impl Fn(&ScheduleDefinition) -> bool + Copy,
    must_wait: impl Fn(Option<OverlapPolicy>) -> bool,
) -> Result<(), String> {
    for (index, started) in story.runs.iter().enumerate() {
        if !must_wait(started.own) || !story.all(started.incarnation, is_such) {
            continue;
        }
        if let Some(earlier) = still_running(story, index) {
            return Err(overlapping(story, index, earlier));
        }
    }
    Ok(())
}

/// An occurrence and the ticks in which it was decided.
struct Decided<'a> {
    occurrence: Expected,
    definition: &'a ScheduleDefinition,
    /// The tick that applied its revision.
    ruled_by: usize,
    first: usize,
    last: usize,
    /// The tick that published it.
    ran: usize,
}

/// Nothing is left out while nothing runs, and nothing waits.
fn check_left(journal: &Journal, story: &Story<'_>) -> Result<(), String> {
    let end = Timestamp::from_millis(journal.ended_at_ms - journal.recovery_bound_ms);
    let expected = story.life.expected(end);
    let mut idle = Vec::new();
    for occurrence in expected.into_iter().filter(|one| one.is_certain) {
        let incarnation = story.incarnation(story.life.reigns[occurrence.reign].offset);
        let nothing_else = |definition: &ScheduleDefinition| {
            definition.misfire == MisfirePolicy::default() && definition.runs_max.is_none()
        };
        if !story.all(incarnation, nothing_else) {
            continue;
        }
        let Some(decided) = decided(story, occurrence, incarnation) else {
            continue;
        };
        while idle.len() <= incarnation {
            idle.push(story.idle(idle.len()));
        }
        check_decided(story, &decided, &idle[incarnation], incarnation)?;
    }
    Ok(())
}

/// When an occurrence was decided; `None` when it was not for certain, or for another reason.
fn decided<'a>(
    story: &'a Story<'_>,
    occurrence: Expected,
    incarnation: usize,
) -> Option<Decided<'a>> {
    let reign = &story.life.reigns[occurrence.reign];
    let definition = reign.definition.as_ref()?;
    let (nominal, jitter_ms) = (occurrence.nominal, definition.jitter_ms);
    let created = story.creation(incarnation)?.offset;
    let (first, last) = story.passed_by(nominal, nominal.plus_millis(jitter_ms), created);
    let ruled_by = story.about.applied_by(reign.offset);
    // What F had passed when its revision was applied is decided later, in any tick.
    let was_ahead = story
        .about
        .ticks
        .get(ruled_by)
        .is_some_and(|tick| tick.head.due < nominal);
    let is_over = last >= story.about.ticks.len() || last >= story.deleted_by(incarnation);
    let is_over = is_over || may_have_ended(story.about, story.life, &occurrence);
    if !was_ahead || is_over || story.may_have_rested_at(nominal, nominal.plus_millis(jitter_ms)) {
        return None;
    }
    let is_this = |one: &&Course| {
        one.incarnation == incarnation
            && (one.run.cause, one.run.nominal) == (RunCause::Calendar, nominal)
    };
    let ran = story
        .runs
        .iter()
        .find(is_this)
        .map_or(usize::MAX, |one| one.run.tick);
    Some(Decided {
        occurrence,
        definition,
        ruled_by,
        first,
        last,
        ran,
    })
}

fn check_decided(
    story: &Story<'_>,
    decided: &Decided<'_>,
    idle: &[bool],
    incarnation: usize,
) -> Result<(), String> {
    let Decided {
        occurrence,
        definition,
        first,
        last,
        ran,
        ..
    } = decided;
    let nominal = occurrence.nominal;
    if ran <= last {
        return Ok(());
    }
    let number = |tick: usize| story.tick(tick).number;
    match definition.overlap {
        OverlapPolicy::AllowAll | OverlapPolicy::TerminateOther => Err(format!(
            "{nominal} did not run by tick {}, although nothing keeps it",
            number(*last)
        )),
        OverlapPolicy::Skip => {
            let is_idle = |tick: usize| idle[tick] && story.rests_after(tick) == Rests::No;
            match (*first..=*last).all(is_idle) {
                true => Err(format!(
                    "{nominal} was skipped by tick {} while nothing ran",
                    number(*last)
                )),
                false => Ok(()),
            }
        }
        OverlapPolicy::BufferOne | OverlapPolicy::BufferAll | OverlapPolicy::CancelOther => {
            let until = (*ran).min(story.deleted_by(incarnation)).min(idle.len());
            let stranded =
                (*last..until).find(|tick| is_stranded(story, decided, idle, incarnation, *tick));
            match stranded {
                Some(tick) => Err(format!(
                    "{nominal} waits in tick {}, although nothing keeps it",
                    number(tick)
                )),
                None => Ok(()),
            }
        }
    }
}

/// Whether something waits for certain after a tick that nothing can keep from running.
///
/// When an occurrence has not run that had to wait, something waits from then on until a run
/// starts; where all wait, it is the occurrence itself.
fn is_stranded(
    story: &Story<'_>,
    decided: &Decided<'_>,
    idle: &[bool],
    incarnation: usize,
    tick: usize,
) -> bool {
    let runs_side_by_side = story
        .ruling_after(tick)
        .and_then(|reign| reign.definition.as_ref())
        .is_some_and(|definition| promises(definition.overlap).runs_side_by_side);
    let may_start =
        idle[tick] || (runs_side_by_side && !may_wait_alone(story, decided.first, tick));
    if !may_start || story.rests_after(tick) != Rests::No {
        return false;
    }
    let waits_itself = promises(decided.definition.overlap).each_has_its_turn
        && !may_be_replaced(story, decided.ruled_by, tick);
    let has_started = || {
        let mut started = story
            .runs
            .iter()
            .filter(|one| one.incarnation == incarnation);
        started.any(|one| (decided.first..=tick).contains(&one.run.tick))
    };
    let published_ms = story.tick(tick).published_at_ms + SKEW_MS_MAX;
    let mut ruled = story.ruling_between(decided.ruled_by, tick);
    let has_ended = ruled.any(|reign| {
        let end = reign
            .definition
            .as_ref()
            .and_then(|definition| definition.end);
        end.is_some_and(|end| end.as_millis() <= published_ms)
    });
    !has_ended && (waits_itself || !has_started())
}

/// Whether a trigger may wait, in a stretch of ticks, by a policy that it has brought: also where
/// others run side by side.
fn may_wait_alone(story: &Story<'_>, first: usize, last: usize) -> bool {
    story.about.log.iter().any(|record| {
        let Said::Trigger {
            overlap: Some(own), ..
        } = &record.said
        else {
            return false;
        };
        let waits = promises(*own).waits;
        let is_this =
            |one: &&Course| (one.run.cause, one.run.offset) == (RunCause::Trigger, record.offset);
        let ran = || {
            story
                .runs
                .iter()
                .find(is_this)
                .map_or(usize::MAX, |one| one.run.tick)
        };
        let was_asked = || story.about.applied_by(record.offset) <= last;
        waits && story.life.is_asked(&record.said) && was_asked() && ran() > first
    })
}

/// A trigger that waits for its turn has it once nothing runs.
fn check_triggers_left(story: &Story<'_>) -> Result<(), String> {
    for record in &story.about.log {
        let Said::Trigger { overlap, .. } = &record.said else {
            continue;
        };
        let asked = story
            .life
            .reign_at(record.offset)
            .and_then(|reign| reign.definition.as_ref());
        let waits =
            asked.is_some_and(|one| promises(overlap.unwrap_or(one.overlap)).each_has_its_turn);
        if !waits || !story.life.is_asked(&record.said) {
            continue;
        }
        let incarnation = story.incarnation(record.offset);
        let applied = story.about.applied_by(record.offset);
        let is_this =
            |one: &&Course| (one.run.cause, one.run.offset) == (RunCause::Trigger, record.offset);
        let ran = story
            .runs
            .iter()
            .find(is_this)
            .map_or(usize::MAX, |one| one.run.tick);
        let idle = story.idle(incarnation);
        let until = ran.min(story.deleted_by(incarnation)).min(idle.len());
        let may_start = |tick: &usize| idle[*tick] && story.rests_after(*tick) == Rests::No;
        if let Some(tick) = (applied..until).find(may_start)
            && !may_be_replaced(story, applied, tick)
        {
            let number = story.tick(tick).number;
            let offset = record.offset;
            return Err(format!(
                "the trigger at offset {offset} waits in tick {number}, and nothing keeps it"
            ));
        }
    }
    Ok(())
}

/// Whether what waits between two ticks may have been replaced by something newer, also by what an
/// earlier revision still owed then, which keeps to the policies of that one.
fn may_be_replaced(story: &Story<'_>, first: usize, last: usize) -> bool {
    let replaces = |overlap: OverlapPolicy| promises(overlap).replaces;
    let still_owes = |reign: &&Reign| {
        let definition = reign.definition.as_ref();
        let jitter_ms = definition.map_or(0, |definition| definition.jitter_ms);
        let end = reign.until.plus_millis(jitter_ms);
        let (_, passed) = story.passed_by(reign.after, end, reign.offset);
        story.about.applied_by(reign.offset) < first && first <= passed
    };
    let mut ruled = story
        .ruling_between(first, last)
        .chain(story.life.reigns.iter().filter(still_owes))
        .filter_map(|reign| reign.definition.as_ref());
    let is_brought = || {
        story.about.log.iter().any(|record| {
            matches!(&record.said, Said::Trigger { overlap: Some(overlap), .. }
                if story.life.is_asked(&record.said) && replaces(*overlap))
        })
    };
    ruled.any(|definition| replaces(definition.overlap)) || is_brought()
}

/// What a schedule says of itself adds up: owed = ran + skipped + waiting.
fn check_counts(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let [reign] = &life.reigns[..] else {
        return Ok(());
    };
    let Some(definition) = &reign.definition else {
        return Ok(());
    };
    let was_asked = about.log.iter().any(|record| {
        matches!(record.said, Said::Trigger { .. } | Said::Backfill { .. })
            && life.is_asked(&record.said)
    });
    let plain = definition.misfire == MisfirePolicy::default()
        && definition.runs_max.is_none()
        && !definition.pause_on_failure;
    let state = about
        .schedule_states
        .iter()
        .find(|(namespace, schedule, _)| (namespace, schedule) == (&life.namespace, &life.schedule))
        .map(|(_, _, state)| state);
    let (Some(state), true, false) = (state, plain, was_asked) else {
        return Ok(());
    };
    let expected = life.expected(Timestamp::from_millis(journal.ended_at_ms));
    let near_end = journal.ended_at_ms - journal.recovery_bound_ms;
    if expected
        .iter()
        .any(|one| !one.is_certain || one.nominal.as_millis() + definition.jitter_ms > near_end)
    {
        return Ok(());
    }
    let accounted = runs.len() as u64 + state.skipped + state.missed + state.buffered.len() as u64;
    if accounted != expected.len() as u64 || state.runs_started != runs.len() as u64 {
        return Err(format!(
            "{} occurrences were owed, {} ran; it counts {} started, {} skipped, {} missed, {} waiting",
            expected.len(),
            runs.len(),
            state.runs_started,
            state.skipped,
            state.missed,
            state.buffered.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::check::story::schedules::{
        completes, completes_as, definition, every, key_of, names, retries, revise, run, run_as,
        triggers,
    };
    use crate::check::story::{Story, ms};
    use minutehand_model::{OverlapPolicy, Place, RunCause, ScheduleState};

    fn skipping() -> Story {
        let mut definition = definition(every(10));
        definition.overlap = OverlapPolicy::Skip;
        revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[])
    }

    fn ask(story: &Story) -> Result<(), String> {
        let mut journal = story.journal();
        journal.ended_at_ms = 31_500;
        check(&journal, &story.partition)
    }

    #[test]
    fn the_next_run_starts_when_the_last_is_known_to_have_ended() {
        let first = run(skipping().ticks(10_000, &[]), 10_000, 0);
        let ended = completes(first.clone(), 15_000, 10_000);
        let second = |story: Story| {
            let second = run(story.ticks(20_000, &[]), 20_000, 0);
            run(
                completes(second, 25_000, 20_000).ticks(30_000, &[]),
                30_000,
                0,
            )
        };
        assert_eq!(ask(&second(ended)), Ok(()));
        assert!(ask(&second(first)).is_err(), "the first run never ended");
    }

    #[test]
    fn nothing_is_skipped_while_nothing_runs() {
        let first = run(skipping().ticks(10_000, &[]), 10_000, 0);
        let busy = completes(first.clone().ticks(20_000, &[]), 25_000, 10_000);
        assert_eq!(ask(&run(busy.ticks(30_000, &[]), 30_000, 0)), Ok(()));
        let idle = completes(first, 15_000, 10_000).ticks(20_000, &[]);
        assert!(
            ask(&run(idle.ticks(30_000, &[]), 30_000, 0)).is_err(),
            "20 s was skipped for nothing"
        );
    }

    #[test]
    fn a_nominal_time_that_runs_again_keeps_others_from_running() {
        let first = completes(
            run(skipping().ticks(10_000, &[]), 10_000, 0),
            15_000,
            10_000,
        );
        let backfilled =
            run_as(first.ticks(16_000, &[]), 10_000, 16_000, 0, "/backfill").ticks(20_000, &[]);
        let ended =
            completes_as(backfilled, 25_000, RunCause::Backfill, 10_000, 16_000).ticks(30_000, &[]);
        assert_eq!(ask(&run(ended, 30_000, 0)), Ok(()));
    }

    #[test]
    fn nothing_waits_once_nothing_runs() {
        for overlap in [
            OverlapPolicy::BufferOne,
            OverlapPolicy::BufferAll,
            OverlapPolicy::CancelOther,
        ] {
            let mut definition = definition(every(10));
            definition.overlap = overlap;
            let story = revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[]);
            let waits = run(story.ticks(10_000, &[]), 10_000, 0).ticks(20_000, &[]);
            assert_eq!(ask(&waits.clone().ticks(22_000, &[])), Ok(()), "{overlap}");
            let ended = completes(waits, 21_000, 10_000).ticks(22_000, &[]);
            assert_eq!(ask(&run(ended.clone(), 20_000, 0)), Ok(()), "{overlap}");
            assert!(ask(&ended).is_err(), "{overlap}: it waits for nothing");
        }
    }

    #[test]
    fn a_trigger_that_waits_has_its_turn() {
        let (namespace, schedule) = names();
        let mut definition = definition(every(100));
        definition.overlap = OverlapPolicy::BufferAll;
        let asks = |story: Story, at: u64| {
            let (namespace, schedule) = (namespace.clone(), schedule.clone());
            story.says(
                at,
                crate::journal::Said::Trigger {
                    namespace,
                    schedule,
                    overlap: None,
                },
            )
        };
        let ran = |story: Story, at_ms: i64, at: u64| {
            run_as(
                story.ticks(at_ms, &[]),
                at as i64,
                at as i64,
                at,
                "/trigger",
            )
        };
        let story = revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[]);
        let waits = asks(ran(asks(story, 5_000), 5_001, 5_000), 6_000).ticks(6_001, &[]);
        assert_eq!(ask(&waits), Ok(()));
        let ended = completes_as(waits, 6_500, RunCause::Trigger, 5_000, 5_000);
        assert_eq!(ask(&ran(ended.clone(), 6_501, 6_000)), Ok(()));
        assert!(ask(&ended.ticks(6_501, &[])).is_err());
    }

    #[test]
    fn a_triggers_own_policy_counts_where_all_may_run() {
        let (namespace, schedule) = names();
        let asks = |story: Story, at: u64| {
            let (namespace, schedule) = (namespace.clone(), schedule.clone());
            let overlap = Some(OverlapPolicy::Skip);
            story.says(
                at,
                crate::journal::Said::Trigger {
                    namespace,
                    schedule,
                    overlap,
                },
            )
        };
        let ran = |story: Story, at: u64| {
            run_as(
                asks(story, at).ticks(at as i64 + 1, &[]),
                at as i64,
                at as i64,
                at,
                "/trigger",
            )
        };
        let story = revise(Story::default(), 0, 1, Some(definition(every(100)))).ticks(1, &[]);
        let first = ran(story, 5_000);
        assert!(ask(&ran(first.clone(), 6_000)).is_err());
        let ended = completes_as(first, 5_500, RunCause::Trigger, 5_000, 5_000).ticks(5_501, &[]);
        assert_eq!(ask(&ran(ended, 6_000)), Ok(()));
    }

    /// It keeps the one place there is, also where others run side by side by then.
    #[test]
    fn a_trigger_may_wait_alone_in_the_place_of_another() {
        let mut one_waits = definition(every(10));
        one_waits.overlap = OverlapPolicy::BufferOne;
        let asked = |own: Option<OverlapPolicy>| {
            let story = revise(Story::default(), 0, 1, Some(one_waits.clone())).ticks(1, &[]);
            let story = triggers(run(story.ticks(10_000, &[]), 10_000, 0), 15_000, own);
            let story = revise(
                story.ticks(15_001, &[]).ticks(20_000, &[]),
                21_000,
                2,
                Some(definition(every(10))),
            );
            ask(&run(story.ticks(21_500, &[]).ticks(30_000, &[]), 30_000, 0))
        };
        assert_eq!(asked(Some(OverlapPolicy::BufferOne)), Ok(()));
        assert!(
            asked(Some(OverlapPolicy::Skip)).is_err(),
            "20 s had the place, and may start"
        );
    }

    /// Its schedule was deleted and created again while F stood ahead, where a clock had been that
    /// is back.
    #[test]
    fn an_end_is_that_of_the_newest_run_of_a_name() {
        let ahead = |story: Story, at_ms: i64| {
            let ahead = Place::end_of(ms(25_000.max(at_ms)));
            story.ticks(at_ms, &[]).but(|tick| tick.head = ahead)
        };
        let skips = || {
            let mut definition = definition(every(10));
            definition.overlap = OverlapPolicy::Skip;
            Some(definition)
        };
        let story = completes(
            run(skipping().ticks(10_000, &[]), 10_000, 0),
            10_500,
            10_000,
        );
        let deleted = ahead(
            revise(run(ahead(story, 11_000), 20_000, 0), 12_000, 2, None),
            12_500,
        );
        let again = ahead(revise(deleted, 13_000, 3, skips()), 13_500);
        let twice = run(ahead(again, 20_000), 20_000, 13_000);
        let third = |story: Story| run(story.ticks(30_000, &[]), 30_000, 13_000).journal();
        let ask = |mut journal: crate::journal::Journal| {
            (journal.ended_at_ms, journal.clock_error_ms) = (31_500, 15_000);
            check(&journal, &journal.partitions[0])
        };
        assert_eq!(ask(third(completes(twice.clone(), 21_000, 20_000))), Ok(()));
        assert!(
            ask(third(twice)).is_err(),
            "the second run of 20 s never ended"
        );
    }

    /// The retry is published all the same when the block is damaged in which the cancel stood as
    /// well.
    #[test]
    fn a_cancel_ends_a_run_that_waits_for_a_retry() {
        let waits = retries(
            run(skipping().ticks(10_000, &[]), 10_000, 0),
            12_000,
            10_000,
            25_000,
        );
        let cancels = |story: Story, at: u64| story.cancels(at, key_of(10_000).0, 25_000);
        let published = |story: Story| story.ticks(25_000, &[(key_of(10_000).0, 25_000, 12_000)]);
        let before = run(cancels(waits.clone(), 15_000).ticks(20_000, &[]), 20_000, 0);
        assert_eq!(ask(&published(before).ticks(30_000, &[])), Ok(()));
        let after = cancels(published(waits.ticks(20_000, &[])), 26_000);
        assert!(
            ask(&run(after.ticks(30_000, &[]), 30_000, 0)).is_err(),
            "it was out by then"
        );
    }

    #[test]
    fn what_a_schedule_counts_adds_up() {
        let mut story = run(skipping().ticks(10_000, &[]), 10_000, 0)
            .ticks(20_000, &[])
            .ticks(30_000, &[]);
        let (namespace, schedule) = names();
        let state = |skipped| ScheduleState {
            runs_started: 1,
            skipped,
            ..ScheduleState::default()
        };
        story.partition.schedule_states = vec![(namespace.clone(), schedule.clone(), state(2))];
        assert_eq!(ask(&story), Ok(()));
        story.partition.schedule_states = vec![(namespace, schedule, state(1))];
        assert!(ask(&story).is_err());
    }
}
