//! What has run is remembered until nobody can ask for it again within the dedupe window.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_model::Command;
use support::{Story, task};

fn create(id: &str, due_ms: i64) -> Command {
    Command::Create(task(id, due_ms))
}

/// A reader that fetches ahead answers with what it has: that is not the end of the log, and says nothing about what
/// was appended meanwhile.
#[test]
fn a_repetition_inside_the_window_is_recognised_by_an_owner_that_reads_the_log_late_and_in_pieces() {
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
    let mut ids: Vec<&str> = story.published.iter().map(|published| published.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["later", "once", "x", "y", "z"]);
}
