//! The ledger's counts: with what they count, through hand-overs, doubt and clocks that go back.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{
    Command, LedgerRow, MisfirePolicy, MisfireRule, RecurrenceSpec, ScheduleDefinition, Tally,
};
use support::{Story, at, every_ten_seconds, revision, task};

/// Half an hour, in which the stories take place.
const END_MS: i64 = 30 * 60_000;

fn story() -> Story {
    Story::begin_counting(Config::default()).with_timetable()
}

/// The minute that starts so many minutes after the beginning.
fn row(story: &Story, minute: i64) -> LedgerRow {
    let minute = at(minute * 60_000);
    let rows = story
        .kept
        .iter()
        .filter(|row| row.tally.minute == minute && !row.tally.is_supplement);
    let rows: Vec<LedgerRow> = rows.copied().collect();
    assert!(!rows.is_empty(), "minute {minute} is closed");
    assert!(
        rows.iter().all(|row| *row == rows[0]),
        "minute {minute} has one row: {rows:?}"
    );
    rows[0]
}

fn tally(story: &Story, minute: i64) -> Tally {
    row(story, minute).tally
}

/// Every minute up to a time is closed, agrees with the timetable, and has published what it was
/// to.
#[track_caller]
fn assert_complete(story: &Story, from: i64, until: i64) {
    for minute in from..until {
        let row = row(story, minute);
        assert_eq!(row.differences().count(), 0, "minute {minute}: {row:?}");
    }
}

/// Tasks all over the half hour, created in its first seconds.
fn create(story: &mut Story, count: i64) {
    for number in 0..count {
        let due_ms = 2_000 + number * (END_MS - 120_000) / count;
        story.append(number, Command::Create(task(&format!("t{number}"), due_ms)));
    }
    story.pass(count);
    story.hear();
}

#[test]
fn every_minute_gets_a_row_whether_or_not_anything_is_due() {
    let mut story = story();
    story.say(100, Command::Create(task("far", 5 * 60_000 + 7)));
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let row = tally(&story, 5);
    assert_eq!((row.due, row.stored.count, row.published.count), (1, 1, 1));
    assert_eq!(tally(&story, 6).expected(), 0);
}

#[test]
fn counts_agree_with_the_timetable_through_take_overs() {
    let mut story = story();
    create(&mut story, 1_000);
    for number in 1..20 {
        story.take_over(number * 85_000);
        let near = task(&format!("n{number}"), number * 85_000 + 5_000);
        story.say(number * 85_000 + 10, Command::Create(near));
    }
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let all: u64 = (1..29).map(|minute| tally(&story, minute).due).sum();
    let first_minute = story.published.iter().filter(|one| one.at_ms < 60_000);
    assert_eq!(all + first_minute.count() as u64, 1_019);
    assert!((1..29).any(|minute| tally(&story, minute).stored.count > 0));
}

#[test]
fn a_count_in_a_tick_in_doubt_is_not_doubled() {
    let mut story = story();
    create(&mut story, 100);
    for number in 1..20 {
        story.pass(number * 85_000);
        story.commit_slowly();
        story.pass(number * 85_000 + 30_000);
        // The tick is committed, and its owner never hears of it.
        story.take_over(number * 85_000 + 30_001);
        story.commit_at_once();
    }
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
}

#[test]
fn what_is_cancelled_moved_or_repeated_is_not_expected() {
    let mut story = story();
    let due_ms = 10 * 60_000;
    for id in ["a", "b", "c", "d"] {
        story.say(10, Command::Create(task(id, due_ms)));
    }
    story.say(40_000, Command::Create(task("a", due_ms)));
    let key = |id: &str| task(id, due_ms).key;
    let due = at(due_ms);
    story.say(50_000, Command::Cancel { key: key("b"), due });
    let later = task("c", due_ms + 60_000);
    let replace = Command::Replace {
        key: key("c"),
        due,
        task: later,
    };
    story.say(51_000, replace);
    story.say(due_ms - 1_000, Command::Cancel { key: key("d"), due });
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let row = tally(&story, 10);
    assert_eq!((row.due, row.withdrawn, row.published.count), (1, 4, 1));
    assert_eq!(tally(&story, 11).due, 1);
}

#[test]
fn what_comes_late_counts_in_its_minute_while_that_is_open() {
    let mut story = story();
    story.say(119_990, Command::Create(task("punctual", 119_995)));
    story.say(121_000, Command::Create(task("tardy", 119_000)));
    story.say(200_000, Command::Create(task("late", 119_000)));
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let counts = |minute| {
        let row = tally(&story, minute);
        (row.due, row.late, row.published.count)
    };
    assert_eq!((counts(1), counts(3)), ((1, 1, 2), (0, 1, 1)));
}

#[test]
fn occurrences_count_beside_tasks() {
    let mut story = story();
    story.say(10, revision(1, Some(every_ten_seconds()), false));
    story.say(20, Command::Create(task("one", 4 * 60_000)));
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let row = tally(&story, 4);
    assert_eq!((row.due, row.recurring), (1, 6));
}

#[test]
fn a_row_is_sent_until_it_is_kept_and_by_the_successor_as_well() {
    let mut story = story();
    create(&mut story, 50);
    story.loses_rows = true;
    story.pass(8 * 60_000);
    story.take_over(8 * 60_000 + 1);
    story.pass(10 * 60_000);
    let tries = |minute: i64| {
        let minute = at(minute * 60_000);
        story
            .kept
            .iter()
            .filter(|one| one.tally.minute == minute)
            .count()
    };
    assert!(tries(2) > 2);
    story.loses_rows = false;
    story.kept.clear();
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    let rows = story.kept.len();
    story.take_over(END_MS + 1);
    story.pass(END_MS + 30_000);
    assert!(
        story.kept.len() <= rows + 2,
        "what is kept is not sent again"
    );
}

#[test]
fn while_no_row_can_be_kept_the_minutes_are_bounded() {
    let mut story = story();
    story.loses_rows = true;
    story.pass(3 * 3_600_000);
    let status = story.partition.status();
    let rows: std::collections::BTreeSet<_> =
        story.kept.iter().map(|row| row.tally.minute).collect();
    assert!(rows.len() <= 64, "{} rows wait", rows.len());
    story.loses_rows = false;
    story.kept.clear();
    story.pass(3 * 3_600_000 + 600_000);
    assert_eq!(
        status.minutes_given_up, 0,
        "nothing was due, nothing is lost"
    );
    assert_complete(&story, 1, 3 * 60);
}

#[test]
fn a_backlog_keeps_its_minutes_open_until_it_is_caught_up_with() {
    let mut story = story();
    create(&mut story, 300);
    story.pass(90_000);
    // Ten minutes without an owner.
    story.take_over(690_000);
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
}

#[test]
fn minutes_are_closed_once_when_the_clock_goes_back() {
    let mut story = story();
    create(&mut story, 100);
    story.pass(10 * 60_000);
    story.set_clock(5 * 60_000);
    story.say(5 * 60_000 + 10, Command::Create(task("new", 6 * 60_000)));
    story.say(5 * 60_000 + 20, Command::Create(task("again", 9 * 60_000)));
    let before = published_in(&story, 6);
    story.pass(END_MS);
    assert_complete(&story, 1, 29);
    assert_eq!(published_in(&story, 6), before + 1);
}

const MINUTE_MS: i64 = 60_000;

/// So many minutes without an owner, in each of which a task is due; then half an hour with one.
fn tasks_through_an_outage(minutes: i64) -> Story {
    let mut story = story();
    for minute in 1..minutes {
        let task = task(&format!("t{minute}"), minute * MINUTE_MS + 7);
        story.append(minute, Command::Create(task));
    }
    story.pass(1_000);
    story.hear();
    through_an_outage(story, minutes)
}

/// The same with an occurrence of a schedule that catches up with all it has missed.
fn occurrences_through_an_outage(minutes: i64) -> Story {
    let mut story = story();
    story.say(10, revision(1, Some(every_minute_of_a_week()), false));
    through_an_outage(story, minutes)
}

fn through_an_outage(mut story: Story, minutes: i64) -> Story {
    story.pass(2 * MINUTE_MS);
    story.take_over(minutes * MINUTE_MS);
    story.pass((minutes + 30) * MINUTE_MS);
    story
}

fn every_minute_of_a_week() -> ScheduleDefinition {
    ScheduleDefinition {
        recurrence: RecurrenceSpec::Interval {
            every_ms: MINUTE_MS,
            anchor: at(0),
            zone: "UTC".to_owned(),
        },
        misfire: MisfirePolicy {
            rule: MisfireRule::All,
            grace_ms: 1_000,
            window_ms: 7 * 24 * 60 * MINUTE_MS,
        },
        ..every_ten_seconds()
    }
}

#[test]
fn every_occurrence_that_is_left_out_is_counted() {
    let mut story = story();
    let mut definition = every_ten_seconds();
    definition.misfire.rule = MisfireRule::None;
    story.say(10, revision(1, Some(definition), false));
    let story = through_an_outage(story, 20);
    for minute in 2..40 {
        let tally = tally(&story, minute);
        assert_eq!(tally.recurring + tally.left_out, 6, "{tally:?}");
    }
}

/// What the rows say was published, and the minutes that have none.
#[track_caller]
fn published_by_rows(story: &Story, until: i64) -> (u64, u64) {
    let rows: std::collections::BTreeMap<_, _> = story
        .kept
        .iter()
        .map(|row| (row.tally.minute, *row))
        .collect();
    for row in rows.values() {
        assert_eq!(row.differences().count(), 0, "{row:?}");
    }
    let published = rows.values().map(|row| row.tally.published.count).sum();
    let missing = (1..until).filter(|minute| !rows.contains_key(&at(minute * MINUTE_MS)));
    (published, missing.count() as u64)
}

#[test]
fn an_outage_of_five_hours_leaves_a_row_of_each_minute() {
    let story = tasks_through_an_outage(300);
    assert_eq!(published_by_rows(&story, 329), (299, 0));
}

#[test]
fn minutes_that_are_given_up_make_no_other_differ() {
    let outages = [300, 900].map(|minutes| (minutes, occurrences_through_an_outage(minutes)));
    for (minutes, story) in outages {
        let until = minutes + 29;
        let (published, missing) = published_by_rows(&story, until);
        assert!(missing > 0, "a backlog holds the floor back");
        assert_eq!(missing, story.partition.status().minutes_given_up);
        assert_eq!(published + missing, until as u64 - 1);
    }
}

#[test]
fn empty_minutes_do_not_push_out_counted_ones() {
    let mut story = story();
    // Every other minute has a task.
    for number in 1..200 {
        let task = task(&format!("t{number}"), 2 * number * MINUTE_MS + 7);
        story.append(number, Command::Create(task));
    }
    story.pass(1_000);
    story.hear();
    let story = through_an_outage(story, 400);
    assert_eq!(published_by_rows(&story, 429), (199, 0));
    assert_eq!(story.partition.status().minutes_given_up, 0);
}

#[test]
fn days_without_an_owner_are_counted_from_when_rows_are_kept() {
    let mut story = story();
    story.pass(10 * MINUTE_MS);
    let days = |count: i64| count * 24 * 60;
    story.take_over(days(40) * MINUTE_MS);
    story.pass((days(40) + 10) * MINUTE_MS);
    let minutes = |minute: &LedgerRow| minute.tally.minute.millis_since(at(0)) / MINUTE_MS;
    let rows: Vec<i64> = story.kept.iter().map(minutes).collect();
    assert!(rows.iter().all(|minute| *minute < 10 || *minute >= days(5)));
    assert!(rows.contains(&days(5)) && rows.contains(&(days(40) + 8)));
}

/// What all rows of a minute say was published.
fn published_in(story: &Story, minute: i64) -> u64 {
    let minute = at(minute * MINUTE_MS);
    let rows: std::collections::BTreeMap<_, _> = story
        .kept
        .iter()
        .filter(|row| row.tally.minute == minute)
        .map(|row| (row.tally.closed_by, row))
        .collect();
    let counts = rows.values().map(|row| {
        assert_eq!(row.differences().count(), 0, "{row:?}");
        row.tally.published.count
    });
    counts.sum()
}

#[test]
fn what_runs_when_a_clock_has_come_back_is_told_of_its_minute() {
    let mut story = story();
    story.pass(10 * MINUTE_MS);
    story.set_clock(16 * MINUTE_MS);
    story.pass(16 * MINUTE_MS + 5_000);
    let back = 10 * MINUTE_MS + 5_000;
    story.set_clock(back);
    for (id, after_ms) in [("soon", 40_000), ("later", 100_000)] {
        story.say(back + 10, Command::Create(task(id, back + after_ms)));
    }
    story.take_over(back + 30_000);
    let done_before = |story: &Story| story.partition.status().closed_before;
    story.pass(11 * MINUTE_MS + 1_000);
    assert_eq!(done_before(&story), Some(at(10 * MINUTE_MS)), "still open");
    story.pass(11 * MINUTE_MS + 3_000);
    assert_eq!(done_before(&story), Some(at(11 * MINUTE_MS)));
    assert_eq!(published_in(&story, 10), 1);
    story.take_over(11 * MINUTE_MS + 4_000);
    story.pass(END_MS);
    assert_eq!(
        [10, 11, 12].map(|minute| published_in(&story, minute)),
        [1, 1, 0]
    );
    assert_complete(&story, 1, 29);
    assert!(
        !story
            .kept
            .iter()
            .any(|row| row.tally.minute > at(29 * MINUTE_MS))
    );
}

#[test]
fn a_clock_that_was_months_ahead_leaves_a_row_of_each_minute() {
    let mut story = story();
    story.pass(10 * MINUTE_MS);
    let ahead = 60 * 24 * 60 * MINUTE_MS;
    story.set_clock(ahead);
    story.pass(ahead + 1_000);
    story.kept.clear();
    story.set_clock(10 * MINUTE_MS + 5_000);
    story.pass(END_MS);
    let has_row = |minute: &i64| {
        let minute = at(minute * MINUTE_MS);
        story.kept.iter().any(|row| row.tally.minute == minute)
    };
    let missing: Vec<i64> = (10..29).filter(|minute| !has_row(minute)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
