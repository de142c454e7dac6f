//! Where another region could adopt the partition, F stands at the horizon that was acknowledged.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::Command;
use support::{Story, at, backfill, every_ten_seconds, revision, task, trigger};

/// Other regions, and tasks at one, two and three seconds.
fn begin_unknown(config: Config) -> Story {
    let mut story = Story::begin_with(Config {
        has_other_regions: true,
        ..config
    });
    for second in 1..=3 {
        let due_ms = second * 1_000;
        story.say(0, Command::Create(task(&due_ms.to_string(), due_ms)));
    }
    story
}

/// The same, and a horizon.
fn begin(config: Config, horizon_ms: i64) -> Story {
    let mut story = begin_unknown(config);
    story.acknowledge(horizon_ms);
    story
}

fn published(story: &Story) -> Vec<(&str, i64)> {
    let each = story.published.iter();
    each.map(|published| (published.id.as_str(), published.at_ms))
        .collect()
}

#[test]
fn f_stands_at_the_horizon_and_goes_on_with_it() {
    let mut story = begin(Config::default(), 2_000);
    story.pass(10_000);
    assert_eq!(published(&story), [("1000", 1_000), ("2000", 2_000)]);
    story.acknowledge(15_000);
    story.pass(13_000);
    assert_eq!(story.published.len(), 3);
    assert_eq!(story.published[2].id, "3000");
}

#[test]
fn f_stands_while_no_horizon_is_known() {
    let mut story = begin_unknown(Config::default());
    story.pass(10_000);
    assert_eq!(published(&story), []);
    story.take_over(11_000);
    story.acknowledge(15_000);
    story.pass(12_000);
    let each = published(&story);
    assert_eq!(each, [("1000", 11_000), ("2000", 11_000), ("3000", 11_000)]);
}

#[test]
fn a_horizon_that_is_known_late_takes_nothing_back() {
    let mut story = begin(Config::default(), 5_000);
    story.acknowledge(1_500);
    story.pass(4_000);
    assert_eq!(story.published.len(), 3);
}

fn leaving_behind() -> Config {
    Config {
        catch_up_after_ms: 1_000,
        ..Config::default()
    }
}

#[test]
fn nothing_is_left_behind_beyond_the_horizon() {
    let mut story = begin(leaving_behind(), 1_500);
    story.pass(60_000);
    assert_eq!(published(&story), [("1000", 1_000)]);
}

#[test]
fn what_comes_beyond_the_horizon_waits_in_the_log() {
    let mut story = begin(Config::default(), 2_000);
    story.pass(10_000);
    story.say(10_000, Command::Create(task("late", 500)));
    story.pass(11_000);
    assert_eq!(published(&story), [("1000", 1_000), ("2000", 2_000)]);
    story.acknowledge(15_000);
    let all: Vec<&str> = published(&story).iter().map(|(id, _)| *id).collect();
    assert_eq!(all, ["1000", "2000", "late", "3000"]);
}

/// A schedule that runs every ten seconds, and a horizon.
fn recurring(horizon_ms: i64) -> Story {
    let mut story = Story::begin_with(Config {
        has_other_regions: true,
        ..leaving_behind()
    });
    story.acknowledge(horizon_ms);
    story.say(0, revision(1, Some(every_ten_seconds()), false));
    story
}

#[test]
fn what_schedules_owe_beyond_the_horizon_waits_for_it() {
    let mut story = recurring(25_000);
    story.pass(60_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
    story.take_over(70_000);
    story.pass(71_000);
    assert_eq!(story.nominals(), [10_000, 20_000]);
    story.acknowledge(45_000);
    story.pass(72_000);
    assert_eq!(story.nominals(), [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn what_schedules_owe_goes_out_behind_the_horizon() {
    let mut story = recurring(55_000);
    story.outage(50_500);
    story.pass(80_000);
    let each = [10_000, 20_000, 30_000, 40_000, 50_000];
    assert_eq!(story.nominals(), each);
}

#[test]
fn nothing_is_asked_for_beyond_the_horizon() {
    let mut story = recurring(25_000);
    story.pass(20_000);
    story.say(20_500, backfill(-40_000, -15_000));
    story.say(20_600, trigger(None));
    story.pass(24_000);
    let before = story.nominals().len();
    assert!(before > 3, "both have run: {:?}", story.nominals());
    story.pass(26_000);
    story.say(26_500, backfill(-90_000, -45_000));
    story.say(26_600, trigger(None));
    story.pass(40_000);
    assert_eq!(story.nominals().len(), before);
    let wake = story.partition.poll_timeout();
    assert!(wake.is_none_or(|(time, _)| time > at(40_000)), "{wake:?}");
    story.acknowledge(45_000);
    story.pass(41_000);
    assert!(story.nominals().len() > before + 5);
}

#[test]
fn an_owner_at_the_horizon_sleeps_until_it_moves() {
    let mut story = begin(leaving_behind(), 1_500);
    story.say(0, revision(1, Some(every_ten_seconds()), false));
    story.pass(60_000);
    let (time, reason) = story.partition.poll_timeout().expect("it is an owner");
    assert!(time > at(60_000), "woken at once for {reason:?}");
}

#[test]
fn without_regions_there_is_no_horizon() {
    let mut story = Story::begin();
    story.say(0, Command::Create(task("far", 3_600_000)));
    story.pass(3_600_001);
    assert_eq!(story.published.len(), 1);
}
