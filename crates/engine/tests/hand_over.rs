//! A hand-over ends in its time, whatever is due and whichever store is away, and loses nothing.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{Command, Persist};
use support::{Story, Writes, at, task};

/// Hand-overs wait for writes as long as a lease lives, at most.
const LEASE_TTL_MS: i64 = 3_000;

fn create(id: &str, due_ms: i64) -> Command {
    Command::Create(task(id, due_ms))
}

fn ids(story: &Story) -> Vec<&str> {
    story
        .published
        .iter()
        .map(|published| published.id.as_str())
        .collect()
}

/// A partition in which two hundred tasks are due at once, ten in each tick, and the first tick is
/// under way.
fn with_backlog() -> Story {
    let config = Config {
        tick_publications_max: 10,
        catch_up_after_ms: 1,
        ..Config::default()
    };
    let mut story = Story::begin_with(config).with_timetable();
    for number in 0..200 {
        story.say(0, create(&format!("due-{number}"), 1_000));
    }
    story.commit_slowly();
    story.pass(1_500);
    assert_eq!(story.published.len(), 10);
    story
}

#[test]
fn one_more_tick_is_sent_however_much_is_due() {
    let mut story = with_backlog();
    story.hand_over();
    story.commit_at_once();
    assert!(story.is_released);
    assert_eq!(story.published.len(), 20);
    story.take_over(2_000);
    story.pass(4_000);
    let mut all = ids(&story);
    all.sort_unstable();
    all.dedup();
    assert_eq!(
        (story.published.len(), all.len()),
        (200, 200),
        "the successor publishes the rest, each once"
    );
}

#[test]
fn commands_are_applied_until_the_last_tick() {
    let mut story = with_backlog();
    story.hand_over();
    let applied = story.partition.status().applied;
    story.say(1_600, create("new", 9_000));
    assert!(
        story.partition.status().applied > applied,
        "while the tick before the last is under way"
    );
    story.commit_at_once();
    assert!(story.is_released);
}

#[test]
fn writes_are_waited_for_as_long_as_they_may_take_and_no_longer() {
    let config = Config {
        flush_interval_ms: 60_000,
        lease_ttl_ms: LEASE_TTL_MS,
        ..Config::default()
    };
    for returns in [false, true] {
        let mut story = Story::begin_with(Config {
            persist: Persist::All,
            ..config.clone()
        })
        .with_timetable();
        story.writes = Writes::Refused;
        story.say(0, create("near", 2_000));
        story.say(0, create("far", 20_000));
        story.hand_over();
        story.pass(1_000);
        assert!(!story.is_released);
        if returns {
            story.writes = Writes::Kept;
        }
        story.pass(2_500);
        assert_eq!(
            (story.is_released, ids(&story).len()),
            (returns, usize::from(!returns))
        );
        story.pass(LEASE_TTL_MS);
        assert!(story.is_released);
        story.cut_log();
        story.take_over(4_000);
        story.pass(21_000);
        assert_eq!(
            ids(&story),
            ["near", "far"],
            "what was not written is in the log"
        );
    }
}

#[test]
fn a_tick_that_is_never_answered_is_not_waited_for_for_ever() {
    let config = Config {
        lease_ttl_ms: LEASE_TTL_MS,
        ..Config::default()
    };
    let mut story = Story::begin_with(config).with_timetable();
    story.say(0, create("task", 1_000));
    story.commit_slowly();
    story.pass(1_000);
    story.hand_over();
    story.pass(1_000 + 2 * LEASE_TTL_MS - 1);
    assert!(!story.is_released);
    story.pass(1_000 + 2 * LEASE_TTL_MS);
    assert!(story.is_released);
}

#[test]
fn during_take_over_the_partition_is_given_back_at_once() {
    let mut story = Story::begin();
    for number in 0..5 {
        story.append(0, create(&format!("task-{number}"), 1_000));
    }
    story.go_blind();
    story.take_over(2_000);
    story.hand_over();
    assert!(story.is_released);
    assert!(story.published.is_empty());
}

/// What waits for its block is the successor's then. A partition that asked to be woken for it would
/// be woken without end.
#[test]
fn behind_the_last_tick_nothing_wakes_but_its_own_time() {
    let config = Config {
        block_writes_max: 1,
        persist: Persist::All,
        lease_ttl_ms: LEASE_TTL_MS,
        ..Config::default()
    };
    let mut story = Story::begin_with(config).with_timetable();
    story.writes = Writes::Unanswered;
    story.say(0, create("written", 20_000));
    story.pass(2_000);
    story.say(2_100, create("waiting", 20_000));
    story.commit_slowly();
    story.hand_over();
    story.pass(2_100 + LEASE_TTL_MS);
    assert!(!story.is_released, "its last tick is under way");
    story.let_writes_be_answered();
    let (wake, _) = story.partition.poll_timeout().unwrap();
    assert!(wake > at(2_100 + LEASE_TTL_MS), "{wake}");
    story.pass(2_100 + 2 * LEASE_TTL_MS);
    assert!(story.is_released);
}
