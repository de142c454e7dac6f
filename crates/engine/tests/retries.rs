//! A store that is away is asked ever more rarely, and everything is written when it is back.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::Command;
use support::{Story, Writes, task};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn writes_to_an_absent_timetable_are_few_and_ever_rarer() {
    let config = Config::default();
    let mut story = Story::begin_with(config.clone());
    story.writes = Writes::Refused;
    for number in 0..600 {
        story.say(
            number * 100,
            Command::Create(task(&format!("task-{number}"), HOUR_MS + number)),
        );
    }
    let first = story.writes_ms[0];
    let pauses: Vec<i64> = story
        .writes_ms
        .windows(2)
        .take(4)
        .map(|two| two[1] - two[0])
        .collect();
    assert_eq!(pauses, [50, 100, 200, 400], "from {first} ms on");
    let tried = story.writes_ms.iter().filter(|ms| **ms >= 50_000).count() as i64;
    let most = config.block_writes_max as i64 * (10_000 / config.retry_delay_ms_max + 1);
    assert!(
        tried <= most,
        "{tried} writes in ten seconds, at most {most} are right"
    );

    story.writes = Writes::Kept;
    story.pass(60_000 + config.retry_delay_ms_max + config.flush_interval_ms);
    assert_eq!(story.entries().count(), 600);
}
