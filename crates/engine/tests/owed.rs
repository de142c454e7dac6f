//! After an outage: what is on time goes out, and what schedules owe is decided beside it.

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use minutehand_engine::Config;
use minutehand_model::{
    Command, MisfirePolicy, OutcomeKind, OverlapPolicy, RecurrenceSpec, Revision, RunCause,
    ScheduleDefinition, ScheduleId,
};
use support::{Published, Story, at, every_ten_seconds, namespace, task};

fn every(every_ms: i64) -> ScheduleDefinition {
    let recurrence = RecurrenceSpec::Interval {
        every_ms,
        anchor: at(0),
        zone: "UTC".to_owned(),
    };
    ScheduleDefinition {
        recurrence,
        misfire: MisfirePolicy::default(),
        ..every_ten_seconds()
    }
}

fn revise(name: &str, number: u64, definition: Option<ScheduleDefinition>) -> Command {
    Command::Revise(Box::new(Revision {
        namespace: namespace(),
        schedule: ScheduleId::parse(name).expect("a valid id"),
        number,
        definition,
        paused: false,
        note: String::new(),
        author: "test".to_owned(),
    }))
}

/// Creates so many schedules that are alike.
fn many(story: &mut Story, at_ms: i64, prefix: &str, count: usize, definition: ScheduleDefinition) {
    for number in 0..count {
        let name = format!("{prefix}-{number}");
        story.say(at_ms, revise(&name, 1, Some(definition.clone())));
    }
}

/// A schedule that runs each second is to miss ten minutes; tasks are due ten times a second from
/// then on.
fn outage(config: Config) -> Story {
    let mut story = Story::begin_with(config);
    story.say(500, revise("often", 1, Some(every(1_000))));
    for number in 0..200 {
        let (name, due_ms) = (format!("later-{number}"), 600_100 + number * 100);
        story.say(600, Command::Create(task(&name, due_ms)));
    }
    story.pass(1_000);
    story
}

fn rated() -> Config {
    Config {
        catch_up_rate_per_s: 20,
        ..Config::default()
    }
}

fn named<'a>(story: &'a Story, prefix: &str) -> Vec<&'a Published> {
    let all = story.published.iter();
    all.filter(|one| one.id.starts_with(prefix)).collect()
}

fn nominals(published: &[&Published]) -> Vec<i64> {
    published.iter().map(|one| one.nominal_ms).collect()
}

fn each_second(from_s: i64, through_s: i64) -> Vec<i64> {
    (from_s..=through_s).map(|second| second * 1_000).collect()
}

#[test]
fn what_schedules_owe_delays_nothing_that_is_on_time() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.say(600_000, revise("fresh", 1, Some(every(1_000))));
    story.pass(610_000);
    let later = named(&story, "later");
    assert_eq!(later.len(), 100);
    let on_time = |one: &&&Published| one.at_ms == one.nominal_ms;
    assert_eq!(later.iter().filter(on_time).count(), 100);
    let fresh = named(&story, "fresh");
    assert_eq!(nominals(&fresh), each_second(601, 610));
    assert_eq!(fresh.iter().filter(on_time).count(), 10);
    let often = nominals(&named(&story, "often"));
    assert!(
        (150..300).contains(&often.len()),
        "{} in ten seconds at 20 a second",
        often.len()
    );
    assert_eq!(often, each_second(1, often.len() as i64));
}

#[test]
fn in_each_tick_half_is_for_what_is_on_time() {
    let mut story = outage(Config {
        tick_publications_max: 10,
        ..Config::default()
    });
    for number in 0..20 {
        let (name, due_ms) = (format!("fresh-{number}"), 599_900 + number);
        story.append(1_000, Command::Create(task(&name, due_ms)));
    }
    story.take_over(600_000);
    let last_fresh = story
        .published
        .iter()
        .rposition(|published| published.id.starts_with("fresh"));
    assert!(last_fresh < Some(50), "{last_fresh:?}");
    let often = nominals(&named(&story, "often"));
    assert_eq!(often, each_second(1, 600), "all of it is caught up with");
    assert_eq!(story.partition.status().frontier.owed_after, None);
    assert_eq!(story.partition.status().backlog_schedules, 0);
}

#[test]
fn tasks_and_occurrences_are_caught_up_with_side_by_side() {
    let mut story = outage(rated());
    for number in 0..400 {
        let (name, due_ms) = (format!("missed-{number}"), 100_000 + number);
        story.append(1_000, Command::Create(task(&name, due_ms)));
    }
    story.take_over(600_000);
    story.pass(610_000);
    let (tasks, occurrences) = (named(&story, "missed"), named(&story, "often"));
    assert!(tasks.len() > 75, "{}", tasks.len());
    assert!(occurrences.len() > 75, "{}", occurrences.len());
    assert!(tasks.len() + occurrences.len() <= 260);
}

#[test]
fn a_schedule_on_time_goes_on_while_others_are_behind() {
    let mut story = outage(rated());
    story.say(1_100, revise("seldom", 1, Some(every(602_000))));
    for (crash_ms, owner_ms) in [(1_200, 600_000), (603_000, 603_500), (607_000, 608_000)] {
        story.pass(crash_ms);
        story.take_over(owner_ms);
    }
    story.pass(700_000);
    let seldom = named(&story, "seldom");
    assert_eq!(nominals(&seldom), [602_000], "it ran, and does not again");
    assert_eq!(seldom[0].at_ms, 602_000);
    let often = nominals(&named(&story, "often"));
    assert_eq!(often, each_second(1, 700), "each once, in their order");
}

#[test]
fn a_successor_goes_on_where_each_schedule_has_come_to() {
    let mut story = outage(rated());
    story.say(1_100, revise("also", 1, Some(every(7_000))));
    story.take_over(600_000);
    for crash_ms in [600_400, 604_000, 612_000, 625_000] {
        story.pass(crash_ms);
        assert!(story.partition.status().backlog_schedules > 0);
        story.take_over(crash_ms + 300);
    }
    story.pass(720_000);
    assert_eq!(nominals(&named(&story, "often")), each_second(1, 720));
    let also: Vec<i64> = (1..=102).map(|number| number * 7_000).collect();
    assert_eq!(nominals(&named(&story, "also")), also);
    assert_eq!(named(&story, "later").len(), 200);
    assert_eq!(story.partition.status().frontier.owed_after, None);
}

#[test]
fn a_revision_rules_from_where_the_one_before_has_come_to() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.say(605_000, revise("often", 2, Some(every(60_000))));
    story.take_over(606_000);
    story.pass(800_000);
    let owed = each_second(1, 605).into_iter();
    let expected: Vec<i64> = owed.chain([660_000, 720_000, 780_000]).collect();
    assert_eq!(nominals(&named(&story, "often")), expected);
}

#[test]
fn a_revision_rules_at_once_while_others_are_behind() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.say(600_500, revise("other", 1, Some(every(3_600_000))));
    story.say(601_500, revise("other", 2, Some(every(1_000))));
    story.take_over(603_500);
    story.pass(605_000);
    assert!(story.partition.status().backlog_schedules > 0);
    assert_eq!(nominals(&named(&story, "other")), each_second(602, 605));
}

#[test]
fn a_deleted_schedule_owes_nothing_of_its_backlog() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.say(605_000, revise("often", 2, None));
    let ran = named(&story, "often").len();
    assert!(ran < 200, "{ran}");
    story.pass(606_000);
    assert_eq!(story.partition.status().backlog_schedules, 0);
    story.say(606_500, revise("often", 3, Some(every(1_000))));
    story.take_over(608_500);
    story.pass(610_000);
    let often = nominals(&named(&story, "often"));
    assert_eq!(often[ran..], each_second(607, 610));
}

#[test]
fn schedules_that_name_more_than_the_rate_come_back() {
    let mut story = Story::begin_with(rated());
    many(&mut story, 500, "often", 30, every(1_000));
    story.pass(600_000);
    story.take_over(605_000);
    story.pass(606_000);
    assert!(story.partition.status().backlog_schedules > 0);
    story.pass(620_000);
    assert_eq!(story.partition.status().backlog_schedules, 0);
    let last = named(&story, "often-29");
    assert_eq!(nominals(&last), each_second(1, 620));
    assert_eq!(last.last().expect("some").at_ms, 620_000);
}

#[test]
fn a_herd_that_was_missed_comes_within_the_rate() {
    let mut story = Story::begin_with(rated());
    many(&mut story, 500, "hourly", 500, every(600_000));
    story.pass(599_000);
    story.take_over(610_000);
    story.pass(620_000);
    let ran = named(&story, "hourly").len();
    assert!((180..230).contains(&ran), "{ran} in ten seconds");
    story.pass(640_000);
    assert_eq!(named(&story, "hourly").len(), 500);
}

#[test]
fn one_far_behind_drags_no_others_down() {
    let mut story = outage(rated());
    story.take_over(600_000);
    many(&mut story, 600_500, "quick", 50, every(1_000));
    story.pass(603_000);
    story.take_over(607_000);
    story.pass(608_000);
    assert!(story.partition.status().backlog_schedules > 40);
    story.pass(630_000);
    assert_eq!(story.partition.status().backlog_schedules, 1);
    let last = named(&story, "quick-49");
    assert_eq!(nominals(&last), each_second(601, 630));
    assert_eq!(last.last().expect("some").at_ms, 630_000);
}

#[test]
fn all_goes_in_one_order_where_nothing_is_left_behind() {
    let mut story = outage(Config {
        catch_up_after_ms: 0,
        ..rated()
    });
    story.take_over(600_000);
    assert_eq!(nominals(&named(&story, "often")), each_second(1, 600));
    assert_eq!(story.partition.status().backlog_schedules, 0);
}

#[test]
fn a_change_to_one_order_forgives_nothing() {
    let mut story = Story::begin_with(rated());
    many(&mut story, 500, "hourly", 60, every(600_000));
    story.pass(599_000);
    story.take_over(610_000);
    assert!(story.partition.status().backlog_schedules > 30);
    story.change_settings(Config {
        catch_up_after_ms: 0,
        tick_publications_max: 10,
        ..Config::default()
    });
    for owner_ms in [611_000, 612_000, 613_000] {
        story.commit_slowly();
        story.take_over(owner_ms);
        assert!(story.partition.status().backlog_schedules > 0);
    }
    story.commit_at_once();
    story.take_over(614_000);
    assert_eq!(named(&story, "hourly").len(), 60);
    assert_eq!(story.partition.status().frontier.owed_after, None);
}

#[test]
fn what_a_turn_decides_is_noted_although_nobody_was_behind() {
    let mut story = Story::begin_with(rated());
    story.say(500, Command::Create(task("task", 101_020)));
    story.pass(101_000);
    story.commit_slowly();
    story.pass(101_050);
    for number in 0..100 {
        let name = format!("quick-{number}");
        story.append(100_980, revise(&name, 1, Some(every(1_000))));
    }
    story.hear();
    let status = story.partition.status();
    assert_eq!(status.frontier.floor().due, at(101_020));
    assert_eq!(status.published_until(), at(100_999));
    story.pass(102_010);
    story.commit_at_once();
    assert!(story.partition.status().backlog_schedules > 50);
    story.take_over(102_020);
    story.pass(140_000);
    for number in 0..100 {
        let ran = nominals(&named(&story, &format!("quick-{number}@")));
        assert_eq!(ran, each_second(101, 140), "{number}");
    }
}

/// The next of each is looked up at every turn, and by every successor: not by a walk through all
/// that may be held by its jitter.
#[test]
fn much_jitter_makes_no_schedule_slow() {
    let mut story = Story::begin_with(Config {
        catch_up_rate_per_s: 500,
        ..Config::default()
    });
    let definition = ScheduleDefinition {
        jitter_ms: 86_400_000,
        ..every(1_000)
    };
    many(&mut story, 500, "held", 200, definition);
    story.pass(2_000);
    story.take_over(10_000);
    story.pass(30_000);
    for number in [0, 199] {
        let ran = nominals(&named(&story, &format!("held-{number}@")));
        assert_eq!(ran, each_second(1, ran.len() as i64));
        assert!((29..=30).contains(&ran.len()), "{}", ran.len());
    }
}

/// Time passes while ticks are answered only this often.
fn pass_slowly(story: &mut Story, from_ms: i64, until_ms: i64, step_ms: usize) {
    story.commit_slowly();
    for now_ms in (from_ms..=until_ms).step_by(step_ms) {
        story.pass(now_ms);
        story.commit_one();
    }
    story.commit_at_once();
}

fn one_a_second() -> Config {
    Config {
        catch_up_rate_per_s: 1,
        ..Config::default()
    }
}

#[test]
fn a_slow_commit_takes_no_turn_away() {
    let mut story = outage(one_a_second());
    story.take_over(600_000);
    let before = named(&story, "often").len();
    pass_slowly(&mut story, 600_300, 660_300, 1_200);
    let ran = named(&story, "often").len() - before;
    assert!(ran >= 110, "{ran}: 60 turns, and 50 ticks with one");
}

#[test]
fn what_names_more_at_once_than_ticks_take_comes_back() {
    let mut story = Story::begin_with(Config {
        tick_publications_max: 20,
        ..one_a_second()
    });
    many(&mut story, 500, "minutely", 500, every(60_000));
    story.pass(59_000);
    story.take_over(70_000);
    pass_slowly(&mut story, 70_200, 670_000, 200);
    let ran = named(&story, "minutely").len();
    assert!(ran >= 500 * 10, "{ran} of 11 times");
}

#[test]
fn a_stream_of_late_tasks_leaves_the_backlog_its_share() {
    let mut story = outage(Config {
        tick_publications_max: 1,
        ..Config::default()
    });
    story.commit_slowly();
    story.take_over(600_000);
    for number in 0..200 {
        for late in 0..3 {
            let name = format!("late-{number}-{late}");
            story.append(600_000, Command::Create(task(&name, 599_000)));
        }
        story.hear();
        story.pass(600_010 + number * 10);
        story.commit_one();
    }
    let often = named(&story, "often").len();
    assert!(often >= 50, "{often} in 200 ticks");
}

/// Through jitter the occurrences of two revisions may be due in one millisecond: F cannot stand
/// between them.
#[test]
fn a_tick_does_not_end_between_two_of_one_place() {
    let mut story = Story::begin_with(Config {
        tick_publications_max: 1,
        ..Config::default()
    });
    let jittered = ScheduleDefinition {
        jitter_ms: 1_000,
        ..every(2_000)
    };
    story.say(500, revise("often", 1, Some(jittered)));
    let schedule = ScheduleId::parse("often").expect("a valid id");
    let nominal_ms = (0..9_000)
        .map(|number| number * 2_000 + 1_000)
        .find_map(|now_ms| {
            story.pass(now_ms + 1_500);
            let known = story.partition.schedule(&namespace(), &schedule);
            let (nominal, due) = known.expect("it is there").next.expect("it goes on");
            let is_whole = due.millis_since(nominal) == 1_000;
            is_whole.then_some(nominal.millis_since(at(0)))
        })
        .expect("one of its jitters is a whole second");
    story.say(nominal_ms + 100, revise("often", 2, Some(every(1_000))));
    let before = story.published.len();
    story.commit_slowly();
    story.pass(nominal_ms + 1_000);
    story.take_over(nominal_ms + 1_010);
    story.commit_at_once();
    let ran = nominals(&story.published[before..].iter().collect::<Vec<_>>());
    assert_eq!(ran, [nominal_ms, nominal_ms + 1_000]);
}

#[test]
fn one_that_missed_little_waits_for_none_that_missed_much() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.say(600_500, revise("seldom", 1, Some(every(5_000))));
    story.pass(603_000);
    story.take_over(608_000);
    story.pass(611_000);
    let seldom = named(&story, "seldom");
    assert_eq!(nominals(&seldom), [605_000, 610_000]);
    assert_eq!(seldom[1].at_ms, 610_000);
    assert!(story.partition.status().backlog_schedules > 0);
    assert!(named(&story, "often").len() < 400);
}

#[test]
fn what_is_owed_stays_so_when_a_clock_goes_back() {
    let mut story = outage(rated());
    story.say(1_100, revise("also", 1, Some(every(300_000))));
    story.take_over(600_000);
    story.pass(601_000);
    for owner_ms in [100_000, 130_000] {
        story.take_over(owner_ms);
        story.pass(owner_ms + 20_000);
    }
    story.pass(700_000);
    assert_eq!(nominals(&named(&story, "often")), each_second(1, 700));
    assert_eq!(nominals(&named(&story, "also")), [300_000, 600_000]);
}

#[test]
fn a_clock_that_nobody_has_confirmed_leaves_nothing_behind() {
    let mut story = Story::begin();
    story.say(500, revise("often", 1, Some(every(1_000))));
    for number in 0..10 {
        let name = format!("task-{number}");
        story.say(600, Command::Create(task(&name, 10_500 + number * 1_000)));
    }
    story.pass(10_000);
    story.set_clock(3_610_000);
    story.set_clock(10_100);
    let status = story.partition.status();
    assert_eq!((status.backlog_schedules, status.backlog_tasks), (0, 0));
    story.pass(20_000);
    assert_eq!(nominals(&named(&story, "often")), each_second(1, 20));
    assert_eq!(named(&story, "task").len(), 10);
    let is_on_time = |one: &Published| one.at_ms == one.nominal_ms;
    assert!(story.published.iter().all(is_on_time));
}

#[test]
fn time_that_comes_again_has_turns_for_one_owner_too() {
    let mut story = outage(Config {
        catch_up_rate_per_s: 1,
        ..Config::default()
    });
    story.take_over(600_000);
    story.pass(600_500);
    let before = named(&story, "often").len();
    story.set_clock(500_500);
    story.pass(520_500);
    let ran = named(&story, "often").len() - before;
    assert!(
        (38..=42).contains(&ran),
        "{ran}: 20 turns and 20 by the rate"
    );
}

#[test]
fn what_is_created_while_a_clock_is_back_is_left_behind_too() {
    let mut story = Story::begin_with(rated());
    story.pass(600_000);
    story.take_over(1_000);
    story.say(1_500, revise("often", 1, Some(every(1_000))));
    story.pass(3_000);
    story.take_over(550_000);
    for number in 0..20 {
        let (name, due_ms) = (format!("fresh-{number}"), 551_000 + number * 100);
        story.say(550_500, Command::Create(task(&name, due_ms)));
    }
    story.pass(555_000);
    let fresh = named(&story, "fresh");
    assert_eq!(fresh.len(), 20);
    assert!(fresh.iter().all(|one| one.at_ms == one.nominal_ms));
    assert!(story.partition.status().backlog_schedules > 0);
    story.take_over(560_000);
    story.pass(700_000);
    assert_eq!(nominals(&named(&story, "often")), each_second(2, 700));
}

#[test]
fn a_schedule_that_has_had_its_runs_is_over_for_a_successor() {
    let mut story = outage(rated());
    let bounded = ScheduleDefinition {
        overlap: OverlapPolicy::BufferAll,
        runs_max: Some(3),
        end: Some(at(601_550)),
        ..every(7_000)
    };
    story.say(1_100, revise("bounded", 1, Some(bounded)));
    story.take_over(600_000);
    story.pass(601_500);
    let schedule = ScheduleId::parse("bounded").expect("a valid id");
    let nominal = at(named(&story, "bounded")[0].nominal_ms);
    let succeeded = Command::Completed {
        key: RunCause::Calendar.task_key(&namespace(), &schedule, nominal),
        due: None,
        kind: OutcomeKind::Succeeded,
    };
    story.say(601_600, succeeded);
    story.take_over(602_000);
    story.pass(605_000);
    assert_eq!(
        named(&story, "bounded").len(),
        1,
        "the others came too late"
    );
}

#[test]
fn what_is_owed_is_told() {
    let mut story = outage(rated());
    story.take_over(600_000);
    story.pass(601_000);
    let status = story.partition.status();
    assert_eq!(status.backlog_schedules, 1);
    let oldest = named(&story, "often").len() as i64 + 1;
    assert_eq!(status.backlog_oldest, Some(at(oldest * 1_000)));
    assert!(status.frontier.front().due >= at(600_000));
}
