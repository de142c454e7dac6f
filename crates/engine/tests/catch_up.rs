//! After an outage: what is on time goes out, and what was missed is caught up with beside it.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{Command, MisfirePolicy, TaskKey};
use support::{Published, Story, at, every_ten_seconds, namespace, revision, task};

fn create(due_ms: i64, name: &str) -> Command {
    Command::Create(task(name, due_ms))
}

fn cancel(due_ms: i64, name: &str) -> Command {
    Command::Cancel {
        key: TaskKey::of(namespace().as_str(), name),
        due: at(due_ms),
    }
}

/// A hundred tasks a second were missed for nineteen seconds, and the outage ends a second and a
/// half later.
fn outage(config: Config) -> Story {
    outage_with(Story::begin_with(Config {
        catch_up_after_ms: 2_000,
        ..config
    }))
}

fn outage_with(mut story: Story) -> Story {
    for number in 0..1_900 {
        story.say(0, create(20_000 + number * 10, &format!("missed-{number}")));
    }
    for number in 0..30 {
        story.say(
            0,
            create(40_000 + number * 1_000, &format!("later-{number}")),
        );
    }
    story.take_over(40_500);
    story
}

fn named<'a>(story: &'a Story, prefix: &str) -> Vec<&'a Published> {
    story
        .published
        .iter()
        .filter(|published| published.id.starts_with(prefix))
        .collect()
}

fn is_sorted(published: &[&Published]) -> bool {
    published.is_sorted_by_key(|published| published.nominal_ms)
}

#[test]
fn on_time_tasks_fire_while_the_backlog_drains_at_its_rate() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 100,
        ..Config::default()
    });
    story.say(45_000, create(46_000, "new"));
    story.pass(50_000);
    let later = named(&story, "later");
    assert_eq!(later.len(), 11);
    assert!(
        later[1..]
            .iter()
            .all(|published| published.at_ms == published.nominal_ms),
        "{later:?}"
    );
    assert_eq!(named(&story, "new")[0].at_ms, 46_000);
    let caught_up = named(&story, "missed");
    let expected = 950..1_200;
    assert!(
        expected.contains(&caught_up.len()),
        "{} in ten seconds at 100 a second",
        caught_up.len()
    );
    story.pass(70_000);
    let missed = named(&story, "missed");
    assert_eq!(missed.len(), 1_900);
    assert!(is_sorted(&missed), "the backlog keeps its order");
    assert!(story.partition.status().frontier.backlog.is_empty());
}

#[test]
fn on_time_tasks_have_half_of_each_tick_before_the_backlog() {
    let mut story = Story::begin_with(Config {
        tick_publications_max: 10,
        ..Config::default()
    });
    story.say(0, create(1_000, "before"));
    story.pass(2_000);
    for number in 0..200 {
        story.say(2_000, create(20_000 + number, &format!("missed-{number}")));
    }
    for number in 0..20 {
        story.say(2_000, create(59_900 + number, &format!("fresh-{number}")));
    }
    story.take_over(60_000);
    assert_eq!(story.published.len(), 221);
    let last_fresh = story
        .published
        .iter()
        .rposition(|published| published.id.starts_with("fresh"));
    assert_eq!(
        last_fresh,
        Some(25),
        "the whole of the first tick, and five of each of two"
    );
    assert!(is_sorted(&named(&story, "missed")) && is_sorted(&named(&story, "fresh")));
}

#[test]
fn a_new_owner_continues_the_backlog_of_the_old_one() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 100,
        ..Config::default()
    });
    story.say(41_000, cancel(38_000, "missed-1800"));
    for crash_ms in [43_000, 44_500, 50_000] {
        story.pass(crash_ms);
        assert_eq!(story.partition.status().frontier.backlog.len(), 1);
        story.take_over(crash_ms + 700);
    }
    story.pass(75_000);
    let mut missed: Vec<&str> = named(&story, "missed")
        .into_iter()
        .map(|published| published.id.as_str())
        .collect();
    assert_eq!(
        missed.len(),
        1_899,
        "each once, but for the one that was cancelled in the backlog"
    );
    missed.sort_unstable();
    missed.dedup();
    assert_eq!(missed.len(), 1_899);
    assert!(!missed.contains(&"missed-1800"));
    assert_eq!(named(&story, "later").len(), 30);
}

#[test]
fn a_second_outage_leaves_a_second_stretch_behind() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 100,
        ..Config::default()
    });
    story.pass(45_000);
    story.take_over(60_000);
    assert_eq!(story.partition.status().frontier.backlog.len(), 2);
    story.pass(90_000);
    assert_eq!(story.published.len(), 1_930);
    let caught_up: Vec<&Published> = story
        .published
        .iter()
        .filter(|one| one.at_ms > one.nominal_ms)
        .collect();
    assert!(is_sorted(&caught_up[1..]), "the older stretch first");
}

#[test]
fn schedules_do_not_wait_for_the_backlog() {
    let config = Config {
        catch_up_rate_per_s: 10,
        catch_up_after_ms: 2_000,
        ..Config::default()
    };
    let mut story = Story::begin_with(config);
    let definition = minutehand_model::ScheduleDefinition {
        misfire: MisfirePolicy {
            grace_ms: 60_000,
            ..MisfirePolicy::default()
        },
        ..every_ten_seconds()
    };
    story.say(1_000, revision(1, Some(definition), false));
    for number in 0..200 {
        story.say(1_000, create(10_000 + number, &format!("missed-{number}")));
    }
    story.take_over(35_000);
    let runs = |story: &Story| -> Vec<i64> {
        named(story, "report@")
            .iter()
            .map(|published| published.nominal_ms)
            .collect()
    };
    assert_eq!(runs(&story), [10_000, 20_000, 30_000]);
    story.take_over(41_000);
    assert_eq!(runs(&story), [10_000, 20_000, 30_000, 40_000]);
    story.pass(70_000);
    assert_eq!(named(&story, "missed").len(), 200);
}

#[test]
fn without_a_threshold_everything_goes_in_one_order() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 100,
        ..Config::default()
    });
    assert!(!story.partition.status().frontier.backlog.is_empty());
    story = Story::begin_with(Config {
        catch_up_after_ms: 0,
        ..Config::default()
    });
    story.say(0, create(20_000, "missed"));
    story.say(0, create(40_000, "later"));
    story.take_over(90_000);
    let order: Vec<&str> = story
        .published
        .iter()
        .map(|published| published.id.as_str())
        .collect();
    assert_eq!(order, ["missed", "later"]);
}

#[test]
fn a_long_backlog_does_not_hold_the_log_back() {
    let slow = Config {
        catch_up_rate_per_s: 10,
        catch_up_after_ms: 2_000,
        ..Config::default()
    };
    let mut story = outage_with(Story::begin_with(slow).with_timetable());
    story.pass(75_000);
    let status = story.partition.status();
    assert!(
        status.backlog_tasks > 1_000,
        "{} wait",
        status.backlog_tasks
    );
    assert!(
        status.replay_from.position() > 1_600,
        "a successor begins at {}",
        status.replay_from
    );
    for crash_ms in [76_000, 90_000] {
        story.take_over(crash_ms);
    }
    story.pass(300_000);
    let mut missed: Vec<&str> = named(&story, "missed")
        .iter()
        .map(|published| published.id.as_str())
        .collect();
    assert!(is_sorted(&named(&story, "missed")));
    missed.sort_unstable();
    missed.dedup();
    assert_eq!(
        (missed.len(), story.published.len()),
        (1_900, 1_930),
        "each once"
    );
}

#[test]
fn what_was_taken_long_after_its_time_stays_in_the_log() {
    let slow = Config {
        catch_up_rate_per_s: 1,
        catch_up_after_ms: 2_000,
        ..Config::default()
    };
    let mut story = Story::begin_with(slow).with_timetable();
    story.pass(2_000);
    for number in 0..600 {
        story.append(
            100_000,
            create(10_000 + number, &format!("missed-{number}")),
        );
    }
    story.take_over(101_000);
    story.pass(125_000);
    assert!(
        story.partition.status().replay_from.position() < 256,
        "its dedupe window goes on"
    );
    story.pass(150_000);
    assert!(story.partition.status().backlog_tasks > 500);
    assert!(
        story.partition.status().replay_from.position() > 256,
        "its dedupe window has ended"
    );
}
