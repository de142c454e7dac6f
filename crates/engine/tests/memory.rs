//! What has run is remembered until nobody can ask for it again within the dedupe window; and
//! memory has a bound whatever was missed, and whichever store is away.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{Command, OutcomeKind, Persist};
use support::{Published, Story, Writes, completed, task};

fn create(id: &str, due_ms: i64) -> Command {
    Command::Create(task(id, due_ms))
}

/// A reader that fetches ahead answers with what it has: that is not the end of the log, and says
/// nothing about what was appended meanwhile.
#[test]
fn a_late_reader_of_the_log_recognises_repetitions() {
    let mut story = Story::begin();
    story.say(0, create("once", 1_000));
    story.say(100, create("later", 70_000));
    story.pass(2_000);
    story.go_blind();
    story.say(4_000, create("x", 4_500));
    story.say(5_000, create("y", 5_500));
    story.say(20_000, create("once", 1_000));
    story.say(60_000, create("z", 60_500));
    story.pass(71_000);
    story.see_in_pages(1);
    story.pass(80_000);
    let mut ids: Vec<&str> = story
        .published
        .iter()
        .map(|published| published.id.as_str())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["later", "once", "x", "y", "z"]);
}

const BUDGET_BYTES: usize = 256 * 1024;
/// What is near or urgent, and answers of stores, may come on top.
const BYTES_MAX: usize = 2 * BUDGET_BYTES;

fn small() -> Config {
    Config {
        memory_bytes_max: BUDGET_BYTES,
        tick_publications_max: 64,
        ..Config::default()
    }
}

fn named<'a>(story: &'a Story, prefix: &str) -> Vec<&'a Published> {
    story
        .published
        .iter()
        .filter(|published| published.id.starts_with(prefix))
        .collect()
}

/// What has run fills the half of memory that it may, and then more short records come than there
/// is room for.
#[test]
fn a_flood_of_short_records_does_not_keep_itself_waiting() {
    let mut story = Story::begin_with(Config {
        dedupe_window_ms: 3_600_000,
        ..small()
    });
    for number in 0..4_000 {
        story.append(0, create(&format!("ran-{number}"), 1_000 + number));
    }
    story.pass(10_000);
    story.go_blind();
    for number in 0..2_000 {
        story.append(10_000, completed(number, OutcomeKind::Succeeded));
    }
    story.say(11_000, create("last", 12_000));
    story.see_in_pages(2_000);
    story.pass(20_000);
    assert_eq!(named(&story, "last").len(), 1);
}

/// Ten thousand tasks that were missed: ten times as much as there is memory for.
const MISSED: i64 = 10_000;

fn outage(config: Config) -> Story {
    let mut story = Story::begin_with(config).with_timetable();
    for number in 0..MISSED {
        story.append(
            0,
            create(&format!("missed-{number}"), 100_000 + number * 20),
        );
    }
    for number in 0..20 {
        story.append(
            0,
            create(&format!("later-{number}"), 400_000 + number * 1_000),
        );
    }
    story.pass(10_000);
    assert_eq!(story.entries().count() as i64, MISSED + 20);
    assert!(
        story.peak_bytes < BYTES_MAX,
        "{} bytes to take them in",
        story.peak_bytes
    );
    story.peak_bytes = 0;
    story.take_over(400_500);
    story
}

#[test]
fn what_was_missed_is_caught_up_with_in_bounded_memory() {
    let mut story = outage(small());
    story.pass(430_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
    let missed = named(&story, "missed");
    assert_eq!(missed.len() as i64, MISSED);
    assert!(
        missed.is_sorted_by_key(|published| published.nominal_ms),
        "oldest first"
    );
    let later = named(&story, "later");
    assert!(
        later[1..]
            .iter()
            .all(|published| published.at_ms == published.nominal_ms),
        "{later:?}"
    );
}

#[test]
fn so_it_is_where_everything_goes_in_one_order() {
    let mut story = outage(Config {
        catch_up_after_ms: 0,
        ..small()
    });
    story.pass(430_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
    assert_eq!(story.published.len() as i64, MISSED + 20);
    assert!(
        story
            .published
            .is_sorted_by_key(|published| published.nominal_ms)
    );
}

/// More than memory takes is due within the time that a task of low precision may wait for company.
#[test]
fn what_may_wait_for_company_frees_memory_all_the_same() {
    let mut story = Story::begin_with(Config {
        catch_up_after_ms: 0,
        ..small()
    })
    .with_timetable();
    let low_precision = |id: &str, due_ms| match create(id, due_ms) {
        Command::Create(task) => Command::Create(minutehand_model::TaskRecord {
            precision: minutehand_model::Precision::Low,
            ..task
        }),
        other => other,
    };
    for number in 0..4_000 {
        story.append(
            0,
            low_precision(&format!("dense-{number}"), 100_000 + number / 10),
        );
    }
    story.pass(10_000);
    story.peak_bytes = 0;
    story.take_over(200_000);
    story.pass(210_000);
    assert_eq!(story.published.len(), 4_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
}

#[test]
fn a_backlog_at_a_rate_is_taken_over_in_bounded_memory() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 500,
        ..small()
    });
    for crash_ms in [404_000, 409_000, 413_000] {
        story.pass(crash_ms);
        story.take_over(crash_ms + 700);
    }
    story.pass(440_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
    let mut ids: Vec<&str> = story
        .published
        .iter()
        .map(|published| published.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        (ids.len(), story.published.len()),
        (MISSED as usize + 20, MISSED as usize + 20)
    );
}

#[test]
fn what_is_cancelled_while_it_waits_unread_does_not_run() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 500,
        ..small()
    });
    let key = minutehand_model::TaskKey::of(support::namespace().as_str(), "missed-9000");
    story.say(
        401_000,
        Command::Cancel {
            key,
            due: support::at(280_000),
        },
    );
    story.say(401_000, create("missed-9001", 280_020));
    story.pass(440_000);
    assert_eq!(
        named(&story, "missed").len() as i64,
        MISSED - 1,
        "and a repetition runs once"
    );
    assert_eq!(named(&story, "missed-9001").len(), 1);
}

#[test]
fn while_the_store_is_away_commands_wait_in_the_log() {
    let mut story = Story::begin_with(small()).with_timetable();
    story.say(0, create("near", 20_000));
    story.writes = Writes::Refused;
    for number in 0..MISSED {
        story.append(1_000, create(&format!("far-{number}"), 900_000 + number));
    }
    story.say(1_000, create("last", 900_000));
    story.pass(25_000);
    assert_eq!(named(&story, "near")[0].at_ms, 20_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
    assert!(story.partition.status().applied < story.partition.status().log_end);
    story.writes = Writes::Kept;
    story.pass(40_000);
    assert_eq!(story.entries().count() as i64, MISSED + 1);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
}

#[test]
fn a_long_log_is_replayed_in_bounded_memory() {
    let mut story = Story::begin_with(small()).with_timetable();
    for number in 0..MISSED {
        story.append(
            number * 30,
            create(&format!("missed-{number}"), 1_000 + number * 30),
        );
    }
    story.take_over(400_000);
    story.pass(430_000);
    assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
    assert_eq!(story.published.len() as i64, MISSED);
}

/// A clock is an hour ahead for a while, and brings near what is due in the hour after it as well.
fn set_back(config: Config) -> Story {
    let mut story = Story::begin_with(config).with_timetable();
    story.set_clock(3_600_000);
    for number in 0..20 {
        story.append(
            0,
            create(&format!("beyond-{number}"), 3_610_000 + number * 5_000),
        );
    }
    story.pass(3_605_000);
    story.hear();
    story.set_clock(5_000);
    story
}

#[test]
fn what_a_clock_ahead_brought_near_is_far_again() {
    for persist in [Persist::BeyondLookAhead, Persist::All] {
        let mut story = set_back(Config { persist, ..small() });
        for number in 0..MISSED {
            story.append(
                5_000,
                create(&format!("far-{number}"), 100_000 + number * 20),
            );
        }
        story.say(5_000, create("soon", 20_000));
        story.pass(60_000);
        assert_eq!(named(&story, "soon")[0].at_ms, 20_000, "{persist:?}");
        assert!(story.peak_bytes < BYTES_MAX, "{} bytes", story.peak_bytes);
        story.pass(4_000_000);
        let late = |published: &&Published| published.at_ms > published.nominal_ms;
        assert_eq!(story.published.iter().find(late), None);
        let mut ids: Vec<&str> = story
            .published
            .iter()
            .map(|published| published.id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(
            (ids.len(), story.published.len()),
            (MISSED as usize + 21, MISSED as usize + 21)
        );
    }
}

#[test]
fn what_was_near_and_is_far_again_is_cancelled_and_moved() {
    let mut story = set_back(small());
    let key = |id: &str| minutehand_model::TaskKey::of(support::namespace().as_str(), id);
    let due_ms = |number: i64| 3_610_000 + number * 5_000;
    for number in 0..10 {
        let (key, due) = (
            key(&format!("beyond-{number}")),
            support::at(due_ms(number)),
        );
        story.append(6_000, Command::Cancel { key, due });
    }
    for number in 10..20 {
        let id = format!("beyond-{number}");
        let (key, due) = (key(&id), support::at(due_ms(number)));
        story.append(
            6_000,
            Command::Move {
                key,
                due,
                task: task(&id, 30_000),
            },
        );
    }
    story.hear();
    story.pass(31_000);
    assert!(
        story
            .published
            .iter()
            .all(|published| published.at_ms == 30_000),
        "{:?}",
        story.published
    );
    story.pass(4_000_000);
    assert_eq!(story.published.len(), 10);
}

#[test]
fn commands_that_come_late_leave_f_its_share() {
    let mut story = Story::begin_with(Config {
        tick_publications_max: 4,
        ..Config::default()
    });
    for number in 0..20 {
        story.say(0, create(&format!("due-{number}"), 10_000 + number));
    }
    story.commit_slowly();
    story.pass(12_000);
    for number in 0..200 {
        story.append(12_000, create(&format!("late-{number}"), 5_000));
    }
    story.commit_at_once();
    let last_due = story
        .published
        .iter()
        .rposition(|published| published.id.starts_with("due"));
    assert!(
        last_due.is_some_and(|last| last < 100),
        "{last_due:?} of {}",
        story.published.len()
    );
}

#[test]
fn what_comes_late_and_is_cancelled_in_time_does_not_run() {
    let mut story = Story::begin();
    story.say(0, create("first", 1_000));
    story.commit_slowly();
    story.pass(2_000);
    story.append(3_000, create("late", 500));
    let key = minutehand_model::TaskKey::of(support::namespace().as_str(), "late");
    story.say(
        3_000,
        Command::Cancel {
            key,
            due: support::at(500),
        },
    );
    story.commit_at_once();
    story.pass(4_000);
    assert!(named(&story, "late").is_empty());
}
