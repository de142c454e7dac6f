//! A tick is bounded in executions and bytes, and by nothing else.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use bytes::Bytes;
use minutehand_engine::Config;
use minutehand_model::{Command, MisfirePolicy, MisfireRule, RecurrenceSpec, ScheduleDefinition};
use support::{Story, at, every_ten_seconds, namespace, revision, schedule_id, task};

const PAYLOAD_BYTES: usize = 100_000;
const TICK_BYTES_MAX: usize = 1_000_000;

/// Every second, and what was missed does not run.
fn every_second_if_in_time() -> ScheduleDefinition {
    ScheduleDefinition {
        recurrence: RecurrenceSpec::Interval {
            every_ms: 1_000,
            anchor: at(0),
            zone: "UTC".to_owned(),
        },
        misfire: MisfirePolicy {
            rule: MisfireRule::None,
            window_ms: 60_000,
            grace_ms: 500,
        },
        ..every_ten_seconds()
    }
}

fn with_payload() -> ScheduleDefinition {
    let mut definition = every_ten_seconds();
    definition.action.payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    definition
}

fn begin(config: Config, definition: ScheduleDefinition) -> Story {
    let mut story = Story::begin_with(config);
    story.say(500, revision(1, Some(definition), false));
    story
}

#[test]
fn what_is_left_out_takes_no_executions_place() {
    let config = Config {
        tick_publications_max: 1,
        ..Config::default()
    };
    let mut story = begin(config, every_second_if_in_time());
    story.pass(10_200);
    story.append(10_300, Command::Create(task("behind", 3_000_000)));
    let before = story.tick_bytes.len();
    story.outage(3_600_200);
    let ticks = story.tick_bytes.len() - before;
    assert!(ticks < 20, "{ticks} ticks for 3,589 that were missed");
    assert_eq!(story.schedule().state.missed, 3_589);
    let last = story.published.last().expect("it came");
    assert_eq!(last.id, "behind");
}

#[test]
fn missed_runs_share_out_the_bytes_of_ticks() {
    let config = Config {
        tick_bytes_max: TICK_BYTES_MAX,
        ..Config::default()
    };
    let mut story = begin(config, with_payload());
    story.pass(15_000);
    story.outage(1_015_000);
    assert_eq!(story.published.len(), 101);
    assert_room_is_kept(&story);
}

#[test]
fn backfills_share_out_the_bytes_of_ticks() {
    let config = Config {
        tick_bytes_max: TICK_BYTES_MAX,
        ..Config::default()
    };
    let mut story = begin(config, with_payload());
    let backfill = Command::Backfill {
        namespace: namespace(),
        schedule: schedule_id(),
        from: at(-1_000_000),
        to: at(-1),
    };
    story.say(1_000, backfill);
    story.pass(9_000);
    assert_eq!(story.published.len(), 100);
    assert_room_is_kept(&story);
}

/// No tick carried more than it may, and one execution.
fn assert_room_is_kept(story: &Story) {
    let most = story.tick_bytes.iter().max().copied().unwrap_or(0);
    assert!(
        most < TICK_BYTES_MAX + 2 * PAYLOAD_BYTES,
        "{most} bytes in one tick"
    );
}
