//! "Move it if it has not run" is decided once: until the decision has been read back from the log, nothing runs at the old
//! time, whatever else the log says about it.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_model::{Command, TaskKey, TaskRecord};
use support::{Story, at, namespace, task};

fn due_at(due_ms: i64) -> TaskRecord {
    task("task", due_ms)
}

fn key() -> TaskKey {
    TaskKey::of(namespace().as_str(), "task")
}

fn create(due_ms: i64) -> Command {
    Command::Create(due_at(due_ms))
}

fn cancel(due_ms: i64) -> Command {
    Command::Cancel { key: key(), due: at(due_ms) }
}

fn moves(due_ms: i64, to_ms: i64) -> Command {
    Command::Move { key: key(), due: at(due_ms), task: due_at(to_ms) }
}

fn replace(due_ms: i64, to_ms: i64) -> Command {
    Command::Replace { key: key(), due: at(due_ms), task: due_at(to_ms) }
}

/// The due times of what ran by the end of two minutes, when a first owner finds these commands after twenty-five seconds.
fn ran_of_backlog(commands: Vec<Command>) -> Vec<i64> {
    let mut story = Story::begin();
    for command in commands {
        story.append(0, command);
    }
    story.take_over(25_000);
    ran(story)
}

fn ran(mut story: Story) -> Vec<i64> {
    story.pass(120_000);
    let mut due_ms = story.nominals();
    due_ms.sort_unstable();
    due_ms
}

#[test]
fn a_move_runs_the_task_at_the_new_time_only() {
    assert_eq!(ran_of_backlog(vec![create(20_000), moves(20_000, 30_000)]), [30_000]);
    let mut story = Story::begin();
    story.say(0, create(20_000));
    story.say(1_000, moves(20_000, 30_000));
    assert_eq!(ran(story), [30_000]);
}

#[test]
fn a_task_that_is_being_moved_and_is_replaced_and_created_again_does_not_run_at_the_old_time() {
    let again = vec![create(20_000), moves(20_000, 30_000), replace(20_000, 60_000), create(20_000)];
    assert_eq!(ran_of_backlog(again), [30_000, 60_000]);
}

#[test]
fn a_task_that_is_being_moved_and_is_cancelled_and_created_again_does_not_run_at_the_old_time() {
    let again = vec![create(20_000), moves(20_000, 30_000), cancel(20_000), create(20_000)];
    assert_eq!(ran_of_backlog(again), [30_000]);
}

#[test]
fn what_is_moved_onto_a_time_that_is_being_moved_from_moves_on_with_it() {
    let met = vec![
        create(90_000),
        create(20_000),
        moves(90_000, 20_000),
        moves(20_000, 30_000),
        replace(20_000, 60_000),
    ];
    assert_eq!(ran_of_backlog(met), [30_000, 60_000]);
}

#[test]
fn the_decision_of_a_predecessor_does_not_end_what_its_successor_holds() {
    let mut story = Story::begin();
    story.say(0, create(20_000));
    story.overtake(moves(20_000, 40_000));
    story.say(1_000, moves(20_000, 30_000));
    story.append(1_000, create(20_000));
    story.take_over(25_000);
    assert_eq!(ran(story), [30_000, 40_000]);
}
