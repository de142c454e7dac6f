//! What became of every task: lost, twice, early, in the wrong place; and how late.
//!
//! Knows no clock and no store: it is told what was acknowledged and what started. Of each task it
//! keeps five bits; everything else follows from the task's number (see [`Plan`]).

use std::collections::HashMap;

use minutehand_model::Timestamp;

use super::plan::{Ask, Origin, Plan};
use super::timeline::Timeline;
use crate::numbers::Numbers;

/// So many violations are told in words; more are counted.
const TOLD_MAX: usize = 20;
const MINUTE_MS: i64 = 60_000;

/// An execution as a consumer saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// What it belongs to.
    pub origin: Origin,
    /// When it was due, by its record.
    pub due: Timestamp,
    /// When it was published, by the scheduler's clock, where that is told.
    pub published_at: Option<Timestamp>,
    /// When it was seen, by this machine's clock.
    pub at: Timestamp,
}

/// What was counted. A number is of tasks unless its name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// The installation has said that they are durable.
    pub acknowledged: u64,
    /// Nothing was heard of them: they may run or not.
    pub unknown: u64,
    /// They were refused.
    pub refused: u64,
    /// They were cancelled, and the installation has said in time.
    pub cancelled: u64,
    /// They were cancelled, and nobody says whether in time: they may run or not.
    pub may_be_cancelled: u64,
    /// Executions of this run that came.
    pub started: u64,
    /// Executions that came again because their first answer was not durable.
    pub handed_out_again: u64,
    /// Acknowledged, due, and never seen.
    pub lost: u64,
    /// Executions beyond the first of a task.
    pub twice: u64,
    /// Executions before their time.
    pub early: u64,
    /// Executions that no task of the plan has, or at another time.
    pub strange: u64,
    /// Executions of tasks whose cancellation was said to be in time.
    pub cancelled_in_vain: u64,
    /// Due after the end: not expected yet.
    pub not_due: u64,
    /// Schedules that were created.
    pub schedules: u64,
    /// Executions of schedules that came.
    pub occurrences: u64,
}

impl Counts {
    /// Whether every promise was kept.
    pub fn is_kept(&self) -> bool {
        self.lost + self.twice + self.early + self.strange + self.cancelled_in_vain == 0
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The counts.
    pub counts: Counts,
    /// Lateness over time.
    pub timeline: Timeline,
    /// Violations in words, the first of them.
    pub violations: Vec<String>,
}

/// Follows a run.
pub struct Verifier {
    plan: Plan,
    early_margin_ms: i64,
    acknowledged: Numbers,
    cancelled: Numbers,
    /// Whether they are cancelled is not known.
    uncertain: Numbers,
    seen: Numbers,
    settled: Numbers,
    /// Minutes at which each schedule has run, a bit for each of the run's minutes.
    occurrences: HashMap<u64, Numbers>,
    counts: Counts,
    timeline: Timeline,
    violations: Vec<String>,
    /// From here on schedules are expected to run.
    schedules_from: Timestamp,
}

impl Verifier {
    /// Follows a plan. A start counts as early when it is more than `early_margin_ms` before its
    /// time: clocks of several machines differ. A row of the timeline lasts `row_ms`.
    pub fn new(plan: Plan, early_margin_ms: i64, row_ms: i64) -> Verifier {
        let streams = plan.scenario().streams.len() + 1;
        let timeline = Timeline::new(plan.begin(), row_ms, streams);
        Verifier {
            plan,
            early_margin_ms,
            acknowledged: Numbers::default(),
            cancelled: Numbers::default(),
            uncertain: Numbers::default(),
            seen: Numbers::default(),
            settled: Numbers::default(),
            occurrences: HashMap::new(),
            counts: Counts::default(),
            timeline,
            violations: Vec::new(),
            schedules_from: Timestamp::MAX,
        }
    }

    /// A task was handed over at a time.
    pub fn asked(&mut self, at: Timestamp, count: u64) {
        self.timeline.asked(at, count);
    }

    /// The installation has said that a task is durable.
    pub fn acknowledged(&mut self, number: u64) {
        if !self.acknowledged.add(number) {
            self.counts.acknowledged += 1;
        }
    }

    /// A batch that was asked for in time was answered at a time.
    pub fn answered(&mut self, asked_ms: f64, at: Timestamp) {
        let took_ms = at.millis_since(self.plan.begin()) as f64 - asked_ms;
        self.timeline.answered(at, took_ms.max(0.0));
    }

    /// Nothing was heard of some tasks, for good.
    pub fn unknown(&mut self, count: u64) {
        self.counts.unknown += count;
    }

    /// Tasks were refused, for a reason.
    pub fn refused(&mut self, count: u64, why: &str) {
        self.counts.refused += count;
        self.tell(|| format!("{count} tasks were refused: {why}"));
    }

    /// The installation has said that a cancellation was in time.
    pub fn cancelled(&mut self, number: u64) {
        if !self.cancelled.add(number) {
            self.counts.cancelled += 1;
        }
        if self.seen.has(number) {
            self.counts.cancelled_in_vain += 1;
            self.tell(|| format!("task {number} had run when its cancellation was in time"));
        }
    }

    /// A cancellation was asked for, and nobody says whether it was in time: the task may run or
    /// not.
    pub fn may_be_cancelled(&mut self, number: u64) {
        if !self.uncertain.add(number) {
            self.counts.may_be_cancelled += 1;
        }
    }

    /// So many schedules are durable, the first ones; from a time on they are expected to run.
    pub fn scheduled(&mut self, count: u64, from: Timestamp) {
        self.counts.schedules = count;
        self.schedules_from = from;
    }

    /// An execution has come.
    pub fn started(&mut self, start: &Start) {
        let late_ms = start.at.millis_since(start.due);
        let published_ms = start.published_at.map(|at| at.millis_since(start.due));
        if late_ms + self.early_margin_ms < 0 || published_ms.is_some_and(|ms| ms < 0) {
            self.counts.early += 1;
            let by = late_ms.min(published_ms.unwrap_or(late_ms));
            self.tell(|| format!("{:?} was early by {} ms", start.origin, -by));
        }
        match start.origin {
            Origin::Task(number) if number < self.plan.tasks() => self.task(number, start),
            Origin::Schedule(number) if number < self.counts.schedules => {
                self.occurrence(number, start)
            }
            _ => {
                self.counts.strange += 1;
                self.tell(|| format!("{:?} is nothing that was asked for", start.origin));
            }
        }
    }

    fn task(&mut self, number: u64, start: &Start) {
        let ask = self.plan.ask(number);
        if ask.due != start.due {
            self.counts.strange += 1;
            self.tell(|| format!("task {number} ran at {}, due at {}", start.due, ask.due));
        }
        if self.cancelled.has(number) {
            self.counts.cancelled_in_vain += 1;
            self.tell(|| format!("task {number} ran though its cancellation was in time"));
        }
        if self.seen.add(number) {
            self.again(number, self.settled.has(number));
            return;
        }
        self.counts.started += 1;
        self.record(ask.stream, self.expected_at(&ask), start);
    }

    /// From when on a task could run: what is asked for after its time cannot run at it.
    fn expected_at(&self, ask: &Ask) -> Timestamp {
        let asked_at = self.plan.begin().plus_millis(ask.at_ms as i64);
        ask.due.max(asked_at)
    }

    fn again(&mut self, number: u64, is_settled: bool) {
        if is_settled {
            self.counts.twice += 1;
            self.tell(|| format!("task {number} came twice"));
        } else {
            self.counts.handed_out_again += 1;
        }
    }

    fn occurrence(&mut self, number: u64, start: &Start) {
        let minute = self.minute(start.due);
        let is_its = start.due.as_millis() % MINUTE_MS == 0 && self.runs_at(number, start.due);
        if !is_its || minute.is_none() {
            self.counts.strange += 1;
            self.tell(|| {
                format!(
                    "schedule {number} ran at {}, not one of its times",
                    start.due
                )
            });
            return;
        }
        let runs = self.occurrences.entry(number).or_default();
        if runs.add(minute.unwrap_or(0)) {
            // An answer that was not durable is told of tasks only: schedules' runs are at least
            // once, too.
            self.counts.handed_out_again += 1;
            return;
        }
        self.counts.occurrences += 1;
        let stream = self.plan.scenario().streams.len();
        self.record(stream, start.due, start);
    }

    fn record(&mut self, stream: usize, expected_at: Timestamp, start: &Start) {
        let published = start.published_at.map(|at| at.millis_since(expected_at));
        let late_ms = start.at.millis_since(expected_at);
        self.timeline.started(start.at, stream, late_ms, published);
    }

    fn minute(&self, at: Timestamp) -> Option<u64> {
        let since = at.as_millis().div_euclid(MINUTE_MS)
            - self.plan.begin().as_millis().div_euclid(MINUTE_MS);
        u64::try_from(since).ok()
    }

    fn runs_at(&self, number: u64, at: Timestamp) -> bool {
        let every = self.plan.scenario().schedules.as_ref();
        every.is_some_and(|schedules| {
            let every = i64::from(schedules.every_minutes);
            at.as_millis().div_euclid(MINUTE_MS).rem_euclid(every) == number as i64 % every
        })
    }

    /// The end of an execution is durable: if its task comes once more, it comes twice.
    pub fn settled(&mut self, number: u64) {
        self.settled.add(number);
    }

    /// How many tasks are expected by a time and have not come. Looks at every task.
    pub fn missing(&self, by: Timestamp) -> u64 {
        let tasks = self.open_tasks(by).count() as u64;
        tasks + self.open_occurrences(by).count() as u64
    }

    fn open_tasks(&self, by: Timestamp) -> impl Iterator<Item = Ask> + '_ {
        self.waiting().filter(move |ask| ask.due <= by)
    }

    /// Tasks that are to run and have not.
    fn waiting(&self) -> impl Iterator<Item = Ask> + '_ {
        let words = 0..self.acknowledged.words();
        let open = words.flat_map(|at| {
            let gone = [&self.cancelled, &self.uncertain, &self.seen]
                .map(|numbers| numbers.word(at))
                .into_iter()
                .fold(0, |all, bits| all | bits);
            let open = self.acknowledged.word(at) & !gone;
            (0..64)
                .filter(move |bit| open & (1 << bit) != 0)
                .map(move |bit| at as u64 * 64 + bit)
        });
        open.map(|number| self.plan.ask(number))
    }

    fn open_occurrences(&self, by: Timestamp) -> impl Iterator<Item = (u64, Timestamp)> + '_ {
        let from = self.schedules_from.min(by).as_millis();
        let minutes = from.div_euclid(MINUTE_MS) + 1..=by.as_millis().div_euclid(MINUTE_MS);
        let count = self.counts.schedules;
        minutes.flat_map(move |minute| {
            let at = Timestamp::from_millis(minute * MINUTE_MS);
            let minute = self.minute(at).unwrap_or(0);
            let owing = (0..count).filter(move |number| {
                self.runs_at(*number, at)
                    && !self
                        .occurrences
                        .get(number)
                        .is_some_and(|runs| runs.has(minute))
            });
            owing.map(move |number| (number, at))
        })
    }

    /// What is counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Lateness so far.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What was found, where everything due by a time is expected.
    pub fn finish(mut self, by: Timestamp) -> Verdict {
        let lost: Vec<String> = self
            .open_tasks(by)
            .take(TOLD_MAX)
            .map(|ask| format!("task {}, due at {}, was lost", ask.number, ask.due))
            .chain(
                self.open_occurrences(by)
                    .take(TOLD_MAX)
                    .map(|(number, at)| format!("schedule {number} did not run at {at}")),
            )
            .collect();
        self.counts.lost = self.missing(by);
        self.counts.not_due = self.waiting().count() as u64 - self.open_tasks(by).count() as u64;
        for one in lost {
            self.tell(|| one.clone());
        }
        debug_assert!(self.acknowledged.count() == self.counts.acknowledged);
        Verdict {
            counts: self.counts,
            timeline: self.timeline,
            violations: self.violations,
        }
    }

    fn tell(&mut self, words: impl FnOnce() -> String) {
        if self.violations.len() < TOLD_MAX {
            self.violations.push(words());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scenario::Scenario;
    use super::*;

    fn plan() -> Plan {
        let text = "name = \"a\"\nabout = \"b\"\nseed = 3\n[schedules]\ncount = 20\nevery_minutes = 5\n\
            [[stream]]\nname = \"x\"\ndue = { between = [\"1s\", \"5s\"] }\ncancel_percent = 20\n\
            [[phase]]\nfor = \"120s\"\nrate = 10\n";
        let scenario = Scenario::parse(text).expect("a scenario");
        let begin = Timestamp::from_millis(1_700_000_000_000);
        Plan::new(scenario, begin, "r".to_owned(), 4).expect("small")
    }

    /// A run as it should be: what is told to the verifier, in order.
    #[derive(Clone, Debug, PartialEq)]
    enum Told {
        Acknowledged(u64),
        Cancelled(u64),
        Started(Start),
        Settled(u64),
    }

    fn start(origin: Origin, due: Timestamp, late_ms: i64) -> Start {
        let published_at = Some(due.plus_millis(late_ms / 2));
        Start {
            origin,
            due,
            published_at,
            at: due.plus_millis(late_ms),
        }
    }

    fn good_run(plan: &Plan, late_ms: i64) -> Vec<Told> {
        let mut story = Vec::new();
        for number in 0..plan.tasks() {
            let ask = plan.ask(number);
            story.push(Told::Acknowledged(number));
            match ask.change {
                Some(_) => story.push(Told::Cancelled(number)),
                None => {
                    story.push(Told::Started(start(Origin::Task(number), ask.due, late_ms)));
                    story.push(Told::Settled(number));
                }
            }
        }
        for number in 0..20 {
            let begin = plan.begin().as_millis();
            for minute in begin / MINUTE_MS + 1..=end(plan).as_millis() / MINUTE_MS {
                if minute % 5 == number as i64 % 5 {
                    let due = Timestamp::from_millis(minute * MINUTE_MS);
                    story.push(Told::Started(start(Origin::Schedule(number), due, late_ms)));
                }
            }
        }
        story
    }

    fn end(plan: &Plan) -> Timestamp {
        plan.begin().plus_millis(200_000)
    }

    fn verdict(plan: &Plan, story: &[Told]) -> Verdict {
        let mut verifier = Verifier::new(plan.clone(), 0, 1_000);
        verifier.scheduled(20, plan.begin());
        for told in story {
            match told {
                Told::Acknowledged(number) => verifier.acknowledged(*number),
                Told::Cancelled(number) => verifier.cancelled(*number),
                Told::Started(start) => verifier.started(start),
                Told::Settled(number) => verifier.settled(*number),
            }
        }
        verifier.finish(end(plan))
    }

    fn starts(story: &[Told]) -> Vec<usize> {
        let is_start = |at: &usize| matches!(story[*at], Told::Started(_));
        (0..story.len()).filter(is_start).collect()
    }

    #[test]
    fn a_good_run_is_found_to_be_good() {
        let plan = plan();
        let found = verdict(&plan, &good_run(&plan, 30));
        assert!(found.counts.is_kept(), "{:?}", found.violations);
        assert_eq!(found.counts.acknowledged, plan.tasks());
        let (started, cancelled) = (found.counts.started, found.counts.cancelled);
        assert_eq!(started + cancelled, plan.tasks());
        assert!(cancelled > 0 && found.counts.occurrences > 0);
        let lateness = found.timeline.start();
        assert_eq!((lateness.p50, lateness.max), (30.0, 30.0));
        assert!(found.violations.is_empty());
    }

    proptest! {
        /// Whichever start is left out, repeated, brought forward or moved: it is found, and
        /// counted once, whatever the order in which everything else is told.
        #[test]
        fn a_planted_loss_repeat_or_early_run_is_found(
            pick in any::<prop::sample::Index>(), kind in 0..5_usize, late_ms in 0..5_000_i64
        ) {
            let plan = plan();
            let mut story = good_run(&plan, late_ms);
            let starts = starts(&story);
            let at = starts[pick.index(starts.len())];
            let Told::Started(mut one) = story[at].clone() else { unreachable!() };
            let is_task = matches!(one.origin, Origin::Task(_));
            let mut wanted = verdict(&plan, &story).counts;
            match kind {
                0 => {
                    story.remove(at);
                    wanted.lost += 1;
                    match is_task {
                        true => wanted.started -= 1,
                        false => wanted.occurrences -= 1,
                    }
                }
                1 => {
                    story.push(Told::Started(one));
                    match is_task {
                        true => wanted.twice += 1,
                        false => wanted.handed_out_again += 1,
                    }
                }
                2 => {
                    one.at = one.due.plus_millis(-1);
                    story[at] = Told::Started(one);
                    wanted.early += 1;
                }
                3 => {
                    one.published_at = Some(one.due.plus_millis(-1));
                    story[at] = Told::Started(one);
                    wanted.early += 1;
                }
                _ => {
                    one.origin = Origin::Task(plan.tasks());
                    story.push(Told::Started(one));
                    wanted.strange += 1;
                }
            }
            let found = verdict(&plan, &story);
            prop_assert_eq!(found.counts, wanted, "{:?}", found.violations);
            prop_assert_eq!(found.counts.is_kept(), kind == 1 && !is_task);
            prop_assert_eq!(found.violations.is_empty(), found.counts.is_kept());
        }
    }

    #[test]
    fn a_run_in_spite_of_a_cancellation_is_found() {
        let plan = plan();
        let mut story = good_run(&plan, 10);
        let is_cancel = |told: &&Told| matches!(told, Told::Cancelled(_));
        let Some(Told::Cancelled(number)) = story.iter().find(is_cancel).cloned() else {
            panic!("something is cancelled");
        };
        let due = plan.ask(number).due;
        story.push(Told::Started(start(Origin::Task(number), due, 10)));
        assert_eq!(verdict(&plan, &story).counts.cancelled_in_vain, 1);
    }

    #[test]
    fn what_was_not_acknowledged_or_is_not_due_is_not_missed() {
        let plan = plan();
        let mut verifier = Verifier::new(plan.clone(), 0, 1_000);
        verifier.acknowledged(0);
        verifier.acknowledged(70);
        let by = plan.ask(0).due;
        assert!(plan.ask(70).due > by);
        assert_eq!(verifier.missing(by), 1);
        let counts = verifier.finish(by).counts;
        assert_eq!((counts.lost, counts.not_due), (1, 1));
    }
}
