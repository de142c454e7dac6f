//! Runs of schedules in progress: what waits for them, how they end, how they are stopped, and what
//! becomes of what is held.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_model::limits::DELETED_SCHEDULES_MAX;
use minutehand_model::{
    Command, MisfirePolicy, OutcomeKind, OverlapPolicy, QueueName, Revision, RunCause,
    ScheduleDefinition, ScheduleEventKind as Kind, ScheduleId, Task, TaskKey,
};
use support::{
    Story, at, backfill, completed, ended, every_ten_seconds, namespace, revision, schedule_id,
    trigger,
};

const SECOND_MS: i64 = 1_000;

fn begin(definition: ScheduleDefinition) -> Story {
    let mut story = Story::begin();
    story.say(500, revision(1, Some(definition), false));
    story
}

fn with_overlap(overlap: OverlapPolicy) -> ScheduleDefinition {
    ScheduleDefinition {
        overlap,
        ..every_ten_seconds()
    }
}

fn key(cause: RunCause, nominal_ms: i64) -> TaskKey {
    cause.task_key(&namespace(), &schedule_id(), at(nominal_ms))
}

/// The next attempt of the run of a nominal time, which was due then.
fn retry(nominal_ms: i64, first_due_ms: i64, due_ms: i64) -> Command {
    let action = every_ten_seconds().action;
    Command::Create(minutehand_record::task::record(&Task {
        payload: action.payload,
        guarantee: action.guarantee,
        precision: action.precision,
        attempt: 2,
        first_due: at(first_due_ms),
        origin: Some(minutehand_model::Origin {
            schedule: schedule_id(),
            nominal: at(nominal_ms),
            completion_wanted: true,
        }),
        ..Task::new(
            namespace(),
            RunCause::Calendar.task_id(&schedule_id(), at(nominal_ms)),
            action.queue,
            at(due_ms),
        )
    }))
}

#[test]
fn what_waits_starts_when_a_failure_pause_ends() {
    for overlap in [OverlapPolicy::BufferOne, OverlapPolicy::BufferAll] {
        let definition = ScheduleDefinition {
            pause_on_failure: true,
            ..with_overlap(overlap)
        };
        let mut story = begin(definition.clone());
        story.pass(21_000);
        story.say(22_000, completed(10_000, OutcomeKind::Dead));
        story.pass(35_000);
        assert_eq!(story.nominals(), [10_000], "{overlap}: it is paused");
        assert_eq!(story.schedule().next, None, "{overlap}");
        story.outage(36_000);
        story.say(37_000, revision(2, Some(definition), false));
        assert_eq!(
            story.nominals(),
            [10_000, 20_000],
            "{overlap}: what waited has its turn"
        );
        story.say(38_000, completed(20_000, OutcomeKind::Succeeded));
        story.pass(41_000);
        assert_eq!(story.nominals(), [10_000, 20_000, 40_000], "{overlap}");
    }
}

#[test]
fn all_that_waits_starts_once_runs_may_be_side_by_side() {
    let mut story = begin(with_overlap(OverlapPolicy::BufferAll));
    story.pass(51_000);
    assert_eq!(story.nominals(), [10_000]);
    story.say(
        52_000,
        revision(2, Some(with_overlap(OverlapPolicy::AllowAll)), false),
    );
    story.pass(61_000);
    assert_eq!(
        story.nominals(),
        [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    );
}

#[test]
fn a_stop_request_names_the_run_that_it_means() {
    let jittered = ScheduleDefinition {
        jitter_ms: 5_000,
        ..with_overlap(OverlapPolicy::TerminateOther)
    };
    let mut story = begin(jittered.clone());
    story.pass(18_000);
    let due_ms = story.published[0].at_ms;
    assert_ne!(due_ms, 10_000, "the jitter of this schedule is not 0");
    let other = QueueName::parse("elsewhere").unwrap();
    let action = minutehand_model::ActionTemplate {
        queue: other,
        ..jittered.action.clone()
    };
    story.say(
        19_000,
        revision(2, Some(ScheduleDefinition { action, ..jittered }), false),
    );
    story.pass(29_000);
    assert_eq!(story.stops.len(), 1);
    let stop = &story.stops[0];
    assert_eq!(
        (stop.key, stop.due, stop.kill),
        (key(RunCause::Calendar, 10_000), at(due_ms), true)
    );
    assert_eq!(
        stop.queue.as_str(),
        "reports",
        "where the run is, not where the next one goes"
    );
}

#[test]
fn runs_by_request_are_stopped_as_well() {
    for (command, cause, nominal_ms) in [
        (trigger(None), RunCause::Trigger, 3_000),
        (backfill(-10_000, -10_000), RunCause::Backfill, -10_000),
    ] {
        let mut story = begin(with_overlap(OverlapPolicy::CancelOther));
        story.say(3_000, command);
        story.pass(11_000);
        let due_ms = story.published[0].at_ms;
        assert_eq!(story.stops.len(), 1, "{cause:?}");
        assert_eq!(
            (story.stops[0].key, story.stops[0].due),
            (key(cause, nominal_ms), at(due_ms)),
            "{cause:?}"
        );
        story.say(
            12_000,
            ended(cause, nominal_ms, Some(due_ms), OutcomeKind::Cancelled),
        );
        assert_eq!(story.nominals(), [nominal_ms, 10_000], "{cause:?}");
        assert!(
            story.events().contains(&Kind::Cancelled),
            "{cause:?}: not told as a success"
        );
    }
}

#[test]
fn a_run_of_which_nothing_is_heard_is_killed_and_given_up() {
    let definition = ScheduleDefinition {
        run_timeout_ms: Some(25_000),
        ..with_overlap(OverlapPolicy::Skip)
    };
    let mut story = begin(definition);
    story.pass(31_000);
    story.outage(36_000);
    assert_eq!(story.nominals(), [10_000]);
    let stop = story.stops.last().expect("it is killed");
    assert_eq!(
        (stop.key, stop.due, stop.kill),
        (key(RunCause::Calendar, 10_000), at(10_000), true)
    );
    assert!(story.events().contains(&Kind::TimedOut));
    story.pass(41_000);
    assert_eq!(story.nominals(), [10_000, 40_000]);
    story.say(42_000, completed(10_000, OutcomeKind::Cancelled));
    story.pass(51_000);
    assert_eq!(
        story.nominals(),
        [10_000, 40_000],
        "the end of the one that was given up is not that of the other"
    );
}

#[test]
fn a_retry_gives_a_run_time_from_its_own_due_time_on() {
    let definition = ScheduleDefinition {
        run_timeout_ms: Some(25_000),
        ..with_overlap(OverlapPolicy::Skip)
    };
    let mut story = begin(definition);
    story.say(12_000, retry(10_000, 10_000, 50_000));
    story.pass(74_000);
    assert_eq!(story.nominals(), [10_000, 10_000], "the run and its retry");
    story.pass(81_000);
    assert_eq!(story.nominals(), [10_000, 10_000, 80_000]);
}

#[test]
fn a_lost_end_is_told_as_such_and_lets_the_next_run() {
    for (kind, told) in [
        (OutcomeKind::Lost, Kind::Lost),
        (OutcomeKind::Expired, Kind::Expired),
    ] {
        let mut story = begin(with_overlap(OverlapPolicy::Skip));
        story.say(15_000, completed(10_000, kind));
        story.pass(21_000);
        assert_eq!(story.nominals(), [10_000, 20_000]);
        assert!(story.events().contains(&told) && !story.events().contains(&Kind::Succeeded));
    }
}

#[test]
fn a_run_ends_when_its_waiting_retry_is_cancelled() {
    for overlap in [
        OverlapPolicy::Skip,
        OverlapPolicy::BufferAll,
        OverlapPolicy::CancelOther,
    ] {
        let mut story = begin(with_overlap(overlap));
        story.say(11_000, retry(10_000, 10_000, 3_600_000));
        story.say(
            12_000,
            Command::Cancel {
                key: key(RunCause::Calendar, 10_000),
                due: at(3_600_000),
            },
        );
        story.pass(21_000);
        assert_eq!(story.nominals(), [10_000, 20_000], "{overlap}");
    }
}

#[test]
fn a_cancel_that_comes_too_late_ends_no_run() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.say(11_000, retry(10_000, 10_000, 13_000));
    story.say(
        14_000,
        Command::Cancel {
            key: key(RunCause::Calendar, 10_000),
            due: at(13_000),
        },
    );
    story.say(
        15_000,
        Command::Cancel {
            key: key(RunCause::Calendar, 10_000),
            due: at(16_000),
        },
    );
    story.pass(21_000);
    assert_eq!(story.nominals(), [10_000, 10_000], "the retry runs");
}

#[test]
fn a_late_retry_that_is_cancelled_at_once_ends_its_run() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.pass(14_000);
    let key = key(RunCause::Calendar, 10_000);
    let due = at(13_000);
    story.append(14_000, retry(10_000, 10_000, 13_000));
    story.append(14_000, Command::Cancel { key, due });
    story.hear();
    assert_eq!(story.nominals(), [10_000], "it was cancelled in time");
    story.pass(21_000);
    assert_eq!(story.nominals(), [10_000, 20_000], "nothing waits for it");
}

#[test]
fn a_late_retry_that_is_replaced_at_once_goes_on() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.pass(14_000);
    let key = key(RunCause::Calendar, 10_000);
    let Command::Create(task) = retry(10_000, 10_000, 25_000) else {
        panic!("a creation")
    };
    let (due, later) = (at(13_000), at(25_000));
    story.append(14_000, retry(10_000, 10_000, 13_000));
    story.append(14_000, Command::Replace { key, due, task });
    story.hear();
    story.say(22_000, Command::Cancel { key, due: later });
    story.pass(31_000);
    assert_eq!(
        story.nominals(),
        [10_000, 30_000],
        "it waited where it was moved to, and ended there"
    );
}

#[test]
fn a_late_retry_is_withheld_by_a_stop_that_comes_with_it() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.pass(14_000);
    story.append(14_000, retry(10_000, 10_000, 13_000));
    story.append(14_000, trigger(Some(OverlapPolicy::CancelOther)));
    story.hear();
    story.pass(15_000);
    let calendar: Vec<i64> = story
        .nominals()
        .into_iter()
        .filter(|ms| *ms == 10_000)
        .collect();
    assert_eq!(calendar, [10_000], "it is not tried again");
    assert_eq!(story.published.len(), 2, "what was asked for has its turn");
}

#[test]
fn what_was_asked_to_stop_is_not_tried_again() {
    for overlap in [OverlapPolicy::CancelOther, OverlapPolicy::TerminateOther] {
        // The retry waits when the request comes.
        let mut story = begin(with_overlap(overlap));
        story.say(11_000, retry(10_000, 10_000, 25_000));
        story.outage(24_000);
        story.pass(29_000);
        assert_eq!(story.nominals(), [10_000, 20_000], "{overlap}");
        // The retry comes after the request.
        let mut story = begin(with_overlap(overlap));
        story.pass(20_500);
        story.say(21_000, retry(10_000, 10_000, 25_000));
        story.outage(24_000);
        story.pass(29_000);
        assert_eq!(story.nominals(), [10_000, 20_000], "{overlap}");
        // The retry is late: nothing is left to be cancelled in the log.
        let mut story = begin(with_overlap(overlap));
        story.pass(20_500);
        story.say(21_000, retry(10_000, 10_000, 20_600));
        story.pass(29_000);
        assert_eq!(story.nominals(), [10_000, 20_000], "{overlap}");
    }
}

#[test]
fn a_request_to_stop_is_repeated_until_the_run_has_ended() {
    let mut story = begin(with_overlap(OverlapPolicy::CancelOther));
    story.pass(25_000);
    assert_eq!(story.stops.len(), 1);
    story.outage(35_000);
    story.pass(400_000);
    let asked = story.stops.len();
    assert!((4..20).contains(&asked), "ever more rarely: {asked}");
    assert!(
        story
            .stops
            .iter()
            .all(|stop| stop.key == key(RunCause::Calendar, 10_000) && !stop.kill)
    );
    story.say(401_000, completed(10_000, OutcomeKind::Cancelled));
    story.pass(409_000);
    assert_eq!(story.stops.len(), asked);
}

#[test]
fn what_is_created_again_begins_anew() {
    let definition = || ScheduleDefinition {
        runs_max: Some(1),
        ..with_overlap(OverlapPolicy::Skip)
    };
    let mut story = begin(definition());
    story.pass(25_000);
    assert_eq!(story.nominals(), [10_000]);
    story.say(26_000, revision(2, None, false));
    story.say(27_000, revision(3, Some(definition()), false));
    assert_eq!(story.schedule().state.runs_started, 0);
    assert!(story.events().is_empty());
    story.pass(31_000);
    assert_eq!(story.nominals(), [10_000, 30_000]);
    story.outage(35_000);
    assert_eq!(
        story.schedule().state.runs_started,
        1,
        "a successor knows which life it is"
    );
}

#[test]
fn what_the_jitter_holds_does_not_run_after_deletion() {
    let definition = ScheduleDefinition {
        jitter_ms: 9_000,
        ..every_ten_seconds()
    };
    let mut story = begin(definition);
    let (nominal, due) = story.schedule().next.expect("it runs next");
    let between_ms = nominal.millis_since(at(0)) + 1;
    assert!(due > at(between_ms));
    story.say(between_ms, revision(2, None, false));
    story.pass(40_000);
    assert_eq!(story.nominals(), [0_i64; 0]);
}

#[test]
fn what_the_jitter_holds_rests_with_the_schedule() {
    let definition = || ScheduleDefinition {
        jitter_ms: 9_000,
        ..every_ten_seconds()
    };
    let mut story = begin(definition());
    let (nominal, due) = story.schedule().next.expect("it runs next");
    let (nominal_ms, due_ms) = (nominal.millis_since(at(0)), due.millis_since(at(0)));
    // Paused over its due time: not owed.
    story.say(nominal_ms + 1, revision(2, Some(definition()), true));
    story.say(due_ms + 1, revision(3, Some(definition()), false));
    let (second, second_due) = story.schedule().next.expect("it runs next");
    let (second_ms, second_due_ms) = (second.millis_since(at(0)), second_due.millis_since(at(0)));
    assert_eq!(second_ms, nominal_ms + 10_000);
    // Paused over its nominal time, and resumed before it is due: owed.
    story.say(second_ms - 1, revision(4, Some(definition()), true));
    story.say(second_ms + 1, revision(5, Some(definition()), false));
    story.outage(second_due_ms - 1);
    story.pass(second_due_ms);
    assert_eq!(story.nominals(), [second_ms]);
    // Paused between them, and resumed before it is due: owed once.
    let (third_ms, third_due_ms) = story
        .schedule()
        .next
        .map(|(n, d)| (n.millis_since(at(0)), d.millis_since(at(0))))
        .unwrap();
    story.say(third_ms + 1, revision(6, Some(definition()), true));
    story.say(third_ms + 2, revision(7, Some(definition()), false));
    story.pass(third_due_ms);
    assert_eq!(story.nominals(), [second_ms, third_ms]);
}

#[test]
fn what_waits_rests_with_the_schedule() {
    let definition = || with_overlap(OverlapPolicy::BufferOne);
    let mut story = begin(definition());
    story.pass(21_000);
    story.say(22_000, revision(2, Some(definition()), true));
    story.say(23_000, completed(10_000, OutcomeKind::Succeeded));
    story.pass(24_000);
    assert_eq!(story.nominals(), [10_000], "it is paused");
    story.say(24_500, trigger(None));
    assert_eq!(
        story.nominals(),
        [10_000, 24_500],
        "what is asked for now runs now"
    );
    story.say(
        25_000,
        ended(RunCause::Trigger, 24_500, None, OutcomeKind::Succeeded),
    );
    assert_eq!(story.nominals(), [10_000, 24_500]);
    story.say(26_000, revision(3, Some(definition()), false));
    assert_eq!(story.nominals(), [10_000, 24_500, 20_000]);
}

#[test]
fn nothing_runs_after_the_end_of_the_schedule() {
    let end = Some(at(50_000));
    let jittered = ScheduleDefinition {
        end,
        jitter_ms: 9_999,
        ..every_ten_seconds()
    };
    let mut story = begin(jittered);
    story.pass(90_000);
    assert!(
        story.published.iter().all(|run| run.at_ms <= 50_000),
        "{:?}",
        story.published
    );
    assert_eq!(story.published.len(), 5);
    let buffered = ScheduleDefinition {
        end,
        ..with_overlap(OverlapPolicy::BufferAll)
    };
    let mut story = begin(buffered);
    story.say(55_000, completed(10_000, OutcomeKind::Succeeded));
    story.pass(90_000);
    assert_eq!(story.nominals(), [10_000]);
    assert!(story.events().contains(&Kind::Ended));
}

#[test]
fn a_backfill_rests_with_the_schedule_and_can_be_stopped() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.say(1_000, backfill(-50_000, -10_000));
    story.say(
        1_100,
        revision(2, Some(with_overlap(OverlapPolicy::Skip)), true),
    );
    story.say(
        1_200,
        ended(RunCause::Backfill, -50_000, None, OutcomeKind::Succeeded),
    );
    story.pass(5_000);
    assert_eq!(story.nominals(), [-50_000]);
    story.say(
        5_500,
        revision(3, Some(with_overlap(OverlapPolicy::Skip)), false),
    );
    assert_eq!(story.nominals(), [-50_000, -40_000]);
    let waiting = story.schedule().state.backfills[0];
    let stop = Command::StopBackfill {
        namespace: namespace(),
        schedule: schedule_id(),
        backfill: waiting.offset,
    };
    story.say(6_000, stop);
    story.say(
        6_500,
        ended(RunCause::Backfill, -40_000, None, OutcomeKind::Succeeded),
    );
    story.pass(9_000);
    assert_eq!(story.nominals(), [-50_000, -40_000]);
    assert!(story.schedule().state.backfills.is_empty());
}

#[test]
fn equal_backfills_at_once_are_one() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    for _ in 0..12 {
        story.append(1_000, backfill(-30_000, -10_000));
    }
    story.say(1_000, backfill(-50_000, -20_000));
    for (at_ms, nominal_ms) in (2_000..).zip([-30_000, -20_000, -10_000, -50_000, -40_000]) {
        assert_eq!(story.nominals().last(), Some(&nominal_ms));
        story.say(
            at_ms,
            ended(RunCause::Backfill, nominal_ms, None, OutcomeKind::Succeeded),
        );
    }
    story.pass(9_000);
    assert_eq!(story.published.len(), 5);
}

#[test]
fn equal_backfills_at_once_are_one_where_all_may_run() {
    let mut story = begin(every_ten_seconds());
    for at_ms in 1_000..1_012 {
        story.say(at_ms, backfill(-30_000, -10_000));
    }
    story.pass(2_500);
    assert_eq!(story.nominals(), [-30_000, -20_000, -10_000]);
    story.say(2_600, backfill(-30_000, -10_000));
    story.pass(3_000);
    assert_eq!(story.published.len(), 6, "later it is another request");
}

#[test]
fn a_backfill_asked_for_again_runs_again_under_another_due_time() {
    let mut story = begin(every_ten_seconds());
    story.say(1_000, backfill(-10_000, -10_000));
    story.say(1_000, backfill(-10_000, -9_000));
    story.pass(2_000);
    assert_eq!(story.nominals(), [-10_000, -10_000]);
    assert_ne!(story.published[0].at_ms, story.published[1].at_ms);
}

#[test]
fn a_triggers_own_policy_counts_where_all_may_run() {
    let mut story = begin(every_ten_seconds());
    story.say(1_000, trigger(Some(OverlapPolicy::Skip)));
    story.say(2_000, trigger(Some(OverlapPolicy::Skip)));
    assert_eq!(story.nominals(), [1_000]);
    story.say(
        3_000,
        ended(RunCause::Trigger, 1_000, None, OutcomeKind::Succeeded),
    );
    story.say(4_000, trigger(Some(OverlapPolicy::Skip)));
    story.pass(11_000);
    assert_eq!(story.nominals(), [1_000, 4_000, 10_000]);
}

#[test]
fn a_trigger_waits_by_its_own_policy_where_all_may_run() {
    for (overlap, asks) in [
        (OverlapPolicy::BufferOne, 0),
        (OverlapPolicy::BufferAll, 0),
        (OverlapPolicy::CancelOther, 1),
    ] {
        let mut story = begin(every_ten_seconds());
        story.say(1_000, trigger(Some(overlap)));
        story.say(2_000, trigger(Some(overlap)));
        story.outage(9_000);
        story.pass(11_000);
        assert_eq!(
            story.nominals(),
            [1_000, 10_000],
            "{overlap}: it waits, and the calendar does not"
        );
        assert_eq!(story.stops.len(), asks, "{overlap}");
        story.say(
            12_000,
            ended(RunCause::Trigger, 1_000, None, OutcomeKind::Succeeded),
        );
        assert_eq!(story.nominals(), [1_000, 10_000, 2_000], "{overlap}");
    }
}

#[test]
fn what_an_older_revision_owes_does_not_wait_where_all_run() {
    let mut story = begin(with_overlap(OverlapPolicy::BufferAll));
    story.pass(11_000);
    story.append(35_000, revision(2, Some(every_ten_seconds()), false));
    story.take_over(35_500);
    story.pass(41_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn a_run_that_was_asked_to_stop_pauses_nothing() {
    let definition = ScheduleDefinition {
        pause_on_failure: true,
        run_timeout_ms: Some(25_000),
        ..with_overlap(OverlapPolicy::CancelOther)
    };
    let mut story = begin(definition);
    story.pass(36_000);
    assert_eq!(
        story.nominals(),
        [10_000, 30_000],
        "what waited for the one that was given up has its turn"
    );
}

#[test]
fn runs_can_be_forgotten_on_request() {
    let mut story = begin(with_overlap(OverlapPolicy::Skip));
    story.pass(15_000);
    story.say(
        16_000,
        Command::ForgetRuns {
            namespace: namespace(),
            schedule: schedule_id(),
        },
    );
    story.pass(21_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
}

#[test]
fn what_came_before_the_creation_was_applied_is_owed() {
    let misfire = MisfirePolicy {
        grace_ms: 1_000,
        ..MisfirePolicy::default()
    };
    let mut story = Story::begin();
    story.pass(1_000);
    story.go_blind();
    story.append(
        5_000,
        revision(
            1,
            Some(ScheduleDefinition {
                misfire,
                ..every_ten_seconds()
            }),
            false,
        ),
    );
    story.pass(31_500);
    story.see_in_pages(10);
    story.pass(32_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000]);
    story.outage(41_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn what_is_owed_late_is_known_to_a_successor() {
    let config = minutehand_engine::Config {
        tick_publications_max: 1,
        ..Default::default()
    };
    let mut story = Story::begin_with(config);
    story.pass(1_000);
    story.go_blind();
    story.append(5_000, revision(1, Some(every_ten_seconds()), false));
    story.pass(61_500);
    story.commit_slowly();
    story.see_in_pages(10);
    assert_eq!(
        story.nominals(),
        [10_000],
        "the first of six is out, and its answer is under way"
    );
    story.take_over(62_000);
    story.commit_at_once();
    story.pass(63_000);
    assert_eq!(
        story.nominals(),
        [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    );
}

#[test]
fn a_clock_that_was_ahead_keeps_no_new_schedule_waiting() {
    let mut story = Story::begin();
    story.pass(3_600_000);
    // The clock is set back; the log's time does not go back.
    story.take_over(5_000);
    story.append(3_600_000, revision(1, Some(every_ten_seconds()), false));
    story.take_over(6_000);
    story.pass(21_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
    story.outage(31_000);
    assert_eq!(
        story.nominals(),
        [10_000, 20_000, 30_000],
        "a successor knows from when on it rules"
    );
}

#[test]
fn a_clock_that_was_ahead_keeps_no_run_from_being_given_up() {
    let definition = ScheduleDefinition {
        run_timeout_ms: Some(60 * SECOND_MS),
        ..with_overlap(OverlapPolicy::Skip)
    };
    let mut story = begin(definition);
    story.pass(3_600_000 * 24);
    let run = story.schedule().state.running[0].clone();
    assert!(run.deadline > at(3_600_000));
    story.take_over(20_000);
    story.pass(21_000);
    assert!(story.schedule().state.running[0].deadline <= at(21_000 + 60_000));
}

#[test]
fn deleted_schedules_are_forgotten_in_the_end() {
    let mut story = Story::begin().with_stored_revisions();
    let named = |number: usize, revision: u64, definition: Option<ScheduleDefinition>| {
        Command::Revise(Box::new(Revision {
            namespace: namespace(),
            schedule: ScheduleId::parse(&format!("s-{number}")).unwrap(),
            number: revision,
            definition,
            paused: false,
            note: String::new(),
            author: String::new(),
        }))
    };
    for number in 0..3_000 {
        story.append(1_000, named(number, 1, Some(every_ten_seconds())));
        story.append(1_000, named(number, 2, None));
    }
    story.pass(1_000);
    story.hear();
    story.pass(3_000);
    assert_eq!(story.partition.deleted_schedules(), DELETED_SCHEDULES_MAX);
    assert_eq!(
        story.forgotten_revisions.len(),
        2 * (3_000 - DELETED_SCHEDULES_MAX)
    );
    story.say(4_000, named(5_000, 1, Some(every_ten_seconds())));
    story.pass(24 * 3_600 * SECOND_MS + 15_000);
    assert_eq!(story.partition.deleted_schedules(), 0);
    assert_eq!(story.forgotten_revisions.len(), 6_000);
}
