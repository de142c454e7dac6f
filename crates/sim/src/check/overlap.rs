//! Overlap policies: where runs must not overlap, the next starts only when the owner knows that the last has ended;
//! and an occurrence is skipped only while a run goes on.

use std::collections::BTreeMap;

use minutehand_model::{LogOffset, MisfirePolicy, OverlapPolicy, TaskKey, Timestamp};

use super::revisions::{Life, ScheduleRun, lives, runs};
use crate::journal::{Journal, PartitionJournal, Said};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let mut runs = runs(about)?;
    for life in lives(journal, about) {
        let one_at_a_time = matches!(
            life.overlap(),
            Some(
                OverlapPolicy::Skip
                    | OverlapPolicy::BufferOne
                    | OverlapPolicy::BufferAll
                    | OverlapPolicy::CancelOther
            )
        );
        let runs = runs.remove(&(life.namespace.clone(), life.schedule.clone())).unwrap_or_default();
        if !one_at_a_time || triggers_override(about, &life) || was_deleted(&life) {
            continue;
        }
        let ends = ends(about);
        let named = |what: String| format!("schedule {}: {what}", life.schedule);
        check_one_at_a_time(about, &life, &runs, &ends).map_err(named)?;
        if life.overlap() == Some(OverlapPolicy::Skip) {
            check_skips(journal, about, &life, &runs, &ends).map_err(named)?;
        }
        check_counts(journal, about, &life, &runs).map_err(named)?;
    }
    Ok(())
}

fn is_about(
    life: &Life,
    namespace: &minutehand_model::Namespace,
    schedule: &minutehand_model::ScheduleId,
) -> bool {
    (namespace, schedule) == (&life.namespace, &life.schedule)
}

fn triggers_override(about: &PartitionJournal, life: &Life) -> bool {
    about.log.iter().any(|record| {
        matches!(&record.said, Said::Trigger { namespace, schedule, overlap: Some(_) }
            if is_about(life, namespace, schedule))
    })
}

/// A deleted schedule forgets its runs.
fn was_deleted(life: &Life) -> bool {
    life.reigns.iter().any(|reign| reign.definition.is_none())
}

/// A run by its key and due time.
type RunName = (TaskKey, Timestamp);
/// For every run the offset of the first record that says it has ended.
type Ends = BTreeMap<RunName, LogOffset>;

fn ends(about: &PartitionJournal) -> Ends {
    let mut ends = Ends::new();
    for record in &about.log {
        if let Said::Completed { key, due: Some(due), .. } = &record.said {
            ends.entry((*key, *due)).or_insert(record.offset);
        }
    }
    ends
}

/// Whether an owner with this A knows that a run has ended.
fn has_ended(ends: &Ends, run: &ScheduleRun, applied: LogOffset) -> bool {
    ends.get(&(run.key, run.due)).is_some_and(|offset| *offset < applied)
}

fn check_one_at_a_time(
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
    ends: &Ends,
) -> Result<(), String> {
    let mut started: Vec<&ScheduleRun> = Vec::new();
    for run in runs {
        let tick = &about.ticks[run.tick];
        let given_up = |earlier: &ScheduleRun| {
            tick.published_at_ms - about.ticks[earlier.tick].published_at_ms >= life.run_timeout_ms_min()
        };
        started.retain(|earlier| !has_ended(ends, earlier, tick.applied) && !given_up(earlier));
        if let Some(earlier) = started.first() {
            return Err(format!(
                "{} was started by tick {} while {} was still running",
                run.nominal, tick.number, earlier.nominal
            ));
        }
        started.push(run);
    }
    Ok(())
}

/// With `skip`: what did not run was due while something ran.
fn check_skips(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
    ends: &Ends,
) -> Result<(), String> {
    let nothing_else = life.definitions().all(|definition| {
        definition.misfire == MisfirePolicy::default()
            && definition.runs_max.is_none()
            && !definition.pause_on_failure
            && definition.jitter_ms == 0
    });
    if !nothing_else {
        return Ok(());
    }
    let end_ms = journal.ended_at_ms - journal.recovery_bound_ms;
    for one in life.expected(Timestamp::from_millis(end_ms)).iter().filter(|one| one.is_certain) {
        if runs.iter().any(|run| run.nominal == one.nominal) {
            continue;
        }
        let Some(passing) = about.ticks.iter().position(|tick| tick.head.due >= one.nominal) else {
            continue;
        };
        let tick = &about.ticks[passing];
        let mut started = runs.iter().filter(|run| run.tick <= passing);
        let was_busy = started.any(|run| !has_ended(ends, run, tick.applied));
        if !was_busy {
            return Err(format!("{} was skipped by tick {} while nothing ran", one.nominal, tick.number));
        }
    }
    Ok(())
}

/// What a schedule says of itself adds up: owed = ran + skipped + waiting.
fn check_counts(
    journal: &Journal,
    about: &PartitionJournal,
    life: &Life,
    runs: &[ScheduleRun],
) -> Result<(), String> {
    let [reign] = &life.reigns[..] else { return Ok(()) };
    let Some(definition) = &reign.definition else { return Ok(()) };
    let was_asked = about.log.iter().any(|record| match &record.said {
        Said::Trigger { namespace, schedule, .. } | Said::Backfill { namespace, schedule, .. } => {
            is_about(life, namespace, schedule)
        }
        _ => false,
    });
    let plain = definition.misfire == MisfirePolicy::default()
        && definition.runs_max.is_none()
        && !definition.pause_on_failure;
    let state = about
        .schedule_states
        .iter()
        .find(|(namespace, schedule, _)| is_about(life, namespace, schedule))
        .map(|(_, _, state)| state);
    let (Some(state), true, false) = (state, plain, was_asked) else { return Ok(()) };
    let expected = life.expected(Timestamp::from_millis(journal.ended_at_ms));
    let near_end = journal.ended_at_ms - journal.recovery_bound_ms;
    if expected.iter().any(|one| !one.is_certain || one.nominal.as_millis() + definition.jitter_ms > near_end)
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
    use crate::check::story::Story;
    use crate::check::story::schedules::{
        completes, completes_as, definition, every, names, revise, run, run_as,
    };
    use minutehand_model::{OverlapPolicy, RunCause, ScheduleState};

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
            run(completes(second, 25_000, 20_000).ticks(30_000, &[]), 30_000, 0)
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
        assert!(ask(&run(idle.ticks(30_000, &[]), 30_000, 0)).is_err(), "20 s was skipped for nothing");
    }

    #[test]
    fn a_nominal_time_that_runs_again_keeps_others_from_running() {
        let first = completes(run(skipping().ticks(10_000, &[]), 10_000, 0), 15_000, 10_000);
        let backfilled = run_as(first.ticks(16_000, &[]), 10_000, 16_000, 0, "/backfill").ticks(20_000, &[]);
        let ended = completes_as(backfilled, 25_000, RunCause::Backfill, 10_000, 16_000).ticks(30_000, &[]);
        assert_eq!(ask(&run(ended, 30_000, 0)), Ok(()));
    }

    #[test]
    fn what_a_schedule_counts_adds_up() {
        let mut story = run(skipping().ticks(10_000, &[]), 10_000, 0).ticks(20_000, &[]).ticks(30_000, &[]);
        let (namespace, schedule) = names();
        let state = |skipped| ScheduleState { runs_started: 1, skipped, ..ScheduleState::default() };
        story.partition.schedule_states = vec![(namespace.clone(), schedule.clone(), state(2))];
        assert_eq!(ask(&story), Ok(()));
        story.partition.schedule_states = vec![(namespace, schedule, state(1))];
        assert!(ask(&story).is_err());
    }
}
