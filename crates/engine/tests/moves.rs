//! "Move it if it has not run" is decided once, by all that is known of the task: until the
//! decision has been read back from the log, nothing runs at the old time, whatever else the log
//! says about it.

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
    Command::Cancel {
        key: key(),
        due: at(due_ms),
    }
}

fn moves(due_ms: i64, to_ms: i64) -> Command {
    Command::Move {
        key: key(),
        due: at(due_ms),
        task: due_at(to_ms),
    }
}

fn replace(due_ms: i64, to_ms: i64) -> Command {
    Command::Replace {
        key: key(),
        due: at(due_ms),
        task: due_at(to_ms),
    }
}

/// The due times of what ran by the end of two minutes, when a first owner finds these commands
/// after twenty-five seconds.
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
    assert_eq!(
        ran_of_backlog(vec![create(20_000), moves(20_000, 30_000)]),
        [30_000]
    );
    let mut story = Story::begin();
    story.say(0, create(20_000));
    story.say(1_000, moves(20_000, 30_000));
    assert_eq!(ran(story), [30_000]);
}

#[test]
fn a_moving_task_replaced_and_recreated_skips_its_old_time() {
    let again = vec![
        create(20_000),
        moves(20_000, 30_000),
        replace(20_000, 60_000),
        create(20_000),
    ];
    assert_eq!(ran_of_backlog(again), [30_000, 60_000]);
}

#[test]
fn a_moving_task_cancelled_and_recreated_skips_its_old_time() {
    let again = vec![
        create(20_000),
        moves(20_000, 30_000),
        cancel(20_000),
        create(20_000),
    ];
    assert_eq!(ran_of_backlog(again), [30_000]);
}

#[test]
fn a_task_arriving_at_a_due_time_under_move_moves_along() {
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
fn a_predecessors_decision_does_not_end_a_successors_hold() {
    let mut story = Story::begin();
    story.say(0, create(20_000));
    story.overtake(moves(20_000, 40_000));
    story.say(1_000, moves(20_000, 30_000));
    story.append(1_000, create(20_000));
    story.take_over(25_000);
    assert_eq!(ran(story), [30_000, 40_000]);
}

/// What is due in five minutes lies in the timetable only, some seconds after it was said.
const FAR_MS: i64 = 300_000;

#[test]
fn a_far_task_that_was_cancelled_is_not_revived_by_a_move() {
    let mut story = Story::begin().with_timetable();
    story.say(0, create(FAR_MS));
    story.say(5_000, cancel(FAR_MS));
    story.say(10_000, moves(FAR_MS, 20_000));
    assert!(ran(story).is_empty());
}

#[test]
fn a_task_that_never_was_is_not_brought_to_life_by_a_move() {
    let mut story = Story::begin().with_timetable();
    story.say(0, moves(FAR_MS, 20_000));
    assert!(ran(story).is_empty());
}

#[test]
fn a_far_task_of_which_nothing_is_in_memory_is_moved() {
    let mut story = Story::begin().with_timetable();
    story.say(0, create(FAR_MS));
    story.say(5_000, moves(FAR_MS, 20_000));
    story.pass(400_000);
    assert_eq!(story.nominals(), [20_000]);
}

#[test]
fn what_is_stored_while_the_timetable_is_asked_is_known_as_well() {
    let mut story = Story::begin().with_timetable();
    story.say(0, create(FAR_MS));
    story.pass(5_000);
    story.append(5_000, cancel(FAR_MS));
    story.keep_answers_back();
    story.say(5_000, moves(FAR_MS, 20_000));
    story.pass(10_000);
    story.let_answers_through();
    assert!(ran(story).is_empty());
}

#[test]
fn near_tasks_run_while_the_log_waits_for_the_timetable() {
    let mut story = Story::begin().with_timetable();
    story.say(0, create(FAR_MS));
    story.say(5_000, create(8_000));
    story.keep_answers_back();
    story.say(6_000, moves(FAR_MS, 20_000));
    story.say(6_000, create(9_000));
    story.pass(12_000);
    assert_eq!(story.nominals(), [8_000]);
    story.fail_answers();
    story.pass(13_000);
    assert_eq!(story.nominals(), [8_000, 9_000]);
    assert_eq!(ran(story), [8_000, 9_000, 20_000]);
}

#[test]
fn a_successor_decides_its_predecessors_open_questions() {
    let mut story = Story::begin().with_timetable();
    story.say(0, create(FAR_MS));
    story.pass(5_000);
    story.keep_answers_back();
    story.say(5_000, moves(FAR_MS, 20_000));
    story.pass(9_000);
    story.let_answers_be_lost();
    story.take_over(10_000);
    assert_eq!(ran(story), [20_000]);
}

/// What the record held is lost, so the task runs where it was; what is due with it and after it is
/// not kept from running.
#[test]
fn a_decision_that_cannot_be_read_back_holds_nothing_for_longer() {
    let mut story = Story::begin();
    story.say(0, create(20_000));
    story.damage_what_ticks_append();
    story.say(1_000, moves(20_000, 30_000));
    story.say(2_000, Command::Create(task("another", 25_000)));
    assert_eq!(ran(story), [20_000, 25_000]);
}
