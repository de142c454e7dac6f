//! What is asked for, as a function of the scenario, its seed and the time at which it began.
//!
//! Tasks are numbered, and everything about a task follows from its number: when it is asked for,
//! when it is due, whether it is cancelled. So generators on several machines share a load without
//! a word to each other, and a verifier needs a few bits for each task and not its due time.

use std::fmt::Write as _;

use minutehand_model::{Namespace, PartitionId, Timestamp};

use super::scenario::{Due, Scenario, Stream};

/// Most tasks of a load: a verifier keeps some bits for each.
pub const TASKS_MAX: u64 = 1_000_000_000;
/// Most times that a letter is put behind an id so that it belongs to partition 0.
const TRIES_MAX: u32 = 100_000;
const MINUTE_MS: i64 = 60_000;

/// Why a scenario cannot be planned.
#[derive(Debug, thiserror::Error)]
#[error(
    "the load has {tasks} tasks; it must have at most {TASKS_MAX}: ask for less with --rate or --for"
)]
pub struct TooManyTasks {
    tasks: u64,
}

/// A load, from its first task to its last.
#[derive(Clone, Debug)]
pub struct Plan {
    scenario: Scenario,
    begin: Timestamp,
    run: String,
    partitions: u32,
    stretches: Vec<Stretch>,
    tasks: u64,
}

/// A phase, with the numbers of its tasks.
#[derive(Clone, Debug)]
struct Stretch {
    first: u64,
    count: u64,
    begins_ms: f64,
    lasts_ms: f64,
    rate: (f64, f64),
    /// The stream of each task, again and again.
    wheel: Vec<u8>,
}

/// A task that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Its number, from 0.
    pub number: u64,
    /// Its stream.
    pub stream: usize,
    /// When it is asked for, in milliseconds after the beginning.
    pub at_ms: f64,
    /// When it is due.
    pub due: Timestamp,
    /// What is asked for later.
    pub change: Option<Change>,
}

/// What becomes of a task after its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is cancelled.
    Cancel,
    /// It is created again.
    Repeat,
}

/// What an execution belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The task of that number.
    Task(u64),
    /// The schedule of that number.
    Schedule(u64),
}

impl Stretch {
    /// How many of its tasks are asked for within so many milliseconds.
    fn count_by(&self, ms: f64) -> u64 {
        let seconds = ms.clamp(0.0, self.lasts_ms) / 1_000.0;
        let slope = (self.rate.1 - self.rate.0) / (self.lasts_ms / 1_000.0);
        let count = self.rate.0 * seconds + slope * seconds * seconds / 2.0;
        // What is exact in numbers may be a hair less here.
        ((count + 1e-6) as u64).min(self.count)
    }

    /// When its task of an index is asked for: as soon as the count by then exceeds the index.
    fn at_ms(&self, index: u64) -> f64 {
        let wanted = (index + 1) as f64;
        let slope = (self.rate.1 - self.rate.0) / (self.lasts_ms / 1_000.0);
        // Of the two forms of the root the one that also holds for a rate that does not change.
        let under = self.rate.0 * self.rate.0 + 2.0 * slope * wanted;
        let seconds = 2.0 * wanted / (self.rate.0 + under.max(0.0).sqrt());
        (seconds * 1_000.0).min(self.lasts_ms)
    }
}

/// The id of a schedule of a run.
pub(super) fn schedule_id(run: &str, number: u64) -> String {
    format!("{run}-s{number}")
}

/// The expression of a schedule: its minutes.
pub(super) fn schedule_cron(number: u64, every_minutes: u32) -> String {
    let minute = number % u64::from(every_minutes.max(1));
    match every_minutes {
        1 => "* * * * *".to_owned(),
        _ => format!("{minute}-59/{every_minutes} * * * *"),
    }
}

/// One after the other in turn, each as often as its share.
fn wheel(shares: &[u32]) -> Vec<u8> {
    let all: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let mut given = vec![0_u64; shares.len()];
    (0..all)
        .map(|turn| {
            // Whoever is furthest behind its share.
            let behind = |stream: usize| {
                (turn + 1) as i64 * i64::from(shares[stream]) - given[stream] as i64 * all as i64
            };
            let next = (0..shares.len())
                .max_by_key(|stream| (behind(*stream), std::cmp::Reverse(*stream)))
                .unwrap_or(0);
            given[next] += 1;
            next as u8
        })
        .collect()
}

/// A draw for a task, the same whenever it is asked for (splitmix64 of seed, number and purpose).
fn drawn(seed: u64, number: u64, purpose: u64) -> u64 {
    let mut z = seed
        ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Evenly from `0..=most`.
fn below(draw: u64, most: i64) -> i64 {
    ((u128::from(draw) * (most.max(0) as u128 + 1)) >> 64) as i64
}

impl Plan {
    /// The plan of a scenario that begins then. `run` is part of every id; `partitions` is how many
    /// the installation has.
    ///
    /// # Errors
    /// When it has too many tasks.
    pub fn new(
        scenario: Scenario,
        begin: Timestamp,
        run: String,
        partitions: u32,
    ) -> Result<Plan, TooManyTasks> {
        let (mut first, mut begins_ms) = (0_u64, 0.0);
        let mut stretches = Vec::with_capacity(scenario.phases.len());
        for phase in &scenario.phases {
            let lasts_ms = phase.lasts_ms as f64;
            let mean = f64::midpoint(phase.rate.0, phase.rate.1);
            let count = (mean * lasts_ms / 1_000.0 + 1e-6) as u64;
            stretches.push(Stretch {
                first,
                count,
                begins_ms,
                lasts_ms,
                rate: phase.rate,
                wheel: wheel(&phase.shares),
            });
            first = first.saturating_add(count);
            begins_ms += lasts_ms;
        }
        if first > TASKS_MAX {
            return Err(TooManyTasks { tasks: first });
        }
        Ok(Plan {
            scenario,
            begin,
            run,
            partitions: partitions.max(1),
            stretches,
            tasks: first,
        })
    }

    /// What is asked for.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// When it began.
    pub fn begin(&self) -> Timestamp {
        self.begin
    }

    /// What every id begins with.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// How many tasks should have been asked for within so many milliseconds.
    pub fn owed(&self, elapsed_ms: f64) -> u64 {
        let begun = self.stretches.iter().rev();
        let mut begun = begun.filter(|one| one.begins_ms <= elapsed_ms);
        begun.next().map_or(0, |one| {
            one.first + one.count_by(elapsed_ms - one.begins_ms)
        })
    }

    /// The task of a number, which must be below [`tasks`](Plan::tasks).
    pub fn ask(&self, number: u64) -> Ask {
        let at = self
            .stretches
            .partition_point(|one| one.first + one.count <= number);
        let stretch = &self.stretches[at.min(self.stretches.len() - 1)];
        let index = number - stretch.first;
        let at_ms = stretch.begins_ms + stretch.at_ms(index);
        let stream = usize::from(stretch.wheel[(index % stretch.wheel.len() as u64) as usize]);
        let asked_at = self.begin.plus_millis(at_ms as i64);
        Ask {
            number,
            stream,
            at_ms,
            due: self.due(stream, number, asked_at),
            change: self.change(stream, number),
        }
    }

    fn due(&self, stream: usize, number: u64, asked_at: Timestamp) -> Timestamp {
        let draw = drawn(self.scenario.seed, number, 1);
        match self.scenario.streams[stream].due {
            Due::Between(from, to) => asked_at.plus_millis(from + below(draw, to - from)),
            Due::Overdue(past) => asked_at.plus_millis(-below(draw, past)),
            Due::MinuteAfter(ahead) => {
                let least = asked_at.plus_millis(ahead).as_millis();
                let minutes = least.div_euclid(MINUTE_MS) + i64::from(least % MINUTE_MS != 0);
                Timestamp::from_millis(minutes * MINUTE_MS)
            }
        }
    }

    fn change(&self, stream: usize, number: u64) -> Option<Change> {
        let stream = &self.scenario.streams[stream];
        let percent = below(drawn(self.scenario.seed, number, 2), 99) as u32;
        if percent < stream.cancel_percent {
            return Some(Change::Cancel);
        }
        (percent < stream.cancel_percent + stream.repeat_percent).then_some(Change::Repeat)
    }

    /// The stream of a task.
    pub fn stream(&self, ask: &Ask) -> &Stream {
        &self.scenario.streams[ask.stream]
    }

    /// Writes the id of a task.
    pub fn id(&self, ask: &Ask, id: &mut String) {
        id.clear();
        let _ = write!(id, "{}-{}", self.run, ask.number);
        let stream = self.stream(ask);
        if !stream.is_hot || self.partitions == 1 {
            return;
        }
        let length = id.len();
        for attempt in 0..TRIES_MAX {
            let _ = write!(id, ".{attempt}");
            if self.partition(&stream.namespace, id) == PartitionId::own(0) {
                return;
            }
            id.truncate(length);
        }
    }

    /// The partition that an id belongs to.
    pub fn partition(&self, namespace: &Namespace, id: &str) -> PartitionId {
        PartitionId::of(namespace, id, self.partitions)
    }

    /// What the execution of an id belongs to, if it is of this run.
    pub fn origin(&self, id: &str) -> Option<Origin> {
        let rest = id.strip_prefix(self.run.as_str())?.strip_prefix('-')?;
        let (is_schedule, rest) = match rest.strip_prefix('s') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let end = rest.find(|letter: char| !letter.is_ascii_digit());
        let number = rest[..end.unwrap_or(rest.len())].parse().ok()?;
        Some(match is_schedule {
            true => Origin::Schedule(number),
            false => Origin::Task(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(text: &str) -> Plan {
        let scenario = Scenario::parse(text).expect("a scenario");
        Plan::new(
            scenario,
            Timestamp::from_millis(1_700_000_000_000),
            "r1".to_owned(),
            8,
        )
        .expect("not too large")
    }

    fn text(phases: &[(u32, u32, u32)]) -> String {
        let mut text = "name = \"a\"\nabout = \"b\"\nseed = 9\n\
            [[stream]]\nname = \"x\"\ndue = { between = [\"1s\", \"5s\"] }\ncancel_percent = 30\nrepeat_percent = 10\n\
            [[stream]]\nname = \"y\"\ndue = { minute_after = \"3s\" }\nhot = true\n"
            .to_owned();
        for (seconds, from, to) in phases {
            let _ = write!(
                text,
                "[[phase]]\nfor = {seconds}\nrate = {from}\nrate_at_end = {to}\nshares = {{ x = 3, y = 1 }}\n"
            );
        }
        text
    }

    proptest! {
        /// A walk over every millisecond asks for each task once, at the time the plan says; where
        /// a rate has come down to nothing, to some milliseconds.
        #[test]
        fn tasks_are_asked_for_once_and_at_their_time(
            phases in prop::collection::vec((1_u32..4, 0_u32..200, 0_u32..200), 1..4)
        ) {
            let plan = plan(&text(&phases));
            let lasts: u32 = phases.iter().map(|(seconds, ..)| seconds * 1_000).sum();
            let mut asked = 0;
            for ms in 0..=lasts {
                let owed = plan.owed(f64::from(ms));
                prop_assert!(owed >= asked && owed <= plan.tasks());
                for number in asked..owed {
                    let ask = plan.ask(number);
                    prop_assert!((ask.at_ms - f64::from(ms)).abs() <= 4.0, "{ask:?} at {ms}");
                }
                asked = owed;
            }
            prop_assert_eq!(asked, plan.tasks());
            let mean: f64 = phases
                .iter()
                .map(|(seconds, from, to)| (f64::from(seconds * (from + to)) / 2.0 + 1e-6).floor())
                .sum();
            prop_assert_eq!(plan.tasks() as f64, mean);
        }
    }

    #[test]
    fn a_task_is_the_same_whoever_asks() {
        let (one, other) = (plan(&text(&[(10, 50, 90)])), plan(&text(&[(10, 50, 90)])));
        for number in 0..one.tasks() {
            assert_eq!(one.ask(number), other.ask(number));
        }
    }

    #[test]
    fn shares_and_percentages_are_kept() {
        let plan = plan(&text(&[(100, 100, 100)]));
        let asks: Vec<Ask> = (0..plan.tasks()).map(|number| plan.ask(number)).collect();
        let of = |stream: usize| asks.iter().filter(move |ask| ask.stream == stream);
        assert_eq!((of(0).count(), of(1).count()), (7_500, 2_500));
        let changed = |change| of(0).filter(|ask| ask.change == Some(change)).count();
        assert!((2_000..2_500).contains(&changed(Change::Cancel)));
        assert!((600..900).contains(&changed(Change::Repeat)));
        assert!(of(1).all(|ask| ask.change.is_none()));
        for ask in &asks {
            let ahead = ask.due.millis_since(plan.begin()) - ask.at_ms as i64;
            match ask.stream {
                0 => assert!((1_000..=5_000).contains(&ahead), "{ask:?}"),
                _ => {
                    assert_eq!(ask.due.as_millis() % MINUTE_MS, 0);
                    assert!((3_000..63_000).contains(&ahead), "{ask:?}");
                }
            }
        }
    }

    #[test]
    fn ids_lead_back_and_hot_ones_share_a_partition() {
        let plan = plan(&text(&[(10, 100, 100)]));
        let mut id = String::new();
        for number in 0..plan.tasks() {
            let ask = plan.ask(number);
            plan.id(&ask, &mut id);
            assert_eq!(plan.origin(&id), Some(Origin::Task(number)));
            if ask.stream == 1 {
                let namespace = &plan.stream(&ask).namespace;
                assert_eq!(plan.partition(namespace, &id), PartitionId::own(0));
            }
        }
        let schedule = schedule_id("r1", 7);
        for id in [schedule.clone(), format!("{schedule}/2026-01-01T00:00:00Z")] {
            assert_eq!(plan.origin(&id), Some(Origin::Schedule(7)));
        }
        for id in ["r2-7", "r1", "r1-", "r1-x", "r17"] {
            assert_eq!(plan.origin(id), None, "{id}");
        }
    }

    #[test]
    fn a_load_that_could_not_be_verified_is_refused() {
        let scenario = Scenario::find("steady").expect("a scenario");
        let scenario = scenario.at_rate(10_000_000.0).expect("a rate");
        let scenario = scenario.lasting_ms(3_600_000).expect("a length");
        let error = Plan::new(scenario, Timestamp::from_millis(0), "r".to_owned(), 1);
        let error = error.expect_err("too many").to_string();
        assert!(
            error.starts_with("the load has 36000000000 tasks"),
            "{error}"
        );
    }
}
