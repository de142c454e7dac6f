//! Where everything is to be persisted, the timetable gets what is near as well; nothing else about
//! tasks changes.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{Command, Fact, Persist, TaskKey, TimetableEntry};
use support::{Story, Writes, at, namespace, task};

fn create(id: &str, due_ms: i64) -> Command {
    Command::Create(task(id, due_ms))
}

fn cancel(id: &str, due_ms: i64) -> Command {
    Command::Cancel {
        key: key(id),
        due: at(due_ms),
    }
}

fn key(id: &str) -> TaskKey {
    TaskKey::of(namespace().as_str(), id)
}

fn begin_with(config: Config) -> Story {
    Story::begin_with(Config {
        persist: Persist::All,
        ..config
    })
    .with_timetable()
}

fn begin() -> Story {
    begin_with(Config::default())
}

fn ids(story: &Story) -> Vec<&str> {
    story
        .published
        .iter()
        .map(|published| published.id.as_str())
        .collect()
}

/// How often the timetable says that the task runs, and that it does not.
fn stored(story: &Story, id: &str) -> (usize, usize) {
    let said = |runs: bool| {
        let is_wanted = |entry: &&TimetableEntry| {
            entry.key == key(id) && matches!(entry.fact, Fact::Runs(_)) == runs
        };
        story.entries().filter(is_wanted).count()
    };
    (said(true), said(false))
}

#[test]
fn near_tasks_are_stored_only_when_all_is_persisted() {
    for persist in Persist::ALL {
        let config = Config {
            persist: *persist,
            ..Config::default()
        };
        let mut story = Story::begin_with(config).with_timetable();
        story.say(0, create("near", 10_000));
        story.say(0, cancel("near", 10_000));
        story.say(100, create("far", 200_000));
        story.pass(2_000);
        let expected = if *persist == Persist::All {
            (1, 1)
        } else {
            (0, 0)
        };
        assert_eq!(
            (stored(&story, "near"), stored(&story, "far")),
            (expected, (1, 0)),
            "{persist}"
        );
    }
}

#[test]
fn a_successor_fires_what_the_log_no_longer_has() {
    let mut story = begin();
    story.say(0, create("kept", 20_000));
    story.say(0, create("cancelled", 21_000));
    story.say(1_500, cancel("cancelled", 21_000));
    story.pass(5_000);
    assert_eq!(story.cut_log(), 3, "nothing is needed of the log");
    story.take_over(6_000);
    story.say(7_000, create("kept", 20_000));
    story.pass(25_000);
    assert_eq!(ids(&story), ["kept"]);
}

#[test]
fn a_successor_remembers_what_has_run_from_the_timetable() {
    let mut story = begin();
    story.say(0, create("once", 20_000));
    story.say(0, create("cancelled", 20_000));
    story.say(0, cancel("cancelled", 20_000));
    story.pass(24_000);
    assert_eq!(story.cut_log(), 3);
    story.take_over(25_000);
    story.say(26_000, create("once", 20_000));
    story.pass(40_000);
    assert_eq!(ids(&story), ["once"]);
    story.say(41_000, create("cancelled", 20_000));
    assert_eq!(
        ids(&story),
        ["once", "cancelled"],
        "after a void it is a new task, and late"
    );
}

#[test]
fn r_waits_for_a_write_that_fails_and_goes_on_when_it_is_done() {
    let mut story = begin();
    story.writes = Writes::Refused;
    story.say(0, create("task", 20_000));
    story.pass(5_000);
    assert_eq!(story.cut_log(), 0);
    story.take_over(6_000);
    story.writes = Writes::Kept;
    story.pass(10_000);
    assert_eq!((story.cut_log(), stored(&story, "task")), (1, (1, 0)));
    story.take_over(11_000);
    story.pass(25_000);
    assert_eq!(ids(&story), ["task"]);
}

/// Its task is gone when the store takes writes again: an entry could only say that it does not
/// run, and a repetition would.
#[test]
fn what_has_run_before_it_could_be_written_is_left_to_the_log() {
    let mut story = begin();
    story.writes = Writes::Refused;
    story.say(0, create("task", 20_000));
    story.pass(21_000);
    story.writes = Writes::Kept;
    story.pass(24_000);
    assert_eq!(stored(&story, "task"), (0, 0));
    assert_eq!(
        story.cut_log(),
        0,
        "a successor learns from the log that it has run"
    );
    story.take_over(25_000);
    story.say(26_000, create("task", 20_000));
    story.pass(100_000);
    assert_eq!(ids(&story), ["task"]);
    assert_eq!(
        story.cut_log(),
        2,
        "and the log may forget it when its dedupe window has ended"
    );
}

/// Owners look through the timetable for what is due within the dedupe window; this was due before
/// and came within it.
#[test]
fn what_the_log_took_after_its_time_is_remembered_from_the_log() {
    let mut story = begin();
    story.say(1_000, create("first", 57_000));
    story.pass(56_500);
    story.commit_slowly();
    story.say(65_000, create("late", 59_000));
    story.pass(68_000);
    assert_eq!(
        ids(&story),
        ["first"],
        "F stands, and what is late waits like the rest"
    );
    story.commit_at_once();
    story.pass(72_000);
    assert_eq!(ids(&story), ["first", "late"]);
    story.say(93_000, create("other", 93_500));
    story.pass(93_900);
    assert_eq!(stored(&story, "late"), (0, 0));
    story.cut_log();
    story.take_over(94_000);
    story.say(94_500, create("late", 59_000));
    story.pass(96_000);
    assert_eq!(ids(&story), ["first", "late", "other"]);
}

#[test]
fn a_task_due_before_its_block_is_written_and_run_once() {
    let mut story = begin_with(Config {
        flush_interval_ms: 10_000,
        ..Config::default()
    });
    story.say(0, create("task", 35_000));
    story.pass(9_000);
    assert_eq!(
        (story.partition.status().near_tasks, stored(&story, "task")),
        (1, (0, 0))
    );
    story.pass(12_000);
    assert_eq!((story.cut_log(), stored(&story, "task")), (1, (1, 0)));
    story.take_over(13_000);
    story.pass(40_000);
    assert_eq!(
        (ids(&story), stored(&story, "task")),
        (vec!["task"], (1, 0))
    );
}

/// A block is found by its first due time: one of both would have been read before it was written.
#[test]
fn near_and_far_tasks_of_a_minute_have_separate_blocks() {
    let mut story = begin();
    story.say(0, create("near", 20_000));
    story.say(0, create("far", 50_000));
    story.pass(2_000);
    assert_eq!(story.blocks.len(), 2);
    story.pass(60_000);
    assert_eq!(ids(&story), ["near", "far"]);
}

#[test]
fn a_task_that_is_near_and_waits_for_its_block_is_counted_once() {
    let mut story = begin();
    story.say(0, create("near", 20_000));
    story.say(0, create("far", 50_000));
    let count = |story: &Story| {
        story
            .partition
            .loads(at(0), at(60_000))
            .values()
            .sum::<u64>()
    };
    assert_eq!(count(&story), 2);
    assert_eq!(story.partition.list(None, at(60_000), 10).len(), 2);
    story.pass(2_000);
    assert_eq!(count(&story), 0, "the timetable counts them");
}

#[test]
fn a_finished_task_is_forgotten_without_its_writes_answer() {
    let mut story = begin();
    story.writes = Writes::Unanswered;
    story.say(0, create("task", 5_000));
    story.pass(34_000);
    story.say(34_500, create("task", 5_000));
    assert_eq!(ids(&story), ["task"], "within its dedupe window");
    story.pass(60_000);
    story.say(61_000, create("other", 61_500));
    story.pass(80_000);
    story.say(81_000, create("task", 5_000));
    assert_eq!(
        ids(&story),
        ["task", "other", "task"],
        "nothing keeps it in mind for longer"
    );
}

#[test]
fn a_finished_task_does_not_wait_for_a_store_that_is_away() {
    const MANY: usize = 20_000;
    let mut story = begin_with(Config {
        block_writes_max: 1,
        ..Config::default()
    });
    story.writes = Writes::Unanswered;
    story.say(0, create("first", 10_000));
    story.pass(2_000);
    let add = |story: &mut Story, at_ms: i64, due_ms: i64| {
        for number in 0..MANY {
            story.append(at_ms, create(&format!("task-{due_ms}-{number}"), due_ms));
        }
        story.say(at_ms, create(&format!("last-{due_ms}"), due_ms));
    };
    add(&mut story, 3_000, 10_000);
    assert!(story.partition.status().pending_entries >= MANY);
    story.pass(12_000);
    add(&mut story, 13_000, 30_000);
    let pending = story.partition.status().pending_entries;
    assert!(
        (MANY..MANY + 10).contains(&pending),
        "{pending} wait for the store"
    );
}
