//! Pausing, deleting, ending: what counts is when a thing would run. Nothing that waits starts
//! while its schedule rests, nothing runs after its end, and what is created again has nothing of
//! what was deleted.

use minutehand_model::{RunCause, Timestamp};

use super::course::{Course, Rests, SKEW_MS_MAX, Story, has_calm_clocks};
use super::occurrences::OWED_MS;
use super::revisions::lives_with_runs;
use crate::journal::{Journal, PartitionJournal};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for (life, runs) in lives_with_runs(journal, about)? {
        let story = Story::of(about, &life, &runs);
        for run in &story.runs {
            let tick = story.tick(run.run.tick).number;
            let (schedule, nominal) = (&life.schedule, run.run.nominal);
            let named = |what: &str| {
                format!("schedule {schedule}: {nominal}, which tick {tick} ran, {what}")
            };
            check_at_rest(&story, run).map_err(named)?;
            check_own_life(&story, run).map_err(named)?;
            if has_calm_clocks(journal) {
                check_due_at_rest(&story, run).map_err(named)?;
                check_end(&story, run).map_err(named)?;
                check_fresh(&story, run).map_err(named)?;
            }
        }
    }
    Ok(())
}

/// Whether a run has waited before its tick: it could have started in an earlier one.
fn has_waited(story: &Story<'_>, run: &Course) -> bool {
    let Some(before) = run.run.tick.checked_sub(1) else {
        return false;
    };
    let created = match run.run.cause {
        RunCause::Backfill => return false,
        RunCause::Trigger => return story.about.applied_by(run.run.offset) <= before,
        RunCause::Calendar => run.run.offset,
    };
    let nominal = run.run.nominal;
    let latest = nominal.plus_millis(story.life.jitter_ms_max());
    let (_, decided) = story.passed_by(nominal, latest, created);
    decided <= before && !story.may_be_owed_late(nominal, run.incarnation)
}

fn check_at_rest(story: &Story<'_>, run: &Course) -> Result<(), &'static str> {
    let tick = run.run.tick;
    if run.run.cause == RunCause::Backfill && story.rests_after(tick) == Rests::Yes {
        return Err("is part of a backfill, and its schedule rests");
    }
    if story.rests_through(tick) && has_waited(story, run) {
        return Err("had waited, and its schedule rests");
    }
    Ok(())
}

/// What the jitter holds does not run when its time comes in a pause.
fn check_due_at_rest(story: &Story<'_>, run: &Course) -> Result<(), &'static str> {
    let (due, tick) = (run.run.due, run.run.tick);
    let is_direct = run.run.cause == RunCause::Calendar && !has_waited(story, run);
    if !is_direct || story.may_be_owed_late(run.run.nominal, run.incarnation) {
        return Ok(());
    }
    if due > run.run.nominal && story.pauses_at(due, tick) {
        return Err("was due in a pause");
    }
    if story.rests_since_failure(due, tick) {
        return Err("was due when a failure had paused its schedule");
    }
    Ok(())
}

/// Nothing that the calendar has named starts after the end of its schedule.
fn check_end(story: &Story<'_>, run: &Course) -> Result<(), &'static str> {
    if run.run.cause != RunCause::Calendar {
        return Ok(());
    }
    let Some(before) = run.run.tick.checked_sub(1).map(|before| story.tick(before)) else {
        return Ok(());
    };
    let ends = |reign: &super::revisions::Reign| reign.definition.as_ref().and_then(|one| one.end);
    let ended_by = |at: Timestamp| move |end: Option<Timestamp>| end.is_some_and(|end| end < at);
    if run.run.due > run.run.nominal {
        let mut naming = story.naming(run.run.nominal).peekable();
        if naming.peek().is_some() && naming.map(ends).all(ended_by(run.run.due)) {
            return Err("was due after the end of its schedule");
        }
    }
    // A tick may be sent for long: it was decided when the one before it was out, or later.
    let decided = Timestamp::from_millis(before.published_at_ms - SKEW_MS_MAX);
    if decided.millis_since(run.run.due) > OWED_MS {
        // What has waited starts by the definition in force.
        let naming = story.naming(run.run.nominal);
        let mut ruling = naming.chain(story.ruling_in(run.run.tick)).peekable();
        if ruling.peek().is_some() && ruling.map(ends).all(ended_by(decided)) {
            return Err("was owed, and its schedule has ended");
        }
    }
    if has_waited(story, run)
        && story
            .ruling_in(run.run.tick)
            .map(ends)
            .all(ended_by(decided))
    {
        return Err("had waited, and its schedule has ended");
    }
    Ok(())
}

/// Nothing of a deleted schedule starts.
fn check_own_life(story: &Story<'_>, run: &Course) -> Result<(), &'static str> {
    match run.run.tick > story.deleted_by(run.incarnation) {
        true => Err("belongs to a schedule that was deleted"),
        false => Ok(()),
    }
}

/// What is created again does not run what its predecessor had left.
fn check_fresh(story: &Story<'_>, run: &Course) -> Result<(), &'static str> {
    let created = story
        .creation(run.incarnation)
        .filter(|_| run.run.cause == RunCause::Calendar);
    match created.is_some_and(|created| run.run.nominal < created.first) {
        true => Err("lies before the creation of its schedule"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{OverlapPolicy, ScheduleDefinition};

    use super::check;
    use crate::check::story::Story;
    use crate::check::story::ms;
    use crate::check::story::schedules::{
        completes, definition, every, fails, pause, revise, run, run_as,
    };

    fn buffering() -> ScheduleDefinition {
        ScheduleDefinition {
            overlap: OverlapPolicy::BufferOne,
            ..definition(every(10))
        }
    }

    fn begun(definition: ScheduleDefinition) -> Story {
        revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[])
    }

    #[test]
    fn nothing_that_waits_starts_in_a_pause() {
        let waits = run(begun(buffering()).ticks(10_000, &[]), 10_000, 0).ticks(20_000, &[]);
        let ended = |story: Story| completes(story, 22_000, 10_000).ticks(22_500, &[]);
        assert_eq!(run(ended(waits.clone()), 20_000, 0).ask(check), Ok(()));
        let paused = pause(waits, 21_000, 2, buffering()).ticks(21_500, &[]);
        assert_eq!(ended(paused.clone()).ask(check), Ok(()));
        assert!(run(ended(paused.clone()), 20_000, 0).ask(check).is_err());
        let resumed = revise(ended(paused), 23_000, 3, Some(buffering())).ticks(23_500, &[]);
        assert_eq!(run(resumed, 20_000, 0).ask(check), Ok(()));
    }

    #[test]
    fn no_backfill_runs_in_a_pause() {
        let paused = pause(
            begun(definition(every(10))),
            5_000,
            2,
            definition(every(10)),
        )
        .ticks(6_000, &[]);
        assert!(
            run_as(paused.clone(), 1_000, 6_000, 0, "/backfill")
                .ask(check)
                .is_err()
        );
        let resumed = revise(paused, 7_000, 3, Some(definition(every(10)))).ticks(8_000, &[]);
        assert_eq!(
            run_as(resumed, 1_000, 8_000, 0, "/backfill").ask(check),
            Ok(())
        );
    }

    #[test]
    fn what_the_jitter_holds_over_a_pause_does_not_run() {
        let jittered = || ScheduleDefinition {
            jitter_ms: 9_000,
            ..definition(every(10))
        };
        let ran = |due_ms: i64| {
            let paused = pause(begun(jittered()).ticks(10_000, &[]), 12_000, 2, jittered())
                .ticks(12_500, &[]);
            let resumed = revise(paused, 17_000, 3, Some(jittered())).ticks(17_500, &[]);
            run_as(
                resumed.ticks(due_ms.max(18_000), &[]),
                10_000,
                due_ms,
                0,
                "",
            )
            .ask(check)
        };
        assert!(ran(15_000).is_err());
        assert_eq!(ran(18_000), Ok(()));
    }

    #[test]
    fn nothing_starts_after_the_end() {
        let ending = || ScheduleDefinition {
            end: Some(ms(25_000)),
            jitter_ms: 9_000,
            ..buffering()
        };
        let story = begun(ending()).ticks(20_000, &[]);
        let ran = |story: Story, due_ms: i64| run_as(story, 20_000, due_ms, 0, "").ask(check);
        assert_eq!(ran(story.clone().ticks(25_000, &[]), 25_000), Ok(()));
        assert!(
            ran(story.clone().ticks(25_001, &[]), 25_001).is_err(),
            "the jitter passes the end"
        );
        assert!(
            ran(story.ticks(40_000, &[]).ticks(41_000, &[]), 20_000).is_err(),
            "it had waited"
        );
    }

    #[test]
    fn what_was_deleted_runs_no_more_and_leaves_nothing() {
        let deleted =
            revise(begun(buffering()).ticks(20_000, &[]), 21_000, 2, None).ticks(22_000, &[]);
        assert!(
            run(deleted.clone().ticks(23_000, &[]), 20_000, 0)
                .ask(check)
                .is_err()
        );
        let again = revise(deleted, 25_000, 3, Some(buffering())).ticks(26_000, &[]);
        assert_eq!(
            run(again.clone().ticks(30_000, &[]), 30_000, 25_000).ask(check),
            Ok(())
        );
        assert!(
            run(again, 20_000, 25_000).ask(check).is_err(),
            "its predecessor had left it"
        );
    }

    #[test]
    fn a_failure_pauses_the_life_that_it_belongs_to() {
        let pausing = || ScheduleDefinition {
            pause_on_failure: true,
            ..buffering()
        };
        let first = run(begun(pausing()).ticks(10_000, &[]), 10_000, 0);
        let again =
            revise(revise(first, 12_000, 2, None), 13_000, 3, Some(pausing())).ticks(13_500, &[]);
        let waits = run(again.ticks(20_000, &[]), 20_000, 13_000).ticks(30_000, &[]);
        let failed = |nominal_ms| fails(waits.clone(), 31_000, nominal_ms).ticks(31_500, &[]);
        let ran = |story: Story| run(story.ticks(33_000, &[]), 30_000, 13_000).ask(check);
        assert_eq!(ran(completes(failed(10_000), 32_000, 20_000)), Ok(()));
        assert!(ran(failed(20_000)).is_err(), "it was its own");
    }
}
