//! Requests to stop: each names a run, on the queue where it is; it is repeated until the run has
//! ended; what was asked to stop is not tried again; and a run of which nothing is heard is killed
//! in the end.

use std::collections::BTreeMap;

use minutehand_model::limits::STOP_REPEAT_MS_MIN;
use minutehand_model::{ScheduleDefinition, TaskKey, Timestamp};

use super::course::{Course, SKEW_MS_MAX, Story, has_calm_clocks};
use super::revisions::lives_with_runs;
use crate::journal::{Journal, PartitionJournal};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    if about.stops.is_none() {
        return Ok(());
    }
    check_names(about)?;
    for (life, runs) in lives_with_runs(journal, about)? {
        let story = Story::of(about, &life, &runs);
        for run in story.runs.iter().filter(|run| run.is_awaited) {
            let named =
                |what: &str| format!("schedule {}: {} {what}", life.schedule, run.run.nominal);
            check_retries(&story, run).map_err(|what| named(&what))?;
            if has_calm_clocks(journal) {
                check_repeats(journal, &story, run).map_err(|what| named(&what))?;
                check_given_up(journal, &story, run).map_err(|what| named(&what))?;
            }
        }
    }
    Ok(())
}

/// Every request names a run that was published, on the queue that it was published to.
fn check_names(about: &PartitionJournal) -> Result<(), String> {
    let stops = about.stops.as_deref().unwrap_or_default();
    if stops.is_empty() {
        return Ok(());
    }
    // A schedule that is created again while a clock that was ahead is back may run a time anew, on
    // another queue.
    let mut published: BTreeMap<(TaskKey, Timestamp), Vec<usize>> = BTreeMap::new();
    for (index, one) in about.publications.iter().enumerate() {
        published.entry((one.key, one.due)).or_default().push(index);
    }
    for (tick, stop) in stops {
        let name = format!(
            "the request of tick {} to stop {:016x} due {}",
            tick + 1,
            stop.key.low(),
            stop.due
        );
        let runs = published.get(&(stop.key, stop.due)).into_iter().flatten();
        let Some(index) = runs
            .rev()
            .find(|index| about.publications[**index].tick <= *tick)
        else {
            return Err(format!("{name} names no run"));
        };
        let Ok(task) = minutehand_record::task::decode(&about.publications[*index].encoded) else {
            continue;
        };
        if task.queue != stop.queue {
            return Err(format!(
                "{name} goes to queue {}; the run is on {}",
                stop.queue, task.queue
            ));
        }
    }
    Ok(())
}

/// When a run may be forgotten at the earliest, because nothing was heard of it, by its owner's
/// clock.
fn given_up_from_ms(story: &Story<'_>, run: &Course) -> i64 {
    story
        .tick(run.run.tick)
        .published_at_ms
        .saturating_add(story.life.run_timeout_ms_min())
        - SKEW_MS_MAX
}

/// What was asked to stop is not tried again.
fn check_retries(story: &Story<'_>, run: &Course) -> Result<(), String> {
    let Some(asked) = run.asked.first() else {
        return Ok(());
    };
    for retry in &run.retries {
        let Some(tick) = retry
            .published
            .filter(|tick| tick > asked && *tick < run.gone_first)
        else {
            continue;
        };
        if tick < story.given_up_first(run) {
            let (tried, asked) = (story.tick(tick).number, story.tick(*asked).number);
            return Err(format!(
                "was tried again by tick {tried}, although tick {asked} asked it to stop"
            ));
        }
    }
    Ok(())
}

/// A request is repeated, ever more rarely, until the end of the run is known.
fn check_repeats(journal: &Journal, story: &Story<'_>, run: &Course) -> Result<(), String> {
    let Some(first) = run.asked.first() else {
        return Ok(());
    };
    let time_ms = |tick: usize| story.about.ticks.get(tick).map(|tick| tick.committed_at_ms);
    let first_ms = story.tick(*first).committed_at_ms;
    let over_ms = time_ms(run.gone_first)
        .unwrap_or(journal.ended_at_ms)
        .min(given_up_from_ms(story, run));
    for (index, asked) in run.asked.iter().enumerate() {
        let asked_ms = story.tick(*asked).committed_at_ms;
        let pause_ms = (asked_ms - first_ms + SKEW_MS_MAX).max(STOP_REPEAT_MS_MIN);
        let latest_ms = (asked_ms + pause_ms).max(journal.healed_at_ms) + journal.recovery_bound_ms;
        let next_ms = run
            .asked
            .get(index + 1)
            .map(|next| story.tick(*next).committed_at_ms);
        if next_ms.unwrap_or(over_ms).min(over_ms) > latest_ms {
            return Err(format!(
                "was asked to stop by tick {}, and not again",
                story.tick(*asked).number
            ));
        }
    }
    Ok(())
}

/// A run of which nothing is heard is killed when its time is over.
fn check_given_up(journal: &Journal, story: &Story<'_>, run: &Course) -> Result<(), String> {
    let definitions = story
        .life
        .definitions()
        .map(ScheduleDefinition::run_timeout_ms);
    let timeout_ms = definitions.max().unwrap_or(i64::MAX);
    let over_ms = story
        .unheard_since(run)
        .as_millis()
        .saturating_add(timeout_ms);
    let latest_ms = over_ms
        .max(journal.healed_at_ms)
        .saturating_add(journal.recovery_bound_ms);
    let ended_ms = story
        .about
        .ticks
        .get(run.ends_first)
        .map(|tick| tick.committed_at_ms);
    match ended_ms.unwrap_or(journal.ended_at_ms) > latest_ms {
        true => Err(format!(
            "was not given up, although nothing was heard of it for {timeout_ms} ms"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{LogOffset, OverlapPolicy, QueueName, Task};

    use super::check;
    use crate::check::story::Story;
    use crate::check::story::schedules::{
        completes, definition, every, retries, revise, run, stops,
    };
    use crate::journal::Published;

    /// A schedule whose run of 10 s goes on, with this time until it is given up.
    fn running(run_timeout_ms: i64) -> Story {
        let mut definition = definition(every(10));
        (definition.overlap, definition.run_timeout_ms) =
            (OverlapPolicy::CancelOther, Some(run_timeout_ms));
        let mut story = revise(Story::default(), 0, 1, Some(definition)).ticks(1, &[]);
        story.partition.stops = Some(Vec::new());
        run(story.ticks(10_000, &[]), 10_000, 0)
    }

    fn ask(story: &Story, ended_at_ms: i64) -> Result<(), String> {
        let mut journal = story.journal();
        journal.ended_at_ms = ended_at_ms;
        check(&journal, &story.partition)
    }

    #[test]
    fn a_request_names_a_run_on_its_queue() {
        let story = running(900_000).ticks(20_000, &[]);
        assert_eq!(
            ask(&stops(story.clone(), 10_000, 10_000, "q", false), 21_000),
            Ok(())
        );
        assert!(
            ask(&stops(story.clone(), 10_000, 10_001, "q", false), 21_000).is_err(),
            "no such run"
        );
        assert!(
            ask(&stops(story, 10_000, 10_000, "other", false), 21_000).is_err(),
            "it is not there"
        );
    }

    /// A schedule that is created again while a clock that was ahead is back may run a time anew,
    /// on another queue.
    #[test]
    fn a_request_names_the_newest_run_of_a_name() {
        let again = revise(
            revise(running(900_000), 12_000, 2, None),
            13_000,
            3,
            Some(definition(every(10))),
        );
        let mut story = run(again.ticks(20_000, &[]), 10_000, 13_000);
        let newest = story
            .partition
            .publications
            .last_mut()
            .expect("it was just published");
        let task = minutehand_record::task::decode(&newest.encoded).expect("it was just encoded");
        let queue = QueueName::parse("other").expect("valid");
        newest.encoded = minutehand_record::task::record(&Task { queue, ..task }).encoded;
        assert_eq!(
            ask(
                &stops(story.clone(), 10_000, 10_000, "other", false),
                21_000
            ),
            Ok(())
        );
        assert!(
            ask(&stops(story, 10_000, 10_000, "q", false), 21_000).is_err(),
            "the first is not meant"
        );
    }

    #[test]
    fn a_request_is_repeated_until_the_run_has_ended() {
        let asked = stops(
            running(900_000).ticks(20_000, &[]),
            10_000,
            10_000,
            "q",
            false,
        );
        assert_eq!(ask(&asked, 31_000), Ok(()));
        assert!(
            ask(&asked, 33_000).is_err(),
            "it was to be asked again after ten seconds"
        );
        let again = stops(asked.clone().ticks(30_000, &[]), 10_000, 10_000, "q", false);
        assert_eq!(ask(&again, 41_000), Ok(()));
        assert!(ask(&again, 60_000).is_err(), "it goes on");
        let ended = completes(asked, 25_000, 10_000).ticks(26_000, &[]);
        assert_eq!(ask(&ended, 600_000), Ok(()));
    }

    #[test]
    fn a_run_of_which_nothing_is_heard_is_killed() {
        let story = running(30_000).ticks(45_000, &[]);
        assert_eq!(ask(&story, 40_500), Ok(()));
        assert!(ask(&story, 42_000).is_err(), "its time was over at 40 s");
        let killed = stops(
            running(30_000).ticks(40_000, &[]),
            10_000,
            10_000,
            "q",
            true,
        );
        assert_eq!(ask(&killed, 90_000), Ok(()));
        let retried = retries(running(30_000), 11_000, 10_000, 60_000).ticks(12_000, &[]);
        assert_eq!(ask(&retried, 90_000), Ok(()), "a retry gives it time");
        assert!(ask(&retried, 92_000).is_err());
    }

    #[test]
    fn what_was_asked_to_stop_is_not_tried_again() {
        let asked = stops(
            running(900_000).ticks(20_000, &[]),
            10_000,
            10_000,
            "q",
            false,
        );
        let waits = retries(asked, 21_000, 10_000, 25_000).ticks(26_000, &[]);
        assert_eq!(ask(&waits, 27_000), Ok(()));
        let mut tried = waits;
        let crate::journal::Said::Create { key, due, encoded } =
            tried.partition.log[1].said.clone()
        else {
            panic!("the retry is the second record");
        };
        tried.partition.publications.push(Published {
            tick: tried.partition.ticks.len() - 1,
            key,
            due,
            offset: LogOffset::at(21_000),
            guarantee: minutehand_model::Guarantee::AtLeastOnce,
            encoded,
        });
        assert!(ask(&tried, 27_000).is_err());
        tried.partition.ticks[2].published_at_ms += 900_000;
        assert_eq!(
            ask(&tried, 27_000),
            Ok(()),
            "an owner whose clock was ahead has given the run up"
        );
    }
}
