//! Stories of schedules: what runs, what waits, what is left out, and why.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_model::{
    Command, MisfirePolicy, MisfireRule, OutcomeKind, OverlapPolicy, RunCause, ScheduleDefinition,
    ScheduleEventKind as Kind, ScheduleStatus,
};
use support::{Story, at, completed, ended, every_ten_seconds, namespace, revision, schedule_id};

fn begin(definition: ScheduleDefinition) -> Story {
    let mut story = Story::begin();
    story.say(500, revision(1, Some(definition), false));
    story
}

#[test]
fn an_interval_fires_at_its_times_and_names_its_runs() {
    let mut story = begin(every_ten_seconds());
    story.pass(35_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000]);
    assert_eq!(story.published[0].id, "report@2027-01-01T00:00:10Z");
    assert!(
        story
            .published
            .iter()
            .all(|run| run.at_ms == run.nominal_ms),
        "{:?}",
        story.published
    );
    assert_eq!(story.schedule().next, Some((at(40_000), at(40_000))));
}

#[test]
fn a_successor_fires_what_is_owed_and_nothing_twice() {
    let mut story = begin(every_ten_seconds());
    story.pass(22_000);
    story.outage(43_000);
    story.pass(55_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000, 50_000]);
}

#[test]
fn misfire_rules_decide_what_is_made_up_for() {
    let cases: [(MisfireRule, i64, &[i64]); 6] = [
        (
            MisfireRule::All,
            3_600_000,
            &[10_000, 20_000, 30_000, 40_000, 50_000],
        ),
        (MisfireRule::All, 20_000, &[10_000, 40_000, 50_000]),
        (MisfireRule::Latest, 3_600_000, &[10_000, 50_000]),
        (MisfireRule::Latest, 2_000, &[10_000]),
        (MisfireRule::OneNow, 2_000, &[10_000, 50_000]),
        (MisfireRule::None, 3_600_000, &[10_000]),
    ];
    for (rule, window_ms, expected) in cases {
        let misfire = MisfirePolicy {
            rule,
            window_ms,
            grace_ms: 1_000,
        };
        let mut story = begin(ScheduleDefinition {
            misfire,
            ..every_ten_seconds()
        });
        story.pass(12_000);
        story.outage(55_000);
        assert_eq!(story.nominals(), expected, "{rule} within {window_ms} ms");
        assert_eq!(
            story.schedule().state.missed,
            5 - expected.len() as u64,
            "{rule}"
        );
        story.pass(61_000);
        assert_eq!(
            story.nominals().last(),
            Some(&60_000),
            "{rule}: the next one runs as usual"
        );
    }
}

#[test]
fn what_was_missed_does_not_run_after_the_end() {
    let definition = |end_ms| ScheduleDefinition {
        misfire: MisfirePolicy::default(),
        end: Some(at(end_ms)),
        ..every_ten_seconds()
    };
    let mut story = begin(definition(60_000));
    story.pass(31_000);
    story.outage(120_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000]);
    assert_eq!(story.events().last(), Some(&Kind::Ended));
    assert_eq!(story.schedule().state.missed, 3);
    // Back before the end: it runs what it owes.
    let mut story = begin(definition(60_000));
    story.pass(31_000);
    story.outage(55_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000, 50_000]);
    // The last one is due at the end, and its owner dies: a successor is not late for it.
    let mut story = begin(definition(60_000));
    story.pass(59_000);
    story.outage(66_000);
    assert_eq!(story.nominals().last(), Some(&60_000));
}

#[test]
fn overlap_policies_decide_while_a_run_goes_on() {
    // The run of 10 s ends at 35 s; 20 s and 30 s come in between.
    let cases: [(OverlapPolicy, &[i64], u64); 5] = [
        (
            OverlapPolicy::AllowAll,
            &[10_000, 20_000, 30_000, 40_000],
            0,
        ),
        (OverlapPolicy::Skip, &[10_000, 40_000], 2),
        (OverlapPolicy::BufferOne, &[10_000, 20_000], 1),
        (OverlapPolicy::BufferAll, &[10_000, 20_000], 0),
        (OverlapPolicy::CancelOther, &[10_000, 30_000], 1),
    ];
    for (overlap, expected, skipped) in cases {
        let mut story = begin(ScheduleDefinition {
            overlap,
            ..every_ten_seconds()
        });
        story.pass(34_000);
        story.say(35_000, completed(10_000, OutcomeKind::Succeeded));
        story.pass(41_000);
        assert_eq!(story.nominals(), expected, "{overlap}");
        assert_eq!(story.schedule().state.skipped, skipped, "{overlap}");
    }
}

#[test]
fn terminate_other_kills_and_starts_at_once() {
    let mut story = begin(ScheduleDefinition {
        overlap: OverlapPolicy::TerminateOther,
        ..every_ten_seconds()
    });
    story.pass(21_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
    let killed = story.published[0].id.clone();
    let key = minutehand_model::TaskKey::of("default", &killed);
    assert!(story.stops.iter().any(|stop| stop.kill && stop.key == key));
}

#[test]
fn a_buffered_run_survives_a_take_over() {
    let mut story = begin(ScheduleDefinition {
        overlap: OverlapPolicy::BufferAll,
        ..every_ten_seconds()
    });
    story.pass(32_000);
    story.outage(33_000);
    story.say(34_000, completed(10_000, OutcomeKind::Succeeded));
    story.say(36_000, completed(20_000, OutcomeKind::Succeeded));
    story.pass(39_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000]);
}

#[test]
fn runs_max_ends_the_schedule() {
    let mut story = begin(ScheduleDefinition {
        runs_max: Some(2),
        ..every_ten_seconds()
    });
    story.pass(25_000);
    story.outage(26_000);
    story.pass(90_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
    assert!(story.events().contains(&Kind::RunsExhausted));
}

#[test]
fn nothing_is_owed_for_the_time_of_a_pause() {
    let mut story = begin(every_ten_seconds());
    story.say(12_000, revision(2, Some(every_ten_seconds()), true));
    story.say(45_000, revision(3, Some(every_ten_seconds()), false));
    story.pass(61_000);
    assert_eq!(story.nominals(), [10_000, 50_000, 60_000]);
}

#[test]
fn a_failed_run_pauses_the_schedule_until_it_is_revised() {
    let mut story = begin(ScheduleDefinition {
        pause_on_failure: true,
        ..every_ten_seconds()
    });
    story.say(12_000, completed(10_000, OutcomeKind::Dead));
    story.pass(35_000);
    assert_eq!(story.nominals(), [10_000]);
    assert!(story.events().contains(&Kind::PausedByFailure));
    let definition = ScheduleDefinition {
        pause_on_failure: true,
        ..every_ten_seconds()
    };
    story.say(36_000, revision(2, Some(definition), false));
    story.pass(41_000);
    assert_eq!(story.nominals(), [10_000, 40_000]);
}

#[test]
fn a_pause_after_a_failure_counts_from_its_own_time() {
    let definition = || ScheduleDefinition {
        pause_on_failure: true,
        ..every_ten_seconds()
    };
    let mut story = begin(definition());
    story.pass(11_000);
    story.append(12_000, completed(10_000, OutcomeKind::Dead));
    story.append(25_000, revision(2, Some(definition()), true));
    story.outage(55_000);
    story.pass(80_000);
    assert_eq!(
        story.nominals(),
        [10_000, 20_000],
        "an owner that was away heard of both at once"
    );
}

#[test]
fn a_failure_heard_by_a_clock_behind_runs_nothing_twice() {
    let definition = || ScheduleDefinition {
        pause_on_failure: true,
        ..every_ten_seconds()
    };
    let mut story = begin(definition());
    story.pass(35_000);
    story.set_clock(5_000);
    story.append(36_000, completed(30_000, OutcomeKind::Dead));
    story.append(37_000, revision(2, Some(definition()), false));
    story.hear();
    assert!(story.events().contains(&Kind::PausedByFailure));
    story.set_clock(38_000);
    story.pass(45_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn clocks_that_went_back_twice_run_nothing_twice() {
    let mut story = Story::begin();
    story.pass(100_000);
    story.set_clock(20_000);
    story.say(21_000, revision(1, Some(every_ten_seconds()), false));
    story.pass(45_000);
    story.set_clock(25_000);
    story.append(26_000, revision(2, Some(every_ten_seconds()), false));
    story.hear();
    story.pass(75_000);
    assert_eq!(story.nominals(), [30_000, 40_000, 50_000, 60_000, 70_000]);
}

/// What was deleted while it rested has decided nothing since, however far ahead the clock was.
#[test]
fn a_clock_ahead_keeps_back_nothing_after_a_rest() {
    let mut story = begin(every_ten_seconds());
    story.say(5_000, revision(2, Some(every_ten_seconds()), true));
    story.set_clock(1_600_000);
    story.pass(1_600_001);
    for (number, definition) in [(3, None), (4, Some(every_ten_seconds()))] {
        story.append(6_000, revision(number, definition, true));
    }
    story.hear();
    story.set_clock(7_000);
    story.say(8_000, revision(5, Some(every_ten_seconds()), false));
    story.pass(25_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
}

#[test]
fn a_revision_governs_what_comes_after_it() {
    let mut story = begin(every_ten_seconds());
    let recurrence = minutehand_model::RecurrenceSpec::Interval {
        every_ms: 4_000,
        anchor: at(0),
        zone: "UTC".to_owned(),
    };
    story.say(
        21_000,
        revision(
            2,
            Some(ScheduleDefinition {
                recurrence,
                ..every_ten_seconds()
            }),
            false,
        ),
    );
    story.pass(33_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 24_000, 28_000, 32_000]);
}

#[test]
fn a_revision_number_that_does_not_follow_changes_nothing() {
    let mut story = begin(every_ten_seconds());
    story.say(5_000, revision(3, None, false));
    story.say(6_000, revision(1, None, false));
    story.pass(11_000);
    assert_eq!(story.nominals(), [10_000]);
    assert_eq!(story.schedule().head.revision.number, 1);
}

#[test]
fn a_deleted_schedule_owes_nothing() {
    let mut story = begin(every_ten_seconds());
    story.say(15_000, revision(2, None, false));
    story.pass(60_000);
    assert_eq!(story.nominals(), [10_000]);
}

#[test]
fn jitter_delays_by_a_fixed_part_and_never_past_the_next_time() {
    let definition = ScheduleDefinition {
        jitter_ms: 60_000,
        ..every_ten_seconds()
    };
    let run = || {
        let mut story = begin(definition.clone());
        story.pass(200_000);
        story.published
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second, "the same every time");
    let delays: Vec<i64> = first.iter().map(|run| run.at_ms - run.nominal_ms).collect();
    assert!(
        delays.iter().all(|delay_ms| (0..10_000).contains(delay_ms)),
        "{delays:?}"
    );
    assert!(
        delays
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 5,
        "{delays:?}"
    );
}

#[test]
fn a_trigger_runs_now_beside_the_regular_times() {
    let mut story = begin(every_ten_seconds());
    let trigger = Command::Trigger {
        namespace: namespace(),
        schedule: schedule_id(),
        overlap: None,
    };
    story.say(3_000, trigger);
    story.pass(11_000);
    assert_eq!(story.nominals(), [3_000, 10_000]);
    assert_eq!(story.published[0].id, "report@2027-01-01T00:00:03Z/trigger");
}

#[test]
fn a_trigger_at_an_occurrences_time_is_a_run_of_its_own() {
    let mut story = begin(ScheduleDefinition {
        overlap: OverlapPolicy::BufferAll,
        ..every_ten_seconds()
    });
    let trigger = || Command::Trigger {
        namespace: namespace(),
        schedule: schedule_id(),
        overlap: None,
    };
    story.pass(15_000);
    story.say(20_000, trigger());
    story.say(20_000, trigger());
    story.say(21_000, completed(10_000, OutcomeKind::Succeeded));
    story.outage(22_000);
    story.say(23_000, completed(20_000, OutcomeKind::Succeeded));
    story.say(
        24_000,
        ended(RunCause::Trigger, 20_000, None, OutcomeKind::Succeeded),
    );
    story.say(
        25_000,
        ended(RunCause::Trigger, 20_001, None, OutcomeKind::Succeeded),
    );
    let mut ids: Vec<&str> = story.published.iter().map(|run| run.id.as_str()).collect();
    ids.sort_unstable();
    let of = |time: &str| format!("report@2027-01-01T00:00:{time}");
    assert_eq!(
        ids,
        [
            of("10Z"),
            of("20.001Z/trigger"),
            of("20Z"),
            of("20Z/trigger")
        ]
    );
}

#[test]
fn a_backfill_runs_a_past_range_both_ends_included() {
    let mut story = begin(every_ten_seconds());
    let backfill = Command::Backfill {
        namespace: namespace(),
        schedule: schedule_id(),
        from: at(-30_000),
        to: at(-10_000),
    };
    story.say(3_000, backfill);
    story.pass(4_000);
    assert_eq!(story.nominals(), [-30_000, -20_000, -10_000]);
    story.outage(5_000);
    story.pass(9_000);
    assert_eq!(
        story.published.len(),
        3,
        "a successor does not run it again"
    );
}

#[test]
fn a_backfill_of_decades_is_bounded() {
    let mut story = begin(every_ten_seconds());
    let from = at(-1_000_000_000_000);
    story.say(
        3_000,
        Command::Backfill {
            namespace: namespace(),
            schedule: schedule_id(),
            from,
            to: at(-10_000),
        },
    );
    story.pass(9_000);
    assert_eq!(
        story.published.len(),
        minutehand_model::limits::BACKFILL_OCCURRENCES_MAX
    );
}

#[test]
fn a_backfill_takes_turns_where_runs_must_not_overlap() {
    let mut story = begin(ScheduleDefinition {
        overlap: OverlapPolicy::Skip,
        ..every_ten_seconds()
    });
    let backfill = Command::Backfill {
        namespace: namespace(),
        schedule: schedule_id(),
        from: at(-30_000),
        to: at(-10_000),
    };
    story.say(1_000, backfill);
    assert_eq!(story.nominals(), [-30_000]);
    story.say(
        2_000,
        ended(RunCause::Backfill, -30_000, None, OutcomeKind::Succeeded),
    );
    assert_eq!(story.nominals(), [-30_000, -20_000]);
}

/// Damage takes a row of the store: what can be read goes on, and it is told.
#[test]
fn a_revision_that_cannot_be_read_blocks_none_of_the_later_ones() {
    let every_minute = ScheduleDefinition {
        recurrence: minutehand_model::RecurrenceSpec::Interval {
            every_ms: 60_000,
            anchor: at(0),
            zone: "UTC".to_owned(),
        },
        ..every_ten_seconds()
    };
    let mut story = Story::begin().with_stored_revisions();
    story.say(500, revision(1, Some(every_ten_seconds()), false));
    story.say(15_000, revision(2, Some(every_ten_seconds()), true));
    story.say(25_000, revision(3, Some(every_minute.clone()), false));
    story.pass(40_000);
    story.revisions.retain(|entry| entry.revision.number != 2);
    story.take_over(41_000);
    story.pass(130_000);
    assert_eq!(story.nominals(), [10_000, 60_000, 120_000]);
    assert_eq!(story.set_aside.len(), 1, "it is told once");
    assert!(
        story.set_aside[0]
            .reason
            .starts_with("1 before it cannot be read"),
        "{:?}",
        story.set_aside
    );
    story.say(131_000, revision(4, Some(every_minute), true));
    story.pass(190_000);
    assert_eq!(
        story.nominals(),
        [10_000, 60_000, 120_000],
        "and later revisions count"
    );
}

/// A clock that was ahead has taken F along: what is owed since the resumption stands in the state
/// alone.
#[test]
fn what_a_resumption_owes_below_f_is_owed_by_every_successor() {
    let mut story = begin(every_ten_seconds());
    story.say(5_000, revision(2, Some(every_ten_seconds()), true));
    story.pass(100_000);
    story.take_over(50_000);
    story.say(51_000, revision(3, Some(every_ten_seconds()), false));
    story.pass(61_000);
    assert_eq!(story.nominals(), [60_000]);
    story.take_over(65_000);
    story.pass(121_000);
    assert_eq!(
        story.nominals(),
        [60_000, 70_000, 80_000, 90_000, 100_000, 110_000, 120_000]
    );
}

fn every_four_seconds() -> ScheduleDefinition {
    let recurrence = minutehand_model::RecurrenceSpec::Interval {
        every_ms: 4_000,
        anchor: at(0),
        zone: "UTC".to_owned(),
    };
    ScheduleDefinition {
        recurrence,
        ..every_ten_seconds()
    }
}

/// What an owner has decided that hears of these revisions (when, number, which, whether paused) at
/// 51.5 s, and its successor.
fn heard_late(revisions: &[(i64, u64, Option<ScheduleDefinition>, bool)]) -> Vec<i64> {
    let config = minutehand_engine::Config {
        tick_publications_max: 1,
        ..Default::default()
    };
    let mut story = Story::begin_with(config);
    story.pass(1_000);
    story.go_blind();
    for (ms, number, definition, is_paused) in revisions {
        story.append(*ms, revision(*number, definition.clone(), *is_paused));
    }
    story.pass(51_500);
    story.commit_slowly();
    story.see_in_pages(10);
    story.take_over(52_000);
    story.commit_at_once();
    story.pass(59_000);
    story.nominals()
}

#[test]
fn a_pause_that_is_heard_of_late_counts_from_its_own_time() {
    let paused = (25_000, 2, Some(every_ten_seconds()), true);
    assert_eq!(
        heard_late(&[(5_000, 1, Some(every_ten_seconds()), false), paused]),
        [10_000, 20_000]
    );
}

/// What jitter carries beyond the next revision's time is the next revision's all the same.
#[test]
fn jitter_lets_no_revision_rule_for_longer() {
    let jittered = ScheduleDefinition {
        jitter_ms: 9_000,
        ..every_ten_seconds()
    };
    let created = (5_000, 1, Some(jittered), false);
    let revised = (9_500, 2, Some(every_four_seconds()), false);
    let expected: Vec<i64> = (12_000..=56_000).step_by(4_000).collect();
    assert_eq!(heard_late(&[created, revised]), expected);
}

#[test]
fn revisions_that_are_heard_of_late_share_what_is_owed() {
    let created = (5_000, 1, Some(every_ten_seconds()), false);
    let revised = (37_000, 2, Some(every_four_seconds()), false);
    let expected = [
        10_000, 20_000, 30_000, 40_000, 44_000, 48_000, 52_000, 56_000,
    ];
    assert_eq!(heard_late(&[created, revised]), expected);
}

/// One that names no time before F owes nothing either, and has decided nothing all the same.
#[test]
fn what_was_never_in_force_takes_nothing_from_the_next() {
    let rare = ScheduleDefinition {
        recurrence: minutehand_model::RecurrenceSpec::Interval {
            every_ms: 3_600_000,
            anchor: at(0),
            zone: "UTC".to_owned(),
        },
        ..every_ten_seconds()
    };
    let created = || (5_000, 1, Some(rare.clone()), false);
    let revised = |number| (9_500, number, Some(every_four_seconds()), false);
    let expected: Vec<i64> = (12_000..=56_000).step_by(4_000).collect();
    assert_eq!(heard_late(&[created(), revised(2)]), expected);
    let paused = (7_000, 2, Some(rare.clone()), true);
    assert_eq!(heard_late(&[created(), paused, revised(3)]), expected);
    let deleted = (7_000, 2, None, false);
    assert_eq!(heard_late(&[created(), deleted, revised(3)]), expected);
}

#[test]
fn what_is_created_again_unheard_is_owed_from_its_creation() {
    let created = |ms, number| (ms, number, Some(every_ten_seconds()), false);
    assert_eq!(
        heard_late(&[
            created(5_000, 1),
            (25_000, 2, None, false),
            created(27_000, 3)
        ]),
        [30_000, 40_000, 50_000]
    );
}

/// Also when the resumption is heard of when F has passed all of it.
#[test]
fn what_the_jitter_brought_into_a_pause_never_runs() {
    let definition = || ScheduleDefinition {
        jitter_ms: 9_000,
        ..every_ten_seconds()
    };
    let mut story = begin(definition());
    story.pass(50_000);
    let held = story
        .published
        .iter()
        .find(|run| run.nominal_ms == 40_000)
        .expect("it ran")
        .at_ms;
    assert!(held > 40_100, "the jitter holds it until {held}");
    let mut story = begin(definition());
    story.say(held - 50, revision(2, Some(definition()), true));
    story.go_blind();
    story.append(held + 50, revision(3, Some(definition()), false));
    story.pass(65_000);
    story.see_in_pages(10);
    story.pass(79_900);
    assert_eq!(
        story.nominals(),
        [10_000, 20_000, 30_000, 50_000, 60_000, 70_000]
    );
}

#[test]
fn schedules_are_counted_by_state() {
    let counts = |story: &Story| {
        let counts = story.partition.schedules_by_state();
        counts.into_iter().collect::<Vec<_>>()
    };
    let mut story = Story::begin();
    assert_eq!(counts(&story), []);
    story.say(500, revision(1, Some(every_ten_seconds()), false));
    assert_eq!(counts(&story), [(ScheduleStatus::Active, 1)]);
    story.say(600, revision(2, Some(every_ten_seconds()), true));
    assert_eq!(counts(&story), [(ScheduleStatus::Paused, 1)]);
    let over = ScheduleDefinition {
        end: Some(at(1_000)),
        ..every_ten_seconds()
    };
    story.say(700, revision(3, Some(over), false));
    story.pass(30_000);
    assert_eq!(counts(&story), [(ScheduleStatus::Ended, 1)]);
    story.say(31_000, revision(4, None, false));
    assert_eq!(counts(&story), []);
}

#[test]
fn a_schedule_whose_last_run_waits_has_not_ended() {
    let definition = ScheduleDefinition {
        overlap: OverlapPolicy::BufferOne,
        runs_max: Some(2),
        ..every_ten_seconds()
    };
    let mut story = begin(definition);
    story.pass(21_000);
    let counts = |story: &Story| {
        story
            .partition
            .schedules_by_state()
            .into_keys()
            .collect::<Vec<_>>()
    };
    assert_eq!(story.nominals(), [10_000]);
    assert_eq!(counts(&story), [ScheduleStatus::Active], "one waits");
    assert_eq!(story.schedule().state.runs_taken(), 2);
    story.say(25_000, completed(10_000, OutcomeKind::Succeeded));
    assert_eq!(story.nominals(), [10_000, 20_000]);
    story.pass(31_000);
    assert_eq!(counts(&story), [ScheduleStatus::Ended]);
}
