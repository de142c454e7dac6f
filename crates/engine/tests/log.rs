//! An owner goes on although nobody tells it that its log has grown.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::Command;
use support::{Story, task};

#[test]
fn an_owner_that_hears_nothing_asks_the_log_once_a_lease() {
    let lease_ttl_ms = Config::default().lease_ttl_ms;
    let mut story = Story::begin();
    story.pass(60_000);
    story.append(60_000, Command::Create(task("unheard", 60_001)));
    story.pass(60_000 + lease_ttl_ms);
    assert_eq!(story.published.len(), 1);
}
